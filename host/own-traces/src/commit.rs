//! Commits.

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanBuilder;

use crate::origins::Origin;
use crate::work::Work;

/// A commit by its name. It is a part of what this task is at; or, if what it
/// commits comes from several requests, of the first of these. Without either it
/// has no span.
pub fn commit(point: &'static str, causes: &[Origin]) -> Work {
    let builder = || {
        SpanBuilder::from_name(format!("commit {point}"))
            .with_attributes([KeyValue::new("faultline.commit", point)])
    };
    if causes.is_empty() {
        return Work::inside(builder);
    }
    Work::because_of(builder(), causes)
}
