//! How much memory a guest takes, and which limit it ran into.

use faultline_domain::plugin::{Limit, Limits};
use thiserror::Error;
use wasmtime::ResourceLimiter;

use crate::engine::{CORE_INSTANCES_MAX, MEMORIES_MAX, TABLES_MAX};

/// A limit was reached.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{limit}: {message}")]
pub(crate) struct Hit {
    pub(crate) limit: Limit,
    pub(crate) message: String,
}

impl Hit {
    pub(crate) fn new(limit: Limit, message: String) -> Self {
        Self { limit, message }
    }
}

/// Counts what memories and tables grow by. Growth beyond the limit fails, as
/// the guest's language expects; mostly the guest then gives up, and
/// [`Limiter::hit`] says why.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_max: usize,
    table_max: usize,
    /// Of all memories together.
    memory: usize,
    memory_peak: usize,
    hit: Option<Hit>,
}

impl Limiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        let size = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        Self {
            memory_max: size(limits.memory_bytes),
            table_max: size(limits.table_elements),
            memory: 0,
            memory_peak: 0,
            hit: None,
        }
    }

    /// The last refusal, if there was one.
    pub(crate) fn hit(&self) -> Option<&Hit> {
        self.hit.as_ref()
    }

    /// The most memory that was taken.
    pub(crate) const fn memory_peak(&self) -> usize {
        self.memory_peak
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        if total > self.memory_max {
            let message = format!("asked for {total} bytes; {} at most", self.memory_max);
            self.hit = Some(Hit::new(Limit::Memory, message));
            return Ok(false);
        }
        self.memory = total;
        self.memory_peak = self.memory_peak.max(total);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.table_max {
            let message = format!("asked for {desired} elements; {} at most", self.table_max);
            self.hit = Some(Hit::new(Limit::Table, message));
            return Ok(false);
        }
        Ok(true)
    }

    // The pools hold to these by themselves; without pools nothing else does.

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX as usize
    }

    fn tables(&self) -> usize {
        TABLES_MAX as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX as usize
    }
}
