//! Requests, of senders and to the API.

use std::borrow::Cow;
use std::time::SystemTime;

use http::HeaderMap;
use http::header::USER_AGENT;
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::{SpanBuilder, SpanKind};
use opentelemetry::{Context, KeyValue, StringValue, global};

use crate::mark::AGENT_BEGINS;
use crate::method;
use crate::origins::Origin;
use crate::work::{Work, are_made};

/// The header by which a sender names the trace that its request is part of
/// (W3C Trace Context). `tracestate` is not read: it is text of others.
const TRACEPARENT: &str = "traceparent";

/// A request that is being answered. Whether it has a span may not be known
/// before its body is; the span then begins when the request did.
#[derive(Debug, Default)]
#[must_use = "a request that is not answered has no span"]
pub struct Answering(State);

#[derive(Debug, Default)]
enum State {
    /// It has no span.
    #[default]
    LeftOut,
    /// It is not known yet.
    Waiting(Box<(SpanBuilder, Context)>),
    Begun(Work),
}

impl Answering {
    /// A request has come in, for an address with this pattern; none for an
    /// address that there is not. It is in the trace that the sender names, if
    /// it does.
    pub fn new(method: &str, route: Option<Cow<'static, str>>, headers: &HeaderMap) -> Self {
        if !are_made() || is_of_own(headers) {
            return Self::default();
        }
        // In names, the convention has another word for one that is not known.
        let (shown, verb) =
            method::known(method).map_or((method::OTHER, "HTTP"), |known| (known, known));
        let name = match &route {
            Some(route) => format!("{verb} {route}"),
            None => verb.to_owned(),
        };
        let mut attributes = vec![
            KeyValue::new("http.request.method", shown),
            KeyValue::new("url.scheme", "http"),
        ];
        if let Some(route) = route {
            attributes.push(KeyValue::new("http.route", StringValue::from(route)));
        }
        let builder = SpanBuilder::from_name(name)
            .with_kind(SpanKind::Server)
            .with_start_time(SystemTime::now())
            .with_attributes(attributes);
        let parent = global::get_text_map_propagator(|propagator| {
            propagator.extract_with_context(&Context::new(), &Sender(headers))
        });
        Self(State::Waiting(Box::new((builder, parent))))
    }

    /// It is one that has a span: what is done from here on is a part of it.
    pub fn begin(&mut self) {
        self.0 = match std::mem::take(&mut self.0) {
            State::Waiting(waiting) => {
                let (builder, parent) = *waiting;
                State::Begun(Work::within(builder, &parent))
            }
            other => other,
        };
    }

    /// It carries own traces, and has no span.
    pub fn leave_out(&mut self) {
        self.0 = State::LeftOut;
    }

    /// What later work refers to, if it has a span that is sampled.
    pub fn origin(&self) -> Option<Origin> {
        self.work().and_then(Work::origin)
    }

    /// Does something as a part of answering it.
    pub fn around<F: Future>(&self, doing: F) -> impl Future<Output = F::Output> + use<F> {
        match self.work() {
            Some(work) => work.around(doing),
            None => Work::default().around(doing),
        }
    }

    /// It is answered. `outcome` is a word of ours.
    pub fn answered(mut self, status: u16, outcome: Option<&'static str>) {
        self.begin();
        let Some(work) = self.work() else {
            return;
        };
        work.say("http.response.status_code", i64::from(status));
        if let Some(outcome) = outcome {
            work.say("faultline.outcome", outcome);
        }
        // What is wrong with a request is no error of the server's.
        if status >= 500 {
            work.failed(outcome.map_or_else(|| status.to_string().into(), Cow::Borrowed));
        }
    }

    const fn work(&self) -> Option<&Work> {
        match &self.0 {
            State::Begun(work) => Some(work),
            _ => None,
        }
    }
}

/// The headers of a request, as far as OpenTelemetry is to read them.
struct Sender<'h>(&'h HeaderMap);

impl Extractor for Sender<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        if key != TRACEPARENT {
            return None;
        }
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

fn is_of_own(headers: &HeaderMap) -> bool {
    headers
        .get(USER_AGENT)
        .is_some_and(|agent| agent.as_bytes().starts_with(AGENT_BEGINS.as_bytes()))
}
