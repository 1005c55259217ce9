//! Installed bundles, as far as they are needed: a manifest is a page, a bundle
//! can be as large as a film.

use faultline_bundle::{Bundle, Component, ConfigSchema, Manifest};
use faultline_domain::id::Digest;
use faultline_store::{BundleRecord, Store};
use semver::Version;
use serde_json::Value;

use crate::problem::{Problem, ProblemKind};
use crate::views::{FieldProblem, Place};

/// The file that says what a bundle is.
const MANIFEST: &str = "plugin.toml";

/// The fewest digits of a digest that count as its beginning.
const DIGITS_MIN: usize = 4;

/// What the manifest of an installed bundle says.
///
/// # Errors
/// If this host cannot read it (any more), in a sentence.
pub(crate) async fn manifest(
    store: &Store,
    digest: Digest,
) -> Result<Result<Manifest, String>, Problem> {
    let Some(bytes) = store.bundle_file(digest, MANIFEST).await? else {
        return Ok(Err(format!("{digest} has no {MANIFEST}")));
    };
    let text = String::from_utf8_lossy(&bytes);
    Ok(Manifest::parse(MANIFEST, &text).map_err(|error| error.to_string()))
}

/// The text of a file of a bundle; none if it has no such file.
pub(crate) async fn text_file(
    store: &Store,
    digest: Digest,
    path: &str,
) -> Result<Option<String>, Problem> {
    let bytes = store.bundle_file(digest, path).await?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// An installed bundle, with everything in it.
pub(crate) async fn whole(store: &Store, digest: Digest) -> Result<Bundle, Problem> {
    let files = store.bundle_files(digest).await?;
    let read = blocking(move || Bundle::from_files(files)).await?;
    read.map_err(|error| {
        Problem::conflict(format!(
            "the bundle {digest} cannot be used by this version of Faultline: {}",
            chain(&error)
        ))
    })
}

/// The installed bundle that somebody means: by digest, by the beginning of a
/// digest, by `namespace/name` (the latest version), or by
/// `namespace/name@version`. `place` is the part of the request that says so,
/// in a field `plugin`.
pub(crate) async fn find(
    store: &Store,
    place: Place,
    meant: &str,
) -> Result<BundleRecord, Problem> {
    let installed = store.bundle_list().await?;
    let digits = meant.strip_prefix("sha256:").unwrap_or(meant);
    let is_digest = !meant.contains('/') && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if is_digest {
        return by_digest(installed, place, meant, digits);
    }
    let (plugin, version) = match meant.split_once('@') {
        Some((plugin, version)) => (plugin, Some(version)),
        None => (meant, None),
    };
    installed
        .into_iter()
        .filter(|record| record.plugin == plugin)
        .filter(|record| version.is_none_or(|version| record.version == version))
        .max_by_key(|record| (Version::parse(&record.version).ok(), record.installed))
        .ok_or_else(|| {
            let shown: String = meant.chars().take(120).collect();
            not_installed(place, format!("no plugin `{shown}` is installed"))
        })
}

fn by_digest(
    installed: Vec<BundleRecord>,
    place: Place,
    meant: &str,
    digits: &str,
) -> Result<BundleRecord, Problem> {
    if digits.len() < DIGITS_MIN {
        return Err(Problem::malformed(
            place,
            "plugin",
            format!("give `namespace/name`, or {DIGITS_MIN} or more digits of a digest"),
        ));
    }
    let prefix = format!("sha256:{}", digits.to_ascii_lowercase());
    let mut found: Vec<BundleRecord> = installed
        .into_iter()
        .filter(|record| record.digest.to_string().starts_with(&prefix))
        .collect();
    if found.len() > 1 {
        let errors = found
            .iter()
            .map(|record| FieldProblem {
                place,
                field: "plugin".to_owned(),
                detail: format!(
                    "could be {}: {} {}",
                    record.digest, record.plugin, record.version
                ),
            })
            .collect();
        return Err(Problem {
            kind: ProblemKind::Ambiguous,
            detail: "this is the beginning of several digests: give more digits".to_owned(),
            errors,
        });
    }
    found.pop().ok_or_else(|| {
        let shown: String = meant.chars().take(120).collect();
        let detail = format!("no installed bundle has a digest that begins with `{shown}`");
        not_installed(place, detail)
    })
}

/// What the path names is not found; what a body names cannot be meant.
fn not_installed(place: Place, detail: String) -> Problem {
    match place {
        Place::Body => Problem::invalid("plugin", detail),
        Place::Path | Place::Query | Place::Header => Problem::not_found(detail),
    }
}

/// The schema of a component's configuration, to be shown.
pub(crate) async fn schema_shown(
    store: &Store,
    digest: Digest,
    component: &Component,
) -> Result<Option<Value>, Problem> {
    let Some(file) = &component.config_schema else {
        return Ok(None);
    };
    let text = text_file(store, digest, file).await?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// A configuration with the defaults of its schema filled in.
pub(crate) fn resolve_config(schema: &ConfigSchema, config: &Value) -> Result<Value, Problem> {
    use faultline_bundle::ConfigError;
    schema.resolve(&config.to_string()).map_err(|error| {
        let ConfigError::Invalid(messages) = error else {
            return Problem::invalid("config", error.to_string());
        };
        let errors = messages
            .into_iter()
            .map(|message| {
                // As `at /a/b: …`, with a JSON pointer.
                let (pointer, detail) = message
                    .strip_prefix("at ")
                    .and_then(|rest| rest.split_once(": "))
                    .unwrap_or(("/", message.as_str()));
                FieldProblem {
                    place: Place::Body,
                    field: field_of(pointer),
                    detail: detail.to_owned(),
                }
            })
            .collect();
        Problem::invalid_fields(errors)
    })
}

/// `/a/b` in a configuration is `config.a.b` in the body.
fn field_of(pointer: &str) -> String {
    let steps = pointer.split('/').filter(|step| !step.is_empty());
    std::iter::once("config")
        .chain(steps)
        .collect::<Vec<&str>>()
        .join(".")
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Runs what computes for long where it keeps nothing else from running.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Problem::internal(&error))
}
