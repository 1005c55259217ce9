//! What each source has sent.

use faultline_store::SourceRecord;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Time;

/// A source, and how much of what it sent could be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Source {
    /// Which source.
    pub name: String,
    /// Payloads.
    pub envelopes: u64,
    /// Their size, transport encodings undone.
    pub body_bytes: u64,
    /// Alerts, changes, edges and tickets.
    pub signals: u64,
    /// Measurements.
    pub samples: u64,
    /// Lines.
    pub log_lines: u64,
    /// Spans.
    pub spans: u64,
    /// Measurements that came after later ones of their series.
    pub late: u64,
    /// Items that could not be read, in payloads that could.
    pub rejected: u64,
    /// Payloads that could not be read.
    pub faults: u64,
    /// Signals, series and log sources that name no entity: the first thing
    /// that spoils correlation.
    pub without_entity: u64,
    /// The last payload.
    pub last_position: u64,
    /// When it arrived.
    pub last_received: Time,
}

impl From<SourceRecord> for Source {
    fn from(record: SourceRecord) -> Self {
        Self {
            name: record.name.to_string(),
            envelopes: record.envelopes,
            body_bytes: record.body_bytes,
            signals: record.signals,
            samples: record.samples,
            log_lines: record.log_lines,
            spans: record.spans,
            late: record.late,
            rejected: record.rejected,
            faults: record.faults,
            without_entity: record.without_entity,
            last_position: record.last_position.0,
            last_received: record.last_received.into(),
        }
    }
}
