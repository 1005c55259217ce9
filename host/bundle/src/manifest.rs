//! `plugin.toml`: what a plugin is, and what it asks for.

use std::fmt;

use faultline_domain::attach::Attach;
use faultline_domain::grant::{Request, Use};
use faultline_domain::plugin::{Inputs, Kind, Reuse};
use faultline_domain::rule::RuleTemplate;
use faultline_domain::text::steers;
use semver::Version;
use serde::Deserialize;
use thiserror::Error;

use crate::limits::LimitRequests;
use crate::strict_toml::{self, Problem};

/// The version of `faultline:plugin` that this host offers. A plugin that
/// needs no more than that can run.
pub const API_VERSION: (u64, u64) = (0, 1);

/// The most components of one bundle.
const COMPONENTS_MAX: usize = 16;

/// The most capabilities of one component.
const CAPABILITIES_MAX: usize = 32;

/// The most rules of one capability.
const RULES_MAX: usize = 64;

/// The most characters of a text that people read.
const TEXT_CHARS_MAX: usize = 300;

/// Why a manifest is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// It is not the TOML that a manifest is.
    #[error(transparent)]
    Toml(#[from] Problem),
    /// It is, but says something that cannot be.
    #[error("{file}: {message}")]
    Invalid {
        /// The name of the file, as the reader was told.
        file: String,
        /// What, and the remedy.
        message: String,
    },
}

/// `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PluginId(String);

impl PluginId {
    fn new(text: &str) -> Option<Self> {
        let (namespace, name) = text.split_once('/')?;
        let good = |part: &str, max: usize| {
            (2..=max).contains(&part.len())
                && part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                && part
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        (good(namespace, 39) && good(name, 63)).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the slash.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }
}

impl fmt::Display for PluginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A manifest that was read and found to be in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Who it is.
    pub id: PluginId,
    /// Semantic version.
    pub version: Version,
    /// SPDX expression.
    pub license: String,
    /// One line.
    pub summary: String,
    /// Where to read more.
    pub homepage: Option<String>,
    /// What it consists of; at least one.
    pub components: Vec<Component>,
}

/// One WebAssembly component of a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// Names it within the bundle.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// The file.
    pub wasm: String,
    /// The file with the JSON Schema of its configuration; none if it has
    /// none.
    pub config_schema: Option<String>,
    /// Whether guests serve more than one call.
    pub reuse: Reuse,
    /// Whether it imports WASI.
    pub wasi: bool,
    /// Of a connector: alerts of one family share their fingerprints.
    pub family: Option<String>,
    /// Of a detector: what it watches.
    pub inputs: Inputs,
    /// What it asks for beside the defaults.
    pub limits: LimitRequests,
    /// What it asks to be allowed.
    pub capabilities: Vec<Request>,
}

impl Manifest {
    /// Reads a manifest. `file` is what errors call it.
    ///
    /// # Errors
    /// The first thing that is wrong with it, with the place and the remedy
    /// where there is one.
    pub fn parse(file: &str, text: &str) -> Result<Self, ManifestError> {
        let raw: RawManifest = strict_toml::parse(file, text)?;
        raw.check().map_err(|message| ManifestError::Invalid {
            file: file.to_owned(),
            message,
        })
    }

