//! What plugins use, and how they fare.

use std::time::Duration;

use faultline_api::{InstanceState, SupervisionStatus};
use faultline_domain::id::InstanceName;
use faultline_domain::plugin::Kind;
use faultline_sandbox::{Usage, WALL_BUCKETS};
use faultline_store::Queue;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::registry::{Registry, Unit};

use super::snapshot::{
    Histogram, Histograms, counters, fractions, levels, register_seconds, seconds,
};

/// Which instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InstanceLabels {
    instance: String,
    kind: &'static str,
}

/// Which instance, and one thing more about it.
macro_rules! labels {
    ($name:ident, $($field:ident),+) => {
        #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
        struct $name {
            instance: String,
            kind: &'static str,
            $($field: &'static str,)+
        }
    };
}

labels!(CallLabels, function, outcome);
labels!(FunctionLabels, function);
labels!(LimitLabels, limit);
labels!(CodeLabels, code);
labels!(UseLabels, capability);
labels!(StateLabels, state);

/// One instance.
pub(crate) struct PluginRow {
    /// Its name.
    pub(crate) instance: InstanceName,
    /// What it is for.
    pub(crate) kind: Kind,
    /// Where it stands.
    pub(crate) state: InstanceState,
    /// What it has used since it was loaded.
    pub(crate) usage: Usage,
    /// How often it failed, and what came of it.
    pub(crate) supervision: SupervisionStatus,
    /// What waits for it.
    pub(crate) waiting: Queue,
    /// For how long.
    pub(crate) lag: Duration,
}

impl PluginRow {
    fn labels(&self) -> InstanceLabels {
        InstanceLabels {
            instance: self.instance.to_string(),
            kind: self.kind.as_str(),
        }
    }
}

pub(super) fn register(registry: &mut Registry, plugins: &[PluginRow]) {
    let registry = registry.sub_registry_with_prefix("faultline_plugin");
    states(registry, plugins);
    calls(registry, plugins);
    limits(registry, plugins);
    queues(registry, plugins);
}

fn states(registry: &mut Registry, plugins: &[PluginRow]) {
    let states = plugins.iter().flat_map(|row| {
        InstanceState::ALL.into_iter().map(|state| {
            let InstanceLabels { instance, kind } = row.labels();
            let is_in_it = u64::from(row.state == state);
            let state = state.as_str();
            (
                StateLabels {
                    instance,
                    kind,
                    state,
                },
                is_in_it,
            )
        })
    });
    registry.register(
        "state",
        "Where the instance stands: 1 for the state that it is in, 0 for all others",
        levels(states),
    );
    let of = |count: fn(&PluginRow) -> u64| {
        let rows = plugins.iter();
        rows.map(move |row| (row.labels(), count(row)))
    };
    registry.register(
        "quarantined",
        "Whether the instance is not called any more until somebody lets it",
        levels(of(|row| u64::from(row.state == InstanceState::Quarantined))),
    );
    registry.register(
        "restarts",
        "How often it was called again after a wait, or was resumed",
        counters(of(|row| row.supervision.restarts)),
    );
    registry.register(
        "supervised_failures",
        "Failures that its supervisor was told of",
        counters(of(|row| row.supervision.failures)),
    );
}

fn queues(registry: &mut Registry, plugins: &[PluginRow]) {
    let rows = plugins.iter();
    registry.register(
        "waiting",
        "Envelopes, or records for a correlator, that may be shown to the instance and were not yet",
        levels(rows.map(|row| (row.labels(), row.waiting.count))),
    );
    let rows = plugins.iter();
    register_seconds(
        registry,
        "lag",
        "How long ago the first of them arrived",
        fractions(rows.map(|row| (row.labels(), row.lag.as_secs_f64()))),
    );
}

fn calls(registry: &mut Registry, plugins: &[PluginRow]) {
    let by_function = || {
        plugins.iter().flat_map(|row| {
            let by_function = row.usage.by_function.iter();
            by_function.map(move |(key, calls)| (row.labels(), *key, calls))
        })
    };
    let rows = by_function().map(|(labels, (function, outcome), calls)| {
        let InstanceLabels { instance, kind } = labels;
        let labels = CallLabels {
            instance,
            kind,
            function,
            outcome,
        };
        (labels, calls.count)
    });
    registry.register(
        "calls",
        "Calls of exported functions, by how they ended",
        counters(rows),
    );
    let cpu = plugins.iter();
    register_seconds(
        registry,
        "cpu",
        "Processor time of guests",
        seconds(cpu.map(|row| (row.labels(), row.usage.cpu.as_secs_f64()))),
    );
    let mut walls: Vec<(FunctionLabels, Histogram)> = Vec::new();
    for (labels, (function, _), calls) in by_function() {
        let InstanceLabels { instance, kind } = labels;
        let labels = FunctionLabels {
            instance,
            kind,
            function,
        };
        let bounds = WALL_BUCKETS.into_iter().chain([f64::INFINITY]);
        let histogram = Histogram {
            sum: calls.wall.as_secs_f64(),
            buckets: bounds.zip(calls.by_wall).collect(),
        };
        // The outcomes of one function come one after the other.
        match walls.last_mut() {
            Some((last, sum)) if *last == labels => {
                sum.sum += histogram.sum;
                for (all, more) in sum.buckets.iter_mut().zip(histogram.buckets) {
                    all.1 += more.1;
                }
            }
            _ => walls.push((labels, histogram)),
        }
    }
    register_seconds(
        registry,
        "call",
        "How long calls took by the clock",
        Histograms(walls),
    );
    let rows = plugins.iter();
    registry.register_with_unit(
        "memory_peak",
        "The most memory that one guest took",
        Unit::Bytes,
        levels(rows.map(|row| (row.labels(), row.usage.memory_peak_bytes))),
    );
    let rows = plugins.iter();
    registry.register(
        "host_calls",
        "Calls of host functions",
        counters(rows.map(|row| (row.labels(), row.usage.host_calls))),
    );
}

fn limits(registry: &mut Registry, plugins: &[PluginRow]) {
    let failures = || {
        plugins.iter().flat_map(|row| {
            let failures = row.usage.failures.iter();
            failures.map(move |(code, count)| (row.labels(), *code, *count))
        })
    };
    let hit = failures().filter_map(|(labels, code, count)| {
        let InstanceLabels { instance, kind } = labels;
        let limit = code.strip_prefix("limit.").map(|_| code)?;
        let labels = LimitLabels {
            instance,
            kind,
            limit,
        };
        Some((labels, count))
    });
    registry.register(
        "limits_hit",
        "How often the instance ran into each of its limits",
        counters(hit),
    );
    let rows = failures().map(|(labels, code, count)| {
        let InstanceLabels { instance, kind } = labels;
        let labels = CodeLabels {
            instance,
            kind,
            code,
        };
        (labels, count)
    });
    registry.register(
        "failures",
        "Failed calls, by how they failed",
        counters(rows),
    );
    let denied = plugins.iter().flat_map(|row| {
        let denied = row.usage.denied_by_use.iter();
        denied.map(move |(capability, count)| {
            let InstanceLabels { instance, kind } = row.labels();
            let labels = UseLabels {
                instance,
                kind,
                capability,
            };
            (labels, *count)
        })
    });
    registry.register(
        "denied",
        "Calls of host functions that were denied, by what they would have used",
        counters(denied),
    );
    let rows = plugins.iter();
    registry.register(
        "log_lines_dropped",
        "Log lines over the limit",
        counters(rows.map(|row| (row.labels(), row.usage.log_lines_dropped))),
    );
}

#[cfg(test)]
mod tests {
    use faultline_domain::time::Timestamp;
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn what_waits_for_an_instance_is_a_level_and_has_an_age() {
        let row = |name: &str, kind, count, secs| PluginRow {
            instance: InstanceName::new(name).expect("a name"),
            kind,
            state: InstanceState::Running,
            usage: Usage::default(),
            supervision: SupervisionStatus::default(),
            waiting: Queue {
                count,
                oldest: (count > 0).then_some(Timestamp::ZERO),
            },
            lag: Duration::from_secs(secs),
        };
        let rows = [
            row("json", Kind::Connector, 4_711, 90),
            row("eye", Kind::Detector, 0, 0),
        ];
        let mut registry = Registry::default();
        register(&mut registry, &rows);
        let mut text = String::new();
        encode(&mut text, &registry).expect("writes to a text");
        for line in [
            "faultline_plugin_waiting{instance=\"json\",kind=\"connector\"} 4711",
            "faultline_plugin_waiting{instance=\"eye\",kind=\"detector\"} 0",
            "faultline_plugin_lag_seconds{instance=\"json\",kind=\"connector\"} 90.0",
            "faultline_plugin_lag_seconds{instance=\"eye\",kind=\"detector\"} 0.0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
