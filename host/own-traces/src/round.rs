//! Rounds of the stages.

use std::ops::RangeInclusive;

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanBuilder;

use crate::origins::{of_appended, of_observed};
use crate::work::{Work, are_made};

/// Observe deals with these envelopes: in the trace of what brought them.
pub fn observe_round(positions: RangeInclusive<u64>) -> Work {
    if !are_made() {
        return Work::default();
    }
    let builder = round("observe").with_attributes([
        stage("observe"),
        position("faultline.position.first", *positions.start()),
        position("faultline.position.last", *positions.end()),
    ]);
    Work::because_of(builder, &of_appended(positions))
}

/// Correlate deals with what was made of the envelopes at these positions, in
/// order: in the trace of what made it.
pub fn correlate_round(positions: impl IntoIterator<Item = u64>) -> Work {
    if !are_made() {
        return Work::default();
    }
    let builder = round("correlate").with_attributes([stage("correlate")]);
    Work::because_of(builder, &of_observed(positions))
}

/// A poller is asked.
pub fn poll_round(instance: &str) -> Work {
    if !are_made() {
        return Work::default();
    }
    let builder = round("poll").with_attributes([
        stage("poll"),
        KeyValue::new("faultline.plugin.instance", instance.to_owned()),
    ]);
    Work::because_of(builder, &[])
}

fn round(stage: &str) -> SpanBuilder {
    SpanBuilder::from_name(format!("{stage} round"))
}

fn stage(stage: &'static str) -> KeyValue {
    KeyValue::new("faultline.stage", stage)
}

fn position(key: &'static str, position: u64) -> KeyValue {
    KeyValue::new(key, i64::try_from(position).unwrap_or(i64::MAX))
}