    /// The component of this name.
    pub fn component(&self, name: &str) -> Option<&Component> {
        self.components
            .iter()
            .find(|component| component.name == name)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawManifest {
    schema: u32,
    plugin: RawPlugin,
    component: Vec<RawComponent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawPlugin {
    id: String,
    version: Version,
    api: String,
    license: String,
    summary: String,
    homepage: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawComponent {
    name: String,
    kind: Kind,
    wasm: String,
    config_schema: Option<String>,
    reuse: Option<Reuse>,
    #[serde(default)]
    wasi: bool,
    family: Option<String>,
    inputs: Option<Vec<Input>>,
    webhook: Option<RawWebhook>,
    #[serde(default)]
    limits: LimitRequests,
    #[serde(default)]
    capability: Vec<RawCapability>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Input {
    Samples,
    Logs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawWebhook {
    #[expect(dead_code, reason = "parsed so that its keys are known, then refused")]
    signature: RawSignature,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(dead_code, reason = "parsed so that its keys are known, then refused")]
struct RawSignature {
    scheme: String,
    header: String,
    prefix: Option<String>,
    secret: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawCapability {
    id: String,
    #[serde(rename = "use")]
    using: Use,
    #[serde(default)]
    rule: Vec<RuleTemplate>,
    attach: Option<RawAttach>,
    #[serde(default)]
    required: bool,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawAttach {
    to: Vec<String>,
    header: Option<String>,
    format: Option<String>,
    query: Option<String>,
}

impl RawManifest {
    fn check(self) -> Result<Manifest, String> {
        if self.schema != 1 {
            return Err(format!(
                "schema is {}, but this host knows schema 1",
                self.schema
            ));
        }
        let id = PluginId::new(&self.plugin.id).ok_or_else(|| {
            format!(
                "plugin.id `{}` must be `namespace/name`, each of a-z, 0-9 and `-`",
                self.plugin.id
            )
        })?;
        if !self.plugin.version.build.is_empty() {
            return Err("plugin.version must have no build metadata (`+…`)".to_owned());
        }
        check_api(&self.plugin.api)?;
        check_text("plugin.license", &self.plugin.license)?;
        check_text("plugin.summary", &self.plugin.summary)?;
        if let Some(homepage) = &self.plugin.homepage {
            check_text("plugin.homepage", homepage)?;
        }
        if self.component.is_empty() || self.component.len() > COMPONENTS_MAX {
            return Err(format!("a plugin has 1 to {COMPONENTS_MAX} components"));
        }
        let mut components: Vec<Component> = Vec::new();
        for raw in self.component {
            let name = raw.name.clone();
            if components.iter().any(|component| component.name == name) {
                return Err(format!("there are two components called `{name}`"));
            }
            let component = raw
                .check(id.as_str())
                .map_err(|message| format!("component `{name}`: {message}"))?;
            components.push(component);
        }
        Ok(Manifest {
            id,
            version: self.plugin.version,
            license: self.plugin.license,
            summary: self.plugin.summary,
            homepage: self.plugin.homepage,
            components,
        })
    }
}

/// Whether this host offers the version that a plugin needs.
fn check_api(api: &str) -> Result<(), String> {
    let (host_major, host_minor) = API_VERSION;
    let needed = api
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse::<u64>().ok()?, minor.parse::<u64>().ok()?)));
    match needed {
        None => Err(format!(
            "plugin.api `{api}` must be two numbers, such as `{host_major}.{host_minor}`"
        )),
        Some((major, minor)) if major == host_major && minor <= host_minor => Ok(()),
        Some((major, minor)) if (major, minor) > API_VERSION => Err(format!(
            "needs faultline:plugin {api}, but this host offers {host_major}.{host_minor}: \
             upgrade Faultline, or install an earlier version of the plugin"
        )),
        Some(_) => Err(format!(
            "was made for faultline:plugin {api}, which this host ({host_major}.{host_minor}) \
             no longer offers: install a later version of the plugin"
        )),
    }
}

impl RawComponent {
    fn check(self, plugin: &str) -> Result<Component, String> {
        check_file_name("wasm", &self.wasm, "wasm")?;
        if let Some(schema) = &self.config_schema {
            check_file_name("config-schema", schema, "json")?;
        }
        let shape = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || self.name.len() > 40 || !self.name.chars().all(shape) {
            return Err("its name must be 1 to 40 of a-z, 0-9 and `-`".to_owned());
        }
        if self.webhook.is_some() {
            return Err(
                "asks for signatures of webhooks to be checked, which this version of Faultline \
                 cannot do"
                    .to_owned(),
            );
        }
        let of_other_kind = [
            ("family", self.family.is_some(), Kind::Connector),
            ("inputs", self.inputs.is_some(), Kind::Detector),
        ]
        .into_iter()
        .find(|(_, given, kind)| *given && *kind != self.kind);
        if let Some((key, _, kind)) = of_other_kind {
            return Err(format!("`{key}` is for components of kind `{kind}` only"));
        }
        if self.reuse.is_some() && !matches!(self.kind, Kind::Connector | Kind::Correlator) {
            return Err(
                "`reuse` is for connectors and correlators: detectors live long, and each phase \
                 of an action is fresh"
                    .to_owned(),
            );
        }
        let inputs = match &self.inputs {
            None => Inputs {
                samples: true,
                logs: true,
            },
            Some(inputs) if inputs.is_empty() => {
                return Err("`inputs` is empty: name `samples`, `logs` or both".to_owned());
            }
            Some(inputs) => Inputs {
                samples: inputs.contains(&Input::Samples),
                logs: inputs.contains(&Input::Logs),
            },
        };
        if let Some(family) = &self.family {
            check_text("family", family)?;
        }
        let family = match (self.kind, self.family) {
            (Kind::Connector, None) => Some(plugin.to_owned()),
            (_, Some(family)) if family.trim().is_empty() => {
                return Err("`family` is empty".to_owned());
            }
            (_, family) => family,
        };
        Ok(Component {
            name: self.name,
            kind: self.kind,
            wasm: self.wasm,
            config_schema: self.config_schema,
            reuse: self.reuse.unwrap_or_default(),
            wasi: self.wasi,
            family,
            inputs,
            limits: self.limits,
            capabilities: check_capabilities(self.capability)?,
        })
    }
}

fn check_capabilities(raw: Vec<RawCapability>) -> Result<Vec<Request>, String> {
    if raw.len() > CAPABILITIES_MAX {
        return Err(format!(
            "asks for more than {CAPABILITIES_MAX} capabilities"
        ));
    }
    let mut requests: Vec<Request> = Vec::new();
    for capability in raw {
        let id = &capability.id;
        // Operators are shown it as a part of a command.
        let shape = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if id.is_empty() || id.len() > 40 || !id.chars().all(shape) {
            return Err("the id of a capability must be 1 to 40 of a-z, 0-9 and `-`".to_owned());
        }
        if requests.iter().any(|request| request.id == *id) {
            return Err(format!("there are two capabilities called `{id}`"));
        }
        if capability.reason.trim().is_empty() {
            return Err(format!("capability `{id}` gives no reason"));
        }
        check_text("reason", &capability.reason)?;
        let misplaced = match capability.using {
            Use::Http => capability.attach.is_some().then_some("attach"),
            Use::Secret => (!capability.rule.is_empty()).then_some("rule"),
            _ if !capability.rule.is_empty() => Some("rule"),
            _ => capability.attach.is_some().then_some("attach"),
        };
        if let Some(key) = misplaced {
            let using = capability.using;
            return Err(format!(
                "capability `{id}`: `{key}` does not go with use `{using}`"
            ));
        }
        let rules = capability.rule.len();
        if capability.using == Use::Http && !(1..=RULES_MAX).contains(&rules) {
            return Err(format!(
                "capability `{id}` has {rules} rules: say where to with 1 to {RULES_MAX}, as in \
                 `rule = [\"GET https://api.example.com/**\"]`"
            ));
        }
        let attach = capability.attach.map(|attach| {
            let RawAttach {
                to,
                header,
                format,
                query,
            } = attach;
            Attach::new(to, header.as_deref(), format.as_deref(), query.as_deref())
                .map_err(|error| format!("capability `{id}`: attach: {error}"))
        });
        requests.push(Request {
            attach: attach.transpose()?,
            id: capability.id,
            using: capability.using,
            required: capability.required,
            reason: capability.reason,
            rules: capability.rule,
        });
    }
    check_attached(&requests)?;
    Ok(requests)
}

/// Secrets go with requests that there are.
fn check_attached(requests: &[Request]) -> Result<(), String> {
    let destinations = || requests.iter().filter(|request| request.using == Use::Http);
    for request in requests {
        let to = request.attach.as_ref().map_or(&[][..], Attach::to);
        for id in to {
            if destinations().any(|destination| destination.id == *id) {
                continue;
            }
            let known = strict_toml::nearest(id, destinations().map(|to| to.id.as_str()));
            let meant =
                known.map_or_else(String::new, |known| format!("; did you mean `{known}`?"));
            return Err(format!(
                "capability `{}`: is attached to `{}`, which is no capability with use `http`{meant}",
                request.id,
                id.escape_default()
            ));
        }
    }
    Ok(())
}

/// People decide by these texts, at a terminal: nothing in them may move its
/// cursor, begin a line, or turn the direction of writing.
fn check_text(key: &str, text: &str) -> Result<(), String> {
    if text.contains(steers) {
        return Err(format!(
            "`{key}` has control characters: write it on one line"
        ));
    }
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err(format!("`{key}` has more than {TEXT_CHARS_MAX} characters"));
    }
    Ok(())
}

/// Files lie in the bundle's folder itself.
fn check_file_name(key: &str, name: &str, extension: &str) -> Result<(), String> {
    let stem = name
        .strip_suffix(extension)
        .and_then(|rest| rest.strip_suffix('.'));
    let good = stem.is_some_and(|stem| {
        !stem.is_empty()
            && stem
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && !stem.starts_with('.')
    });
    if good {
        return Ok(());
    }
    Err(format!(
        "`{key}` is `{name}`, but must be the name of a `.{extension}` file beside plugin.toml"
    ))
}

#[cfg(test)]
mod tests;
