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
    /// What both were before the growth that was allowed last: it can still
    /// fail.
    before: Option<(usize, usize)>,
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
            before: None,
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
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.before = None;
        // Its own limit, not ours: the guest has said so itself.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        if total > self.memory_max {
            let message = format!("asked for {total} bytes; {} at most", self.memory_max);
            self.hit = Some(Hit::new(Limit::Memory, message));
            return Ok(false);
        }
        self.before = Some((self.memory, self.memory_peak));
        self.memory = total;
        self.memory_peak = self.memory_peak.max(total);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        if let Some((memory, peak)) = self.before.take() {
            (self.memory, self.memory_peak) = (memory, peak);
        }
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
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
    fn growth_that_fails_takes_nothing() {
        let mut limiter = Limiter::new(&Limits {
            memory_bytes: 3 << 16,
            ..Limits::default()
        });
        let page = 1 << 16;
        for _ in 0..10 {
            let grows = limiter.memory_growing(0, 2 * page, None).expect("no trap");
            assert!(grows);
            let error = wasmtime::Error::msg("the machine has no memory");
            limiter.memory_grow_failed(error).expect("no trap");
        }
        assert_eq!((limiter.memory_peak(), limiter.hit()), (0, None));
        assert!(limiter.memory_growing(0, 3 * page, None).expect("no trap"));
        // Beyond what it declared itself: that is no limit of ours.
        let beyond = limiter.memory_growing(3 * page, 4 * page, Some(3 * page));
        assert!(!beyond.expect("no trap"));
        assert_eq!(limiter.hit(), None);
        let beyond = limiter.table_growing(1, 1 << 30, Some(2));
        assert!(!beyond.expect("no trap"));
        assert_eq!(limiter.hit(), None);
    }

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
