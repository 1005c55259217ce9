//! What machines ask: whether we live, whether we work, what we count, what the
//! API is.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;

use super::App;
use crate::extract::NoQuery;
use crate::overview::Overview;
use crate::problem::{Problem, ProblemKind};

/// How long metrics wait for the database. What it does not say by then is left
/// out of them.
const OVERVIEW_MAX: Duration = Duration::from_secs(2);

/// Whether connections are answered. Says nothing about what is behind.
#[utoipa::path(
    get, path = "/healthz", tag = "machine",
    responses((status = 200, description = "They are.", body = String, content_type = "text/plain"))
)]
pub(crate) async fn health_fetch(_: NoQuery) -> &'static str {
    "ok\n"
}

/// Whether everything runs that should.
#[utoipa::path(
    get, path = "/readyz", tag = "machine",
    responses((status = 200, description = "It does.", body = String, content_type = "text/plain"))
)]
pub(crate) async fn readiness_fetch(
    State(shared): App,
    _: NoQuery,
) -> Result<&'static str, Problem> {
    // What is known already is said at once: probes do not wait for long.
    if let Err(reason) = shared.control.ready().await {
        return Err(Problem::new(ProblemKind::Unavailable, reason));
    }
    shared.store.journal_head(shared.scope()).await?;
    Ok("ready\n")
}

/// Metrics of the whole process: in the text format of OpenMetrics 1.0 to who
/// accepts it, in that of Prometheus to all others.
#[utoipa::path(
    get, path = "/metrics", tag = "machine",
    responses((
        status = 200, description = "The metrics.", content(
            (String = "application/openmetrics-text"),
            (String = "text/plain"),
        )
    ))
)]
pub(crate) async fn metrics_fetch(
    State(shared): App,
    headers: HeaderMap,
    _: NoQuery,
) -> Result<Response, Problem> {
    let mut registry = Registry::default();
    shared.metrics.register(&mut registry);
    // Whoever looks at metrics looks the more when the database does not answer.
    let overview = tokio::time::timeout(OVERVIEW_MAX, Overview::take(&shared));
    let (overview, others) = tokio::join!(overview, shared.control.metrics());
    if let Ok(Ok(overview)) = overview {
        overview.register(&mut registry);
    }
    let mut text = String::new();
    let failed = |error: std::fmt::Error| Problem::internal(&error);
    encode_registry(&mut text, &registry).map_err(failed)?;
    // There is one end, and nothing after it.
    text.push_str(others.trim_end().trim_end_matches("# EOF"));
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let accepts = headers.get_all(header::ACCEPT).into_iter();
    let is_open = accepts
        .filter_map(|accept| accept.to_str().ok())
        .any(|accept| accept.contains("application/openmetrics-text"));
    let content_type = if is_open {
        encode_eof(&mut text).map_err(failed)?;
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    } else {
        text = prometheus_text(&text);
        "text/plain; version=0.0.4; charset=utf-8"
    };
    let mut response = text.into_response();
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    Ok(response)
}

/// OpenMetrics as Prometheus' text format: there, a counter is named as its
/// samples are, with `_total`, and units are not stated.
fn prometheus_text(open_metrics: &str) -> String {
    let counters: BTreeSet<&str> = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        if line.starts_with("# UNIT ") || line == "# EOF" {
            continue;
        }
        let described = line
            .strip_prefix("# HELP ")
            .map(|rest| ("# HELP ", rest))
            .or_else(|| line.strip_prefix("# TYPE ").map(|rest| ("# TYPE ", rest)));
        match described.and_then(|(head, rest)| Some((head, rest.split_once(' ')?))) {
            Some((head, (name, rest))) if counters.contains(name) => {
                text.push_str(head);
                text.push_str(name);
                text.push_str("_total ");
                text.push_str(rest);
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// This description of the API.
#[utoipa::path(
    get, path = "/openapi.json", tag = "machine",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object))
)]
pub(crate) async fn document_fetch(State(shared): App, _: NoQuery) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, shared.document.clone()).into_response()
}
