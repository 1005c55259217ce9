//! What each source has sent, and how much of it could be used.

use faultline_domain::time::Timestamp;
use faultline_store::SourceRecord;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::registry::{Registry, Unit};

use super::snapshot::{counters, fractions, register_seconds};

/// The most sources with rows of their own: those that send most.
const SOURCES_MAX: usize = 200;

/// The name that all other sources share. No source can have it: names have no
/// underscores at their ends.
const OTHERS: &str = "_others";

/// Which source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabels {
    source: String,
}

/// What the metrics of sources are made of.
pub(crate) struct SourceRows {
    rows: Vec<(SourceLabels, SourceRecord)>,
    now: Timestamp,
}

impl SourceRows {
    /// Of all sources that ever sent anything.
    pub(crate) fn new(mut sources: Vec<SourceRecord>, now: Timestamp) -> Self {
        sources.sort_by(|a, b| (b.envelopes, &a.name).cmp(&(a.envelopes, &b.name)));
        let others = sources.split_off(sources.len().min(SOURCES_MAX));
        let others = others.into_iter().reduce(|mut sum, other| {
            let last = sum.last_received.max(other.last_received);
            sum.add(&other);
            sum.last_received = last;
            sum
        });
        let own = sources.into_iter().map(|source| {
            let labels = SourceLabels {
                source: source.name.to_string(),
            };
            (labels, source)
        });
        let others = others.into_iter().map(|others| {
            let source = OTHERS.to_owned();
            (SourceLabels { source }, others)
        });
        Self {
            rows: own.chain(others).collect(),
            now,
        }
    }

    fn of(
        &self,
        count: impl Fn(&SourceRecord) -> u64,
    ) -> impl Iterator<Item = (SourceLabels, u64)> {
        self.rows
            .iter()
            .map(move |(labels, source)| (labels.clone(), count(source)))
    }
}

type Count = fn(&SourceRecord) -> u64;

pub(super) fn register(registry: &mut Registry, sources: &SourceRows) {
    let registry = registry.sub_registry_with_prefix("faultline_source");
    registry.register_with_unit(
        "body",
        "Bodies of payloads, transport encodings undone",
        Unit::Bytes,
        counters(sources.of(|source| source.body_bytes)),
    );
    let counts: [(&str, &str, Count); 10] = [
        ("envelopes", "Payloads", |it| it.envelopes),
        ("signals", "Alerts, changes, edges and tickets", |it| {
            it.signals
        }),
        ("samples", "Measurements", |it| it.samples),
        ("log_lines", "Log lines", |it| it.log_lines),
        ("spans", "Spans", |it| it.spans),
        (
            "late",
            "Measurements that came after later ones of their series",
            |it| it.late,
        ),
        (
            "rejected",
            "Items that could not be read, in payloads that could",
            |it| it.rejected,
        ),
        ("faults", "Payloads that could not be read", |it| it.faults),
        (
            "unresolved",
            "Signals, series and log sources that name no entity",
            |it| it.without_entity,
        ),
        (
            "over_limit",
            "Alerts and edges over the limits, which were left out",
            |it| it.over_limit,
        ),
    ];
    for (name, help, count) in counts {
        registry.register(name, help, counters(sources.of(count)));
    }
    let silent = sources.rows.iter().map(|(labels, source)| {
        let seconds = sources.now.since(source.last_received).as_secs_f64();
        (labels.clone(), seconds)
    });
    register_seconds(
        registry,
        "silence",
        "How long ago the last payload that was dealt with arrived",
        fractions(silent),
    );
}
