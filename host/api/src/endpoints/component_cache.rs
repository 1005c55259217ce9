//! What is kept of compiled components.

use axum::Json;
use axum::extract::State;
use faultline_domain::audit::Stage;
use serde_json::json;

use super::{Answered, App};
use crate::access::Caller;
use crate::extract::{NoBody, NoQuery};
use crate::problem::Problem;
use crate::views::{ComponentCache, ComponentCacheCleared};

/// What the audit log calls it.
const SUBJECT: &str = "component-cache";

/// The cache of compiled components.
#[utoipa::path(
    get, path = "/component-cache", tag = "plugins",
    responses((status = 200, description = "What it holds.", body = ComponentCache))
)]
pub(crate) async fn component_cache_fetch(
    State(shared): App,
    _: NoQuery,
) -> Answered<ComponentCache> {
    let known = shared.control.component_cache().await;
    let known = known.map_err(|error| Problem::internal(&error))?;
    Ok(Json(known.into()))
}

/// Empties the cache of compiled components. Whatever runs, runs on; what is
/// loaded next is compiled first.
#[utoipa::path(
    delete, path = "/component-cache", tag = "plugins",
    responses((status = 200, description = "How many it held.", body = ComponentCacheCleared))
)]
pub(crate) async fn component_cache_clear(
    State(shared): App,
    caller: Caller,
    _: NoQuery,
    _: NoBody,
) -> Answered<ComponentCacheCleared> {
    let entry = |stage, detail| caller.entry(shared.now(), "cache.clear", SUBJECT, stage, detail);
    let intent = shared
        .store
        .audit_append(entry(Stage::Intent, json!({})))
        .await?;
    let cleared = shared.control.component_cache_clear().await;
    let (result, removed) = match &cleared {
        Ok(removed) => ("ok", *removed),
        Err(_) => ("failed", 0),
    };
    let result = result.to_owned();
    let outcome = entry(
        Stage::Outcome { intent, result },
        json!({ "removed": removed }),
    );
    shared.store.audit_append(outcome).await?;
    let removed = cleared.map_err(|error| Problem::internal(&error))?;
    Ok(Json(ComponentCacheCleared { removed }))
}
