//! The standard formats, as senders send them.

use faultline_domain::decode::{Decoded, Decoder};
use faultline_domain::envelope::{Arrival, Envelope, Format, Position};
use faultline_domain::fault::Fault;
use faultline_domain::id::SourceName;
use faultline_domain::time::Timestamp;
use faultline_intake::formats::{Checked, Limits, check, decoder};

use crate::columns;

/// When everything arrives.
const RECEIVED: Timestamp = Timestamp::from_secs(1_700_000_000);

/// What a decoder may remember of series.
const SERIES_CACHE_BYTES: usize = 1 << 20;

/// `ExportMetricsServiceRequest`: JSON if it begins with a brace.
pub fn otlp_metrics(data: &[u8]) {
    read(&Format::OtlpMetrics, otlp_content_type(data), data);
}

/// `ExportLogsServiceRequest`: JSON if it begins with a brace.
pub fn otlp_logs(data: &[u8]) {
    read(&Format::OtlpLogs, otlp_content_type(data), data);
}

/// `ExportTraceServiceRequest`: JSON if it begins with a brace.
pub fn otlp_traces(data: &[u8]) {
    read(&Format::OtlpTraces, otlp_content_type(data), data);
}

/// Remote write 1.0, its compression undone.
pub fn remote_write(data: &[u8]) {
    read(&Format::RemoteWrite, "application/x-protobuf", data);
}

/// What Prometheus posts to Alertmanager's API v2.
pub fn alertmanager_alerts(data: &[u8]) {
    read(&Format::AlertmanagerAlerts, "application/json", data);
}

fn otlp_content_type(data: &[u8]) -> &'static str {
    if data.first() == Some(&b'{') {
        "application/json"
    } else {
        "application/x-protobuf"
    }
}

/// Limits that a fuzzer reaches.
fn limits() -> Limits {
    Limits {
        samples_per_payload_max: 64,
        series_per_payload_max: 16,
        log_lines_per_payload_max: 16,
        spans_per_payload_max: 16,
        alerts_per_payload_max: 8,
        labels_max: 8,
        labels_per_payload_max: 64,
        label_name_bytes_max: 32,
        label_value_bytes_max: 64,
        annotation_bytes_max: 64,
        title_bytes_max: 32,
        log_line_bytes_max: 64,
        operation_bytes_max: 32,
        ..Limits::default()
    }
}

/// What intake says of a payload when it takes it, and what the stage makes of
/// it later, are the same; and neither is more than the limits allow.
fn read(format: &Format, content_type: &str, body: &[u8]) {
    let limits = limits();
    let arrival = Arrival {
        source: SourceName::new("fuzz").expect("a name"),
        format: format.clone(),
        content_type: content_type.to_owned(),
        headers: Vec::new(),
        body: body.to_vec(),
        received: RECEIVED,
    };
    let at_the_door = check(&arrival, limits).expect("a standard format");
    let reader = decoder(format, limits, SERIES_CACHE_BYTES).expect("a standard format");
    let envelope = Envelope {
        position: Position(1),
        arrival,
    };
    let first = decode(&*reader, &envelope);
    assert_eq!(
        first,
        decode(&*reader, &envelope),
        "it remembers what it should not"
    );
    match &first {
        Ok(decoded) => hold(decoded, limits),
        Err(fault) => assert!(!fault.code.is_empty() && !fault.message.is_empty()),
    }
    if at_the_door.as_ref().is_err_and(is_of_label_counts) && *format == Format::RemoteWrite {
        // At the door the labels of a series count as often as it is named.
        return;
    }
    assert_eq!(at_the_door, first.map(Checked::from));
}

fn is_of_label_counts(fault: &Fault) -> bool {
    fault.code.starts_with("limit.label") && fault.code.ends_with("-per-payload")
}

fn decode(decoder: &dyn Decoder, envelope: &Envelope) -> Result<Decoded, Fault> {
    let mut answers = decoder
        .decode(&[envelope])
        .expect("host decoders never fail");
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

fn hold(decoded: &Decoded, limits: Limits) {
    columns(decoded);
    assert!(decoded.samples.len() <= limits.samples_per_payload_max);
    assert!(decoded.series.len() <= limits.series_per_payload_max);
    assert!(decoded.logs.len() <= limits.log_lines_per_payload_max);
    assert!(decoded.spans.len() <= limits.spans_per_payload_max);
    assert!(decoded.spans.iter().all(|span| span.start <= span.end));
    assert!(decoded.signals.len() <= limits.alerts_per_payload_max);
}
