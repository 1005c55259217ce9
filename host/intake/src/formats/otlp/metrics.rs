//! OTLP metrics: `ExportMetricsServiceRequest`.
//!
//! | metric | series |
//! |---|---|
//! | gauge, non-monotonic cumulative sum | itself, a gauge |
//! | monotonic cumulative sum | itself, a counter |
//! | delta sum | itself, a delta |
//! | histogram, exponential histogram | `.count` and `.sum`, counters or deltas; of deltas also `.min` and `.max`, gauges, if stated |
//! | summary | `.count` and `.sum`, counters; itself for each quantile, a gauge |
//!
//! The mean of a histogram is the rate of its sum by that of its count.
//! Buckets are not kept: each would be a series of its own. Nor are the extremes
//! of cumulative histograms, which are those since the start of the process: a
//! maximum that rose once would stay.
//!
//! A series belongs to the entity of the resource, or, where that names none,
//! to what its own attributes name.

use std::borrow::Cow;
use std::hash::RandomState;
use std::sync::Arc;

use faultline_domain::conventions;
use faultline_domain::decode::{Decoded, Note};
use faultline_domain::fault::Fault;
use faultline_domain::labels::Labels;
use faultline_domain::telemetry::{Reading, SeriesDef, SeriesKey};
use faultline_domain::time::Timestamp;

use super::metric::Metric;
use super::place::Place;
use super::point::{Point, PointKind, as_double, read_quantile};
use super::resource::Resource;
use super::value::Attribute;
use crate::formats::limits::Limits;
use crate::formats::refusal::{Refusal, check_label};
use crate::formats::series::{SeriesTable, Unmet, Verdict};
use crate::formats::wire::{Unreadable, Within as _, repeated, write};

/// Reads `ExportMetricsServiceRequest` in protobuf.
pub(super) fn decode(
    body: &[u8],
    received: Timestamp,
    limits: Limits,
) -> Result<Decoded, Unreadable> {
    let mut reader = Reader {
        limits,
        received,
        table: SeriesTable::new(limits, RandomState::new()),
        decoded: Decoded::default(),
    };
    for (index, resource_metrics) in repeated(body, 1).enumerate() {
        resource_metrics
            .and_then(|resource_metrics| reader.resource_metrics(index, resource_metrics))
            .within("resourceMetrics", index)?;
    }
    Ok(reader.decoded)
}

struct Reader {
    limits: Limits,
    received: Timestamp,
    table: SeriesTable<'static>,
    decoded: Decoded,
}

impl Reader {
    fn resource_metrics(&mut self, resource: usize, bytes: &[u8]) -> Result<(), Unreadable> {
        let from = Resource::of(bytes, self.limits)?;
        for (scope, scope_metrics) in repeated(bytes, 2).enumerate() {
            let scope_metrics = scope_metrics.within("scopeMetrics", scope)?;
            for (item, metric) in repeated(scope_metrics, 2).enumerate() {
                let place = Place {
                    kind: "Metrics",
                    items: "metrics",
                    resource,
                    scope,
                    item,
                };
                metric
                    .and_then(|metric| self.metric(place, &from, metric))
                    .within("metrics", item)
                    .within("scopeMetrics", scope)?;
            }
        }
        Ok(())
    }

    fn metric(&mut self, place: Place, from: &Resource, bytes: &[u8]) -> Result<(), Unreadable> {
        let metric = match Metric::read(bytes, self.limits)? {
            Ok(metric) => metric,
            Err(reason) => {
                let message = format!("{place}: {reason}");
                self.decoded.reject(Fault::malformed(message));
                // One reason for all of its points, and each of them counts.
                let others = Metric::count_points(bytes)?.saturating_sub(1);
                self.decoded.rejected_unlisted += others;
                return Ok(());
            }
        };
        for (index, bytes) in repeated(metric.data, 1).enumerate() {
            let bytes = bytes.within("dataPoints", index)?;
            let mut series = PointSeries::new(place, from, &metric, bytes);
            match self.point(&mut series) {
                Ok(()) => {}
                Err(Refusal::Item(reason)) => {
                    let message = format!("{place}.dataPoints[{index}]: {reason}");
                    self.decoded.reject(Fault::malformed(message));
                }
                Err(Refusal::Payload(unreadable)) => {
                    return Err(unreadable).within("dataPoints", index);
                }
            }
        }
        Ok(())
    }

    fn point(&mut self, series: &mut PointSeries<'_>) -> Result<(), Refusal> {
        let kind = series.metric.kind;
        let point = Point::read(kind, series.bytes)?;
        self.decoded.notes.add(Note::Exemplar, point.exemplars);
        if point.is_stale {
            self.decoded.notes.add(Note::Stale, 1);
            return Ok(());
        }
        let time = if point.time == 0 {
            self.decoded.notes.add(Note::Timeless, 1);
            self.received
        } else {
            Timestamp::from_nanos(point.time)
        };
        if kind == PointKind::Number {
            let value = point
                .value
                .ok_or_else(|| Refusal::Item("a point without a value".to_owned()))?;
            return self.sample(series, Part::Itself, time, value);
        }
        let sum = match kind {
            // Not optional in a summary: what is not stated is zero.
            PointKind::Summary => point.sum.or(Some(0.0)),
            _ => point.sum,
        };
        let count = as_double(i64::try_from(point.count).unwrap_or(i64::MAX));
        let is_delta = series.metric.reading == Reading::Delta;
        let parts = [
            (Part::Count, Some(count)),
            (Part::Sum, sum),
            (Part::Min, point.min.filter(|_| is_delta)),
            (Part::Max, point.max.filter(|_| is_delta)),
        ];
        for (part, value) in parts {
            if let Some(value) = value {
                self.sample(series, part, time, value)?;
            }
        }
        if kind == PointKind::Summary {
            for quantile in repeated(series.bytes, 6) {
                let (quantile, value) = read_quantile(quantile?)?;
                self.sample(series, Part::Quantile(quantile), time, value)?;
            }
        }
        Ok(())
    }

