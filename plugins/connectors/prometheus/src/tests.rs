//! Golden cases, and polls of a server that is not there.

use std::collections::BTreeSet;

use faultline_sdk::http::Response;
use faultline_sdk::testkit::{FakeHost, check_golden_cases, decode, poll};
use faultline_sdk::{Envelope, Fault, Page, Retry, Signal, time};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{Config, Cursor, Prometheus};

const BUDGET: u32 = 500;
const ALERTS: &str = "http://prometheus:9090/api/v1/alerts";
const RULES: &str = "http://prometheus:9090/api/v1/rules?type=alert";

#[test]
fn golden_cases() {
    check_golden_cases::<Prometheus>("tests");
}

#[test]
fn defaults_are_those_of_the_schema() {
    let schema: Value =
        serde_json::from_str(include_str!("../config.schema.json")).expect("the schema is JSON");
    let defaults: serde_json::Map<String, Value> = schema["properties"]
        .as_object()
        .expect("properties")
        .iter()
        .filter(|(_, property)| !property["default"].is_null())
        .map(|(name, property)| (name.clone(), property["default"].clone()))
        .collect();
    let filled: Config = serde_json::from_value(Value::Object(defaults)).expect("defaults fit");
    assert_eq!(filled, Config::default());
}

/// A server, poll by poll.
struct Server {
    config: Value,
    cursor: Option<Cursor>,
}

impl Server {
    fn new() -> Self {
        Self::with(json!({"url": "http://prometheus:9090"}))
    }

    fn with(config: Value) -> Self {
        Self {
            config,
            cursor: None,
        }
    }

    fn host(&self) -> FakeHost {
        FakeHost::new().with_config(&self.config)
    }

    /// A poll that gives a page.
    fn poll(&mut self, host: &FakeHost) -> Page<Cursor> {
        let page = poll::<Prometheus>(host, self.cursor.as_ref(), BUDGET).expect("a page");
        self.cursor = Some(page.cursor.clone());
        page
    }

    /// A poll that finds these alerts firing: names that fire, and names that
    /// end, as the decoder sees them.
    fn told(&mut self, firing: &[&str], rules: Result<Response, Fault>) -> (Names, Names) {
        let host = self
            .host()
            .with_answer("GET", ALERTS, Ok(active(firing)))
            .with_answer("GET", RULES, rules);
        let page = self.poll(&host);
        self.decoded(&page)
    }

    fn decoded(&self, page: &Page<Cursor>) -> (Names, Names) {
        let (mut firing, mut ended) = (Names::new(), Names::new());
        for envelope in &page.envelopes {
            let decoded = decode::<Prometheus>(&self.config, envelope).expect("an answer");
            assert_eq!(decoded.rejected.len(), 0);
            for signal in decoded.signals {
                let Signal::Alert(alert) = signal else {
                    panic!("only alerts come out of Prometheus: {signal:?}");
                };
                let names = if alert.firing {
                    &mut firing
                } else {
                    &mut ended
                };
                assert!(
                    names.insert(alert.title.clone()),
                    "{} is there twice",
                    alert.title
                );
            }
        }
        (firing, ended)
    }
}

type Names = BTreeSet<String>;

