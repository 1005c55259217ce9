//! Instances, as they are looked up, checked and shown.

use std::collections::BTreeMap;

use faultline_bundle::{Bundle, Component, ConfigSchema, Manifest, setting};
use faultline_domain::grant::{Asked, Grant as DomainGrant, Request};
use faultline_domain::id::{Digest, InstanceName};
use faultline_domain::time::Timestamp;
use faultline_store::InstanceRecord;
use serde_json::{Value, json};

use crate::access::Caller;
use crate::bundles;
use crate::control::{Candidate, InstanceState, InstanceStatus, Reason};
use crate::instance_settings::InstanceSettings;
use crate::problem::Problem;
use crate::shared::Shared;
use crate::views::{
    Capability, FieldProblem, Grant, Instance, InstanceSummary, Place, Poll, RequestedUse, Standing,
};

/// The instance of this name.
pub(crate) async fn find(shared: &Shared, name: &str) -> Result<InstanceRecord, Problem> {
    let name = name_of(name)?;
    let found = shared.store.instance_fetch(&name).await?;
    found.ok_or_else(|| gone(&name))
}

/// A name as the path has it.
pub(crate) fn name_of(name: &str) -> Result<InstanceName, Problem> {
    InstanceName::new(name)
        .map_err(|error| Problem::malformed(Place::Path, "name", error.to_string()))
}

/// What the audit log calls an instance.
pub(crate) fn subject(name: &InstanceName) -> String {
    format!("instance:{name}")
}

pub(crate) fn gone(name: &InstanceName) -> Problem {
    Problem::not_found(format!("there is no instance {name}"))
}

/// The component that is meant: the one of this name, or the only one.
pub(crate) fn component<'a>(
    manifest: &'a Manifest,
    name: Option<&str>,
) -> Result<&'a Component, Problem> {
    let found = match (name, manifest.components.as_slice()) {
        (Some(name), _) => manifest.component(name),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    found.ok_or_else(|| {
        let names = manifest.components.iter();
        let names: Vec<&str> = names.map(|component| component.name.as_str()).collect();
        let detail = format!("must be one of {}'s: {}", manifest.id, names.join(", "));
        Problem::invalid("component", detail)
    })
}

/// Checks whether an instance could run as this record has it, of the bundle
/// that it is made of already.
pub(crate) async fn check_as_it_is(
    shared: &Shared,
    caller: &Caller,
    record: &InstanceRecord,
) -> Result<(), Problem> {
    let bundle = bundles::whole(&shared.store, record.bundle).await?;
    let component = component(bundle.manifest(), Some(&record.component))?.clone();
    let mut granted = shared.store.grant_list(&record.name).await?;
    let asked = &component.capabilities;
    granted.retain(|grant| asked.iter().any(|request| request.id == grant.capability));
    check(shared, caller, record, bundle, &component, granted).await
}

/// Checks whether an instance could run as this record has it. A component that
/// could not, for example because it imports what it does not declare, is worth
/// a row on the audit log: somebody tried to bring it in.
pub(crate) async fn check(
    shared: &Shared,
    caller: &Caller,
    record: &InstanceRecord,
    bundle: Bundle,
    component: &Component,
    granted: Vec<DomainGrant>,
) -> Result<(), Problem> {
    let settings = InstanceSettings::parse(&record.settings)
        .map_err(|error| Problem::invalid("settings", error.to_string()))?;
    let problems = settings.check(component.kind);
    if !problems.is_empty() {
        return Err(Problem::invalid_fields(problems));
    }
    let schema = bundle
        .config_schema(component)
        .map_err(|error| Problem::conflict(bundles::chain(&error)))?;
    let config = serde_json::from_str(&record.config)
        .map_err(|error| Problem::invalid("config", error.to_string()))?;
    let config = bundles::resolve_config(&schema, &config)?;
    let ceiling = shared.limits_ceiling;
    let candidate = Candidate {
        name: record.name.clone(),
        component: component.name.clone(),
        config,
        limits: settings
            .limits
            .over(component.limits.resolve(ceiling), ceiling),
        settings,
        granted,
        bundle,
    };
    match shared.control.check(candidate).await {
        Ok(()) => Ok(()),
        Err(reasons) => {
            let (bundle, component) = (record.bundle, record.component.as_str());
            Err(refused(shared, caller, &record.name, bundle, component, &reasons).await?)
        }
    }
}

/// Compiles the component that an instance is to be made of. Takes as long as
/// that takes: to be done before the turn to change plugins is taken, so that
/// nobody else's change waits for it.
pub(crate) async fn prepare(
    shared: &Shared,
    caller: &Caller,
    name: &InstanceName,
    bundle: Digest,
    component_name: Option<&str>,
) -> Result<(), Problem> {
    let files = bundles::whole(&shared.store, bundle).await?;
    let component = component(files.manifest(), component_name)?.name.clone();
    match shared.control.prepare(files, component.clone()).await {
        Ok(()) => Ok(()),
        Err(reason) => Err(refused(shared, caller, name, bundle, &component, &[reason]).await?),
    }
}