    fn sample(
        &mut self,
        series: &mut PointSeries<'_>,
        part: Part,
        time: Timestamp,
        value: f64,
    ) -> Result<(), Refusal> {
        self.table.count_series(1)?;
        let bytes = series.key_bytes(part)?;
        let verdict = match self.table.find(bytes) {
            Ok(verdict) => verdict,
            Err(hash) => {
                let bytes = Cow::Owned(bytes.to_vec());
                let definition = series.definition(part, self.limits)?;
                let unmet = Unmet { hash, bytes };
                self.table
                    .add(unmet, Arc::new(definition), &mut self.decoded)?
            }
        };
        if let Verdict::Known(series) = verdict {
            self.table.sample(&mut self.decoded, series, time, value)?;
        }
        Ok(())
    }
}

/// What of a point a series holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Itself,
    Count,
    Sum,
    Min,
    Max,
    Quantile(f64),
}

impl Part {
    fn suffix(self) -> &'static str {
        match self {
            Part::Itself | Part::Quantile(_) => "",
            Part::Count => ".count",
            Part::Sum => ".sum",
            Part::Min => ".min",
            Part::Max => ".max",
        }
    }
}

/// The series that one data point has values for: one of a number, several of
/// the others, all with the same attributes.
struct PointSeries<'a> {
    resource_index: usize,
    from: &'a Resource,
    metric: &'a Metric<'a>,
    /// The data point.
    bytes: &'a [u8],
    /// What tells the point's series from others in this payload; the bytes of
    /// the part come after `key_common_bytes`. Empty until it is asked for.
    key: Vec<u8>,
    key_common_bytes: usize,
    /// None until they are asked for.
    attributes: Option<Labels>,
}

impl<'a> PointSeries<'a> {
    fn new(place: Place, from: &'a Resource, metric: &'a Metric<'a>, bytes: &'a [u8]) -> Self {
        Self {
            resource_index: place.resource,
            from,
            metric,
            bytes,
            key: Vec::new(),
            key_common_bytes: 0,
            attributes: None,
        }
    }

    fn key_bytes(&mut self, part: Part) -> Result<&[u8], Unreadable> {
        if self.key.is_empty() {
            let Metric {
                name,
                unit,
                kind,
                reading,
                ..
            } = self.metric;
            write::varint(&mut self.key, self.resource_index as u64);
            write::varint(&mut self.key, *reading as u64);
            write::bytes(&mut self.key, 1, name.as_bytes());
            write::bytes(&mut self.key, 2, unit.as_bytes());
            for attribute in repeated(self.bytes, kind.attributes_field()) {
                write::bytes(&mut self.key, 3, attribute?);
            }
            self.key_common_bytes = self.key.len();
        }
        self.key.truncate(self.key_common_bytes);
        write::bytes(&mut self.key, 4, part.suffix().as_bytes());
        if let Part::Quantile(quantile) = part {
            write::fixed64(&mut self.key, 5, quantile.to_bits());
        }
        Ok(&self.key)
    }

    fn definition(&mut self, part: Part, limits: Limits) -> Result<SeriesDef, Refusal> {
        let metric = self.metric;
        let mut attributes = self.attributes(limits)?;
        let reading = match part {
            Part::Itself | Part::Count | Part::Sum => metric.reading,
            Part::Min | Part::Max => Reading::Gauge,
            Part::Quantile(quantile) => {
                attributes.set("quantile", quantile.to_string());
                Reading::Gauge
            }
        };
        let unit = match part {
            Part::Count => "1",
            _ => metric.unit.as_ref(),
        };
        let entity = self
            .from
            .entity
            .clone()
            .or_else(|| conventions::primary_entity(&attributes));
        Ok(SeriesDef {
            reading,
            key: SeriesKey {
                name: format!("{}{}", metric.name, part.suffix()),
                unit: unit.to_owned(),
                entity,
                attributes,
            },
        })
    }

    /// Those of the point over those of the resource.
    fn attributes(&mut self, limits: Limits) -> Result<Labels, Refusal> {
        if let Some(labels) = &self.attributes {
            return Ok(labels.clone());
        }
        let mut own = Vec::new();
        for attribute in repeated(self.bytes, self.metric.kind.attributes_field()) {
            if own.len() >= limits.labels_max {
                let max = limits.labels_max;
                return Err(Refusal::Item(format!("more than {max} attributes")));
            }
            let Attribute { key, value } = Attribute::read(attribute?)?;
            let value = value.into_text(limits.label_value_bytes_max)?;
            check_label(&key, &value, limits)?;
            own.push((key, value));
        }
        let instance = self.from.instance.iter();
        let instance = instance.map(|(key, value)| (Cow::Borrowed(key), Cow::Borrowed(value)));
        let labels: Labels = instance.chain(own).collect();
        self.attributes = Some(labels.clone());
        Ok(labels)
    }
}
