//! Requests as OpenTelemetry's own messages encode them in, decoded out; in
//! protobuf and in JSON alike.

use faultline_domain::envelope::Format;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::formats::show::show;

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

const METRICS: &str = include_str!("tests/metrics.json");
const LOGS: &str = include_str!("tests/logs.json");
const TRACES: &str = include_str!("tests/traces.json");

/// The same request in protobuf, encoded by others.
pub(crate) fn in_protobuf(subject: Subject, json: &str) -> Vec<u8> {
    fn convert<M: Message + Default + DeserializeOwned + Serialize>(json: &str) -> Vec<u8> {
        let message: M = serde_json::from_str(json).expect("a request");
        message.encode_to_vec()
    }
    match subject {
        Subject::Metrics => convert::<ExportMetricsServiceRequest>(json),
        Subject::Logs => convert::<ExportLogsServiceRequest>(json),
        Subject::Traces => convert::<ExportTraceServiceRequest>(json),
    }
}

/// A request of each subject, in both encodings.
pub(crate) fn samples() -> Vec<(Format, &'static str, Vec<u8>)> {
    let mut samples = Vec::new();
    for (format, subject, json) in [
        (Format::OtlpMetrics, Subject::Metrics, METRICS),
        (Format::OtlpLogs, Subject::Logs, LOGS),
        (Format::OtlpTraces, Subject::Traces, TRACES),
    ] {
        let json = json.trim_end();
        samples.push((
            format.clone(),
            "application/x-protobuf",
            in_protobuf(subject, json),
        ));
        samples.push((format, "application/json", json.as_bytes().to_vec()));
    }
    samples
}

fn check(subject: Subject, json: &str, expected: &str) {
    let limits = Limits::default();
    let from_json = decode(subject, Encoding::Json, json.as_bytes(), NOW, limits);
    assert_eq!(show(&from_json), expected);
    let protobuf = in_protobuf(subject, json);
    let from_protobuf = decode(subject, Encoding::Protobuf, &protobuf, NOW, limits);
    assert_eq!(show(&from_protobuf), expected, "from protobuf");
}

fn check_json(subject: Subject, json: &str, expected: &str) {
    let decoded = decode(
        subject,
        Encoding::Json,
        json.as_bytes(),
        NOW,
        Limits::default(),
    );
    assert_eq!(show(&decoded), expected);
}

#[test]
fn reads_metrics_of_all_kinds() {
    check(Subject::Metrics, METRICS, include_str!("tests/metrics.txt"));
}

#[test]
fn reads_logs() {
    check(Subject::Logs, LOGS, include_str!("tests/logs.txt"));
}

#[test]
fn reads_traces() {
    check(Subject::Traces, TRACES, include_str!("tests/traces.txt"));
}

