//! How the installation fares as a whole, for the status page and for metrics.

use faultline_domain::time::Timestamp;
use faultline_store::JournalHead;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::control::StageStatus;
use crate::problem::Problem;
use crate::shared::Shared;
use crate::views::{AlertCounts, PhaseCounts, Stage, Time};

/// Counts and positions at one time.
pub(crate) struct Overview {
    pub(crate) head: JournalHead,
    pub(crate) stages: Vec<Stage>,
    pub(crate) alerts: AlertCounts,
    pub(crate) incidents: PhaseCounts,
}

impl Overview {
    pub(crate) async fn take(shared: &Shared) -> Result<Self, Problem> {
        let (store, scope) = (&shared.store, shared.scope());
        // Before the end of the journal, which only grows: no stage is ahead.
        let stages = shared.control.stages().await;
        let head = store.journal_head(scope).await?;
        let (firing, all) = store.alert_count(scope).await?;
        let mut incidents = PhaseCounts::default();
        for (phase, count) in store.incident_count(scope).await? {
            match phase.as_str() {
                "open" => incidents.open = count,
                "acknowledged" => incidents.acknowledged = count,
                "resolved" => incidents.resolved = count,
                "closed" => incidents.closed = count,
                "merged" => incidents.merged = count,
                _ => {}
            }
        }
        Ok(Self {
            head,
            stages: stages.into_iter().map(|stage| lag(stage, head)).collect(),
            alerts: AlertCounts {
                firing,
                resolved: all.saturating_sub(firing),
            },
            incidents,
        })
    }

    /// Makes gauges of it. How far the stages are is theirs to count.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("faultline");
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let position = Gauge::<i64>::default();
        position.set(count(self.head.position.0));
        registry.register(
            "journal_position",
            "The last envelope of the journal",
            position,
        );
        let alerts = Family::<StateLabel, Gauge>::default();
        for (state, alert_count) in [
            ("firing", self.alerts.firing),
            ("resolved", self.alerts.resolved),
        ] {
            alerts
                .get_or_create(&StateLabel { state })
                .set(count(alert_count));
        }
        registry.register("alerts", "Alerts by state", alerts);
        let incidents = Family::<PhaseLabel, Gauge>::default();
        for (phase, incident_count) in [
            ("open", self.incidents.open),
            ("acknowledged", self.incidents.acknowledged),
            ("resolved", self.incidents.resolved),
            ("closed", self.incidents.closed),
            ("merged", self.incidents.merged),
        ] {
            incidents
                .get_or_create(&PhaseLabel { phase })
                .set(count(incident_count));
        }
        registry.register("incidents", "Incidents by phase", incidents);
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabel {
    phase: &'static str,
}

fn lag(stage: StageStatus, head: JournalHead) -> Stage {
    let behind = head.position.0.saturating_sub(stage.position.0);
    Stage {
        name: stage.name,
        position: stage.position.0,
        clock: (stage.clock > Timestamp::ZERO).then_some(Time(stage.clock)),
        lag_envelopes: stage.reads_journal.then_some(behind),
        lag_seconds: if stage.clock == Timestamp::ZERO {
            // It has not begun: how far it is behind is not known in seconds.
            0.0
        } else {
            head.received.since(stage.clock).as_secs_f64()
        },
        fault: stage.fault,
    }
}
