//! Webhooks.

use axum::http::StatusCode;

use super::bench::{Bench, TOKEN, TOKEN_OF_CHECKOUT};

const NOBODY: (&str, &str) = ("authorization", "none");

#[tokio::test]
async fn payloads_are_kept_unread_with_the_headers_that_say_what_they_are() {
    let bench = Bench::new();
    let headers = [
        ("content-type", "Text/Plain; charset=utf-8"),
        ("x-github-event", "deployment"),
        ("ce-type", "com.example.deployed"),
        ("x-api-key", "secret"),
        ("x-other", "unimportant"),
    ];
    let answer = bench
        .post("/hooks/deploys", &headers, "\u{1}not read")
        .await;
    assert_eq!(
        (answer.status, answer.text()),
        (StatusCode::ACCEPTED, String::new())
    );
    let stored = &bench.stored()[0];
    assert_eq!(stored.source.as_str(), "deploys");
    assert_eq!(stored.format.to_string(), "connector:github");
    assert_eq!(stored.content_type, "text/plain");
    assert_eq!(stored.body, b"\x01not read");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        stored.headers,
        [
            pair("x-github-event", "deployment"),
            pair("ce-type", "com.example.deployed"),
        ]
    );
    bench.post("/hooks/deploys", &[], "").await;
    assert_eq!(bench.stored()[1].content_type, "");
}

#[tokio::test]
async fn hooks_nobody_bound_are_named_to_who_may_know() {
    let bench = Bench::new();
    for path in ["/hooks/deplois", "/hooks/No%20Name"] {
        let answer = bench.post(path, &[], "{}").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.text().contains("bind one"), "{}", answer.text());
        let answer = bench.post(path, &[NOBODY], "{}").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(bench.stored(), []);
}

#[tokio::test]
async fn a_token_may_stand_in_the_address() {
    let bench = Bench::new();
    let path = format!("/hooks/deploys?token={TOKEN}");
    let answer = bench.post(&path, &[NOBODY], "{}").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let path = format!("/api/v2/alerts?token={TOKEN}");
    let json = ("content-type", "application/json");
    let answer = bench.post(&path, &[NOBODY, json], "[]").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_of_one_source_cannot_send_as_another() {
    let bench = Bench::new();
    let authorisation = format!("Bearer {TOKEN_OF_CHECKOUT}");
    let headers = [("authorization", authorisation.as_str())];
    let answer = bench.post("/hooks/deploys", &headers, "{}").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.text().contains("`checkout`"), "{}", answer.text());
    let answer = bench.post("/hooks/checkout", &headers, "{}").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(bench.stored()[0].source.as_str(), "checkout");
}

#[tokio::test]
async fn events_have_an_address_of_their_own() {
    let bench = Bench::new();
    let event = ("content-type", "application/cloudevents+json");
    let answer = bench.post("/events", &[event], "{}").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let stored = &bench.stored()[0];
    assert_eq!(stored.source.as_str(), "cloudevents");
    assert_eq!(stored.format.to_string(), "connector:events");
    let answer = bench.post("/events", &[NOBODY, event], "{}").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let authorisation = format!("Bearer {TOKEN_OF_CHECKOUT}");
    let headers = [("authorization", authorisation.as_str()), event];
    let answer = bench.post("/events", &headers, "{}").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}
