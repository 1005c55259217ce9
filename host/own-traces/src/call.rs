//! Calls into guests.

use opentelemetry::trace::{SpanBuilder, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};

use crate::work::{Work, is_sampled};

/// Who is called.
#[derive(Debug, Clone, Copy)]
pub struct Callee<'a> {
    /// `namespace/name` of the plugin.
    pub plugin: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The instance.
    pub instance: &'a str,
    /// The exported function, or `start` for what is done before the first.
    pub function: &'static str,
}

/// A call, as a part of what this thread is at. Calls that are part of nothing
/// have no span: checks of configurations, states that are restored.
pub fn call(callee: Callee<'_>) -> Work {
    Work::inside(|| {
        SpanBuilder::from_name(format!("call {}", callee.function)).with_attributes([
            KeyValue::new("faultline.plugin.name", callee.plugin.to_owned()),
            KeyValue::new("faultline.plugin.version", callee.version.to_owned()),
            KeyValue::new("faultline.plugin.instance", callee.instance.to_owned()),
            KeyValue::new("faultline.plugin.function", callee.function),
        ])
    })
}

impl Work {
    /// A call ended: `ok`, or how it failed.
    pub fn returned(self, outcome: &'static str) {
        self.say("faultline.outcome", outcome);
        if outcome == "ok" {
            return;
        }
        if outcome.starts_with("limit.") {
            self.say("faultline.limit", outcome);
        }
        self.failed(outcome);
    }
}

/// What a call answered broke the contract or a limit. The call has returned, so
/// this is said of what it was a part of.
pub fn refused(callee: Callee<'_>, code: &'static str) {
    Context::map_current(|context| {
        if is_sampled(context) {
            let attributes = vec![
                KeyValue::new("faultline.plugin.instance", callee.instance.to_owned()),
                KeyValue::new("faultline.plugin.function", callee.function),
                KeyValue::new("faultline.outcome", code),
            ];
            context.span().add_event("answer refused", attributes);
        }
    });
}