#[test]
fn json_is_read_as_leniently_as_the_mapping_asks() {
    let point = |fields: &str| {
        format!(
            r#"{{"futureField":[{{}}],"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[
                {{"name":"m","gauge":{{"dataPoints":[{{"timeUnixNano":"1767225599000000000",{fields}}}]}}}}
            ]}}]}}]}}"#
        )
    };
    let value = |fields: &str, shown: &str| {
        let expected = format!("series - m Gauge[] {{}}\nsample 0 2025-12-31T23:59:59Z {shown}\n");
        check_json(Subject::Metrics, &point(fields), &expected);
    };
    value(r#""asInt":"-7""#, "-7");
    value(r#""asInt":7"#, "7");
    value(r#""asInt":7.0"#, "7");
    value(r#""asDouble":"1.5","exemplars":null"#, "1.5");
    value(r#""asDouble":3"#, "3");
    value(r#""timeUnixNano":1767225599000000000,"asDouble":3"#, "3");
    let none = |fields: &str, expected: &str| {
        let shown = decode(
            Subject::Metrics,
            Encoding::Json,
            point(fields).as_bytes(),
            NOW,
            Limits::default(),
        );
        let shown = show(&shown);
        assert!(shown.contains(expected), "{shown}");
    };
    none(r#""asDouble":"NaN""#, "note not-finite 1");
    none(r#""asDouble":"-Infinity""#, "note not-finite 1");
    none(
        r#""asDouble":"much""#,
        "resourceMetrics[0].scopeMetrics[0].metrics[0].gauge.dataPoints[0].asDouble: \
         invalid value: string \"much\", expected a number, or a string with one",
    );
    none(r#""asInt":1.5"#, "expected an integer");
    none(r#""asInt":{}"#, "invalid type: map, expected an integer");
    none(
        r#""timeUnixNano":"-1""#,
        "-1 is not an integer that is not negative",
    );
    none(
        r#""attributes":{}"#,
        "invalid type: map, expected a list of objects",
    );
    none(r#""attributes":[null]"#, "expected an object");
}

#[test]
fn what_is_not_json_is_a_fault_that_says_where() {
    check_json(
        Subject::Logs,
        r#"{"resourceLogs":[{]}"#,
        "fault malformed: resourceLogs[0].?: key must be a string at line 1 column 19\n",
    );
    check_json(
        Subject::Logs,
        "[]",
        "fault malformed: invalid type: sequence, expected an object at line 1 column 2\n",
    );
    check_json(
        Subject::Logs,
        "{} {}",
        "fault malformed: trailing characters at line 1 column 4\n",
    );
    check_json(Subject::Logs, "{}", "");
}

#[test]
fn what_is_not_protobuf_is_a_fault_that_says_where() {
    let mut scope = Vec::new();
    crate::formats::wire::write::bytes(&mut scope, 2, &[0x0a, 7]);
    let mut resource = Vec::new();
    crate::formats::wire::write::bytes(&mut resource, 2, &scope);
    let mut body = Vec::new();
    crate::formats::wire::write::bytes(&mut body, 1, &resource);
    let decoded = decode(
        Subject::Traces,
        Encoding::Protobuf,
        &body,
        NOW,
        Limits::default(),
    );
    assert_eq!(
        show(&decoded),
        "fault malformed: resourceSpans[0].scopeSpans[0].spans[0]: \
         a field of 7 bytes where 0 are left\n"
    );
}

#[test]
fn a_payload_has_limits() {
    let limits = Limits {
        samples_per_payload_max: 2,
        log_lines_per_payload_max: 1,
        spans_per_payload_max: 1,
        ..Limits::default()
    };
    for (subject, json, code) in [
        (Subject::Metrics, METRICS, "limit.samples-per-payload"),
        (Subject::Logs, LOGS, "limit.log-lines-per-payload"),
        (Subject::Traces, TRACES, "limit.spans-per-payload"),
    ] {
        let fault = decode(subject, Encoding::Json, json.as_bytes(), NOW, limits);
        assert_eq!(fault.expect_err("over the limit").code, code);
    }
}

#[test]
fn empty_messages_do_not_multiply() {
    let limits = Limits {
        spans_per_payload_max: 10,
        ..Limits::default()
    };
    let spans = [0x12, 0x00].repeat(100_000);
    let mut resource = Vec::new();
    crate::formats::wire::write::bytes(&mut resource, 2, &spans);
    let mut body = Vec::new();
    crate::formats::wire::write::bytes(&mut body, 1, &resource);
    let decoded = decode(Subject::Traces, Encoding::Protobuf, &body, NOW, limits);
    let decoded = decoded.expect("readable");
    assert_eq!(decoded.rejected.len(), 100);
    assert_eq!(decoded.rejected_count(), 100_000);
}

#[test]
fn json_does_not_multiply() {
    let json = format!(r#"{{"resourceLogs":[{}]}}"#, vec!["{}"; 100_000].join(","));
    let protobuf = json::to_protobuf(json.as_bytes(), &schema::LOGS_REQUEST).expect("readable");
    assert!(protobuf.len() <= 2 * json.len());
    let deep = format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{}{}}}]}}]}}]}}"#,
        r#"{"arrayValue":{"values":["#.repeat(10_000),
        "]}}".repeat(10_000),
    );
    let fault = json::to_protobuf(deep.as_bytes(), &schema::LOGS_REQUEST).expect_err("too deep");
    assert!(Fault::from(fault).message.contains("recursion limit"));
}
