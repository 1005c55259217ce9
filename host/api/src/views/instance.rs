//! Instances: installed components with one configuration each.

use std::collections::BTreeMap;

use faultline_domain::grant as domain;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{LimitsView, PluginKind, Poll, RequestedUse, Time, object};
use crate::control::{InstanceState, SupervisionStatus, Usage};
use crate::instance_settings::InstanceSettings;

/// An instance to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceCreate {
    /// Its name; of a connector also the source that hooks are sent to.
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,59}$", example = "alertmanager")]
    pub name: String,
    /// Of which bundle: `namespace/name` (the latest version that is
    /// installed), `namespace/name@version`, or a digest or the first digits
    /// of one.
    #[schema(
        pattern = "^([^/]+/.+|(sha256:)?[0-9a-fA-F]{4,64})$",
        example = "faultline/alertmanager"
    )]
    pub plugin: String,
    /// Of which of its components. Can be left out if it has only one.
    #[serde(default)]
    pub component: Option<String>,
    /// The plugin's configuration. What is left out is as its schema has it.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub config: Map<String, Value>,
    /// What to set beside it.
    #[serde(default, deserialize_with = "object")]
    pub settings: InstanceSettings,
    /// Whether it should run.
    #[serde(default = "enabled")]
    #[schema(default = true)]
    pub enabled: bool,
}

const fn enabled() -> bool {
    true
}

/// A configuration in place of the one that an instance has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceConfigPut {
    /// The plugin's configuration. What is left out is as its schema has it,
    /// not as it was before.
    #[schema(value_type = Object)]
    pub config: Map<String, Value>,
}

/// Settings in place of those that an instance has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceSettingsPut {
    /// What to set beside the configuration. What is left out is as the
    /// manifest and the host have it, not as it was before.
    #[serde(deserialize_with = "object")]
    pub settings: InstanceSettings,
}

/// What an instance should be made of from now on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceUpgradeTo {
    /// Of which bundle, as when it was made. Left out: the latest version of
    /// the plugin that it is made of now. It may be an earlier one, too.
    #[serde(default)]
    #[schema(
        pattern = "^([^/]+/.+|(sha256:)?[0-9a-fA-F]{4,64})$",
        example = "faultline/alertmanager@1.5.0"
    )]
    pub plugin: Option<String>,
    /// Of which of its components, of the same kind. Left out: the one with
    /// the name that it is made of now.
    #[serde(default)]
    pub component: Option<String>,
    /// The plugin's configuration. Left out: the one that it has.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub config: Option<Map<String, Value>>,
}

/// A capability to be granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantPut {
    /// Why, for those who read the audit log.
    #[schema(
        min_length = 1,
        max_length = 500,
        example = "keeps its place between polls"
    )]
    pub reason: String,
    /// Of `http`: which requests, each a rule that one of those that are asked
    /// for includes. Left out: all that is asked for.
    #[serde(default)]
    #[schema(max_items = 64, example = json!(["GET https://api.example.com/incidents/**"]))]
    pub allow: Vec<String>,
    /// Of `http`: networks that are not of the open internet, into which names
    /// may lead.
    #[serde(default)]
    #[schema(max_items = 64, example = json!(["10.0.0.0/8"]))]
    pub networks: Vec<String>,
    /// Of `secret` and `secret-reveal`: where the secret is kept, `env:NAME` or
    /// `file:/path`. Never the secret itself.
    #[serde(default)]
    #[schema(max_length = 500, example = "env:PD_TOKEN")]
    pub secret: Option<String>,
    /// From when on it is of no use any more. Left out: it holds until it is
    /// taken back.
    #[serde(default)]
    pub expires: Option<Time>,
}

/// An instance in a listing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InstanceSummary {
    /// Its name; of a connector also the source that hooks are sent to.
    #[schema(example = "alertmanager")]
    pub name: String,
    /// What it is for.
    pub kind: PluginKind,
    /// `namespace/name` of its plugin.
    pub plugin: String,
    /// The version of its plugin.
    pub version: String,
    /// The digest of the bundle that its component is from.
    #[schema(pattern = "^sha256:[0-9a-f]{64}$")]
    pub bundle: String,
    /// The component's name within the bundle.
    pub component: String,
    /// Whether it should run.
    pub enabled: bool,
    /// Where it stands.
    pub state: InstanceStateWord,
    /// Why it does not run, and the remedy; none if it does.
    pub reason: Option<String>,
    /// What it has used since it was loaded; none if it was not.
    pub usage: Option<UsageView>,
    /// How often it failed, and how it last did; none if it was not loaded.
    pub supervision: Option<SupervisionView>,
    /// When it was made.
    pub created: Time,
    /// By whom.
    pub created_by: String,
}

/// Where an instance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = InstanceState)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceStateWord {
    /// It is loaded, and called when there is something for it.
    Running,
    /// It is on its way: compiled, checked, restored.
    Compiling,
    /// It waits for a capability that it requires.
    PendingGrant,
    /// It could not be loaded.
    Failed,
    /// It failed, and is called again after a while.
    BackingOff,
    /// It failed too often, and is not called until somebody lets it.
    Quarantined,
    /// The operator switched it off.
    Disabled,
}

/// How often an instance failed, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Supervision)]
pub struct SupervisionView {
    /// Failures since its component was first run.
    pub failures: u64,
    /// How often it was tried again after a wait, or resumed.
    pub restarts: u64,
    /// The last failure; none if there was none since it was resumed.
    pub last_failure: Option<FailureView>,
}