/// Puts a refusal on the audit log, and says so to the caller.
async fn refused(
    shared: &Shared,
    caller: &Caller,
    name: &InstanceName,
    bundle: Digest,
    component: &str,
    reasons: &[Reason],
) -> Result<Problem, Problem> {
    let codes: Vec<&str> = reasons.iter().map(|reason| reason.code.as_str()).collect();
    let messages: Vec<&str> = reasons
        .iter()
        .map(|reason| reason.message.as_str())
        .collect();
    let detail = json!({
        "bundle": bundle,
        "component": component,
        "codes": codes,
        "reasons": messages,
    });
    let entry = caller.event(shared.now(), "instance.refused", &subject(name), detail);
    shared.store.audit_append(entry).await?;
    let errors = reasons.iter().map(|reason| FieldProblem {
        place: Place::Body,
        field: String::new(),
        detail: format!("{name} could not run so: {reason}"),
    });
    Ok(Problem::invalid_fields(errors.collect()))
}

/// The plugin and the version that an instance is made of.
pub(crate) async fn plugin_of(
    shared: &Shared,
    record: &InstanceRecord,
) -> Result<(String, String), Problem> {
    let bundle = shared.store.bundle_fetch(record.bundle).await?;
    Ok(bundle.map_or_else(unknown_plugin, |bundle| (bundle.plugin, bundle.version)))
}

/// For an instance whose bundle is gone, which nothing in the API can bring
/// about.
fn unknown_plugin() -> (String, String) {
    ("unknown".to_owned(), "unknown".to_owned())
}

/// The configuration of an instance with the defaults of its schema, where
/// rules look up their hosts.
pub(crate) async fn settings_of(
    shared: &Shared,
    record: &InstanceRecord,
) -> Result<Value, Problem> {
    let manifest = bundles::manifest(&shared.store, record.bundle)
        .await?
        .map_err(Problem::conflict)?;
    let component = component(&manifest, Some(&record.component))?;
    let schema = match &component.config_schema {
        None => ConfigSchema::empty(),
        Some(file) => {
            let text = bundles::text_file(&shared.store, record.bundle, file).await?;
            ConfigSchema::parse(&text.unwrap_or_default())
                .map_err(|error| Problem::conflict(error.to_string()))?
        }
    };
    let resolved = schema.resolve(&record.config);
    resolved.map_err(|error| Problem::conflict(error.to_string()))
}

/// A capability, as it is asked for and granted.
fn capability(
    request: &Request,
    config: &Value,
    grant: Option<DomainGrant>,
    now: Timestamp,
) -> Capability {
    let asked = request.asked(&|key| setting(config, key)).ok();
    let standing = match (&grant, &asked) {
        (None, _) => Standing::NotGranted,
        (Some(grant), _) if grant.is_expired(now) => Standing::Expired,
        (Some(grant), Some(asked)) if asked.is_no_more_than(&grant.terms.asked) => {
            Standing::Granted
        }
        (Some(_), _) => Standing::Changed,
    };
    let Asked { rules, .. } = asked.unwrap_or_default();
    Capability {
        requested: RequestedUse::from(request),
        asked: rules.iter().map(ToString::to_string).collect(),
        grant: grant.map(Grant::from),
        standing,
    }
}

pub(crate) async fn statuses(shared: &Shared) -> BTreeMap<InstanceName, InstanceStatus> {
    let statuses = shared.control.instances().await;
    statuses
        .into_iter()
        .map(|status| (status.name.clone(), status))
        .collect()
}

pub(crate) fn summary(
    record: &InstanceRecord,
    plugin: Option<(String, String)>,
    status: Option<&InstanceStatus>,
) -> InstanceSummary {
    let (plugin, version) = plugin.unwrap_or_else(unknown_plugin);
    let not_yet = if record.enabled {
        InstanceState::Compiling
    } else {
        InstanceState::Disabled
    };
    InstanceSummary {
        name: record.name.to_string(),
        kind: record.kind.into(),
        plugin,
        version,
        bundle: record.bundle.to_string(),
        component: record.component.clone(),
        enabled: record.enabled,
        state: status.map_or(not_yet, |status| status.state).into(),
        reason: status.and_then(|status| status.reason.clone()),
        usage: status.map(|status| status.usage.clone().into()),
        supervision: status.map(|status| status.supervision.clone().into()),
        created: record.created.into(),
        created_by: record.created_by.clone(),
    }
}

pub(crate) async fn view(shared: &Shared, record: &InstanceRecord) -> Result<Instance, Problem> {
    let plugin = plugin_of(shared, record).await?;
    let statuses = statuses(shared).await;
    let manifest = bundles::manifest(&shared.store, record.bundle).await?.ok();
    let component = manifest.and_then(|manifest| manifest.component(&record.component).cloned());
    let mut grants: BTreeMap<String, DomainGrant> = shared
        .store
        .grant_list(&record.name)
        .await?
        .into_iter()
        .map(|grant| (grant.capability.clone(), grant))
        .collect();
    let settings = InstanceSettings::parse(&record.settings).unwrap_or_default();
    let polled = shared.journal.poll_fetch(&record.name).await?;
    let poll = (polled.version > 0).then(|| Poll::of(polled.state, &settings, shared.now()));
    let ceiling = shared.limits_ceiling;
    let limits = component.as_ref().map(|component| {
        let asked = component.limits.resolve(ceiling);
        settings.limits.over(asked, ceiling).into()
    });
    let config = settings_of(shared, record).await.unwrap_or(Value::Null);
    let now = shared.now();
    let requests = component.map_or_else(Vec::new, |component| component.capabilities);
    let capabilities = requests
        .iter()
        .map(|request| capability(request, &config, grants.remove(&request.id), now))
        .collect();
    Ok(Instance {
        summary: summary(record, Some(plugin), statuses.get(&record.name)),
        config: serde_json::from_str(&record.config).unwrap_or(Value::Null),
        settings,
        limits,
        capabilities,
        poll,
    })
}
