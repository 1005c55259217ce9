//! Metrics whose numbers come from elsewhere: as they stand at the moment that
//! somebody asks.

use std::fmt;
use std::hash::Hash;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// A counter of seconds.
pub(super) type Seconds = Counter<f64, AtomicU64>;

/// A gauge of fractions.
pub(super) type Fraction = Gauge<f64, AtomicU64>;

pub(super) fn counted(value: u64) -> Counter {
    let counter = Counter::default();
    counter.inc_by(value);
    counter
}

pub(super) fn level(value: u64) -> Gauge {
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    gauge
}

/// A counter for each set of labels.
pub(super) fn counters<L>(rows: impl IntoIterator<Item = (L, u64)>) -> Family<L, Counter>
where
    L: Clone + Eq + Hash,
{
    let family = Family::<L, Counter>::default();
    for (labels, count) in rows {
        family.get_or_create(&labels).inc_by(count);
    }
    family
}

/// A counter of seconds for each set of labels.
pub(super) fn seconds<L>(rows: impl IntoIterator<Item = (L, f64)>) -> Family<L, Seconds>
where
    L: Clone + Eq + Hash,
{
    let family = Family::<L, Seconds>::default();
    for (labels, seconds) in rows {
        family.get_or_create(&labels).inc_by(seconds);
    }
    family
}

/// A level for each set of labels.
pub(super) fn levels<L>(rows: impl IntoIterator<Item = (L, u64)>) -> Family<L, Gauge>
where
    L: Clone + Eq + Hash,
{
    let family = Family::<L, Gauge>::default();
    for (labels, value) in rows {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        family.get_or_create(&labels).set(value);
    }
    family
}

/// A level in fractions for each set of labels.
pub(super) fn fractions<L>(rows: impl IntoIterator<Item = (L, f64)>) -> Family<L, Fraction>
where
    L: Clone + Eq + Hash,
{
    let family = Family::<L, Fraction>::default();
    for (labels, value) in rows {
        family.get_or_create(&labels).set(value);
    }
    family
}

/// Histograms that were counted elsewhere, one for each set of labels.
#[derive(Debug)]
pub(super) struct Histograms<L>(pub(super) Vec<(L, Histogram)>);

/// A histogram that was counted elsewhere.
#[derive(Debug)]
pub(super) struct Histogram {
    /// Of all that was measured.
    pub(super) sum: f64,
    /// The upper bound of each bucket, and how many fell into it: not those
    /// before it. The last has no bound.
    pub(super) buckets: Vec<(f64, u64)>,
}

impl<L: EncodeLabelSet + fmt::Debug + Send + Sync + 'static> EncodeMetric for Histograms<L> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (labels, histogram) in &self.0 {
            let count = histogram.buckets.iter().map(|(_, count)| count).sum();
            encoder
                .encode_family(labels)?
                .encode_histogram::<NoLabelSet>(histogram.sum, count, &histogram.buckets, None)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// Registers a metric in seconds.
pub(super) fn register_seconds(
    registry: &mut Registry,
    name: &str,
    help: &str,
    metric: impl prometheus_client::registry::Metric,
) {
    registry.register_with_unit(name, help, Unit::Seconds, metric);
}
