//! Installed bundles.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use data_encoding::BASE64;
use faultline_bundle::Bundle;
use faultline_store::{BundleFiles, BundleRecord, InstanceRecord};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::{Answered, App};
use crate::access::Caller;
use crate::audit::note_refused_bundle;
use crate::bundles;
use crate::extract::{JsonBody, NoQuery, Path, Query, RequestBody};
use crate::limits::ApiLimits;
use crate::listing::{Limit, page_by_key};
use crate::problem::{Problem, ProblemKind};
use crate::shared::Shared;
use crate::views::{
    FieldProblem, Page, Place, Plugin, PluginComponent, PluginInstall, PluginSummary,
};

/// The file of a bundle that tells people about it.
const README: &str = "README.md";

/// The most bytes of a path within a bundle.
const PATH_BYTES_MAX: usize = 200;

/// The most characters of where a bundle comes from.
const ORIGIN_CHARS_MAX: usize = 200;

/// Where a bundle comes from, if nobody says.
const ORIGIN_DEFAULT: &str = "upload";

/// Where bundles come from that nobody installed. Nobody can say so.
const ORIGIN_BUNDLED: &str = "bundled";

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PluginListQuery {
    /// `next` of the page before.
    after: Option<String>,
    /// How many rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Limit>,
}

/// All installed bundles, by plugin and time.
#[utoipa::path(
    get, path = "/plugins", tag = "plugins", params(PluginListQuery),
    responses((status = 200, description = "Some of them.", body = Page<PluginSummary>))
)]
pub(crate) async fn plugin_list(
    State(shared): App,
    Query(query): Query<PluginListQuery>,
) -> Answered<Page<PluginSummary>> {
    let records = shared.store.bundle_list().await?;
    let limit = query.limit.unwrap_or_default();
    let records = page_by_key(records, query.after.as_deref(), limit, |record| {
        record.digest.to_string()
    })?;
    let instances = shared.store.instance_list().await?;
    let mut items = Vec::with_capacity(records.items.len());
    for record in &records.items {
        items.push(summary(&shared, record, &instances).await?);
    }
    Ok(Json(Page {
        items,
        next: records.next,
    }))
}

/// An installed bundle, and what it asks for.
#[utoipa::path(
    get, path = "/plugins/{plugin}", tag = "plugins",
    params((
        "plugin" = String, Path,
        description = "`namespace/name` for the latest version, `namespace/name@version`, a \
                       digest, or the first digits of one. The slash is sent as `%2F`.",
        pattern = "^([^/]+/.+|(sha256:)?[0-9a-fA-F]{4,64})$"
    )),
    responses((status = 200, description = "The bundle.", body = Plugin))
)]
pub(crate) async fn plugin_fetch(
    State(shared): App,
    Path(plugin): Path<String>,
    _: NoQuery,
) -> Answered<Plugin> {
    let record = bundles::find(&shared.store, Place::Path, &plugin).await?;
    view(&shared, &record).await.map(Json)
}

impl RequestBody for PluginInstall {
    fn bytes_max(limits: &ApiLimits) -> usize {
        limits.bundle_body_bytes_max
    }
}

/// A place among those who install, which is taken before the body is read: a
/// bundle is much to hold in memory.
pub(crate) struct InstallPlace(OwnedSemaphorePermit);

impl FromRequestParts<Arc<Shared>> for InstallPlace {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Problem> {
        shared.rooms.installs.enter().map(Self)
    }
}

