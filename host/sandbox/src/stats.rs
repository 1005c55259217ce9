//! What an instance has used so far.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The bounds of the buckets that calls are counted in by how long they took, in
/// seconds: from a fresh guest that answers at once to the limits on a call.
pub const WALL_BUCKETS: [f64; 12] = [
    0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0,
];

/// Counts since the instance was loaded.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    cpu_micros: AtomicU64,
    memory_peak: AtomicU64,
    host_calls: AtomicU64,
    log_lines_dropped: AtomicU64,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    calls: BTreeMap<(&'static str, &'static str), Calls>,
    denied: BTreeMap<&'static str, u64>,
    failures: BTreeMap<&'static str, u64>,
}

/// Calls of one function that ended in one way.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Calls {
    /// How many.
    pub count: u64,
    /// Time on a processor, all of them together.
    pub cpu: Duration,
    /// Time on the clock, all of them together.
    pub wall: Duration,
    /// How many took up to each of [`WALL_BUCKETS`], and longer than the bound
    /// before; the last are those that took longer than any.
    pub by_wall: [u64; WALL_BUCKETS.len() + 1],
}

/// A copy of the counts, for metrics and the API.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Usage {
    /// Calls of exported functions.
    pub calls: u64,
    /// The same, by function and how they ended: `ok` or how they failed. A
    /// fault in words is an answer.
    pub by_function: BTreeMap<(&'static str, &'static str), Calls>,
    /// Time on a processor, while guests ran.
    pub cpu: Duration,
    /// The most bytes of memory that one guest took.
    pub memory_peak_bytes: u64,
    /// Calls of host functions.
    pub host_calls: u64,
    /// Of these, how many were denied.
    pub denied: u64,
    /// The same, by what they would have used.
    pub denied_by_use: BTreeMap<&'static str, u64>,
    /// Log lines over the limit.
    pub log_lines_dropped: u64,
    /// Failures by code: `trap`, `limit.cpu`, …
    pub failures: BTreeMap<&'static str, u64>,
}

/// One call, as it ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) function: &'static str,
    /// `ok`, or how it failed.
    pub(crate) outcome: &'static str,
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
    pub(crate) memory_peak: usize,
}

impl Stats {
    pub(crate) fn call(&self, ended: Ended) {
        let micros = u64::try_from(ended.cpu.as_micros()).unwrap_or(u64::MAX);
        self.cpu_micros.fetch_add(micros, Ordering::Relaxed);
        self.memory_peak
            .fetch_max(ended.memory_peak as u64, Ordering::Relaxed);
        let seconds = ended.wall.as_secs_f64();
        let bucket = WALL_BUCKETS.partition_point(|bound| *bound < seconds);
        let mut tables = self.tables();
        let calls = tables
            .calls
            .entry((ended.function, ended.outcome))
            .or_default();
        calls.count += 1;
        calls.cpu += ended.cpu;
        calls.wall += ended.wall;
        calls.by_wall[bucket] += 1;
    }

    pub(crate) fn host_call(&self) {
        self.host_calls.fetch_add(1, Ordering::Relaxed);
    }

    /// A host function was denied; `using` is what it would have used.
    pub(crate) fn deny(&self, using: &'static str) {
        *self.tables().denied.entry(using).or_default() += 1;
    }

    pub(crate) fn drop_log_line(&self) {
        self.log_lines_dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn fail(&self, code: &'static str) {
        *self.tables().failures.entry(code).or_default() += 1;
    }

    pub(crate) fn usage(&self) -> Usage {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let tables = self.tables();
        Usage {
            calls: tables.calls.values().map(|calls| calls.count).sum(),
            by_function: tables.calls.clone(),
            cpu: Duration::from_micros(get(&self.cpu_micros)),
            memory_peak_bytes: get(&self.memory_peak),
            host_calls: get(&self.host_calls),
            denied: tables.denied.values().sum(),
            denied_by_use: tables.denied.clone(),
            log_lines_dropped: get(&self.log_lines_dropped),
            failures: tables.failures.clone(),
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // Counts are valid whatever a panicking thread left them at.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
