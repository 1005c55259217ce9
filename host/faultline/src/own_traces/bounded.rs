//! Spans that wait to be sent: how many may, and what became of all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanProcessor};

/// What became of spans since the process began.
#[derive(Debug, Default)]
pub(crate) struct SpanCounts {
    waiting: AtomicU64,
    sent: AtomicU64,
    rejected: AtomicU64,
    queue_full: AtomicU64,
    failed: AtomicU64,
}

/// A copy of the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SpanCount {
    /// To be sent yet.
    pub(crate) waiting: u64,
    /// Taken by the collector.
    pub(crate) sent: u64,
    /// Received by the collector, and refused.
    pub(crate) rejected: u64,
    /// Dropped, for too many were waiting.
    pub(crate) queue_full: u64,
    /// Dropped, for they could not be sent.
    pub(crate) failed: u64,
}

impl SpanCounts {
    /// How it stands.
    pub(crate) fn now(&self) -> SpanCount {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SpanCount {
            waiting: get(&self.waiting),
            sent: get(&self.sent),
            rejected: get(&self.rejected),
            queue_full: get(&self.queue_full),
            failed: get(&self.failed),
        }
    }

    /// One more waits, if there is room.
    fn enter(&self, most: u64) -> bool {
        let one_more = |waiting: u64| (waiting < most).then_some(waiting + 1);
        let entered = self
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        if entered.is_err() {
            self.queue_full.fetch_add(1, Ordering::Relaxed);
        }
        entered.is_ok()
    }

    /// So many do not wait any more, but are being sent.
    pub(super) fn leave(&self, spans: u64) {
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, spans: u64, rejected: u64) {
        let rejected = rejected.min(spans);
        self.sent.fetch_add(spans - rejected, Ordering::Relaxed);
        self.rejected.fetch_add(rejected, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, spans: u64) {
        self.failed.fetch_add(spans, Ordering::Relaxed);
    }
}

/// The SDK's queue, with a count of what does not fit into it. The SDK has one,
/// and keeps it to itself.
#[derive(Debug)]
pub(super) struct Bounded {
    batching: BatchSpanProcessor,
    counts: Arc<SpanCounts>,
    /// As many as the queue holds.
    most: u64,
}

impl Bounded {
    pub(super) const fn new(
        batching: BatchSpanProcessor,
        counts: Arc<SpanCounts>,
        most: usize,
    ) -> Self {
        Self {
            batching,
            counts,
            most: most as u64,
        }
    }
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batching.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.counts.enter(self.most) {
            self.batching.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batching.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batching.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batching.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted_and_gone() {
        let counts = SpanCounts::default();
        let entered: Vec<bool> = (0..3).map(|_| counts.enter(2)).collect();
        assert_eq!(entered, [true, true, false]);
        counts.leave(2);
        counts.sent(2, 1);
        assert!(counts.enter(2));
        counts.leave(1);
        counts.failed(1);
        let expected = SpanCount {
            waiting: 0,
            sent: 1,
            rejected: 1,
            queue_full: 1,
            failed: 1,
        };
        assert_eq!(counts.now(), expected);
    }
}
