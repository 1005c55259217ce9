//! How far the stages are, and how long they take.

use faultline_domain::envelope::Position;
use faultline_domain::time::Timestamp;
use faultline_pipeline::{Counters, StepTimes};
use faultline_store::{JournalHead, StagePosition};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::registry::Registry;

use super::snapshot::{
    Histogram, Histograms, counted, counters, fractions, level, levels, register_seconds,
};

/// Which stage.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

/// What the metrics of the stages are made of.
pub(crate) struct StageRows<'a> {
    /// What they count about themselves.
    pub(crate) counters: &'a Counters,
    /// Where the journal ends.
    pub(crate) head: JournalHead,
    /// How far each has come, as far as the database says.
    pub(crate) observe: StagePosition,
    /// The same of the other.
    pub(crate) correlate: StagePosition,
    /// The time of day.
    pub(crate) now: Timestamp,
}

impl StageRows<'_> {
    /// Of each stage: its name, its position, envelopes and seconds that it is
    /// behind, and its steps.
    fn rows(&self) -> [(StageLabels, Position, u64, f64, &StepTimes); 2] {
        let behind = |position: Position| self.head.position.0.saturating_sub(position.0);
        let observe = behind(self.observe.position);
        // What was read and had nothing in it for this stage is no lag.
        let clock = Timestamp::from_micros(self.counters.correlate_clock.get());
        let clock = clock.max(self.correlate.clock);
        let is_behind = clock < self.observe.clock;
        let correlate = if is_behind || observe > 0 {
            behind(self.correlate.position.max(Position(0)))
        } else {
            0
        };
        let seconds = |lags: bool, clock: Timestamp| {
            let since = self.now.since(clock).as_secs_f64();
            if lags { since } else { 0.0 }
        };
        [
            (
                StageLabels { stage: "observe" },
                self.observe.position,
                observe,
                seconds(observe > 0, self.observe.clock),
                &self.counters.observe_steps,
            ),
            (
                StageLabels { stage: "correlate" },
                self.correlate.position,
                correlate,
                seconds(is_behind || observe > 0, clock),
                &self.counters.correlate_steps,
            ),
        ]
    }
}

pub(super) fn register(registry: &mut Registry, stages: &StageRows<'_>) {
    let rows = stages.rows();
    let of_stages = registry.sub_registry_with_prefix("faultline_stage");
    of_stages.register(
        "position",
        "The last envelope that the stage has dealt with",
        levels(rows.iter().map(|row| (row.0.clone(), row.1.0))),
    );
    of_stages.register(
        "lag_envelopes",
        "Envelopes in the journal that the stage has yet to deal with",
        levels(rows.iter().map(|row| (row.0.clone(), row.2))),
    );
    register_seconds(
        of_stages,
        "lag",
        "How long ago what the stage has dealt with arrived, if there is more to deal with",
        fractions(rows.iter().map(|row| (row.0.clone(), row.3))),
    );
    of_stages.register(
        "commits",
        "Batches that were committed",
        counters(rows.iter().map(|row| (row.0.clone(), row.4.commits()))),
    );
    of_stages.register(
        "errors",
        "Steps that the database refused",
        counters(rows.iter().map(|row| (row.0.clone(), row.4.errors()))),
    );
    let steps = rows.iter().map(|row| {
        let (sum, buckets) = row.4.histogram();
        (row.0.clone(), Histogram { sum, buckets })
    });
    register_seconds(
        of_stages,
        "step",
        "From reading a batch to its commit",
        Histograms(steps.collect()),
    );

    let counters = stages.counters;
    let registry = registry.sub_registry_with_prefix("faultline_pipeline");
    for (name, help, counter) in [
        (
            "envelopes",
            "Envelopes that were observed",
            &counters.envelopes,
        ),
        ("samples", "Samples in them", &counters.samples),
        ("log_lines", "Log lines in them", &counters.log_lines),
        ("spans", "Spans in them", &counters.spans),
        (
            "transitions",
            "Transitions of alerts",
            &counters.transitions,
        ),
        (
            "dead_letters",
            "Envelopes, or parts of them, that could not be dealt with",
            &counters.dead_letters,
        ),
        (
            "over_limit",
            "Alerts and edges over the limits of a source or of all",
            &counters.over_limit,
        ),
        (
            "incident_events",
            "Events of incidents",
            &counters.incident_events,
        ),
        (
            "refusals",
            "Proposals of correlators that the rules refused",
            &counters.refusals,
        ),
        (
            "plugin_failures",
            "Calls of detectors and correlators that failed",
            &counters.plugin_failures,
        ),
    ] {
        registry.register(name, help, counted(counter.get()));
    }
    for (name, help, counter) in [
        ("series", "Series that are known", &counters.series),
        (
            "edges",
            "Edges of the topology that are known",
            &counters.edges,
        ),
        ("alerts_firing", "Alerts that fire", &counters.alerts_firing),
        (
            "incidents_open",
            "Incidents that are not closed",
            &counters.incidents_open,
        ),
    ] {
        registry.register(name, help, level(counter.get()));
    }
}
