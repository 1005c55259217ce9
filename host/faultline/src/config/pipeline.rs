//! The stages.

use std::time::Duration;

use faultline_domain::incidents::IncidentPolicy;
use faultline_domain::supervision::SupervisionPolicy;
use faultline_pipeline::{CorrelateSettings, ObserveSettings, PipelineSettings};
use serde::{Deserialize, Serialize};

/// `[pipeline]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct PipelineConfig {
    /// How long after a moment telemetry about it may still come.
    #[serde(with = "humantime_serde")]
    pub(crate) lateness: Duration,
    /// A source that is silent for so long is not waited for.
    #[serde(with = "humantime_serde")]
    pub(crate) idle_after: Duration,
    /// How far ahead of its arrival a time may be.
    #[serde(with = "humantime_serde")]
    pub(crate) skew_max: Duration,
    /// State is saved this often.
    #[serde(with = "humantime_serde")]
    pub(crate) checkpoint_every: Duration,
    /// The most series of a scope.
    pub(crate) series_max: usize,
    /// The most edges of the topology.
    pub(crate) edges_max: usize,
    /// The most alerts of a scope that fire.
    pub(crate) alerts_firing_max: usize,
    /// The most alerts that fire by the word of one source.
    pub(crate) alerts_firing_per_source_max: usize,
    /// Shards of each detector.
    pub(crate) detector_shards: u32,
    /// Resolved alerts are shown to correlators for so long.
    #[serde(with = "humantime_serde")]
    pub(crate) alerts_window: Duration,
    /// Changes are shown to correlators for so long.
    #[serde(with = "humantime_serde")]
    pub(crate) changes_window: Duration,
    /// An edge of the topology that was not seen for so long is forgotten.
    #[serde(with = "humantime_serde")]
    pub(crate) edge_lifetime: Duration,
    /// `[pipeline.incidents]`
    pub(crate) incidents: IncidentsConfig,
}

/// `[pipeline.incidents]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct IncidentsConfig {
    /// How long all members must stay resolved.
    #[serde(with = "humantime_serde")]
    pub(crate) resolve_delay: Duration,
    /// How long after that a member that fires again reopens it.
    #[serde(with = "humantime_serde")]
    pub(crate) reopen_window: Duration,
    /// The most incidents that are not closed.
    pub(crate) open_max: usize,
    /// The most of these whose alerts all come from one source.
    pub(crate) open_per_source_max: usize,
    /// The most members of one incident.
    pub(crate) members_max: usize,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        let PipelineSettings { observe, correlate } = PipelineSettings::default();
        Self {
            lateness: observe.lateness,
            idle_after: observe.idle_after,
            skew_max: observe.skew_max,
            checkpoint_every: observe.checkpoint_every,
            series_max: observe.series_max,
            edges_max: observe.edges_max,
            alerts_firing_max: observe.alerts_firing_max,
            alerts_firing_per_source_max: observe.alerts_firing_per_source_max,
            detector_shards: 1,
            alerts_window: correlate.alerts_window,
            changes_window: correlate.changes_window,
            edge_lifetime: correlate.edge_lifetime,
            incidents: IncidentsConfig::default(),
        }
    }
}

impl Default for IncidentsConfig {
    fn default() -> Self {
        let policy = IncidentPolicy::default();
        Self {
            resolve_delay: policy.resolve_delay,
            reopen_window: policy.reopen_window,
            open_max: policy.open_max,
            open_per_source_max: policy.open_per_source_max,
            members_max: policy.members_max,
        }
    }
}

impl PipelineConfig {
    pub(super) fn check(&self) -> Option<String> {
        if !(1..=64).contains(&self.detector_shards) {
            let shards = self.detector_shards;
            return Some(format!(
                "[pipeline] detector-shards is {shards}; it can be 1 to 64"
            ));
        }
        let positive = [
            ("idle-after", self.idle_after),
            ("checkpoint-every", self.checkpoint_every),
            ("alerts-window", self.alerts_window),
            ("changes-window", self.changes_window),
            ("edge-lifetime", self.edge_lifetime),
        ];
        positive
            .iter()
            .find(|(_, duration)| duration.is_zero())
            .map(|(key, _)| format!("[pipeline] {key} must be longer than nothing"))
    }

    /// As the stages take it.
    pub(crate) fn settings(&self, supervision: &SupervisionPolicy) -> PipelineSettings {
        PipelineSettings {
            observe: ObserveSettings {
                lateness: self.lateness,
                idle_after: self.idle_after,
                skew_max: self.skew_max,
                checkpoint_every: self.checkpoint_every,
                series_max: self.series_max,
                edge_lifetime: self.edge_lifetime,
                edges_max: self.edges_max,
                alerts_firing_max: self.alerts_firing_max,
                alerts_firing_per_source_max: self.alerts_firing_per_source_max,
                supervision: supervision.clone(),
                ..ObserveSettings::default()
            },
            correlate: CorrelateSettings {
                alerts_window: self.alerts_window,
                changes_window: self.changes_window,
                edge_lifetime: self.edge_lifetime,
                supervision: supervision.clone(),
                incidents: IncidentPolicy {
                    resolve_delay: self.incidents.resolve_delay,
                    reopen_window: self.incidents.reopen_window,
                    open_max: self.incidents.open_max,
                    open_per_source_max: self.incidents.open_per_source_max,
                    members_max: self.incidents.members_max,
                    ..IncidentPolicy::default()
                },
                ..CorrelateSettings::default()
            },
        }
    }
}
