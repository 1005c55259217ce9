//! What the stages count about themselves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
    /// Alerts and edges over the limits.
    pub over_limit: Counter,
    /// Series in the catalogue.
    pub series: Counter,
    /// Edges of the topology.
    pub edges: Counter,
    /// Alerts that fire.
    pub alerts_firing: Counter,
    /// Incidents that are not closed.
    pub incidents_open: Counter,
    /// How the steps of observe go.
    pub observe_steps: StepTimes,
    /// How the steps of correlate go.
    pub correlate_steps: StepTimes,
    /// Where observe is.
    pub observe_position: Counter,
    /// Where correlate is.
    pub correlate_position: Counter,
    /// Arrival time up to which incidents are up to date, in microseconds.
    pub correlate_clock: Counter,
}

/// How the steps of a stage go: those that committed, and those that failed.
#[derive(Debug, Default)]
pub struct StepTimes {
    micros: AtomicU64,
    buckets: [AtomicU64; STEP_BUCKETS.len() + 1],
    errors: AtomicU64,
}

/// The bounds of the buckets of [`StepTimes`], in seconds.
const STEP_BUCKETS: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0];

impl StepTimes {
    /// A step took so long, and committed.
    pub(crate) fn committed(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        let seconds = took.as_secs_f64();
        let bucket = STEP_BUCKETS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
    }

    /// The database refused a step.
    pub fn failed(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Steps that committed.
    pub fn commits(&self) -> u64 {
        let buckets = self.buckets.iter();
        buckets.map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// Steps that the database refused.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// The seconds of all steps that committed, and how many took up to each
    /// bound and longer than the one before; the last has no bound.
    pub fn histogram(&self) -> (f64, Vec<(f64, u64)>) {
        let micros = self.micros.load(Ordering::Relaxed);
        let bounds = STEP_BUCKETS.into_iter().chain([f64::INFINITY]);
        let counts = self
            .buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed));
        let seconds = Duration::from_micros(micros).as_secs_f64();
        (seconds, bounds.zip(counts).collect())
    }
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