fn names(names: &[&str]) -> Names {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn answer(data: &Value) -> Response {
    Response::new(200, json!({"status": "success", "data": data}).to_string())
}

fn active(names: &[&str]) -> Response {
    let alert = |name: &&str| {
        json!({
            "labels": {"alertname": name, "severity": "page"}, "annotations": {},
            "state": "firing", "activeAt": "1970-01-01T00:00:00Z", "value": "1e+00",
        })
    };
    answer(&json!({"alerts": names.iter().map(alert).collect::<Vec<_>>()}))
}

/// Rules by name and health.
#[expect(clippy::unnecessary_wraps, reason = "a server may answer or not")]
fn rules(rules: &[(&str, &str)]) -> Result<Response, Fault> {
    let rule = |(name, health): &(&str, &str)| json!({"name": name, "health": health, "type": "alerting", "query": "up == 0"});
    let rules: Vec<Value> = rules.iter().map(rule).collect();
    Ok(answer(&json!({"groups": [{"name": "g", "rules": rules}]})))
}

#[test]
fn an_alert_fires_at_each_poll_and_ends_once() {
    let mut server = Server::new();
    let good = || rules(&[("A", "ok"), ("B", "err")]);
    let none = names(&[]);
    assert_eq!(server.told(&[], good()), (none.clone(), none.clone()));
    assert_eq!(
        server.told(&["A", "B"], good()),
        (names(&["A", "B"]), none.clone())
    );
    assert_eq!(
        server.told(&["A", "B"], good()),
        (names(&["A", "B"]), none.clone())
    );
    assert_eq!(server.told(&["B"], good()), (names(&["B"]), names(&["A"])));
    assert_eq!(server.told(&["B"], good()), (names(&["B"]), none.clone()));
    assert_eq!(server.told(&[], good()), (none.clone(), names(&["B"])));
    assert_eq!(server.told(&["A"], good()), (names(&["A"]), none));
}

#[test]
fn nothing_to_say_is_no_envelope() {
    let mut server = Server::new();
    let host = server.host().with_answer("GET", ALERTS, Ok(active(&[])));
    assert_eq!(server.poll(&host).envelopes, []);
    assert_eq!(
        host.requests().len(),
        1,
        "nothing is gone, so no rules are asked for"
    );
}

#[test]
fn the_same_cursor_gives_the_same_page() {
    let mut server = Server::new();
    server.told(&["A", "B"], rules(&[]));
    let before = server.cursor.clone();
    let first = server.told(&["B"], rules(&[("A", "ok")]));
    server.cursor = before;
    assert_eq!(server.told(&["B"], rules(&[("A", "ok")])), first);
}

#[test]
fn a_server_that_has_only_begun_ends_nothing() {
    let mut server = Server::new();
    let none = names(&[]);
    server.told(&["A", "B"], rules(&[]));
    // It has not read its rules yet, then not evaluated them.
    assert_eq!(server.told(&[], rules(&[])), (none.clone(), none.clone()));
    let unknown = rules(&[("A", "unknown"), ("B", "unknown")]);
    assert_eq!(
        server.told(&[], unknown.clone()),
        (none.clone(), none.clone())
    );
    assert_eq!(server.told(&[], unknown), (none.clone(), none.clone()));
    let evaluated = rules(&[("A", "ok"), ("B", "ok")]);
    assert_eq!(
        server.told(&["B"], evaluated),
        (names(&["B"]), names(&["A"]))
    );
}

#[test]
fn an_alert_whose_rule_was_removed_ends_at_the_second_look() {
    let mut server = Server::new();
    let none = names(&[]);
    server.told(&["A"], rules(&[]));
    let others = || rules(&[("B", "ok")]);
    assert_eq!(server.told(&[], others()), (none.clone(), none.clone()));
    assert_eq!(server.told(&[], others()), (none.clone(), names(&["A"])));
    assert_eq!(server.told(&[], others()), (none.clone(), none));
}

#[test]
fn rules_that_cannot_be_seen_hold_up_only_for_a_while() {
    let mut server = Server::new();
    let none = names(&[]);
    server.told(&["A", "B"], rules(&[]));
    let unreachable = Err(Fault::new("http.connect", "refused").retry_later());
    assert_eq!(
        server.told(&["B"], unreachable),
        (names(&["B"]), none.clone())
    );
    let busy = Ok(Response::new(503, ""));
    assert_eq!(server.told(&["B"], busy), (names(&["B"]), none));
    for never in [
        Err(Fault::new("denied", "no")),
        Ok(Response::new(404, "not found")),
    ] {
        let mut server = Server::new();
        server.told(&["A", "B"], rules(&[]));
        assert_eq!(server.told(&["B"], never), (names(&["B"]), names(&["A"])));
    }
}

#[test]
fn external_labels_are_part_of_the_identity() {
    let mut server = Server::with(json!({
        "url": "http://prometheus:9090/",
        "external-labels": {"region": "north", "severity": "info"},
    }));
    let host = server.host().with_answer("GET", ALERTS, Ok(active(&["A"])));
    let page = server.poll(&host);
    let decoded = decode::<Prometheus>(&server.config, &page.envelopes[0]).expect("an answer");
    let Signal::Alert(alert) = &decoded.signals[0] else {
        panic!("not an alert");
    };
    let mut identity: Vec<(&str, &str)> = alert
        .identity
        .iter()
        .map(|label| (label.key.as_str(), label.value.as_str()))
        .collect();
    identity.sort_unstable();
    let expected = [
        ("alertname", "A"),
        ("region", "north"),
        ("severity", "page"),
    ];
    assert_eq!(identity, expected, "an alert's own label wins");
}

#[test]
fn the_secret_that_is_configured_goes_along() {
    for (authorization, secret) in [
        ("none", None),
        ("bearer", Some("bearer")),
        ("basic", Some("basic")),
    ] {
        let mut server = Server::with(json!({
            "url": "http://prometheus:9090", "authorization": authorization,
        }));
        let host = server
            .host()
            .with_secret("bearer", "token")
            .with_secret("basic", "user:password")
            .with_answer("GET", ALERTS, Ok(active(&[])));
        server.poll(&host);
        assert_eq!(host.requests()[0].secret.as_deref(), secret);
    }
}

#[test]
fn what_the_server_says_instead_is_a_fault() {
    let body = |text: &str| json!({"status": "error", "errorType": "x", "error": text}).to_string();
    for (response, code, said) in [
        (Response::new(401, "no"), "http.401", "401"),
        (
            Response::new(503, body("starting up")),
            "http.503",
            "starting up",
        ),
        (Response::new(200, body("no")), "prometheus", "x: no"),
        (Response::new(200, "<html>"), "malformed", "/api/v1/alerts"),
        (answer(&json!({})), "malformed", "alerts"),
    ] {
        let server = Server::new();
        let host = server.host().with_answer("GET", ALERTS, Ok(response));
        let fault = poll::<Prometheus>(&host, None, BUDGET).expect_err(code);
        assert_eq!(fault.code, code);
        assert!(fault.message.contains(said), "{}", fault.message);
        let is_transient = code == "http.503" || code == "prometheus";
        assert_eq!(matches!(fault.retry, Retry::Later), is_transient);
    }
}

/// An alert like those of a large cluster.
fn of_pod(number: usize) -> Value {
    // Hashes, as names of pods have them, shrink least.
    let hash = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    json!({
        "labels": {
            "alertname": "PodCrashLooping", "severity": "warning", "namespace": "shop",
            "pod": format!("checkout-{hash:016x}"), "node": format!("node-{}", number % 200),
        },
        "annotations": {"summary": format!("{number}")},
        "state": "firing", "activeAt": "1970-01-01T00:00:00Z", "value": "1e+00",
    })
}

#[test]
fn a_storm_is_told_in_full_and_what_is_too_much_to_remember_ends_by_itself() {
    const STORM: usize = 6_000;
    let mut server = Server::new();
    let alerts: Vec<Value> = (0..STORM).map(of_pod).collect();
    let storm = || Ok(answer(&json!({"alerts": alerts})));
    let host = server.host().with_answer("GET", ALERTS, storm());
    let page = server.poll(&host);
    assert_eq!(page.envelopes.len(), 6);
    assert!(host.lines()[0].1.contains("too many to remember"));
    let written = serde_json::to_vec(&page.cursor).expect("JSON");
    assert!(written.len() <= 64 << 10, "{}", written.len());
    let (firing, ended) = server.decoded(&page);
    assert_eq!((firing.len(), ended.len()), (STORM, 0));
    let mut untracked = 0;
    for envelope in &page.envelopes {
        let decoded = decode::<Prometheus>(&server.config, envelope).expect("an answer");
        untracked += decoded.signals.iter().filter(|signal| {
            matches!(signal, Signal::Alert(alert) if alert.ended == Some(900 * time::SECOND))
        }).count();
    }
    let tracked = STORM - untracked;
    assert!(tracked > 1_000, "{tracked}");
    // The end of those that are remembered is told.
    let host = server
        .host()
        .with_answer("GET", ALERTS, Ok(active(&[])))
        .with_answer("GET", RULES, rules(&[("PodCrashLooping", "ok")]));
    let page = server.poll(&host);
    let mut ended = 0;
    for envelope in &page.envelopes {
        ended += decode::<Prometheus>(&server.config, envelope)
            .expect("an answer")
            .signals
            .len();
    }
    assert_eq!(ended, tracked);
}

#[test]
fn a_budget_makes_envelopes_larger_and_not_fewer_alerts() {
    let alerts: Vec<Value> = (0..5_000).map(of_pod).collect();
    let server = Server::new();
    let all = answer(&json!({"alerts": alerts}));
    let host = server.host().with_answer("GET", ALERTS, Ok(all));
    let page = poll::<Prometheus>(&host, None, 2).expect("a page");
    assert_eq!(page.envelopes.len(), 2);
    assert_eq!(server.decoded(&page).0.len(), 5_000);
}

#[test]
fn a_cursor_of_something_else_is_refused_with_the_remedy() {
    let bad: Cursor = serde_json::from_value(json!({"tracked": "AAAA"})).expect("a cursor");
    let server = Server::new();
    let host = server.host().with_answer("GET", ALERTS, Ok(active(&[])));
    let fault = poll::<Prometheus>(&host, Some(&bad), BUDGET).expect_err("no cursor of ours");
    assert_eq!(fault.code, "state");
    assert!(
        fault.message.contains("from the start"),
        "{}",
        fault.message
    );
}

fn check(body: Vec<u8>) {
    let envelope = Envelope::new("application/json", body, time::DAY);
    let config = json!({"url": "http://prometheus:9090"});
    if let Ok(decoded) = decode::<Prometheus>(&config, &envelope) {
        for signal in decoded.signals {
            let Signal::Alert(alert) = signal else {
                panic!("only alerts come out of Prometheus: {signal:?}");
            };
            assert!(!alert.identity.is_empty());
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(body in prop::collection::vec(any::<u8>(), 0..200)) {
        check(body);
    }

    #[test]
    fn any_answer_gives_an_answer(
        state in prop_oneof![Just("firing"), Just("pending"), Just("")],
        labels in prop::collection::btree_map("[a-z]{0,3}", ".{0,5}", 0..4),
        active_at in prop_oneof![Just("2026-03-01T12:00:00Z".to_owned()), ".{0,12}"],
    ) {
        let alert = json!({"labels": labels, "state": state, "activeAt": active_at});
        let ended = json!({"labels": labels, "activeAt": active_at});
        let body = json!({"status": "success", "data": {"alerts": [alert]}, "ended": [ended]});
        check(body.to_string().into_bytes());
    }

    /// Whatever fires when: each beginning is told, and each end once.
    #[test]
    fn what_is_told_adds_up(polls in prop::collection::vec(
        prop::collection::btree_set(prop::sample::select(vec!["A", "B", "C", "D"]), 0..4), 1..8,
    )) {
        let mut server = Server::new();
        let mut before = Names::new();
        for firing in polls {
            let firing: Vec<&str> = firing.into_iter().collect();
            let all = ["A", "B", "C", "D"].map(|name| (name, "ok"));
            let (told, ended) = server.told(&firing, rules(&all));
            prop_assert_eq!(&told, &names(&firing));
            let expected: Names = before.difference(&told).cloned().collect();
            prop_assert_eq!(ended, expected);
            before = told;
        }
    }
}
