//! Addresses and methods.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};

use crate::answer;
use crate::endpoint::Endpoint;
use crate::receive::Door;

/// All addresses that senders send to.
pub(crate) fn router(door: Door) -> Router {
    Router::new()
        .route(
            Endpoint::OtlpMetrics.route(),
            receiving(Endpoint::OtlpMetrics),
        )
        .route(Endpoint::OtlpLogs.route(), receiving(Endpoint::OtlpLogs))
        .route(
            Endpoint::OtlpTraces.route(),
            receiving(Endpoint::OtlpTraces),
        )
        .route(
            Endpoint::RemoteWrite.route(),
            receiving(Endpoint::RemoteWrite),
        )
        .route(Endpoint::Alerts.route(), receiving(Endpoint::Alerts))
        .route(Endpoint::Events.route(), post(events))
        .route(Endpoint::Hook.route(), post(hook))
        .route("/healthz", get(health))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .with_state(door)
}

fn receiving(endpoint: Endpoint) -> MethodRouter<Door> {
    post(
        async move |State(door): State<Door>, request: Request<Body>| {
            door.receive(endpoint, None, request).await
        },
    )
}

async fn events(State(door): State<Door>, request: Request<Body>) -> Response {
    let hook = Some(Endpoint::EVENTS.to_owned());
    door.receive(Endpoint::Events, hook, request).await
}

async fn hook(
    State(door): State<Door>,
    Path(source): Path<String>,
    request: Request<Body>,
) -> Response {
    door.receive(Endpoint::Hook, Some(source), request).await
}

/// That connections are answered; says nothing about what is behind.
async fn health() -> &'static str {
    "ok\n"
}

async fn method_not_allowed(request: Request<Body>) -> Response {
    answer::problem(
        StatusCode::METHOD_NOT_ALLOWED,
        &format!("senders send with POST, not with {}", request.method()),
    )
}

async fn not_found() -> Response {
    answer::problem(
        StatusCode::NOT_FOUND,
        "senders send to /v1/metrics, /v1/logs, /v1/traces, /api/v1/write, /api/v2/alerts, \
         /events and /hooks/{source}",
    )
}
