//! What the stages count about themselves.

use std::sync::atomic::{AtomicU64, Ordering};

use faultline_domain::envelope::Position;
use faultline_domain::time::Timestamp;

/// Counts since the process began, and where the stages are.
#[derive(Debug, Default)]
pub struct Counters {
    /// Envelopes that were observed.
    pub envelopes: Counter,
    /// Samples in them.
    pub samples: Counter,
    /// Log lines in them.
    pub log_lines: Counter,
    /// Spans in them.
    pub spans: Counter,
    /// Transitions of alerts.
    pub transitions: Counter,
    /// Envelopes, or parts of them, that could not be read.
    pub dead_letters: Counter,
    /// Events of incidents.
    pub incident_events: Counter,
    /// Proposals that were refused.
    pub refusals: Counter,
    /// Failures of detectors and correlators.
    pub plugin_failures: Counter,
    /// Series in the catalogue.
    pub series: Counter,
    /// Where observe is.
    pub observe_position: Counter,
    /// Where correlate is.
    pub correlate_position: Counter,
    /// Arrival time up to which incidents are up to date, in microseconds.
    pub correlate_clock: Counter,
}

/// A number that is counted up, or set.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn set_position(&self, position: Position) {
        self.set(position.0);
    }

    pub(crate) fn set_time(&self, time: Timestamp) {
        self.set(time.as_micros());
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
