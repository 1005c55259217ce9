//! OTLP over HTTP: what senders get to know, and what is kept.

use axum::http::StatusCode;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message;
use serde_json::{Value, json};

use super::bench::{Bench, START, TOKEN_OF_CHECKOUT};
use crate::formats::otlp::Subject;
use crate::formats::otlp::tests::in_protobuf;

const JSON: &[(&str, &str)] = &[("content-type", "Application/JSON; charset=utf-8")];
const PROTOBUF: &[(&str, &str)] = &[("content-type", "application/x-protobuf")];

/// Two records, of which one says nothing.
const HALF_GOOD: &str = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[
    {"timeUnixNano":"1","body":{"stringValue":"a"}}, {"timeUnixNano":"1"}
]}]}]}"#;

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

#[tokio::test]
async fn a_good_request_is_answered_with_an_empty_message() {
    let bench = Bench::new();
    let body = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[
        {"timeUnixNano":"1","body":{"stringValue":"a"}}]}]}]}"#;
    let answer = bench.post("/v1/logs", JSON, body).await;
    assert_eq!(
        (answer.status, answer.text()),
        (StatusCode::OK, "{}".to_owned())
    );
    assert_eq!(answer.header("content-type"), "application/json");
    let stored = &bench.stored()[0];
    assert_eq!(stored.source.as_str(), "otlp");
    assert_eq!(stored.format.to_string(), "otlp-logs");
    assert_eq!(stored.content_type, "application/json");
    assert_eq!(stored.body, body.as_bytes());
    assert_eq!(stored.received, START);
    assert_eq!(stored.headers, []);
}

#[tokio::test]
async fn the_answer_is_written_as_the_request_was() {
    let bench = Bench::new();
    for (sent, answered) in [
        ("application/x-protobuf", "application/x-protobuf"),
        ("application/protobuf", "application/x-protobuf"),
        ("Application/X-Protobuf; v=1", "application/x-protobuf"),
        ("application/json", "application/json"),
        // Refused, in words that anybody can read.
        ("application/x-protobuffer", "application/json"),
    ] {
        let headers = [("content-type", sent)];
        let answer = bench.post("/v1/logs", &headers, "").await;
        assert_eq!(answer.header("content-type"), answered, "{sent}");
    }
}

#[tokio::test]
async fn what_was_rejected_is_told_and_the_rest_is_kept() {
    let bench = Bench::new();
    let answer = bench.post("/v1/logs", JSON, HALF_GOOD).await;
    assert_eq!(answer.status, StatusCode::OK);
    let told: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let reason = "resourceLogs[0].scopeLogs[0].logRecords[1]: \
                  a record without a body, an event name or attributes";
    let expected = json!({"partialSuccess": {"rejectedLogRecords": "1", "errorMessage": reason}});
    assert_eq!(told, expected);
    assert_eq!(bench.stored().len(), 1);
}

#[tokio::test]
async fn the_answer_is_in_the_encoding_of_the_request() {
    let bench = Bench::new();
    let mut broken = in_protobuf(Subject::Logs, HALF_GOOD);
    broken.truncate(broken.len() - 3);
    let answer = bench.post("/v1/logs", PROTOBUF, broken).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.header("content-type"), "application/x-protobuf");
    let status = Status::decode(answer.body.as_slice()).expect("a status");
    assert_eq!(status.code, 3);
    assert!(
        status.message.contains("resourceLogs"),
        "{}",
        status.message
    );

    let rejected_only = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}"#;
    let answer = bench.post("/v1/logs", JSON, rejected_only).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(bench.stored(), [], "nothing in it is worth keeping");
    let in_protobuf = [0x0a, 0x04, 0x12, 0x02, 0x12, 0x00].to_vec();
    let answer = bench.post("/v1/logs", PROTOBUF, in_protobuf).await;
    let response = ExportLogsServiceResponse::decode(answer.body.as_slice()).expect("a response");
    let partial = response.partial_success.expect("something was rejected");
    assert_eq!(partial.rejected_log_records, 1);
    assert!(partial.error_message.contains("logRecords[0]"));
    let answer = bench.post("/v1/logs", PROTOBUF, Vec::new()).await;
    assert_eq!((answer.status, answer.body), (StatusCode::OK, Vec::new()));
}

#[tokio::test]
async fn a_token_can_name_the_source() {
    let bench = Bench::new();
    let authorisation = format!("Bearer {TOKEN_OF_CHECKOUT}");
    let headers = [JSON, &[("authorization", authorisation.as_str())]].concat();
    bench.post("/v1/logs", &headers, HALF_GOOD).await;
    assert_eq!(bench.stored()[0].source.as_str(), "checkout");
}

#[tokio::test]
async fn limits_on_what_a_payload_says_are_413() {
    let bench = Bench::new();
    let record = r#"{"body":{"stringValue":""}}"#;
    let records = vec![record; 200_001].join(",");
    let body = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{records}]}}]}}]}}"#);
    let answer = bench.post("/v1/logs", JSON, body).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.text().contains("limit.log-lines-per-payload"));
    assert_eq!(bench.stored(), []);
}
