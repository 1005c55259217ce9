//! Metrics of the stages, of intake, and of plugins, as text.

use std::collections::BTreeMap;

use faultline_domain::id::InstanceName;
use faultline_domain::plugin::Kind;
use faultline_domain::poll::PollState;
use faultline_domain::time::Timestamp;
use faultline_intake::metrics::Metrics as IntakeMetrics;
use faultline_pipeline::Counters;
use faultline_sandbox::Usage;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Which instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InstanceLabels {
    instance: String,
    kind: String,
}

/// Which instance, and how its calls failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    instance: String,
    kind: String,
    code: String,
}

/// Which poller.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PollerLabels {
    instance: String,
}

/// Where the pollers stand that this process asks.
pub(crate) struct Polls {
    pub(crate) states: BTreeMap<InstanceName, PollState>,
    pub(crate) now: Timestamp,
}

/// In the text format of OpenMetrics, without its end.
pub(crate) fn text(
    counters: &Counters,
    intake: &IntakeMetrics,
    usages: &[(Kind, InstanceName, Usage)],
    polls: &Polls,
) -> String {
    let mut registry = Registry::default();
    intake.register(&mut registry);
    stages(&mut registry, counters);
    plugins(&mut registry, usages);
    pollers(&mut registry, polls);
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode_registry(&mut text, &registry);
    text
}

fn stages(registry: &mut Registry, counters: &Counters) {
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
            "Envelopes, or parts of them, that could not be read",
            &counters.dead_letters,
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
    registry.register(
        "series",
        "Series that are known",
        level(counters.series.get()),
    );
}

fn plugins(registry: &mut Registry, usages: &[(Kind, InstanceName, Usage)]) {
    let registry = registry.sub_registry_with_prefix("faultline_plugin");
    let calls = Family::<InstanceLabels, Counter>::default();
    let cpu = Family::<InstanceLabels, Counter<f64, std::sync::atomic::AtomicU64>>::default();
    let memory = Family::<InstanceLabels, Gauge>::default();
    let host_calls = Family::<InstanceLabels, Counter>::default();
    let denied = Family::<InstanceLabels, Counter>::default();
    let dropped = Family::<InstanceLabels, Counter>::default();
    let failures = Family::<FailureLabels, Counter>::default();
    for (kind, instance, usage) in usages {
        let labels = InstanceLabels {
            instance: instance.to_string(),
            kind: kind.to_string(),
        };
        calls.get_or_create(&labels).inc_by(usage.calls);
        cpu.get_or_create(&labels).inc_by(usage.cpu.as_secs_f64());
        let peak = i64::try_from(usage.memory_peak_bytes).unwrap_or(i64::MAX);
        memory.get_or_create(&labels).set(peak);
        host_calls.get_or_create(&labels).inc_by(usage.host_calls);
        denied.get_or_create(&labels).inc_by(usage.denied);
        dropped
            .get_or_create(&labels)
            .inc_by(usage.log_lines_dropped);
        for (code, count) in &usage.failures {
            let labels = FailureLabels {
                instance: labels.instance.clone(),
                kind: labels.kind.clone(),
                code: (*code).to_owned(),
            };
            failures.get_or_create(&labels).inc_by(*count);
        }
    }
    registry.register("calls", "Calls of exported functions", calls);
    registry.register_with_unit("cpu", "Processor time of guests", Unit::Seconds, cpu);
    registry.register_with_unit(
        "memory_peak",
        "The most memory that one guest took",
        Unit::Bytes,
        memory,
    );
    registry.register("host_calls", "Calls of host functions", host_calls);
    registry.register("denied", "Calls of host functions that were denied", denied);
    registry.register("log_lines_dropped", "Log lines over the limit", dropped);
    registry.register("failures", "Failed calls, by how they failed", failures);
}

fn pollers(registry: &mut Registry, polls: &Polls) {
    let registry = registry.sub_registry_with_prefix("faultline_poll");
    let pages = Family::<PollerLabels, Counter>::default();
    let envelopes = Family::<PollerLabels, Counter>::default();
    let faults = Family::<PollerLabels, Counter>::default();
    let in_a_row = Family::<PollerLabels, Gauge>::default();
    let cursor = Family::<PollerLabels, Gauge>::default();
    let lag = Family::<PollerLabels, Gauge<f64, std::sync::atomic::AtomicU64>>::default();
    for (instance, state) in &polls.states {
        let labels = PollerLabels {
            instance: instance.to_string(),
        };
        pages.get_or_create(&labels).inc_by(state.pages);
        envelopes.get_or_create(&labels).inc_by(state.envelopes);
        faults.get_or_create(&labels).inc_by(state.faults);
        in_a_row
            .get_or_create(&labels)
            .set(i64::from(state.faults_in_a_row));
        let bytes = state.cursor.as_ref().map_or(0, Vec::len);
        cursor
            .get_or_create(&labels)
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
        if let Some(known) = state.lag(polls.now) {
            lag.get_or_create(&labels).set(known.as_secs_f64());
        }
    }
    registry.register("pages", "Pages that were fetched", pages);
    registry.register("envelopes", "Envelopes in them", envelopes);
    registry.register("faults", "Polls that gave no page", faults);
    registry.register(
        "faults_in_a_row",
        "Polls that gave no page since the last one that did",
        in_a_row,
    );
    registry.register_with_unit("cursor", "Length of the cursor", Unit::Bytes, cursor);
    registry.register_with_unit(
        "lag",
        "Time since everything that there was had been fetched",
        Unit::Seconds,
        lag,
    );
}

fn counted(value: u64) -> Counter {
    let counter = Counter::default();
    counter.inc_by(value);
    counter
}

fn level(value: u64) -> Gauge {
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    gauge
}
