//! Remote write over HTTP.

use axum::http::StatusCode;

use super::bench::{Bench, snappy};
use crate::formats::remote_write::tests::{sample, sample_half_good};

const HEADERS: &[(&str, &str)] = &[
    ("content-type", "application/x-protobuf"),
    ("content-encoding", "snappy"),
    ("x-prometheus-remote-write-version", "0.1.0"),
    ("user-agent", "Prometheus/2.42.0"),
];

#[tokio::test]
async fn the_body_is_kept_without_its_encoding() {
    let bench = Bench::new();
    let answer = bench
        .post("/api/v1/write", HEADERS, snappy(&sample()))
        .await;
    assert_eq!(
        (answer.status, answer.text()),
        (StatusCode::NO_CONTENT, String::new())
    );
    let stored = &bench.stored()[0];
    assert_eq!(stored.source.as_str(), "remote-write");
    assert_eq!(stored.content_type, "application/x-protobuf");
    assert_eq!(stored.body, sample());
    let user_agent = ("user-agent".to_owned(), "Prometheus/2.42.0".to_owned());
    assert_eq!(stored.headers, [user_agent]);
}

#[tokio::test]
async fn what_was_rejected_is_told_and_the_rest_is_kept() {
    let bench = Bench::new();
    let body = snappy(&sample_half_good());
    let answer = bench.post("/api/v1/write", HEADERS, body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(
        answer.text().contains("timeseries[0]: no metric name"),
        "{}",
        answer.text()
    );
    assert_eq!(bench.stored().len(), 1);
}

#[tokio::test]
async fn nothing_is_kept_of_nothing() {
    let bench = Bench::new();
    let answer = bench.post("/api/v1/write", HEADERS, snappy(b"")).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(bench.stored(), []);
}

#[tokio::test]
async fn version_2_is_told_to_speak_version_1() {
    let bench = Bench::new();
    let content_type = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    let headers = [
        ("content-type", content_type),
        ("content-encoding", "snappy"),
    ];
    let answer = bench
        .post("/api/v1/write", &headers, snappy(&sample()))
        .await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(
        answer.text().contains("prometheus.WriteRequest"),
        "{}",
        answer.text()
    );
    let content_type = "application/x-protobuf;proto=prometheus.WriteRequest";
    let headers = [
        ("content-type", content_type),
        ("content-encoding", "snappy"),
    ];
    let answer = bench
        .post("/api/v1/write", &headers, snappy(&sample()))
        .await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
}
