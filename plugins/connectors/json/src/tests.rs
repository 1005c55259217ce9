//! Golden cases, and payloads and configurations that nobody thought of.

use faultline_sdk::testkit::{check_golden_cases, decode};
use faultline_sdk::{ConfigCheck, Envelope, Signal, config, time};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{Config, Json};

#[test]
fn golden_cases() {
    check_golden_cases::<Json>("tests");
}

/// Every field there is, on paths that random payloads often have.
fn everything() -> Value {
    let pairs = json!({"a": "{$.a}", "b": {"value": "{$.b}", "map": {"x": "y"}, "default": "z"}});
    let from = json!(["$.c", "$body.a", "$item.b", "$headers"]);
    let moment = json!({"value": "{$.a}", "format": "%Y-%m-%d %H:%M:%S", "utc-offset": "+01:00"});
    let entities = json!(["service/{$.a}", {"kind": "host", "names": "$..b"}]);
    let mappings = [
        json!({"alert": {
            "identity": pairs, "title": ["{$.a}", "{$.b}", "none"],
            "firing": {"value": "{$.a}", "in": ["x"]}, "resolved": {"exists": "$.b"},
            "severity": "{$.c}", "started": "{$.a}", "ended": moment, "entities": entities,
            "labels": pairs, "labels-from": from, "annotations-from": ["$"], "link": "{$.a}",
        }}),
        json!({"change": {
            "id": "{$.a}", "kind": "k", "title": "{$.b}", "at": "{$.c}", "attributes-from": from,
        }}),
        json!({"dependency": {"dependent": "{$.a}", "provider": "host/{$.b}", "seen": "{$.c}"}}),
        json!({"ticket": {"id": "{$.a}", "title": "{$.b}", "status": "{$.c}"}}),
        json!({"sample": {"name": "n", "entity": "host/{$.a}", "value": "{$.b}", "time": "{$.c}"}}),
        json!({"log": {"entity": "host/{$.a}", "text": "{$.b}", "severity": "{$.c}"}}),
    ];
    let mappings: Vec<Value> = mappings
        .into_iter()
        .flat_map(|mapping| {
            [("items", json!("$..*")), ("each", json!("$.c[*]"))].map(|(key, path)| {
                let mut mapping = mapping.clone();
                mapping[key] = path;
                mapping
            })
        })
        .collect();
    json!({ "mappings": mappings, "unmatched": "ignore" })
}

fn check(config: &Value, body: Vec<u8>) {
    let envelope = Envelope::new("application/json", body, time::DAY).with_header("a", "x");
    let Ok(decoded) = decode::<Json>(config, &envelope) else {
        return;
    };
    for signal in decoded.signals {
        if let Signal::Alert(alert) = signal {
            assert!(!alert.identity.is_empty());
        }
    }
}

#[test]
fn nesting_without_end_is_refused() {
    for format in ["json", "json-lines"] {
        let mut config = everything();
        config["format"] = json!(format);
        for unit in ["[", "{\"a\":"] {
            let envelope = Envelope::new("application/json", unit.repeat(100_000), time::DAY);
            let fault = decode::<Json>(&config, &envelope).expect_err("too deep");
            assert_eq!(fault.code, "malformed");
        }
        // As deep as it may be, with a path that looks everywhere.
        let body = format!("{}1{}", "[".repeat(127), "]".repeat(127));
        check(&config, body.into_bytes());
    }
}

#[test]
fn complaints_about_the_configuration_name_the_field() {
    for (setting, part) in [
        (json!({}), "missing field `mappings`"),
        (json!({"mapping": []}), "unknown field `mapping`"),
        (json!({"mappings": [{}]}), "mappings[0]"),
        (
            json!({"mappings": [{"ignore": {}, "ticket": {"id": "", "title": "", "status": ""}}]}),
            "exactly one of",
        ),
        (
            json!({"mappings": [{"items": "alerts", "ignore": {}}]}),
            "mappings[0].items`: the path `alerts` does not begin with `$`",
        ),
        (
            json!({"mappings": [{"ticket": {"id": "{$.id", "title": "", "status": ""}}]}),
            "mappings[0].ticket.id`: an opening brace",
        ),
        (
            json!({"mappings": [{"change": {
                "id": "1", "kind": "k", "title": "t", "at": {"value": "", "format": "iso8601"},
            }}]}),
            "mappings[0].change.at`: `format`: `iso8601`",
        ),
        (
            json!({"mappings": [{"alert": {
                "identity": {"id": {"value": "{$.id}", "else": "x"}}, "title": "t",
            }}]}),
            "mappings[0].alert.identity.id.else`: unknown field `else`",
        ),
        (
            json!({"mappings": [{"when": {"value": "{$.a}"}, "ignore": {}}]}),
            "mappings[0].when`: `value` needs one of",
        ),
    ] {
        let read = config::parse::<Config>(&setting.to_string());
        let fault = read.expect_err("a bad configuration");
        assert!(fault.message.contains(part), "{setting}: {fault}");
    }
}

#[test]
fn a_configuration_that_can_be_read_has_nothing_to_complain_of() {
    let config = config::parse::<Config>(&everything().to_string()).expect("it can be read");
    assert_eq!(config.check(), Ok(()));
}

/// Small names and values, so that paths find something.
fn payloads() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!("x")),
        Just(json!("2026-03-01 12:00:00")),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[abc]|name|value", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(body in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&everything(), body);
    }

    #[test]
    fn any_payload_gives_an_answer(body in payloads()) {
        check(&everything(), body.to_string().into_bytes());
    }

    #[test]
    fn any_template_gives_an_answer(
        text in "[a-z{}$.\\[\\]'?@()*0-9<=!&|, -]{0,40}",
        body in payloads(),
    ) {
        let mapping = json!({"items": "$..*", "ticket": {"id": text, "title": "t", "status": "s"}});
        check(&json!({"mappings": [mapping]}), body.to_string().into_bytes());
    }

    #[test]
    fn any_time_format_gives_an_answer(format in "(%[a-zA-Z:.#+0-9-]{0,2}|.){0,8}", text in ".{0,12}") {
        let at = json!({"value": "{$.a}", "format": format});
        let mapping = json!({"change": {"id": "1", "kind": "k", "title": "t", "at": at}});
        check(&json!({"mappings": [mapping]}), json!({"a": text}).to_string().into_bytes());
    }
}
