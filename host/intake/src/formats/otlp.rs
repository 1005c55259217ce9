//! OpenTelemetry's protocol, OTLP 1.x: metrics, logs and traces, in protobuf
//! and in JSON (<https://opentelemetry.io/docs/specs/otlp/>).
//!
//! JSON is carried over to protobuf (`json`), so that one reader does for both.
//! What sends it is read in `resource`, what is said in `metrics`, `logs` and
//! `traces`. Items are rejected by themselves; bytes that are
//! not the message that they should be refuse the payload.

mod json;
mod logs;
mod metric;
mod metrics;
mod peer;
mod place;
mod point;
mod resource;
mod schema;
mod traces;
mod value;

use std::borrow::Cow;

use faultline_domain::decode::{Decoded, Decoder};
use faultline_domain::envelope::{Arrival, Envelope};
use faultline_domain::fault::Fault;
use faultline_domain::plugin::Failure;
use faultline_domain::time::Timestamp;

use self::schema::Schema;
use super::limits::Limits;

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// `ExportMetricsServiceRequest`.
    Metrics,
    /// `ExportLogsServiceRequest`.
    Logs,
    /// `ExportTraceServiceRequest`.
    Traces,
}

impl Subject {
    fn schema(self) -> &'static Schema {
        match self {
            Subject::Metrics => &schema::METRICS_REQUEST,
            Subject::Logs => &schema::LOGS_REQUEST,
            Subject::Traces => &schema::TRACES_REQUEST,
        }
    }
}

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

impl Encoding {
    /// By the media type, without parameters and in lower case; none if it is
    /// neither.
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        match content_type {
            "application/x-protobuf" | "application/protobuf" => Some(Encoding::Protobuf),
            "application/json" => Some(Encoding::Json),
            _ => None,
        }
    }
}

/// Reads requests about one subject.
#[derive(Debug, Clone, Copy)]
pub struct Otlp {
    /// What they are about.
    pub subject: Subject,
    /// How much a payload may say.
    pub limits: Limits,
}

impl Decoder for Otlp {
    fn decode(&self, envelopes: &[&Envelope]) -> Result<Vec<Result<Decoded, Fault>>, Failure> {
        let answers = envelopes
            .iter()
            .map(|envelope| decode_arrival(self.subject, &envelope.arrival, self.limits));
        Ok(answers.collect())
    }
}

/// Reads a request in the encoding that its content type names.
pub(super) fn decode_arrival(
    subject: Subject,
    arrival: &Arrival,
    limits: Limits,
) -> Result<Decoded, Fault> {
    let content_type = &arrival.content_type;
    let encoding = Encoding::of_content_type(content_type).ok_or_else(|| {
        Fault::malformed(format!(
            "content type `{content_type}` is neither application/x-protobuf nor application/json"
        ))
    })?;
    decode(subject, encoding, &arrival.body, arrival.received, limits)
}

/// Reads one request. What has no time takes the time of arrival.
///
/// # Errors
/// If the bytes are no request about this subject, or say more than the limits
/// on a payload allow.
pub fn decode(
    subject: Subject,
    encoding: Encoding,
    body: &[u8],
    received: Timestamp,
    limits: Limits,
) -> Result<Decoded, Fault> {
    let protobuf = match encoding {
        Encoding::Protobuf => Cow::Borrowed(body),
        Encoding::Json => Cow::Owned(json::to_protobuf(body, subject.schema())?),
    };
    let decoded = match subject {
        Subject::Metrics => metrics::decode(&protobuf, received, limits),
        Subject::Logs => logs::decode(&protobuf, received, limits),
        Subject::Traces => traces::decode(&protobuf, limits),
    };
    decoded.map_err(Fault::from)
}

#[cfg(test)]
pub(crate) mod tests;
