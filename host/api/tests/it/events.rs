//! Live updates.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::Method;
use faultline_api::ApiLimits;
use faultline_domain::access::Role;
use futures_util::StreamExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::{Bench, request};

/// A stream, as a browser reads it.
struct Listener {
    body: BodyDataStream,
    text: String,
}

impl Listener {
    async fn open(bench: &Bench, path: &str, last_seen: Option<&str>) -> Self {
        let mut request = request(Method::GET, path, Role::Viewer, Body::empty());
        if let Some(last_seen) = last_seen {
            let value = last_seen.parse().expect("a value");
            request.headers_mut().insert("last-event-id", value);
        }
        let response = bench.router.clone().oneshot(request).await;
        let response = response.expect("infallible");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let body = response.into_body().into_data_stream();
        let text = String::new();
        let mut listener = Self { body, text };
        let greeting = listener.block().await.expect("a greeting");
        assert!(
            greeting.contains("retry: 3000") && greeting.contains(": listening"),
            "{greeting}"
        );
        listener
    }

    /// What comes next, up to an empty line; none at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let bytes = self.body.next().await?.expect("no error");
            self.text
                .push_str(std::str::from_utf8(&bytes).expect("text"));
        }
    }

    /// The next event: its id, and what it says.
    async fn event(&mut self) -> (String, Value) {
        let block = loop {
            let block = self.block().await.expect("the stream has not ended");
            if !block.starts_with(':') {
                break block;
            }
        };
        let field = |name: &str| {
            let mut lines = block.lines();
            let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap_or_else(|| panic!("no {name} in {block}"))
                .to_owned()
        };
        assert_eq!(field("event"), "incident");
        let data = serde_json::from_str(&field("data")).expect("JSON");
        (field("id"), data)
    }
}

#[tokio::test]
async fn what_happens_is_told_as_it_happens() {
    let bench = Bench::open().await;
    bench.open_incident("before").await;
    let mut listener = Listener::open(&bench, "/api/v1/events", None).await;
    let opened = bench.open_incident("checkout").await;
    // Not what was before.
    let (id, event) = listener.event().await;
    assert_eq!((id.as_str(), event["kind"].as_str()), ("5", Some("opened")));
    assert_eq!(event["incident"], opened.incident.to_string());
    assert_eq!(event["text"], "opened: checkout is in trouble");
    let (id, event) = listener.event().await;
    assert_eq!((id.as_str(), event["kind"].as_str()), ("6", Some("joined")));
}

#[tokio::test]
async fn a_listener_that_was_away_misses_nothing() {
    let bench = Bench::open().await;
    bench.open_incident("one").await;
    bench.open_incident("two").await;
    let ids = async |path: &str, last_seen: Option<&str>, count: usize| {
        let mut listener = Listener::open(&bench, path, last_seen).await;
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(listener.event().await.0);
        }
        ids
    };
    assert_eq!(ids("/api/v1/events", Some("5"), 3).await, ["6", "7", "8"]);
    assert_eq!(ids("/api/v1/events?after=6", None, 2).await, ["7", "8"]);
    // A browser that connects again sends the address as it was, and where it
    // was cut off beside it.
    assert_eq!(ids("/api/v1/events?after=0", Some("7"), 1).await, ["8"]);
    let all = ids("/api/v1/events?after=0", None, 8).await;
    assert_eq!(all, ["1", "2", "3", "4", "5", "6", "7", "8"]);
}

#[tokio::test]
async fn where_to_begin_is_read_strictly() {
    let bench = Bench::open().await;
    let mut bad = request(Method::GET, "/api/v1/events", Role::Viewer, Body::empty());
    bad.headers_mut()
        .insert("last-event-id", "x".parse().expect("a value"));
    bench
        .send(bad)
        .await
        .problem_at("malformed", "header", "last-event-id");
    let refused = bench.get(Role::Viewer, "/api/v1/events?after=x").await;
    refused.problem_at("malformed", "query", "after");
}

#[tokio::test]
async fn there_are_so_many_streams_and_no_more() {
    let bench = Bench::with(ApiLimits {
        streams_max: 1,
        ..ApiLimits::default()
    })
    .await;
    let first = Listener::open(&bench, "/api/v1/events", None).await;
    let refused = bench.get(Role::Viewer, "/api/v1/events").await;
    refused.problem("busy");
    let open = bench.get(Role::Viewer, "/metrics").await.text;
    assert!(open.contains("faultline_api_streams 1\n"), "{open}");
    drop(first);
    Listener::open(&bench, "/api/v1/events", None).await;
}

#[tokio::test]
async fn who_takes_nothing_any_more_loses_the_place() {
    let bench = Bench::with(ApiLimits {
        streams_max: 1,
        stream_stall_max: Duration::from_millis(1),
        ..ApiLimits::default()
    })
    .await;
    // It takes the greeting, and nothing after that.
    let mut stalled = Listener::open(&bench, "/api/v1/events", None).await;
    while bench
        .get(Role::Viewer, "/metrics")
        .await
        .text
        .contains("faultline_api_streams 1\n")
    {
        tokio::task::yield_now().await;
    }
    Listener::open(&bench, "/api/v1/events", None).await;
    assert_eq!(stalled.block().await, None, "it is over");
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_with_the_process() {
    let limits = ApiLimits {
        stream_heartbeat: Duration::from_millis(1),
        ..ApiLimits::default()
    };
    let bench = Bench::with(limits).await;
    let mut listener = Listener::open(&bench, "/api/v1/events", None).await;
    assert_eq!(listener.block().await.as_deref(), Some(": alive"));
    let path = "/api/v1/tokens/id-of-viewer";
    bench
        .bare(Method::DELETE, Role::Admin, path)
        .await
        .expect(204);
    while let Some(block) = listener.block().await {
        assert_eq!(block, ": alive");
    }

    let bench = Bench::open().await;
    let mut listener = Listener::open(&bench, "/api/v1/events", None).await;
    bench.stop();
    assert_eq!(listener.block().await, None);

    let bench = Bench::with(ApiLimits {
        stream_time_max: Duration::ZERO,
        ..ApiLimits::default()
    })
    .await;
    let mut listener = Listener::open(&bench, "/api/v1/events", None).await;
    assert_eq!(listener.block().await, None);
}
