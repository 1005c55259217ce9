//! What operators can set about the stages. Times are event time unless it
//! says otherwise.

use std::time::Duration;

use faultline_domain::incidents::IncidentPolicy;
use faultline_domain::supervision::SupervisionPolicy;

/// All settings of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PipelineSettings {
    /// Of the observe stage.
    pub observe: ObserveSettings,
    /// Of the correlate stage.
    pub correlate: CorrelateSettings,
}

/// Settings of the observe stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObserveSettings {
    /// The most envelopes of one batch.
    pub batch_envelopes_max: u32,
    /// A batch ends once its bodies come to this.
    pub batch_bytes_max: usize,
    /// How long after a moment telemetry about it may still come before
    /// detectors are told that the moment has passed.
    pub lateness: Duration,
    /// A source that has sent nothing for so long, by arrival, is not waited
    /// for.
    pub idle_after: Duration,
    /// How far ahead of its arrival a time may be; further ahead it is absurd,
    /// and the time of arrival is taken instead.
    pub skew_max: Duration,
    /// Detectors are told of the passage of time at these steps.
    pub tick_step: Duration,
    /// Spans are counted in windows of this length.
    pub span_window: Duration,
    /// State is saved when so much time has passed, by arrival.
    pub checkpoint_every: Duration,
    /// The most series of a scope; the samples of others are counted and
    /// dropped.
    pub series_max: usize,
    /// The most log sources of a scope; the lines of others are counted and
    /// dropped.
    pub log_sources_max: usize,
    /// A sighting of an edge is recorded if the last recorded one is older.
    pub edge_granularity: Duration,
    /// An edge that was not seen for so long is forgotten.
    pub edge_lifetime: Duration,
    /// The most edges of a scope; new ones over that are counted and left out.
    pub edges_max: usize,
    /// The most alerts of a scope that fire; new ones over that are counted and
    /// left out.
    pub alerts_firing_max: usize,
    /// The most alerts that fire by the word of one source.
    pub alerts_firing_per_source_max: usize,
    /// What becomes of connectors and detectors that fail.
    pub supervision: SupervisionPolicy,
}

impl Default for ObserveSettings {
    fn default() -> Self {
        Self {
            batch_envelopes_max: 512,
            batch_bytes_max: 16 << 20,
            lateness: Duration::from_secs(10),
            idle_after: Duration::from_secs(60),
            skew_max: Duration::from_secs(300),
            tick_step: Duration::from_secs(10),
            span_window: Duration::from_secs(10),
            checkpoint_every: Duration::from_secs(30),
            series_max: 100_000,
            log_sources_max: 10_000,
            edge_granularity: Duration::from_secs(600),
            edge_lifetime: Duration::from_secs(7 * 86_400),
            edges_max: 100_000,
            alerts_firing_max: 100_000,
            alerts_firing_per_source_max: 20_000,
            supervision: SupervisionPolicy::default(),
        }
    }
}

/// Settings of the correlate stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrelateSettings {
    /// What arrives within one round is shown to correlators at once. Rounds
    /// are cut by the time of arrival, which the journal has kept, so that a
    /// replay cuts them in the same places.
    pub round: Duration,
    /// Records that are read at once.
    pub batch_records_max: u32,
    /// Resolved alerts are shown for so long, by arrival.
    pub alerts_window: Duration,
    /// Changes are shown for so long, by arrival.
    pub changes_window: Duration,
    /// The most alerts that are shown.
    pub alerts_max: usize,
    /// The most incidents that are shown.
    pub incidents_max: usize,
    /// The most changes that are shown.
    pub changes_max: usize,
    /// The most edges that are shown.
    pub dependencies_max: usize,
    /// How far from the alerts' entities edges are shown.
    pub dependency_hops: u32,
    /// An edge that was not seen for so long is forgotten.
    pub edge_lifetime: Duration,
    /// How incidents live.
    pub incidents: IncidentPolicy,
    /// What becomes of correlators that fail.
    pub supervision: SupervisionPolicy,
}

impl Default for CorrelateSettings {
    fn default() -> Self {
        Self {
            round: Duration::from_millis(100),
            batch_records_max: 2_000,
            alerts_window: Duration::from_secs(30 * 60),
            changes_window: Duration::from_secs(4 * 3_600),
            alerts_max: 2_000,
            incidents_max: 500,
            changes_max: 200,
            dependencies_max: 5_000,
            dependency_hops: 3,
            edge_lifetime: Duration::from_secs(7 * 86_400),
            incidents: IncidentPolicy::default(),
            supervision: SupervisionPolicy::default(),
        }
    }
}
