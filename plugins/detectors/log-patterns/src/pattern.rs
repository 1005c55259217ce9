//! What is kept for a kind of line beside its template.

use faultline_sdk::Severity;
use serde::{Deserialize, Serialize};

use crate::buckets::Counts;
use crate::miner::Keep;
use crate::rate::Rate;

/// What is kept for a kind of line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Pattern {
    /// The event time of its first line.
    pub(crate) first: u64,
    /// Whether the source was known well enough when that line came for it to
    /// be news.
    pub(crate) was_news: bool,
    /// How bad it sounds.
    pub(crate) gravity: Severity,
    /// Its lines in the buckets that are open.
    pub(crate) counts: Counts,
    /// How many lines it usually has in a bucket; none before the first bucket
    /// with one of its lines has closed.
    pub(crate) rate: Option<Rate>,
}

impl Default for Pattern {
    fn default() -> Self {
        Self {
            first: 0,
            was_news: false,
            gravity: Severity::Info,
            counts: Counts::default(),
            rate: None,
        }
    }
}

impl Keep for Pattern {
    fn absorb(&mut self, other: Self) {
        self.was_news &= other.was_news;
        self.first = self.first.min(other.first);
        self.gravity = self.gravity.max(other.gravity);
        self.counts.absorb(other.counts);
        if let Some(more) = other.rate {
            match &mut self.rate {
                Some(rate) => rate.absorb(&more),
                None => self.rate = Some(more),
            }
        }
    }
}
