//! Work in, spans out, through a tracer that keeps them.

use std::sync::{Mutex, OnceLock, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::global::{self, BoxedTracer};
use opentelemetry::trace::{SpanKind, Status, TracerProvider as _};
use opentelemetry::{Key, SpanId, TraceId};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};

use super::*;

/// All spans that have ended, of all tests.
static ENDED: Mutex<Vec<SpanData>> = Mutex::new(Vec::new());

#[derive(Debug)]
struct Keep;

impl SpanExporter for Keep {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut ended = ENDED.lock().unwrap_or_else(PoisonError::into_inner);
        ended.extend(batch);
        Ok(())
    }
}

/// The tracer of this process, for all tests.
fn traced() {
    static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        global::set_text_map_propagator(TraceContextPropagator::new());
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
            .with_simple_exporter(Keep)
            .build();
        start(BoxedTracer::new(Box::new(provider.tracer("test"))));
        provider
    });
}

fn spans_of(trace: TraceId) -> Vec<SpanData> {
    let ended = ENDED.lock().unwrap_or_else(PoisonError::into_inner);
    let of_it = |span: &&SpanData| span.span_context.trace_id() == trace;
    ended.iter().filter(of_it).cloned().collect()
}

fn named<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
    let found = spans.iter().find(|span| span.name == name);
    found.unwrap_or_else(|| panic!("no span {name} in {spans:?}"))
}

fn said(span: &SpanData, key: &'static str) -> Option<String> {
    let key = Key::from_static_str(key);
    let found = span.attributes.iter().find(|it| it.key == key);
    found.map(|it| it.value.to_string())
}

