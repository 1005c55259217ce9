//! The description of the API: complete, and consistent with itself.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request};
use faultline_domain::access::Role;
use serde_json::{Value, json};

use crate::{Bench, encoded, operations};

#[tokio::test]
async fn it_is_served_to_everybody_as_it_is() {
    let bench = Bench::open().await;
    let request = Request::builder().uri("/api/v1/openapi.json");
    let answer = bench
        .send(request.body(Body::empty()).expect("a request"))
        .await;
    let served = answer.expect(200);
    assert_eq!(answer.headers["content-type"], "application/json");
    let version = served["openapi"].as_str().expect("a version");
    assert!(version.starts_with("3.1."), "{version}");
    let document = serde_json::to_value(faultline_api::document()).expect("JSON");
    assert_eq!(served, document);
}

/// All references of a document.
fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get("$ref") {
                found.insert(reference);
            }
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn everything_that_is_referred_to_is_there_and_everything_there_is_referred_to() {
    let document = serde_json::to_value(faultline_api::document()).expect("JSON");
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 40, "{}", found.len());
    for reference in &found {
        let pointer = reference.strip_prefix('#').expect("within the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for schema in document["components"]["schemas"]
        .as_object()
        .expect("schemas")
        .keys()
    {
        let reference = format!("#/components/schemas/{schema}");
        assert!(
            found.contains(reference.as_str()),
            "nothing refers to {schema}"
        );
    }
}

#[test]
fn every_operation_is_described_in_full() {
    let document = serde_json::to_value(faultline_api::document()).expect("JSON");
    let tags: BTreeSet<&str> = document["tags"]
        .as_array()
        .expect("tags")
        .iter()
        .filter_map(|tag| tag["name"].as_str())
        .collect();
    let mut ids = BTreeSet::new();
    for operation in operations() {
        let (id, value) = (&operation.id, &operation.value);
        assert!(ids.insert(id.clone()), "{id} stands twice");
        assert!(
            value["summary"].as_str().is_some_and(|s| !s.is_empty()),
            "{id}: summary"
        );
        let own: Vec<&str> = value["tags"]
            .as_array()
            .expect("tags")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert!(own.len() == 1 && tags.contains(own[0]), "{id}: {own:?}");
        assert_eq!(
            value["responses"]["default"]["$ref"], "#/components/responses/Problem",
            "{id}: refusals"
        );
        assert!(value["security"].is_array(), "{id}: what it needs");
        let parameters = value["parameters"].as_array().cloned().unwrap_or_default();
        let in_path: BTreeSet<&str> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        let in_template: BTreeSet<&str> = operation
            .template
            .split(['{', '}'])
            .skip(1)
            .step_by(2)
            .collect();
        assert_eq!(in_path, in_template, "{id}");
        for parameter in &parameters {
            let described = parameter["description"].as_str();
            assert!(
                described.is_some_and(|text| !text.is_empty()),
                "{id}: {parameter}"
            );
            assert_eq!(
                parameter["required"],
                parameter["in"] == "path",
                "{id}: {parameter}"
            );
        }
        let good = value["responses"]
            .as_object()
            .expect("responses")
            .keys()
            .filter(|status| status.starts_with('2'));
        assert!(good.count() >= 1, "{id}: what comes if all is well");
    }
}

/// Each text is refused as unreadable if and only if it is not described: who
/// sticks to the description is understood, and nobody else is.
#[tokio::test]
async fn texts_are_read_as_they_are_described() {
    let bench = Bench::open().await;
    let (most, too_much) = ("\u{e9}".repeat(200), "x".repeat(201));
    let entities = [
        "service/checkout",
        "service/shop/cart",
        " service / checkout ",
        "\u{e8}/\u{1f4a5}",
        "a//",
        "a\n/\rb",
        "",
        "checkout",
        "/checkout",
        "service/",
        " /checkout",
        "service/\u{3000}",
        "\u{85}\u{a0}/checkout",
        "service/a\0",
    ];
    let names = [
        "some",
        "0.a_b-c",
        &"x".repeat(60),
        "Some",
        "-some",
        "some\n",
        "\u{fe}",
        &"x".repeat(61),
    ];
    let cursors = [
        "5.a",
        "5.\n",
        "123456789012345678.\u{1f4a5}.b",
        "5",
        "5.",
        ".a",
        "+5.a",
        "1234567890123456789.a",
    ];
    let ordinals = ["5.1", "5.123456789", "5.", "5.a", "5.+1", "5.1234567890"];
    let ids = ["abc", "local-commands", &"x".repeat(41), "a_b", "\u{c6}"];
    for (id, name, texts) in [
        ("alert_list", "entity", &entities[..]),
        ("change_list", "entity", &entities[..]),
        ("incident_list", "entity", &entities[..]),
        ("series_list", "entity", &entities[..]),
        ("edge_list", "entity", &entities[..]),
        ("instance_fetch", "name", &names[..]),
        ("instance_disable", "name", &names[..]),
        ("grant_revoke", "name", &names[..]),
        ("alert_list", "after", &cursors[..]),
        ("dead_letter_list", "after", &cursors[..]),
        ("refusal_list", "after", &ordinals[..]),
        ("token_revoke", "id", &ids[..]),
        ("series_list", "name", &[&most, &too_much]),
    ] {
        let operation = operations()
            .into_iter()
            .find(|operation| operation.id == id)
            .expect(id);
        let parameters = operation.value["parameters"].as_array().expect(id);
        let described = parameters
            .iter()
            .find(|parameter| parameter["name"] == name)
            .expect(name);
        let shape = jsonschema::validator_for(&described["schema"]).expect("a schema");
        let (mut good, mut bad) = (0, 0);
        for text in texts {
            let given = encoded(text);
            let path = if described["in"] == "path" {
                operation
                    .template
                    .replace(&format!("{{{name}}}"), &given)
                    .replace("{capability}", "state")
            } else {
                format!("{}?{name}={given}", operation.path)
            };
            let method = operation.method.clone();
            let answer = bench.bare(method, Role::Admin, &path).await;
            let is_read = answer.status != 400;
            assert_eq!(shape.is_valid(&json!(text)), is_read, "{id}: {path}");
            *(if is_read { &mut good } else { &mut bad }) += 1;
        }
        assert!(good > 0 && bad > 0, "{id}, {name}: both are tried");
    }
}

/// To JSON, `60.0` is as whole as `60`.
#[tokio::test]
async fn whole_numbers_are_read_however_they_are_written() {
    let bench = Bench::open().await;
    for (limit, status) in [
        ("60", 404),
        ("60.0", 404),
        ("6e1", 404),
        ("9223372036854775807", 404),
        ("60.5", 400),
        ("-1", 400),
        ("9223372036854775808", 400),
    ] {
        let body = format!(r#"{{"settings": {{"order": 3.0, "limits": {{"items": {limit}}}}}}}"#);
        let path = "/api/v1/instances/some/settings";
        let json = Some("application/json");
        let answer = bench.send(crate::raw(Method::PUT, path, json, body)).await;
        // There is no such instance, which is known only after it was read.
        assert_eq!(answer.status.as_u16(), status, "{limit}: {}", answer.text);
        if status == 400 {
            answer.problem_at("malformed", "body", "settings.limits.items");
        }
    }
}
