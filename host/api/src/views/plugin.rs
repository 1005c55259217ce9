//! Installed bundles.

use std::collections::BTreeMap;

use faultline_bundle::{Component, Manifest};
use faultline_domain::grant::Request;
use faultline_domain::plugin::Limits;
use faultline_store::BundleRecord;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{PluginKind, Time, Use};

/// A bundle to be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginInstall {
    /// All of its files by path, each in base64 (RFC 4648, section 4).
    /// `plugin.toml` is one of them.
    pub files: BTreeMap<String, String>,
    /// Where it comes from, for people; `upload` if left out.
    #[serde(default)]
    #[schema(max_length = 200, example = "./target/bundles/acme")]
    pub origin: Option<String>,
}

/// An installed bundle in a listing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PluginSummary {
    /// The SHA-256 of the list of its files with their sizes and digests.
    #[schema(pattern = "^sha256:[0-9a-f]{64}$")]
    pub digest: String,
    /// `namespace/name`.
    #[schema(example = "faultline/alertmanager")]
    pub plugin: String,
    /// Semantic version.
    #[schema(example = "1.4.2")]
    pub version: String,
    /// One line; none if this host cannot read the manifest any more.
    pub summary: Option<String>,
    /// When it was installed.
    pub installed: Time,
    /// By whom.
    pub installed_by: String,
    /// Where it came from: a folder, or `bundled`.
    pub origin: String,
    /// The names of the instances that are made of it.
    pub instances: Vec<String>,
    /// Why this host cannot use it any more; none if it can.
    pub fault: Option<String>,
}

/// An installed bundle, and what it asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Plugin {
    /// As in a listing.
    #[serde(flatten)]
    pub bundle: PluginSummary,
    /// SPDX expression; none if this host cannot read the manifest any more.
    pub license: Option<String>,
    /// Where to read more.
    pub homepage: Option<String>,
    /// Its README; none if it has none.
    pub readme: Option<String>,
    /// What it consists of; empty if this host cannot read the manifest any
    /// more.
    pub components: Vec<PluginComponent>,
}

/// One WebAssembly component of a plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PluginComponent {
    /// Names it within the bundle.
    pub name: String,
    /// What it is for.
    pub kind: PluginKind,
    /// The file.
    pub wasm: String,
    /// The JSON Schema of its configuration; none if it has none.
    #[schema(value_type = Option<Object>)]
    pub config_schema: Option<Value>,
    /// Of a connector: alerts of one family share their fingerprints.
    pub family: Option<String>,
    /// Of a detector: what it watches.
    pub inputs: Option<PluginInputs>,
    /// How much it may use, by what it asks for and by what the host allows.
    pub limits: LimitsView,
    /// What it asks to be allowed.
    pub capabilities: Vec<RequestedUse>,
}

/// What a detector watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginInputs {
    /// Measurements.
    pub samples: bool,
    /// Lines.
    pub logs: bool,
}

/// A capability that a component asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestedUse {
    /// The name that grants use.
    pub id: String,
    /// What for.
    #[serde(rename = "use")]
    pub using: Use,
    /// Whether the component is of no use without it.
    pub required: bool,
    /// The author's reason.
    pub reason: String,
    /// Of `http`: which requests. `{config.key}` is what an instance's
    /// configuration holds.
    pub rules: Vec<String>,
    /// Of `secret`: where the host puts it into requests, in words.
    pub attach: Option<String>,
    /// Whether this host can enforce it. A component that asks for what it
    /// cannot does not run.
    pub enforced: bool,
}

/// How much of each an instance may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Limits)]
pub struct LimitsView {
    /// Bytes of linear memory, all memories together.
    pub memory_bytes: u64,
    /// Elements of each table.
    pub table_elements: u64,
    /// Milliseconds on a processor in one call.
    pub cpu_per_call_ms: u64,
    /// Milliseconds on the clock in one call.
    pub wall_per_call_ms: u64,
    /// Bytes that cross from the guest to the host at once: with its answer, or
    /// with one call of a host function.
    pub output_bytes: u64,
    /// Items in one answer.
    pub items: u64,
    /// Calls of host functions in one call.
    pub host_calls: u64,
    /// Bytes of log lines a minute.
    pub log_bytes_per_minute: u64,
    /// Bytes of durable state.
    pub kv_bytes: u64,
    /// Bytes of saved state.
    pub state_bytes: u64,
    /// Requests that go out in one call.
    pub http_requests: u64,
    /// Bytes that go out with requests in one call.
    pub http_sent_bytes: u64,
    /// Bytes of answers, unpacked, in one call.
    pub http_received_bytes: u64,
    /// Bytes of one answer's body, unpacked; what is beyond is cut.
    pub http_body_bytes: u64,
    /// Bytes that go out and come in in a minute.
    pub http_bytes_per_minute: u64,
    /// Connections at a time.
    pub http_connections: u64,
}

impl From<Limits> for LimitsView {
    fn from(limits: Limits) -> Self {
        let millis =
            |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            memory_bytes: limits.memory_bytes,
            table_elements: limits.table_elements,
            cpu_per_call_ms: millis(limits.cpu_per_call),
            wall_per_call_ms: millis(limits.wall_per_call),
            output_bytes: limits.output_bytes,
            items: limits.items,
            host_calls: limits.host_calls,
            log_bytes_per_minute: limits.log_bytes_per_minute,
            kv_bytes: limits.kv_bytes,
            state_bytes: limits.state_bytes,
            http_requests: limits.http_requests,
            http_sent_bytes: limits.http_sent_bytes,
            http_received_bytes: limits.http_received_bytes,
            http_body_bytes: limits.http_body_bytes,
            http_bytes_per_minute: limits.http_bytes_per_minute,
            http_connections: limits.http_connections,
        }
    }
}

impl From<&Request> for RequestedUse {
    fn from(request: &Request) -> Self {
        Self {
            id: request.id.clone(),
            using: request.using.into(),
            required: request.required,
            reason: request.reason.clone(),
            rules: request.rules.iter().map(ToString::to_string).collect(),
            attach: request.attach.as_ref().map(ToString::to_string),
            enforced: request.using.is_enforced(),
        }
    }
}

impl PluginSummary {
    pub(crate) fn of(
        record: &BundleRecord,
        manifest: Result<&Manifest, String>,
        instances: Vec<String>,
    ) -> Self {
        Self {
            digest: record.digest.to_string(),
            plugin: record.plugin.clone(),
            version: record.version.clone(),
            summary: manifest.as_ref().ok().map(|m| m.summary.clone()),
            installed: record.installed.into(),
            installed_by: record.installed_by.clone(),
            origin: record.origin.clone(),
            instances,
            fault: manifest.err(),
        }
    }
}

impl PluginComponent {
    pub(crate) fn of(component: &Component, config_schema: Option<Value>, ceiling: Limits) -> Self {
        let inputs = PluginInputs {
            samples: component.inputs.samples,
            logs: component.inputs.logs,
        };
        let is_detector = component.kind == faultline_domain::plugin::Kind::Detector;
        Self {
            name: component.name.clone(),
            kind: component.kind.into(),
            wasm: component.wasm.clone(),
            config_schema,
            family: component.family.clone(),
            inputs: is_detector.then_some(inputs),
            limits: component.limits.resolve(ceiling).into(),
            capabilities: component.capabilities.iter().map(Into::into).collect(),
        }
    }
}
