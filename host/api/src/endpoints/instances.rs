//! Instances: installed components with one configuration each.
//!
//! Nothing is changed before the machinery has said that the instance could run
//! so, and no answer is given before what may no longer run has stopped.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use faultline_domain::audit::Entry;
use faultline_domain::id::{Digest, InstanceName};
use faultline_store::{InstanceRecord, StoreError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::commands::resume_if_stopped;
use super::{Answered, App};
use crate::access::Caller;
use crate::bundles;
use crate::control::InstanceState;
use crate::extract::{JsonBody, NoBody, NoQuery, Path, Query, RequestBody};
use crate::instance_settings::InstanceSettings;
use crate::instances::{
    check, check_as_it_is, component, find, gone, prepare, statuses, subject, summary, view,
};
use crate::listing::{Limit, page_by_key};
use crate::problem::Problem;
use crate::shared::Shared;
use crate::views::{
    Instance, InstanceConfigPut, InstanceCreate, InstanceSettingsPut, InstanceSummary, Page, Place,
};

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct InstanceListQuery {
    /// `next` of the page before.
    after: Option<String>,
    /// How many rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Limit>,
}

/// All instances, by name, and how they fare.
#[utoipa::path(
    get, path = "/instances", tag = "plugins", params(InstanceListQuery),
    responses((status = 200, description = "Some of them.", body = Page<InstanceSummary>))
)]
pub(crate) async fn instance_list(
    State(shared): App,
    Query(query): Query<InstanceListQuery>,
) -> Answered<Page<InstanceSummary>> {
    let records = shared.store.instance_list().await?;
    let limit = query.limit.unwrap_or_default();
    let records = page_by_key(records, query.after.as_deref(), limit, |record| {
        record.name.to_string()
    })?;
    let bundles = shared.store.bundle_list().await?;
    let plugins: BTreeMap<Digest, (String, String)> = bundles
        .into_iter()
        .map(|bundle| (bundle.digest, (bundle.plugin, bundle.version)))
        .collect();
    let statuses = statuses(&shared).await;
    let items = records.items.iter().map(|record| {
        let plugin = plugins.get(&record.bundle).cloned();
        summary(record, plugin, statuses.get(&record.name))
    });
    Ok(Json(Page {
        items: items.collect(),
        next: records.next,
    }))
}

/// An instance: what it is, what it may do, how it fares.
#[utoipa::path(
    get, path = "/instances/{name}", tag = "plugins",
    params(("name" = String, Path, description = "The instance.")),
    responses((status = 200, description = "The instance.", body = Instance))
)]
pub(crate) async fn instance_fetch(
    State(shared): App,
    Path(name): Path<String>,
    _: NoQuery,
) -> Answered<Instance> {
    let record = find(&shared, &name).await?;
    view(&shared, &record).await.map(Json)
}

impl RequestBody for InstanceCreate {}

/// Makes an instance of a component of an installed bundle.
#[utoipa::path(
    post, path = "/instances", tag = "plugins", request_body = InstanceCreate,
    responses(
        (status = 201, description = "The instance.", body = Instance),
        (status = 409, description = "There is one of this name already."),
        (status = 422, description = "It could not run so, for the reasons given."),
    )
)]
pub(crate) async fn instance_create(
    State(shared): App,
    caller: Caller,
    _: NoQuery,
    JsonBody(body): JsonBody<InstanceCreate>,
) -> Result<(StatusCode, Json<Instance>), Problem> {
    let name = InstanceName::new(body.name)
        .map_err(|error| Problem::invalid("name", error.to_string()))?;
    let digest = bundles::find(&shared.store, Place::Body, &body.plugin)
        .await?
        .digest;
    prepare(&shared, &caller, &name, digest, body.component.as_deref()).await?;
    let _changing = shared.turn().await?;
    if shared.store.instance_fetch(&name).await?.is_some() {
        let what = "instance";
        let name = name.to_string();
        return Err(StoreError::Exists { what, name }.into());
    }
    let found = bundles::find(&shared.store, Place::Body, &body.plugin).await?;
    let bundle = bundles::whole(&shared.store, found.digest).await?;
    let component = component(bundle.manifest(), body.component.as_deref())?.clone();
    let now = shared.now();
    let record = InstanceRecord {
        name,
        bundle: found.digest,
        component: component.name.clone(),
        kind: component.kind,
        config: Value::Object(body.config).to_string(),
        settings: body.settings.to_text(),
        enabled: body.enabled,
        created: now,
        created_by: caller.principal.name.clone(),
    };
    check(&shared, &caller, &record, bundle, &component, Vec::new()).await?;
    let detail = json!({
        "plugin": found.plugin,
        "version": found.version,
        "bundle": record.bundle,
        "component": record.component,
        "config_digest": Digest::of(record.config.as_bytes()),
        "settings": body.settings,
        "enabled": record.enabled,
    });
    let entry = caller.event(now, "instance.create", &subject(&record.name), detail);
    shared.store.instance_create(&record, entry).await?;
    shared.plugins_changed().await?;
    Ok((StatusCode::CREATED, Json(view(&shared, &record).await?)))
}

impl RequestBody for InstanceConfigPut {}

