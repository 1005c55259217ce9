//! Connectors that poll, asked at once.

use axum::Json;
use axum::extract::State;
use serde_json::json;

use super::{Answered, App};
use crate::access::Caller;
use crate::extract::{JsonBody, NoQuery, Path, RequestBody};
use crate::instances::{find, subject, view};
use crate::problem::Problem;
use crate::views::{Instance, PollNow};

impl RequestBody for PollNow {}

/// Has a connector that polls ask at once, without waiting until it is due.
/// When the answer comes, it has asked: `poll` says what came of it.
#[utoipa::path(
    post, path = "/instances/{name}/poll", tag = "plugins",
    params(("name" = String, Path, description = "The instance.")),
    request_body = PollNow,
    responses(
        (status = 200, description = "The instance.", body = Instance),
        (status = 409, description = "It does not poll at the moment, for the reason given."),
    )
)]
pub(crate) async fn instance_poll(
    State(shared): App,
    caller: Caller,
    Path(name): Path<String>,
    _: NoQuery,
    JsonBody(body): JsonBody<PollNow>,
) -> Answered<Instance> {
    let record = find(&shared, &name).await?;
    let detail = json!({"from_start": body.from_start});
    let entry = caller.event(
        shared.now(),
        "instance.poll",
        &subject(&record.name),
        detail,
    );
    shared.store.audit_append(entry).await?;
    let asked = shared.control.poll(record.name.clone(), body.from_start);
    asked
        .await
        .map_err(|why| Problem::conflict(format!("{} was not asked: {why}", record.name)))?;
    view(&shared, &record).await.map(Json)
}