/// Installs a bundle. Nothing runs yet: make an instance of it.
#[utoipa::path(
    post, path = "/plugins", tag = "plugins", request_body = PluginInstall,
    responses(
        (status = 201, description = "The bundle, now installed.", body = Plugin),
        (status = 200, description = "The bundle, which was installed already.", body = Plugin),
        (status = 422, description = "It is not a bundle, or not one that this host can use.")
    )
)]
pub(crate) async fn plugin_install(
    State(shared): App,
    caller: Caller,
    _: NoQuery,
    InstallPlace(_place): InstallPlace,
    JsonBody(body): JsonBody<PluginInstall>,
) -> Result<(StatusCode, Json<Plugin>), Problem> {
    let origin = origin(body.origin)?;
    let files = body.files;
    let bundle = match bundles::blocking(move || read(files)).await? {
        Ok(bundle) => bundle,
        Err(problem) => {
            note_refused_bundle(&shared, &caller, &origin, &problem.detail).await;
            return Err(problem);
        }
    };
    let _changing = shared.turn().await?;
    if let Some(record) = shared.store.bundle_fetch(bundle.digest()).await? {
        return Ok((StatusCode::OK, Json(view(&shared, &record).await?)));
    }
    let now = shared.now();
    let manifest = bundle.manifest();
    let record = BundleRecord {
        digest: bundle.digest(),
        plugin: manifest.id.to_string(),
        version: manifest.version.to_string(),
        installed: now,
        installed_by: caller.principal.name.clone(),
        origin,
    };
    let asked: BTreeMap<&str, Vec<&str>> = manifest
        .components
        .iter()
        .map(|component| {
            let capabilities = component.capabilities.iter();
            let ids = capabilities.map(|request| request.id.as_str()).collect();
            (component.name.as_str(), ids)
        })
        .collect();
    let detail = json!({
        "plugin": record.plugin,
        "version": record.version,
        "origin": record.origin,
        "capabilities": asked,
    });
    let subject = format!("bundle:{}", record.digest);
    let entry = caller.event(now, "plugin.install", &subject, detail);
    shared
        .store
        .bundle_put(&record, bundle.files(), entry)
        .await?;
    shared.plugins_changed().await?;
    Ok((StatusCode::CREATED, Json(view(&shared, &record).await?)))
}

fn origin(given: Option<String>) -> Result<String, Problem> {
    let origin = given.unwrap_or_else(|| ORIGIN_DEFAULT.to_owned());
    if origin.trim().is_empty()
        || origin.chars().count() > ORIGIN_CHARS_MAX
        || origin.chars().any(char::is_control)
    {
        let detail =
            format!("must have 1 to {ORIGIN_CHARS_MAX} characters, and no control characters");
        return Err(Problem::invalid("origin", detail));
    }
    if origin == ORIGIN_BUNDLED {
        let detail = "is said of what came with the binary: say where this came from";
        return Err(Problem::invalid("origin", detail));
    }
    Ok(origin)
}

/// The bundle that these files make.
fn read(encoded: BTreeMap<String, String>) -> Result<Bundle, Problem> {
    let mut files = BundleFiles::new();
    let mut problems = Vec::new();
    for (path, text) in encoded {
        let shown: String = path.chars().take(PATH_BYTES_MAX).collect();
        let mut note = |detail: &str| {
            problems.push(FieldProblem {
                place: Place::Body,
                field: format!("files.{shown}"),
                detail: detail.to_owned(),
            });
        };
        if !is_plain(&path) {
            note("must be a path within the bundle: names with `/` between them");
            continue;
        }
        match BASE64.decode(text.as_bytes()) {
            Ok(content) => {
                files.insert(path, content);
            }
            Err(_) => note("must be base64 with padding (RFC 4648, section 4)"),
        }
    }
    if !problems.is_empty() {
        return Err(Problem::invalid_fields(problems));
    }
    Bundle::from_files(files)
        .map_err(|error| Problem::new(ProblemKind::Invalid, bundles::chain(&error)))
}

/// Whether a path stays where it is, wherever it is written to.
fn is_plain(path: &str) -> bool {
    path.len() <= PATH_BYTES_MAX
        && !path.contains(['\\', '\0', ':'])
        && !path.chars().any(char::is_control)
        && path.split('/').all(|name| !matches!(name, "" | "." | ".."))
}

async fn view(shared: &Shared, record: &BundleRecord) -> Result<Plugin, Problem> {
    let instances = shared.store.instance_list().await?;
    let bundle = summary(shared, record, &instances).await?;
    let readme = bundles::text_file(&shared.store, record.digest, README).await?;
    let manifest = bundles::manifest(&shared.store, record.digest).await?.ok();
    let mut components = Vec::new();
    for component in manifest.iter().flat_map(|manifest| &manifest.components) {
        let schema = bundles::schema_shown(&shared.store, record.digest, component).await?;
        let ceiling = shared.limits_ceiling;
        components.push(PluginComponent::of(component, schema, ceiling));
    }
    Ok(Plugin {
        bundle,
        license: manifest.as_ref().map(|manifest| manifest.license.clone()),
        homepage: manifest.and_then(|manifest| manifest.homepage),
        readme,
        components,
    })
}

async fn summary(
    shared: &Shared,
    record: &BundleRecord,
    instances: &[InstanceRecord],
) -> Result<PluginSummary, Problem> {
    let manifest = bundles::manifest(&shared.store, record.digest).await?;
    let names = instances
        .iter()
        .filter(|instance| instance.bundle == record.digest)
        .map(|instance| instance.name.to_string())
        .collect();
    Ok(PluginSummary::of(
        record,
        manifest.as_ref().map_err(Clone::clone),
        names,
    ))
}
