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

    /// A new call begins: what was refused before is no reason for what comes of
    /// it.
    pub(crate) fn begin(&mut self) {
        self.hit = None;
    }

    /// The last refusal of this call, if there was one.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_reason_for_its_own_call_only() {
        let mut limiter = Limiter::new(&Limits {
            memory_bytes: 1 << 16,
            ..Limits::default()
        });
        assert!(limiter.memory_growing(0, 1 << 16, None).expect("no trap"));
        assert!(
            !limiter
                .memory_growing(1 << 16, 1 << 17, None)
                .expect("no trap")
        );
        assert_eq!(limiter.hit().map(|hit| hit.limit), Some(Limit::Memory));
        limiter.begin();
        assert_eq!(limiter.hit(), None);
        assert_eq!(limiter.memory_peak(), 1 << 16);
    }
}
