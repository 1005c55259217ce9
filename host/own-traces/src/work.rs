//! A piece of work, which is a span if traces are made.

use std::borrow::Cow;
use std::sync::OnceLock;

use opentelemetry::context::FutureExt as _;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{Link, SpanBuilder, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, ContextGuard, KeyValue, StringValue, Value};

use crate::origins::Origin;

/// What makes spans, once it is there.
static TRACER: OnceLock<BoxedTracer> = OnceLock::new();

/// The most other traces that a piece of work refers to.
const LINKS_MAX: usize = 64;

/// From now on there are traces. What was called first stays.
pub fn start(tracer: BoxedTracer) {
    let _ = TRACER.set(tracer);
}

/// Whether traces are made at all.
pub fn are_made() -> bool {
    TRACER.get().is_some()
}

/// Something that Faultline is at. It ends when this is dropped.
#[derive(Debug, Default)]
#[must_use = "the work ends when this is dropped"]
pub struct Work(Option<Context>);

impl Work {
    /// Begins as a part of what the context says.
    pub(crate) fn within(builder: SpanBuilder, parent: &Context) -> Self {
        Self(TRACER.get().map(|tracer| {
            let span = tracer.build_with_context(builder, parent);
            parent.with_span(span)
        }))
    }

    /// Begins as a part of what this thread or task is at; it is none if that is
    /// none, or is not sampled.
    pub(crate) fn inside(builder: impl FnOnce() -> SpanBuilder) -> Self {
        if !are_made() {
            return Self::default();
        }
        let parent = Context::current();
        if !is_sampled(&parent) {
            return Self::default();
        }
        Self::within(builder(), &parent)
    }

    /// Begins because of others: in the trace of the first of them, with links
    /// to the rest; in a trace of its own if there are none.
    pub(crate) fn because_of(builder: SpanBuilder, causes: &[Origin]) -> Self {
        let Some((first, others)) = causes.split_first() else {
            return Self::within(builder, &Context::new());
        };
        let links = others
            .iter()
            .take(LINKS_MAX)
            .map(|origin| Link::with_context(origin.0.clone()))
            .collect();
        let parent = Context::new().with_remote_span_context(first.0.clone());
        Self::within(builder.with_links(links), &parent)
    }

    /// What later work refers to, if this is sampled.
    pub fn origin(&self) -> Option<Origin> {
        self.0.as_ref().and_then(origin_of)
    }

    /// Does something as a part of this work.
    pub fn around<F: Future>(&self, doing: F) -> impl Future<Output = F::Output> + use<F> {
        doing.with_context(self.0.clone().unwrap_or_default())
    }

    /// What this thread does is a part of this work until what is given back is
    /// dropped.
    pub fn enter(&self) -> Option<ContextGuard> {
        self.0.clone().map(Context::attach)
    }

    /// Says how many there were of something.
    pub fn count(&self, key: &'static str, count: usize) {
        self.say(key, i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Says something about it.
    pub(crate) fn say(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// It came to nothing: `code` is one of the words that errors and metrics
    /// have, too.
    pub fn failed(&self, code: impl Into<Cow<'static, str>>) {
        if let Some(context) = &self.0 {
            let (span, code) = (context.span(), code.into());
            let error = StringValue::from(code.clone());
            span.set_attribute(KeyValue::new("error.type", error));
            span.set_status(Status::error(code));
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // Whatever else has the context may be dropped later.
        if let Some(context) = &self.0 {
            context.span().end();
        }
    }
}

/// Whether a context is of something that is sampled.
pub(crate) fn is_sampled(context: &Context) -> bool {
    let span = context.span();
    let origin = span.span_context();
    origin.is_valid() && origin.is_sampled()
}

/// What later work refers to, if a context is of something that is sampled.
pub(crate) fn origin_of(context: &Context) -> Option<Origin> {
    is_sampled(context).then(|| Origin(context.span().span_context().clone()))
}

/// The same, to be done on another thread, as a part of what this one is at.
pub fn carried<T, F: FnOnce() -> T>(doing: F) -> impl FnOnce() -> T {
    let context = Context::current();
    move || {
        let _here = context.attach();
        doing()
    }
}

/// The same, to be done by another task, as a part of what this one is at.
pub fn carried_on<F: Future>(doing: F) -> impl Future<Output = F::Output> {
    doing.with_current_context()
}
