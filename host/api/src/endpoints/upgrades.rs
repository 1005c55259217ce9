//! Instances, made of something else than before.

use axum::Json;
use axum::extract::State;
use faultline_domain::audit::Entry;
use faultline_domain::grant::Request;
use faultline_domain::id::Digest;
use faultline_store::InstanceRecord;
use serde_json::{Value, json};

use super::{Answered, App};
use crate::access::Caller;
use crate::bundles;
use crate::extract::{JsonBody, NoQuery, Path, RequestBody};
use crate::instances::{check, component, find, gone, plugin_of, prepare, subject, view};
use crate::problem::Problem;
use crate::shared::Shared;
use crate::views::{InstanceUpgrade, InstanceUpgradeTo, Place};

impl RequestBody for InstanceUpgradeTo {}

/// Makes an instance of another version of its plugin, or of another bundle.
/// Grants stay with the capabilities that mean the same; those that do not are
/// taken back.
#[utoipa::path(
    post, path = "/instances/{name}/upgrade", tag = "plugins",
    params(("name" = String, Path, description = "The instance.")),
    request_body = InstanceUpgradeTo,
    responses(
        (status = 200, description = "The instance, and what it asks for now.", body = InstanceUpgrade),
        (status = 422, description = "It could not run so, for the reasons given."),
    )
)]
pub(crate) async fn instance_upgrade(
    State(shared): App,
    caller: Caller,
    Path(name): Path<String>,
    _: NoQuery,
    JsonBody(body): JsonBody<InstanceUpgradeTo>,
) -> Answered<InstanceUpgrade> {
    let before = find(&shared, &name).await?;
    let from = plugin_of(&shared, &before).await?;
    let meant = body.plugin.unwrap_or_else(|| from.0.clone());
    let digest = bundles::find(&shared.store, Place::Body, &meant)
        .await?
        .digest;
    let component_name = body.component.as_deref().unwrap_or(&before.component);
    prepare(&shared, &caller, &before.name, digest, Some(component_name)).await?;
    let _changing = shared.turn().await?;
    // What is decided is decided by what is there now.
    let before = find(&shared, &name).await?;
    let from = plugin_of(&shared, &before).await?;
    let found = bundles::find(&shared.store, Place::Body, &meant).await?;
    let bundle = bundles::whole(&shared.store, found.digest).await?;
    let component_name = body.component.as_deref().unwrap_or(&before.component);
    let component = component(bundle.manifest(), Some(component_name))?.clone();
    if component.kind != before.kind {
        let detail = format!(
            "is a {}, and {} is a {}: make another instance",
            component.kind, before.name, before.kind
        );
        return Err(Problem::invalid("component", detail));
    }
    let config = body.config.map(|config| Value::Object(config).to_string());
    let record = InstanceRecord {
        bundle: found.digest,
        component: component.name.clone(),
        config: config.unwrap_or_else(|| before.config.clone()),
        ..before.clone()
    };
    let change = Change::between(&asked(&shared, &before).await?, &component.capabilities);
    let granted = shared.store.grant_list(&before.name).await?;
    // Somebody trusted that plugin, and no other that asks for the same.
    let is_same_plugin = found.plugin == from.0;
    let (kept, revoked): (Vec<_>, Vec<_>) = granted
        .into_iter()
        .partition(|grant| is_same_plugin && change.kept.contains(&grant.capability));
    check(&shared, &caller, &record, bundle, &component, kept).await?;
    let now = shared.now();
    let subject = subject(&record.name);
    let revoked: Vec<(String, Entry)> = revoked
        .into_iter()
        .map(|grant| {
            let detail = json!({ "capability": grant.capability, "because": "upgrade" });
            let entry = caller.event(now, "plugin.revoke", &subject, detail);
            (grant.capability, entry)
        })
        .collect();
    let detail = json!({
        "from": before.bundle,
        "from_version": from.1,
        "to": record.bundle,
        "to_version": found.version,
        "component": record.component,
        "config_digest": Digest::of(record.config.as_bytes()),
        "capabilities_added": change.added,
        "capabilities_removed": change.removed,
    });
    let entry = caller.event(now, "instance.upgrade", &subject, detail);
    let updated = shared
        .store
        .instance_upgrade(&record, &revoked, entry)
        .await?;
    if !updated {
        return Err(gone(&record.name));
    }
    shared.plugins_changed().await?;
    Ok(Json(InstanceUpgrade {
        instance: view(&shared, &record).await?,
        from_bundle: before.bundle.to_string(),
        from_version: from.1,
        capabilities_added: change.added,
        capabilities_removed: change.removed,
    }))
}

/// How what is asked for changes, by the ids of capabilities.
struct Change {
    added: Vec<String>,
    removed: Vec<String>,
    kept: Vec<String>,
}

impl Change {
    fn between(before: &[Request], after: &[Request]) -> Self {
        let was_asked = |request: &&Request| {
            let mut before = before.iter();
            before.any(|before| request.asks_no_more_than(before))
        };
        let is_asked = |request: &&Request| {
            let mut same = after.iter().filter(|other| other.id == request.id);
            same.any(|other| other.using == request.using)
        };
        let id = |request: &Request| request.id.clone();
        let (kept, added): (Vec<&Request>, Vec<&Request>) = after.iter().partition(was_asked);
        Self {
            added: added.into_iter().map(id).collect(),
            removed: before.iter().filter(|r| !is_asked(r)).map(id).collect(),
            kept: kept.into_iter().map(id).collect(),
        }
    }
}

/// What the component of an instance asks for; nothing if this host cannot read
/// its manifest any more.
async fn asked(shared: &Shared, record: &InstanceRecord) -> Result<Vec<Request>, Problem> {
    let manifest = bundles::manifest(&shared.store, record.bundle).await?.ok();
    let component = manifest.and_then(|manifest| manifest.component(&record.component).cloned());
    Ok(component.map_or_else(Vec::new, |component| component.capabilities))
}