/// A failure of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Failure)]
pub struct FailureView {
    /// When: in the time of the journal.
    pub at: Time,
    /// `trap`, the name of a limit, …
    #[schema(example = "limit.memory")]
    pub code: String,
    /// With the particulars.
    pub message: String,
    /// What it was given, if that is to blame: the poison. An envelope is at
    /// `/envelopes/{position}`.
    #[schema(example = "envelope 4711")]
    pub input: Option<String>,
    /// How often in a row it has failed on that.
    pub times: u32,
}

/// What an instance has used since it was loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Usage)]
pub struct UsageView {
    /// Calls of exported functions.
    pub calls: u64,
    /// Seconds on a processor, while guests ran.
    #[schema(minimum = 0)]
    pub cpu_seconds: f64,
    /// The most bytes of memory that one guest took.
    pub memory_peak_bytes: u64,
    /// Calls of host functions.
    pub host_calls: u64,
    /// Of these, how many were denied.
    pub denied: u64,
    /// Log lines over the limit.
    pub log_lines_dropped: u64,
    /// Failures by code: `trap`, `limit.cpu`, …
    pub failures: BTreeMap<String, u64>,
}

/// An instance: what it is, what it may do, how it fares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Instance {
    /// As in a listing.
    #[serde(flatten)]
    pub summary: InstanceSummary,
    /// The plugin's configuration as it was given.
    #[schema(value_type = Object)]
    pub config: Value,
    /// What the operator set beside it.
    pub settings: InstanceSettings,
    /// How much it may use in effect; none if this host cannot read the
    /// manifest any more.
    pub limits: Option<LimitsView>,
    /// What its component asks to be allowed, and what was granted.
    pub capabilities: Vec<Capability>,
    /// Where it stands, if it is a connector that polls and was asked before.
    pub poll: Option<Poll>,
}

/// A capability that an instance's component asks for, and the grant of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Capability {
    /// What is asked for.
    #[serde(flatten)]
    pub requested: RequestedUse,
    /// What its rules come to with the configuration; empty if the
    /// configuration does not say what they need.
    pub asked: Vec<String>,
    /// The grant; none if there is none.
    pub grant: Option<Grant>,
    /// Whether the grant is good for what is asked for.
    pub standing: Standing,
}

/// Whether a capability can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It can.
    Granted,
    /// Nobody has granted it.
    NotGranted,
    /// The grant has expired.
    Expired,
    /// More is asked for than when it was granted: it has to be granted again.
    Changed,
}

/// What was granted, by whom, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Grant {
    /// The id of the capability.
    pub capability: String,
    /// Who granted it.
    pub by: String,
    /// When.
    pub at: Time,
    /// Why.
    pub reason: String,
    /// From when on it is of no use any more; none: it holds until it is taken
    /// back.
    pub expires: Option<Time>,
    /// Of `http`: which requests.
    pub rules: Vec<String>,
    /// Of `http`: networks into which names may lead beside the open internet.
    pub networks: Vec<String>,
    /// Of `secret` and `secret-reveal`: where it is kept.
    pub secret: Option<String>,
}

/// An instance after an upgrade, and what it asks for that it did not before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InstanceUpgrade {
    /// The instance as it is now.
    pub instance: Instance,
    /// The bundle that it was made of before.
    pub from_bundle: String,
    /// The version of its plugin before.
    pub from_version: String,
    /// Capabilities that were not asked for before, or not as much. Grants of
    /// the latter were taken back; required ones have to be granted before it
    /// runs.
    pub capabilities_added: Vec<String>,
    /// Capabilities that are no longer asked for, or mean something else. Their
    /// grants were taken back.
    pub capabilities_removed: Vec<String>,
}

fn texts(items: &[impl ToString]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

impl From<domain::Grant> for Grant {
    fn from(grant: domain::Grant) -> Self {
        Self {
            capability: grant.capability,
            by: grant.by,
            at: grant.at.into(),
            reason: grant.reason,
            expires: grant.expires.map(Time::from),
            rules: texts(&grant.terms.rules),
            networks: texts(&grant.terms.networks),
            secret: grant.terms.secret.as_ref().map(ToString::to_string),
        }
    }
}

impl From<InstanceState> for InstanceStateWord {
    fn from(state: InstanceState) -> Self {
        match state {
            InstanceState::Running => Self::Running,
            InstanceState::Compiling => Self::Compiling,
            InstanceState::PendingGrant => Self::PendingGrant,
            InstanceState::Failed => Self::Failed,
            InstanceState::BackingOff => Self::BackingOff,
            InstanceState::Quarantined => Self::Quarantined,
            InstanceState::Disabled => Self::Disabled,
        }
    }
}

impl From<SupervisionStatus> for SupervisionView {
    fn from(status: SupervisionStatus) -> Self {
        Self {
            failures: status.failures,
            restarts: status.restarts,
            last_failure: status.last_failure.map(|last| FailureView {
                at: last.at.into(),
                code: last.code,
                message: last.message,
                input: last.input,
                times: last.times,
            }),
        }
    }
}

impl From<Usage> for UsageView {
    fn from(usage: Usage) -> Self {
        Self {
            calls: usage.calls,
            cpu_seconds: usage.cpu.as_secs_f64(),
            memory_peak_bytes: usage.memory_peak_bytes,
            host_calls: usage.host_calls,
            denied: usage.denied,
            log_lines_dropped: usage.log_lines_dropped,
            failures: usage.failures,
        }
    }
}
