//! Golden cases, and bytes that are none of Alertmanager's.

use faultline_sdk::testkit::{check_golden_cases, decode};
use faultline_sdk::{Envelope, Signal, time};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{Alertmanager, Config};

#[test]
fn golden_cases() {
    check_golden_cases::<Alertmanager>("tests");
}

#[test]
fn defaults_are_those_of_the_schema() {
    let schema: Value =
        serde_json::from_str(include_str!("../config.schema.json")).expect("the schema is JSON");
    let defaults: serde_json::Map<String, Value> = schema["properties"]
        .as_object()
        .expect("properties")
        .iter()
        .map(|(name, property)| (name.clone(), property["default"].clone()))
        .collect();
    let filled: Config = serde_json::from_value(Value::Object(defaults)).expect("defaults fit");
    assert_eq!(filled, Config::default());
}

#[test]
fn nesting_without_end_is_refused() {
    for body in ["[".repeat(100_000), "{\"alerts\":".repeat(100_000)] {
        let envelope = Envelope::new("application/json", body, time::DAY);
        let fault = decode::<Alertmanager>(&json!({}), &envelope).expect_err("too deep");
        assert_eq!(fault.code, "malformed");
    }
}

fn check(body: Vec<u8>) {
    let envelope = Envelope::new("application/json", body, time::DAY);
    if let Ok(decoded) = decode::<Alertmanager>(&json!({}), &envelope) {
        for signal in decoded.signals {
            let Signal::Alert(alert) = signal else {
                panic!("only alerts come out of Alertmanager: {signal:?}");
            };
            assert!(!alert.identity.is_empty());
        }
    }
}

/// Payloads that are nearly right, so that all of the code is reached.
fn nearly() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just(String::new()),
        Just("0001-01-01T00:00:00Z".to_owned()),
        Just("2026-03-01T12:00:00.5+01:00".to_owned()),
        ".{0,12}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    let labels = prop::collection::btree_map("[a-z]{0,3}|alertname|severity", leaf.clone(), 0..4);
    let alert = (
        prop_oneof![Just(json!("firing")), Just(json!("resolved")), leaf.clone()],
        labels.clone(),
        labels,
        text.clone(),
        text,
    )
        .prop_map(|(status, labels, annotations, starts_at, ends_at)| {
            json!({
                "status": status, "labels": labels, "annotations": annotations,
                "startsAt": starts_at, "endsAt": ends_at,
            })
        });
    let alerts = prop::collection::vec(prop_oneof![4 => alert, 1 => leaf.clone()], 0..4);
    (prop_oneof![4 => Just(json!("4")), 1 => leaf.clone()], alerts, leaf).prop_map(
        |(version, alerts, truncated)| {
            json!({"version": version, "alerts": alerts, "truncatedAlerts": truncated})
        },
    )
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(body in prop::collection::vec(any::<u8>(), 0..200)) {
        check(body);
    }

    #[test]
    fn any_payload_gives_an_answer(body in nearly()) {
        check(body.to_string().into_bytes());
    }
}