/// Gives an instance another configuration.
#[utoipa::path(
    put, path = "/instances/{name}/config", tag = "plugins",
    params(("name" = String, Path, description = "The instance.")),
    request_body = InstanceConfigPut,
    responses(
        (status = 200, description = "The instance.", body = Instance),
        (status = 422, description = "It could not run so, for the reasons given."),
    )
)]
pub(crate) async fn instance_config_put(
    State(shared): App,
    caller: Caller,
    Path(name): Path<String>,
    _: NoQuery,
    JsonBody(body): JsonBody<InstanceConfigPut>,
) -> Answered<Instance> {
    let config = Value::Object(body.config).to_string();
    change(&shared, &caller, &name, "instance.config", |before| {
        // Digests and not the texts: what belongs into a configuration is the
        // plugin's to say, and the log is for ever.
        let detail = json!({
            "config_digest": Digest::of(config.as_bytes()),
            "config_digest_before": Digest::of(before.config.as_bytes()),
        });
        let record = InstanceRecord {
            config,
            ..before.clone()
        };
        (record, detail)
    })
    .await
}

impl RequestBody for InstanceSettingsPut {}

/// Sets what the operator can set about any instance.
#[utoipa::path(
    put, path = "/instances/{name}/settings", tag = "plugins",
    params(("name" = String, Path, description = "The instance.")),
    request_body = InstanceSettingsPut,
    responses(
        (status = 200, description = "The instance.", body = Instance),
        (status = 422, description = "It could not run so, for the reasons given."),
    )
)]
pub(crate) async fn instance_settings_put(
    State(shared): App,
    caller: Caller,
    Path(name): Path<String>,
    _: NoQuery,
    JsonBody(body): JsonBody<InstanceSettingsPut>,
) -> Answered<Instance> {
    change(&shared, &caller, &name, "instance.settings", |before| {
        let detail = json!({
            "settings": body.settings,
            "settings_before": InstanceSettings::parse(&before.settings).ok(),
        });
        let record = InstanceRecord {
            settings: body.settings.to_text(),
            ..before.clone()
        };
        (record, detail)
    })
    .await
}

/// Lets an instance run. One that could not be loaded is loaded again, and one
/// that is backing off or quarantined is called again.
#[utoipa::path(
    post, path = "/instances/{name}/enable", tag = "plugins",
    params(("name" = String, Path, description = "The instance.")),
    responses((status = 200, description = "The instance.", body = Instance))
)]
pub(crate) async fn instance_enable(
    State(shared): App,
    caller: Caller,
    Path(name): Path<String>,
    _: NoQuery,
    _: NoBody,
) -> Answered<Instance> {
    let _changing = shared.turn().await?;
    let mut record = find(&shared, &name).await?;
    if record.enabled {
        let statuses = statuses(&shared).await;
        let state = statuses.get(&record.name).map(|status| status.state);
        if state != Some(InstanceState::Failed) {
            resume_if_stopped(&shared, &caller, &record.name).await?;
            return view(&shared, &record).await.map(Json);
        }
        // What it was made of has not changed, so that it has to go first.
        set_enabled(&shared, &caller, &mut record, false).await?;
    }
    set_enabled(&shared, &caller, &mut record, true)
        .await
        .map(Json)
}

/// Keeps an instance from running. When the answer comes, it does not run any
/// more.
#[utoipa::path(
    post, path = "/instances/{name}/disable", tag = "plugins",
    params(("name" = String, Path, description = "The instance.")),
    responses((status = 200, description = "The instance.", body = Instance))
)]
pub(crate) async fn instance_disable(
    State(shared): App,
    caller: Caller,
    Path(name): Path<String>,
    _: NoQuery,
    _: NoBody,
) -> Answered<Instance> {
    let _changing = shared.turn().await?;
    let mut record = find(&shared, &name).await?;
    if !record.enabled {
        return view(&shared, &record).await.map(Json);
    }
    set_enabled(&shared, &caller, &mut record, false)
        .await
        .map(Json)
}

/// Switches an instance on or off.
async fn set_enabled(
    shared: &Shared,
    caller: &Caller,
    record: &mut InstanceRecord,
    enabled: bool,
) -> Result<Instance, Problem> {
    record.enabled = enabled;
    let action = if enabled {
        "instance.enable"
    } else {
        "instance.disable"
    };
    let entry = caller.event(shared.now(), action, &subject(&record.name), json!({}));
    update(shared, record, entry).await
}

/// Has an instance run with something else about it, if it could. What it is
/// made of is compiled before anybody waits for it. `changed` gives what it is
/// to be, and what the audit log says of that.
async fn change(
    shared: &Arc<Shared>,
    caller: &Caller,
    name: &str,
    action: &str,
    changed: impl FnOnce(&InstanceRecord) -> (InstanceRecord, Value) + Send,
) -> Answered<Instance> {
    let record = find(shared, name).await?;
    let component = Some(record.component.as_str());
    prepare(shared, caller, &record.name, record.bundle, component).await?;
    let _changing = shared.turn().await?;
    let (record, detail) = changed(&find(shared, name).await?);
    check_as_it_is(shared, caller, &record).await?;
    let entry = caller.event(shared.now(), action, &subject(&record.name), detail);
    update(shared, &record, entry).await?;
    resume_if_stopped(shared, caller, &record.name).await?;
    view(shared, &record).await.map(Json)
}

async fn update(
    shared: &Shared,
    record: &InstanceRecord,
    entry: Entry,
) -> Result<Instance, Problem> {
    if !shared.store.instance_update(record, entry).await? {
        return Err(gone(&record.name));
    }
    shared.plugins_changed().await?;
    view(shared, record).await
}
