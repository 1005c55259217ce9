//! What an instance has used so far.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counts since the instance was loaded.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    calls: AtomicU64,
    cpu_micros: AtomicU64,
    memory_peak: AtomicU64,
    host_calls: AtomicU64,
    denied: AtomicU64,
    log_lines_dropped: AtomicU64,
    failures: Mutex<BTreeMap<&'static str, u64>>,
}

/// A copy of the counts, for metrics and the API.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    /// Calls of exported functions.
    pub calls: u64,
    /// Time on a processor, while guests ran.
    pub cpu: Duration,
    /// The most bytes of memory that one guest took.
    pub memory_peak_bytes: u64,
    /// Calls of host functions.
    pub host_calls: u64,
    /// Of these, how many were denied.
    pub denied: u64,
    /// Log lines over the limit.
    pub log_lines_dropped: u64,
    /// Failures by code: `trap`, `limit.cpu`, …
    pub failures: BTreeMap<&'static str, u64>,
}

impl Stats {
    pub(crate) fn call(&self, cpu: Duration, memory_peak: usize) {
        let micros = u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.cpu_micros.fetch_add(micros, Ordering::Relaxed);
        self.memory_peak
            .fetch_max(memory_peak as u64, Ordering::Relaxed);
    }

    pub(crate) fn host_call(&self) {
        self.host_calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn deny(&self) {
        self.denied.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn drop_log_line(&self) {
        self.log_lines_dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn fail(&self, code: &'static str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        *failures.entry(code).or_default() += 1;
    }

    pub(crate) fn usage(&self) -> Usage {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        Usage {
            calls: get(&self.calls),
            cpu: Duration::from_micros(get(&self.cpu_micros)),
            memory_peak_bytes: get(&self.memory_peak),
            host_calls: get(&self.host_calls),
            denied: get(&self.denied),
            log_lines_dropped: get(&self.log_lines_dropped),
            failures: failures.clone(),
        }
    }
}
