//! Golden cases, and bytes that are no events.

use std::collections::BTreeMap;

use faultline_sdk::testkit::{check_golden_cases, decode};
use faultline_sdk::{Envelope, Signal, time};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{CloudEvents, Config, Meaning, Rule};

#[test]
fn golden_cases() {
    check_golden_cases::<CloudEvents>("tests");
}

#[test]
fn defaults_are_those_of_the_schema() {
    let schema: Value =
        serde_json::from_str(include_str!("../config.schema.json")).expect("the schema is JSON");
    let config: Config = serde_json::from_value(defaults(&schema)).expect("defaults fit");
    assert_eq!(config, Config::default());
    let mut rule = defaults(&schema["properties"]["rules"]["items"]);
    rule["type"] = json!("com.acme");
    rule["as"] = json!("change");
    let filled: Rule = serde_json::from_value(rule).expect("defaults fit");
    let bare: Rule =
        serde_json::from_value(json!({"type": "com.acme", "as": "change"})).expect("a rule");
    assert_eq!(filled, bare);
    assert_eq!(bare.r#as, Meaning::Change);
}

/// The defaults that a schema states for an object's members.
fn defaults(schema: &Value) -> Value {
    let properties = schema["properties"].as_object().expect("properties");
    let stated = properties
        .iter()
        .filter_map(|(name, property)| Some((name.clone(), property.get("default")?.clone())));
    Value::Object(stated.collect())
}

#[test]
fn nesting_without_end_is_refused() {
    for content_type in ["application/json", "application/cloudevents+json"] {
        for body in ["[".repeat(100_000), "{\"data\":".repeat(100_000)] {
            let envelope = Envelope::new(content_type, body, time::DAY);
            let fault = decode::<CloudEvents>(&json!({}), &envelope).expect_err("too deep");
            assert_eq!(fault.code, "malformed");
        }
    }
}

fn check(envelope: &Envelope) {
    let config = json!({"rules": [{"type": "a", "as": "alert", "subject-kind": "service"}]});
    let Ok(decoded) = decode::<CloudEvents>(&config, envelope) else {
        return;
    };
    for signal in decoded.signals {
        if let Signal::Alert(alert) = signal {
            assert!(!alert.identity.is_empty());
        }
    }
}

fn content_types() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just(""),
        Just("application/json"),
        Just("application/cloudevents+json"),
        Just("application/cloudevents-batch+json"),
        Just("application/cloudevents+avro"),
        Just("text/plain"),
    ]
}

fn headers() -> impl Strategy<Value = BTreeMap<String, String>> {
    let name = "ce-(id|source|type|specversion|time|subject|[a-z]{1,4})";
    let value = prop_oneof![
        Just("1.0".to_owned()),
        Just("a".to_owned()),
        "[%\"a-f0-9 ]{0,8}",
        ".{0,8}"
    ];
    prop::collection::btree_map(name, value, 0..8)
}

/// Events that are nearly right, so that all of the code is reached.
fn nearly() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        Just(json!("2026-03-01T12:00:00Z")),
        Just(json!("service/checkout")),
        ".{0,8}".prop_map(Value::from),
    ];
    let some = leaf.clone();
    let value = leaf.prop_recursive(3, 24, 4, move |inner| {
        let names = "(id|title|status|firing|identity|entities|labels|subject|content|context|\
                     timestamp|environment|service|started|time)";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(names, inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    let types = prop_oneof![
        Just("a"),
        Just("dev.faultline.alert"),
        Just("dev.faultline.change"),
        Just("dev.cdevents.service.deployed.0.2.0"),
        Just("dev.cdevents.incident.detected.0.2.0"),
        Just("dev.cdevents.incident"),
        Just("dev.cdevents.ticket.created.0.1.0"),
    ];
    (types, some, value).prop_map(|(r#type, subject, data)| {
        json!({
            "id": "1", "source": "/s", "specversion": "1.0", "type": r#type, "subject": subject,
            "data": data,
        })
    })
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(
        content_type in content_types(),
        headers in headers(),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut envelope = Envelope::new(content_type, body, time::DAY);
        for (name, value) in headers {
            envelope = envelope.with_header(name, value);
        }
        check(&envelope);
    }

    #[test]
    fn any_event_gives_an_answer(content_type in content_types(), event in nearly()) {
        check(&Envelope::new(content_type, event.to_string(), time::DAY));
        check(&Envelope::new(content_type, json!([event, event]).to_string(), time::DAY));
    }
}
