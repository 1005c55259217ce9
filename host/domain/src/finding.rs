//! Findings: what detectors say.

use serde::{Deserialize, Serialize};

use crate::entity::Entity;
use crate::labels::Labels;
use crate::proposal::Blob;
use crate::severity::Severity;
use crate::time::Timestamp;

/// The most bytes of a finding's extra, its media type among them: it lies with the
/// alert, which is written at each report.
pub const EXTRA_BYTES_MAX: usize = 4 << 10;

/// What a finding is about. Ids are those that the host introduced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A series.
    Series(u32),
    /// A log source.
    LogSource(u32),
    /// An entity as a whole.
    Entity(Entity),
}

/// The interval that a value was expected in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

/// A verdict: something is, or is no longer, out of the ordinary.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Same subject and key, same condition.
    pub key: String,
    /// False: back to normal.
    pub firing: bool,
    /// What it is about.
    pub subject: Subject,
    /// The row of the batch that brought it about; none from a tick.
    pub row: Option<u32>,
    /// A line for people.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// 0 to 1: how far from normal.
    pub score: f64,
    /// Since when.
    pub started: Timestamp,
    /// The event time of the row or tick.
    pub at: Timestamp,
    /// What was seen.
    pub value: Option<f64>,
    /// What was expected.
    pub expected: Option<Band>,
    /// Whatever else the detector said.
    pub attributes: Labels,
    /// And what it said in a shape of its own, which nobody here reads.
    pub extra: Option<Blob>,
}
