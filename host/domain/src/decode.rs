//! Decoding: from envelopes to what they say. Implemented by the host for
//! standard formats and by connectors for all others.

use crate::envelope::Envelope;
use crate::fault::Fault;
use crate::signal::Signal;
use crate::telemetry::{LogLines, LogSource, Samples, SeriesDef, Span};

/// All that one envelope said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decoded {
    /// In the order in which they apply.
    pub signals: Vec<Signal>,
    /// Named by `samples` through their index.
    pub series: Vec<SeriesDef>,
    /// Measurements.
    pub samples: Samples,
    /// Named by `logs` through their index.
    pub log_sources: Vec<LogSource>,
    /// Log lines.
    pub logs: LogLines,
    /// Spans, from the host's own formats only.
    pub spans: Vec<Span>,
    /// Items of the envelope that could not be read, each with its reason: the
    /// others count nevertheless.
    pub rejected: Vec<Fault>,
}

/// Reads payloads of one format. Pure: the same envelopes give the same
/// answers, however they are batched.
pub trait Decoder: Send + Sync {
    /// One answer for each envelope, in order.
    fn decode(&self, envelopes: &[&Envelope]) -> Vec<Result<Decoded, Fault>>;
}
