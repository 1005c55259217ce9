//! A metric: its name, its unit, and how its points are to be read.

use std::borrow::Cow;

use faultline_domain::telemetry::Reading;

use super::point::PointKind;
use crate::formats::limits::{Limits, clip};
use crate::formats::wire::{Fields, Unreadable, repeated};

/// `AggregationTemporality`.
const TEMPORALITY_DELTA: u64 = 1;
const TEMPORALITY_CUMULATIVE: u64 = 2;

/// `Metric`, without its points.
#[derive(Debug)]
pub(super) struct Metric<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) unit: Cow<'a, str>,
    /// The message that the points are in, in its field 1.
    pub(super) data: &'a [u8],
    pub(super) kind: PointKind,
    /// How to read the values of a number, or the count and the sum of others.
    pub(super) reading: Reading,
}

impl<'a> Metric<'a> {
    /// Reads a `Metric`; the inner error says why it cannot be used.
    pub(super) fn read(
        bytes: &'a [u8],
        limits: Limits,
    ) -> Result<Result<Self, String>, Unreadable> {
        let (mut name, mut unit) = (Cow::Borrowed(""), Cow::Borrowed(""));
        let mut data = None;
        for field in Fields::of(bytes) {
            let field = field?;
            match field.number {
                1 => name = field.text()?,
                3 => unit = field.text()?,
                number if is_data(number) => data = Some((number, field.bytes()?)),
                _ => {}
            }
        }
        if name.is_empty() {
            return Ok(Err("a metric without a name".to_owned()));
        }
        let bytes_max = limits.label_name_bytes_max;
        if name.len() > bytes_max || unit.len() > bytes_max {
            return Ok(Err(format!(
                "the name or unit of `{}…` has more than {bytes_max} bytes",
                clip(&name, 40)
            )));
        }
        let Some((field, data)) = data else {
            return Ok(Err(format!("`{name}` has no data of a known kind")));
        };
        let aggregation = Aggregation::read(data)?;
        let (kind, reading) = match field {
            5 => (PointKind::Number, Some(Reading::Gauge)),
            7 => (PointKind::Number, aggregation.reading_of_sum()),
            9 => (PointKind::Histogram, aggregation.reading_of_count()),
            10 => (
                PointKind::ExponentialHistogram,
                aggregation.reading_of_count(),
            ),
            _ => (PointKind::Summary, Some(Reading::Counter)),
        };
        let Some(reading) = reading else {
            return Ok(Err(format!(
                "`{name}` does not say whether its values are cumulative or deltas; \
                 the sender has to state an aggregation temporality"
            )));
        };
        Ok(Ok(Self {
            name,
            unit,
            data,
            kind,
            reading,
        }))
    }

    /// How many points the bytes of a `Metric` have.
    pub(super) fn count_points(bytes: &[u8]) -> Result<u64, Unreadable> {
        let mut points = 0;
        for field in Fields::of(bytes) {
            let field = field?;
            if is_data(field.number) {
                for point in repeated(field.bytes()?, 1) {
                    point?;
                    points += 1;
                }
            }
        }
        Ok(points)
    }
}

/// Gauge, sum, histogram, exponential histogram, summary.
fn is_data(field: u32) -> bool {
    matches!(field, 5 | 7 | 9 | 10 | 11)
}

/// What `Sum`, `Histogram` and `ExponentialHistogram` say of their points, in
/// the same fields.
#[derive(Debug, Clone, Copy, Default)]
struct Aggregation {
    temporality: u64,
    is_monotonic: bool,
}

impl Aggregation {
    fn read(data: &[u8]) -> Result<Self, Unreadable> {
        let mut aggregation = Self::default();
        for field in Fields::of(data) {
            let field = field?;
            match field.number {
                2 => aggregation.temporality = field.varint()?,
                3 => aggregation.is_monotonic = field.varint()? != 0,
                _ => {}
            }
        }
        Ok(aggregation)
    }

    fn reading_of_sum(self) -> Option<Reading> {
        match self.temporality {
            TEMPORALITY_DELTA => Some(Reading::Delta),
            TEMPORALITY_CUMULATIVE if self.is_monotonic => Some(Reading::Counter),
            TEMPORALITY_CUMULATIVE => Some(Reading::Gauge),
            _ => None,
        }
    }

    fn reading_of_count(self) -> Option<Reading> {
        match self.temporality {
            TEMPORALITY_DELTA => Some(Reading::Delta),
            TEMPORALITY_CUMULATIVE => Some(Reading::Counter),
            _ => None,
        }
    }
}
