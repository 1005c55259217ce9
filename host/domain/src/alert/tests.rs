//! Reports and time in, outcomes out.

use super::*;

fn source(name: &str) -> SourceName {
    SourceName::new(name).expect("a name")
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn origin() -> Origin {
    Origin::Sender {
        family: "prometheus".to_owned(),
    }
}

/// A firing report from `name`, received and started at these seconds.
fn firing(name: &str, received: u64, started: u64) -> Report {
    Report {
        origin: origin(),
        source: source(name),
        position: Position(received),
        received: at(received),
        resolve_timeout: None,
        said: AlertReport {
            identity: [("alertname", "Down")].into_iter().collect(),
            firing: true,
            title: "Down".to_owned(),
            severity: StatedSeverity::from_word("critical"),
            started: at(started),
            ended: None,
            entities: vec![Entity::new("service", "cart").expect("an entity")],
            labels: Labels::default(),
            annotations: Labels::default(),
            link: None,
        },
        score: 1.0,
        measurement: None,
    }
}

fn ended(name: &str, received: u64, started: u64, ended: u64) -> Report {
    let mut report = firing(name, received, started);
    report.said.firing = false;
    report.said.ended = Some(at(ended));
    report
}

fn first(report: Report) -> (Alert, Outcome) {
    let id = fingerprint(&report.origin, &report.said.identity).expect("an identity");
    Alert::first(id, report)
}

fn by(name: &str) -> Outcome {
    Outcome::Resolved {
        by: End::Reported {
            source: source(name),
        },
    }
}

#[test]
fn an_identity_is_never_empty() {
    assert_eq!(fingerprint(&origin(), &Labels::default()), None);
}

#[test]
fn the_family_is_part_of_the_fingerprint() {
    let identity: Labels = [("alertname", "Down")].into_iter().collect();
    let other = Origin::Sender {
        family: "nagios".to_owned(),
    };
    assert_ne!(
        fingerprint(&origin(), &identity),
        fingerprint(&other, &identity)
    );
}

#[test]
fn fires_repeats_and_resolves() {
    let (mut alert, outcome) = first(firing("prom", 10, 5));
    assert_eq!(outcome, Outcome::Fired);
    assert_eq!(alert.report(&firing("prom", 20, 5)), Outcome::DuplicateFull);
    let mut reworded = firing("prom", 30, 5);
    reworded.said.annotations.set("summary", "still down");
    assert_eq!(alert.report(&reworded), Outcome::DuplicatePartial);
    assert_eq!(alert.report(&ended("prom", 40, 5, 38)), by("prom"));
    assert_eq!(alert.changed, at(38));
    assert_eq!(alert.version, 2);
    let view = &alert.sources[&source("prom")];
    assert_eq!(
        (view.reports, view.duplicates_full, view.duplicates_partial),
        (4, 1, 1)
    );
}

#[test]
fn a_second_source_makes_no_second_alert_and_a_late_echo_reopens_nothing() {
    let (mut alert, _) = first(firing("direct", 10, 5));
    assert_eq!(
        alert.report(&firing("webhook", 40, 5)),
        Outcome::DuplicateFull
    );
    assert_eq!(alert.report(&ended("direct", 60, 5, 58)), by("direct"));
    assert_eq!(alert.report(&firing("webhook", 61, 5)), Outcome::Echo);
    assert_eq!(alert.report(&ended("webhook", 90, 5, 58)), Outcome::Echo);
    assert!(!alert.is_firing());
    assert_eq!(alert.sources.len(), 2);
    assert_eq!(alert.sources[&source("webhook")].echoes, 2);
}

#[test]
fn a_new_start_begins_a_new_episode_from_any_source() {
    let (mut alert, _) = first(firing("direct", 10, 5));
    alert.report(&ended("direct", 20, 5, 18));
    assert_eq!(alert.report(&firing("webhook", 30, 25)), Outcome::Fired);
    assert_eq!((alert.episode, alert.started), (2, at(25)));
}

#[test]
fn the_source_that_ended_it_is_believed_when_it_says_that_it_is_back() {
    let (mut alert, _) = first(firing("nagios", 10, 5));
    alert.report(&ended("nagios", 20, 5, 18));
    assert_eq!(alert.report(&firing("nagios", 30, 5)), Outcome::Fired);
    assert_eq!(alert.started, at(18));
}

#[test]
fn an_end_of_an_earlier_episode_ends_nothing() {
    let (mut alert, _) = first(firing("prom", 100, 95));
    assert_eq!(alert.report(&ended("webhook", 101, 5, 18)), Outcome::Echo);
    assert!(alert.is_firing());
}

#[test]
fn an_episode_does_not_reach_back_into_the_one_before_it() {
    let (mut alert, _) = first(firing("nagios", 10, 5));
    alert.report(&firing("webhook", 12, 5));
    alert.report(&ended("nagios", 20, 5, 18));
    assert_eq!(alert.report(&firing("nagios", 30, 5)), Outcome::Fired);
    // Said again with the old start, from whichever source.
    alert.report(&firing("nagios", 40, 5));
    alert.report(&firing("webhook", 41, 5));
    assert_eq!((alert.episode, alert.started), (2, at(18)));
    // The slower path comes with the end of the first episode.
    assert_eq!(alert.report(&ended("webhook", 42, 5, 18)), Outcome::Echo);
    assert!(alert.is_firing());
    assert_eq!(alert.report(&ended("nagios", 50, 5, 48)), by("nagios"));
}

#[test]
fn alerts_that_were_kept_before_are_read() {
    let (alert, _) = first(firing("prom", 10, 5));
    let mut kept = serde_json::to_value(&alert).expect("JSON");
    kept.as_object_mut()
        .expect("an object")
        .remove("previous_end");
    assert_eq!(serde_json::from_value::<Alert>(kept).expect("reads"), alert);
}

#[test]
fn severity_moves_with_a_trend() {
    let (mut alert, _) = first(firing("prom", 10, 5));
    let mut milder = firing("prom", 20, 5);
    milder.said.severity = StatedSeverity::from_word("warning");
    let outcome = alert.report(&milder);
    assert_eq!(
        outcome,
        Outcome::SeverityChanged {
            from: Severity::Critical
        }
    );
    assert_eq!(alert.trend, Trend::Better);
    assert_eq!(
        alert.report(&firing("prom", 30, 5)).as_str(),
        "severity-changed"
    );
    assert_eq!(alert.trend, Trend::Worse);
}

#[test]
fn a_word_that_is_not_repeated_expires() {
    let mut report = firing("prom", 10, 5);
    report.resolve_timeout = Some(Duration::from_secs(300));
    let (mut alert, _) = first(report);
    assert_eq!(alert.deadline(), Some(at(310)));
    assert_eq!(alert.pass_time(at(309)), None);
    assert_eq!(
        alert.pass_time(at(400)),
        Some(Outcome::Resolved { by: End::TimedOut })
    );
    assert_eq!(alert.changed, at(310));
    assert_eq!(alert.deadline(), None);
    // And comes back when it is said again, even with the old start.
    assert_eq!(alert.report(&firing("prom", 500, 5)), Outcome::Fired);
}

#[test]
fn an_end_in_the_future_is_a_promise_to_repeat() {
    let mut report = firing("prom", 10, 5);
    report.said.ended = Some(at(70));
    let (mut alert, outcome) = first(report);
    assert_eq!(outcome, Outcome::Fired);
    assert_eq!(alert.deadline(), Some(at(70)));
    assert!(alert.pass_time(at(70)).is_some());
}

#[test]
fn while_one_source_holds_on_the_episode_goes_on() {
    let mut report = firing("prom", 10, 5);
    report.resolve_timeout = Some(Duration::from_secs(300));
    let (mut alert, _) = first(report);
    alert.report(&firing("webhook", 20, 5));
    assert_eq!(alert.pass_time(at(1_000)), None);
    assert!(alert.is_firing());
}

#[test]
fn an_end_without_a_beginning_opens_nothing() {
    let (alert, outcome) = first(ended("prom", 10, 5, 8));
    assert_eq!(outcome, Outcome::ResolvedUnseen);
    assert!(!outcome.is_transition());
    assert!(!alert.is_firing());
}