fn headers(of: &[(&'static str, &str)]) -> HeaderMap {
    of.iter()
        .map(|(name, value)| {
            let value = HeaderValue::from_str(value).expect("a header");
            (HeaderName::from_static(name), value)
        })
        .collect()
}

const CALLEE: Callee<'static> = Callee {
    plugin: "faultline/alertmanager",
    version: "1.2.3",
    instance: "mine",
    function: "decode",
};

#[tokio::test]
async fn what_a_request_brings_about_is_in_the_trace_of_its_sender() {
    traced();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = headers(&[("traceparent", parent), ("tracestate", "them=secret")]);
    let mut request = Answering::new("POST", Some("/api/v2/alerts".into()), &headers);
    request.begin();
    let causes: Vec<Origin> = request.origin().into_iter().collect();
    {
        let commit = commit("envelope.append", &causes);
        commit
            .around(async { origins::appended(1_001..=1_002) })
            .await;
    }
    request.answered(200, Some("accepted"));
    {
        let round = observe_round(1_001..=1_005);
        let calling = round.around(async {
            let calling = carried(|| {
                let call = call(CALLEE);
                let within = call.enter();
                sending("GET").sent(Ok(503));
                sending("secret").sent(Err("denied"));
                drop(within);
                call.returned("limit.cpu");
            });
            std::thread::spawn(calling).join().expect("ends");
        });
        calling.await;
        origins::observed(1_001..=1_005, round.origin());
    }
    drop(correlate_round([1_002, 1_003]));

    let spans = spans_of(TraceId::from_hex("4bf92f3577b34da6a3ce929d0e0e4736").expect("an id"));
    assert_eq!(spans.len(), 7, "{spans:?}");
    let request = named(&spans, "POST /api/v2/alerts");
    let sender = SpanId::from_hex("00f067aa0ba902b7").expect("an id");
    assert_eq!(request.parent_span_id, sender);
    assert_eq!(request.span_kind, SpanKind::Server);
    assert_eq!(
        said(request, "http.route").as_deref(),
        Some("/api/v2/alerts")
    );
    assert_eq!(
        said(request, "http.response.status_code").as_deref(),
        Some("200")
    );
    let chain = ["commit envelope.append", "observe round", "correlate round"];
    let mut above = request;
    for name in chain {
        let span = named(&spans, name);
        assert_eq!(span.parent_span_id, above.span_context.span_id(), "{name}");
        above = span;
    }
    let call = named(&spans, "call decode");
    let round = named(&spans, "observe round");
    assert_eq!(call.parent_span_id, round.span_context.span_id());
    assert_eq!(
        said(call, "faultline.plugin.instance").as_deref(),
        Some("mine")
    );
    assert_eq!(said(call, "faultline.limit").as_deref(), Some("limit.cpu"));
    assert!(matches!(call.status, Status::Error { .. }));
    for (name, key, value) in [
        ("send GET", "http.response.status_code", "503"),
        ("send _OTHER", "error.type", "denied"),
    ] {
        let sent = named(&spans, name);
        assert_eq!(sent.span_kind, SpanKind::Client);
        assert_eq!(sent.parent_span_id, call.span_context.span_id());
        assert_eq!(said(sent, key).as_deref(), Some(value));
    }
    let all = format!("{spans:?}");
    assert!(
        !all.contains("them") && !all.contains("secret"),
        "of others"
    );
}

#[tokio::test]
async fn what_several_brought_about_refers_to_all_of_them() {
    traced();
    let mut requests: Vec<Answering> = (0..3)
        .map(|_| Answering::new("BREW", None, &HeaderMap::new()))
        .collect();
    requests.iter_mut().for_each(Answering::begin);
    let causes: Vec<Origin> = requests.iter().filter_map(Answering::origin).collect();
    drop(commit("envelope.append", &causes));
    let trace = causes[0].0.trace_id();
    for request in requests {
        request.answered(503, None);
    }
    let spans = spans_of(trace);
    let commit = named(&spans, "commit envelope.append");
    let linked: Vec<_> = commit
        .links
        .iter()
        .map(|it| it.span_context.clone())
        .collect();
    assert_eq!(linked, [causes[1].0.clone(), causes[2].0.clone()]);
    let request = named(&spans, "HTTP");
    assert_eq!(
        said(request, "http.request.method").as_deref(),
        Some("_OTHER")
    );
    assert_eq!(said(request, "error.type").as_deref(), Some("503"));
}

#[test]
fn own_traces_are_not_traced() {
    traced();
    let headers = headers(&[("user-agent", AGENT)]);
    let mut request = Answering::new("POST", Some("/v1/traces".into()), &headers);
    request.begin();
    assert_eq!(request.origin(), None);
    let mut request = Answering::new("POST", Some("/v1/traces".into()), &HeaderMap::new());
    request.leave_out();
    request.begin();
    assert_eq!(request.origin(), None);
    assert!(is_own(b"\x0a\x14faultline.own_traces\x12\x02\x10\x01"));
    assert!(is_own(
        br#"{"key":"faultline.own_traces","value":{"boolValue":true}}"#
    ));
    assert!(!is_own(
        br#"{"key":"service.name","value":{"stringValue":"faultline"}}"#
    ));
}

#[tokio::test]
async fn what_is_not_sampled_leaves_nothing() {
    traced();
    let parent = "00-5bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let headers = headers(&[("traceparent", parent)]);
    let mut request = Answering::new("GET", Some("/".into()), &headers);
    request.begin();
    assert_eq!(request.origin(), None);
    let calling = request.around(async { call(CALLEE).returned("ok") });
    calling.await;
    request.answered(200, None);
    let spans = spans_of(TraceId::from_hex("5bf92f3577b34da6a3ce929d0e0e4736").expect("an id"));
    assert!(spans.is_empty(), "{spans:?}");
}

#[test]
fn calls_and_commits_that_are_part_of_nothing_have_no_span() {
    traced();
    assert_eq!(call(CALLEE).origin(), None);
    assert_eq!(commit("token.create", &[]).origin(), None);
    refused(CALLEE, "limit.items");
}
