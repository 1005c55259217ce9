//! What became of the spans of our own traces.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::registry::Registry;

use super::snapshot::{counters, level};
use crate::own_traces::SpanCount;

/// What became of a span.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

pub(super) fn register(registry: &mut Registry, spans: &SpanCount) {
    let registry = registry.sub_registry_with_prefix("faultline_own_traces");
    let outcomes = [
        ("sent", spans.sent),
        ("rejected", spans.rejected),
        ("queue-full", spans.queue_full),
        ("failed", spans.failed),
    ];
    let rows = outcomes.map(|(outcome, count)| (OutcomeLabels { outcome }, count));
    registry.register(
        "spans",
        "Spans of own traces, by what became of them",
        counters(rows),
    );
    registry.register(
        "waiting",
        "Spans of own traces that wait to be sent",
        level(spans.waiting),
    );
}
