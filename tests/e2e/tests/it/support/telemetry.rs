//! OTLP requests, and how bodies are compressed.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use serde_json::{Value, json};

/// What requests in protobuf are sent with.
pub(crate) const PROTOBUF: [(&str, &str); 1] = [("content-type", "application/x-protobuf")];

/// Numbers of OTLP's `SpanKind`.
const SERVER: u8 = 2;
const CLIENT: u8 = 3;

/// Microseconds since the Unix epoch.
pub(crate) fn now_micros() -> u64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is later than 1970");
    u64::try_from(since_epoch.as_micros()).expect("it is earlier than 500000")
}

/// `ExportMetricsServiceRequest` with one gauge of a service.
pub(crate) fn gauge(service: &str, name: &str, points: &[(u64, f64)]) -> Value {
    let points: Vec<Value> = points
        .iter()
        .map(|(micros, value)| json!({"timeUnixNano": nanos(*micros), "asDouble": value}))
        .collect();
    json!({"resourceMetrics": [{
        "resource": resource(service),
        "scopeMetrics": [{"metrics": [{"name": name, "gauge": {"dataPoints": points}}]}],
    }]})
}

/// `ExportLogsServiceRequest` with lines of a service, all of one severity.
pub(crate) fn logs(service: &str, at_micros: u64, severity: u8, lines: &[String]) -> Value {
    let records: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({
                "timeUnixNano": nanos(at_micros),
                "severityNumber": severity,
                "body": {"stringValue": line},
            })
        })
        .collect();
    json!({"resourceLogs": [{
        "resource": resource(service),
        "scopeLogs": [{"logRecords": records}],
    }]})
}

/// `ExportTraceServiceRequest` with one call from a service to another, which
/// took a tenth of a second.
pub(crate) fn call(from: &str, to: &str, end_micros: u64, trace: u32) -> Value {
    let span = |id: &str, parent: &str, kind: u8| {
        json!({
            "traceId": format!("{trace:032x}"),
            "spanId": id,
            "parentSpanId": parent,
            "name": "call",
            "kind": kind,
            "startTimeUnixNano": nanos(end_micros - 100_000),
            "endTimeUnixNano": nanos(end_micros),
            "status": {},
        })
    };
    json!({"resourceSpans": [
        {
            "resource": resource(from),
            "scopeSpans": [{"spans": [span("00000000000000a1", "", CLIENT)]}],
        },
        {
            "resource": resource(to),
            "scopeSpans": [{"spans": [span("00000000000000a2", "00000000000000a1", SERVER)]}],
        },
    ]})
}

/// The same requests in protobuf, by the signal's last part of the path.
pub(crate) fn protobuf(signal: &str, request: &Value) -> Vec<u8> {
    use prost::Message as _;
    let request = request.clone();
    match signal {
        "metrics" => serde_json::from_value::<ExportMetricsServiceRequest>(request)
            .expect("a request")
            .encode_to_vec(),
        "logs" => serde_json::from_value::<ExportLogsServiceRequest>(request)
            .expect("a request")
            .encode_to_vec(),
        "traces" => serde_json::from_value::<ExportTraceServiceRequest>(request)
            .expect("a request")
            .encode_to_vec(),
        other => panic!("`{other}` is no signal"),
    }
}

/// A body as gzip has it.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn resource(service: &str) -> Value {
    json!({"attributes": [{"key": "service.name", "value": {"stringValue": service}}]})
}

/// 64-bit integers are texts in OTLP's JSON.
fn nanos(micros: u64) -> String {
    format!("{micros}000")
}
