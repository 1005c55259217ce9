//! Requests as Prometheus sends them in, alert reports out.

use super::*;
use crate::formats::show::show;

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

/// A request with a bit of everything.
pub(crate) const SAMPLE: &str = r#"[
    {"labels":{"alertname":"Down","job":"cart"},"startsAt":"2025-12-31T23:00:00Z"},
    {"labels":{},"annotations":{"summary":"Very long text, longer than allowed"}}
]"#;

fn check(body: &str, expected: &str) {
    let decoded = decode(body.as_bytes(), NOW, Limits::default());
    assert_eq!(show(&decoded), expected);
}

#[test]
fn reads_what_prometheus_sends() {
    check(
        r#"[{
            "annotations": {"description": "No answer\nfor 5 minutes.", "runbook": ""},
            "endsAt": "2026-01-01T00:04:00.000Z",
            "startsAt": "2025-12-31T23:59:00.123456789+00:00",
            "generatorURL": "http://prometheus:9090/graph?g0.expr=up",
            "labels": {"alertname": "Down", "instance": "db-1:9100", "job": "node", "severity": "page", "empty": ""}
        }]"#,
        "alert No answer firing=true severity=critical(page) \
         2025-12-31T23:59:00.123456Z..2026-01-01T00:04:00Z [host/db-1] \
         {alertname=Down instance=db-1:9100 job=node severity=page} \
         {description=No answer\nfor 5 minutes.} http://prometheus:9090/graph?g0.expr=up\n",
    );
}

#[test]
fn times_follow_alertmanager() {
    let times = |fields: &str, expected: &str| {
        let body = format!(r#"[{{"labels":{{"alertname":"A"}},{fields}}}]"#);
        let decoded = decode(body.as_bytes(), NOW, Limits::default()).expect("readable");
        let Some(Signal::Alert(alert)) = decoded.signals.first() else {
            panic!("rejected: {:?}", decoded.rejected);
        };
        let ended = alert.ended.map_or_else(String::new, |end| end.to_string());
        let shown = format!("{}..{ended} {}", alert.started, alert.firing);
        assert_eq!(shown, expected, "{fields}");
    };
    let zero = "0001-01-01T00:00:00Z";
    times(r#""startsAt":null"#, "2026-01-01T00:00:00Z.. true");
    times(
        &format!(r#""startsAt":"{zero}","endsAt":"{zero}""#),
        "2026-01-01T00:00:00Z.. true",
    );
    times(
        r#""endsAt":"2025-12-31T23:00:00Z""#,
        "2025-12-31T23:00:00Z..2025-12-31T23:00:00Z false",
    );
    times(
        r#""startsAt":"2025-12-31T22:00:00Z","endsAt":"2026-01-01T00:00:00Z""#,
        "2025-12-31T22:00:00Z..2026-01-01T00:00:00Z false",
    );
    times(
        r#""startsAt":"2025-12-31T22:00:00+02:00","endsAt":"2026-01-01T00:00:01Z""#,
        "2025-12-31T20:00:00Z..2026-01-01T00:00:01Z true",
    );
}

#[test]
fn rejects_an_alert_and_takes_the_others() {
    let long = "x".repeat(3_000);
    let body = format!(
        r#"[
            {{"labels":{{}}}},
            {{"annotations":{{"a":"b"}}}},
            {{"labels":{{"a":""}}}},
            {{"labels":{{"":"b"}}}},
            {{"labels":{{"a":5}}}},
            "alert",
            {{"labels":{{"a":"b"}},"startsAt":"yesterday"}},
            {{"labels":{{"a":"b"}},"startsAt":"1960-01-01T00:00:00Z"}},
            {{"labels":{{"a":"b"}},"startsAt":"2026-01-02T00:00:00Z","endsAt":"2026-01-01T00:00:00Z"}},
            {{"labels":{{"a":"{long}"}}}},
            {{"labels":{{"größe":"b","severity":"purple"}},"startsAt":"2025-12-31T22:00:00Z","generatorURL":"javascript:alert(1)","unknown":1}}
        ]"#
    );
    check(
        &body,
        "alert {größe=\"b\", severity=\"purple\"} firing=true severity=warning(purple) \
         2025-12-31T22:00:00Z.. [] {größe=b severity=purple} {} -\n\
         rejected malformed: alerts[0]: at least one label pair required\n\
         rejected malformed: alerts[1]: at least one label pair required\n\
         rejected malformed: alerts[2]: at least one label pair required\n\
         rejected malformed: alerts[3]: a label without a name\n\
         rejected malformed: alerts[4]: labels.a: invalid type: integer `5`, expected a string at line 1 column 16\n\
         rejected malformed: alerts[5]: invalid type: string \"alert\", expected an alert, which is an object at line 1 column 7\n\
         rejected malformed: alerts[6]: startsAt `yesterday` is not a time as in 2026-01-31T12:00:00Z (RFC 3339)\n\
         rejected malformed: alerts[7]: startsAt `1960-01-01T00:00:00Z` is before 1970\n\
         rejected malformed: alerts[8]: start time must be before end time; it starts at 2026-01-02T00:00:00Z and ends at 2026-01-01T00:00:00Z\n\
         rejected malformed: alerts[9]: the value of label `a` has 3000 bytes, more than 2048\n",
    );
}

#[test]
fn what_is_no_list_is_a_fault() {
    check(
        "{}",
        "fault malformed: the body should be a JSON list of alerts: \
         invalid type: map, expected a list at line 1 column 0\n",
    );
    check(
        r#"[{"labels":{"a":"b"}}"#,
        "fault malformed: the body should be a JSON list of alerts: \
         EOF while parsing a list at line 1 column 21\n",
    );
    check("[]", "");
}

#[test]
fn a_payload_has_limits() {
    let limits = Limits {
        alerts_per_payload_max: 2,
        alert_bytes_max: 60,
        labels_per_payload_max: 3,
        annotation_bytes_max: 4,
        title_bytes_max: 3,
        ..Limits::default()
    };
    let decode = |body: &str| decode(body.as_bytes(), NOW, limits);
    assert_eq!(
        decode("[1,2,3]").expect_err("too many").code,
        "limit.alerts-per-payload"
    );
    let two = r#"[{"labels":{"a":"b","c":"d"}},{"labels":{"a":"b","c":"d"}}]"#;
    assert_eq!(
        decode(two).expect_err("too many").code,
        "limit.labels-per-payload"
    );
    let long = format!(r#"[{{"labels":{{"a":"{}"}}}}]"#, "b".repeat(60));
    let long = decode(&long).expect("readable");
    assert_eq!(
        long.rejected[0].message,
        "alerts[0]: an alert of 79 bytes, more than 60"
    );
    let cut = decode(r#"[{"labels":{"a":"b"},"annotations":{"summary":"abcdef"}}]"#);
    let cut = show(&cut);
    assert!(
        cut.contains("alert abc ") && cut.contains("summary=abcd}"),
        "{cut}"
    );
    assert!(cut.contains("note clipped 1"), "{cut}");
}
