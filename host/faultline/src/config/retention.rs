//! How long each kind of data is kept.

use std::time::Duration;

use faultline_store::Retention;
use serde::{Deserialize, Serialize};

use super::PipelineConfig;

/// `[retention]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct RetentionConfig {
    /// Payloads as they came.
    #[serde(with = "humantime_serde")]
    pub(crate) journal: Duration,
    /// Samples of series.
    #[serde(with = "humantime_serde")]
    pub(crate) series: Duration,
    /// Resolved alerts, and transitions.
    #[serde(with = "humantime_serde")]
    pub(crate) alerts: Duration,
    /// Closed incidents.
    #[serde(with = "humantime_serde")]
    pub(crate) incidents: Duration,
    /// Changes, and sightings of edges.
    #[serde(with = "humantime_serde")]
    pub(crate) changes: Duration,
    /// Payloads that could not be read.
    #[serde(with = "humantime_serde")]
    pub(crate) dead_letters: Duration,
    /// The audit log.
    #[serde(with = "humantime_serde")]
    pub(crate) audit: Duration,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        let retention = Retention::default();
        Self {
            journal: retention.journal,
            series: retention.series,
            alerts: retention.alerts,
            incidents: retention.incidents,
            changes: retention.changes,
            dead_letters: retention.dead_letters,
            audit: retention.audit,
        }
    }
}

impl RetentionConfig {
    /// What the stages show to correlators they must find again after a
    /// restart, or results would depend on when there was one.
    pub(super) fn check(&self, pipeline: &PipelineConfig) -> Option<String> {
        let least = [
            (
                "alerts",
                self.alerts,
                "alerts-window",
                pipeline.alerts_window,
            ),
            (
                "changes",
                self.changes,
                "changes-window",
                pipeline.changes_window,
            ),
            (
                "changes",
                self.changes,
                "edge-lifetime",
                pipeline.edge_lifetime,
            ),
        ];
        let too_short = least.iter().find(|(_, kept, _, needed)| kept < needed);
        if let Some((key, kept, needs, needed)) = too_short {
            let (kept, needed) = (
                humantime::format_duration(*kept),
                humantime::format_duration(*needed),
            );
            return Some(format!(
                "[retention] {key} is {kept}, less than [pipeline] {needs}, which is {needed}: \
                 what is still needed would be gone"
            ));
        }
        let positive = [
            ("journal", self.journal),
            ("series", self.series),
            ("incidents", self.incidents),
            ("dead-letters", self.dead_letters),
            ("audit", self.audit),
        ];
        positive
            .iter()
            .find(|(_, duration)| duration.is_zero())
            .map(|(key, _)| format!("[retention] {key} must be longer than nothing"))
    }

    /// As the store takes it.
    pub(crate) fn retention(&self) -> Retention {
        Retention {
            journal: self.journal,
            series: self.series,
            alerts: self.alerts,
            incidents: self.incidents,
            changes: self.changes,
            dead_letters: self.dead_letters,
            audit: self.audit,
        }
    }
}
