//! The description of the API: complete, and consistent with itself.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;

use crate::{Bench, operations};

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
