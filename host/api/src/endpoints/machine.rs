//! What machines ask: whether we live, whether we work, what we count, what the
//! API is.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;

use super::App;
use crate::extract::NoQuery;
use crate::overview::Overview;
use crate::problem::{Problem, ProblemKind};

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
    shared.store.journal_head(shared.scope()).await?;
    match shared.control.ready().await {
        Ok(()) => Ok("ready\n"),
        Err(reason) => Err(Problem::new(ProblemKind::Unavailable, reason)),
    }
}

/// Metrics of the whole process, in the text format of OpenMetrics 1.0.
#[utoipa::path(
    get, path = "/metrics", tag = "machine",
    responses((
        status = 200, description = "The metrics.", body = String,
        content_type = "application/openmetrics-text"
    ))
)]
pub(crate) async fn metrics_fetch(State(shared): App, _: NoQuery) -> Result<Response, Problem> {
    let mut registry = Registry::default();
    shared.metrics.register(&mut registry);
    Overview::take(&shared).await?.register(&mut registry);
    let mut text = String::new();
    let failed = |error: std::fmt::Error| Problem::internal(&error);
    encode_registry(&mut text, &registry).map_err(failed)?;
    let others = shared.control.metrics().await;
    // There is one end, and nothing after it.
    text.push_str(others.trim_end().trim_end_matches("# EOF"));
    if !text.ends_with('\n') {
        text.push('\n');
    }
    encode_eof(&mut text).map_err(failed)?;
    let mut response = text.into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
    );
    Ok(response)
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
