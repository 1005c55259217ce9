//! Alertmanager's API over HTTP.

use axum::http::StatusCode;

use super::bench::Bench;

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

#[tokio::test]
async fn valid_alerts_are_kept_even_if_others_are_not() {
    let bench = Bench::new();
    let body = r#"[{"labels":{"alertname":"Down"}},{"labels":{}},{"labels":{"a":1}}]"#;
    let answer = bench.post("/api/v2/alerts", JSON, body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let told: String = serde_json::from_slice(&answer.body).expect("a JSON string");
    assert_eq!(
        told,
        "alerts[1]: at least one label pair required; alerts[2]: labels.a: invalid type: \
         integer `1`, expected a string at line 1 column 16"
    );
    let stored = &bench.stored()[0];
    assert_eq!(stored.source.as_str(), "alertmanager-api");
    assert_eq!(stored.body, body.as_bytes());
}

#[tokio::test]
async fn good_requests_are_answered_with_nothing() {
    let bench = Bench::new();
    let body = r#"[{"labels":{"alertname":"Down"}}]"#;
    let answer = bench.post("/api/v2/alerts", JSON, body).await;
    assert_eq!(
        (answer.status, answer.text()),
        (StatusCode::OK, String::new())
    );
    let answer = bench.post("/api/v2/alerts", JSON, "[]").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(bench.stored().len(), 1, "of nothing, nothing is kept");
}

#[tokio::test]
async fn if_all_are_invalid_nothing_is_kept() {
    let bench = Bench::new();
    let body = format!("[{}]", vec!["{}"; 50].join(","));
    let answer = bench.post("/api/v2/alerts", JSON, body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.text().contains("and 40 more"), "{}", answer.text());
    assert_eq!(bench.stored(), []);
}
