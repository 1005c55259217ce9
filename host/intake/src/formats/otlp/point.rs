//! One data point of a metric, of any of the five kinds. Each kind is a message
//! of its own with the same fields under other numbers.

use crate::formats::wire::{Fields, Unreadable};

/// `DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK`.
const FLAG_NO_RECORDED_VALUE: u64 = 1;

/// Which message a data point is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PointKind {
    /// `NumberDataPoint`.
    Number,
    /// `HistogramDataPoint`.
    Histogram,
    /// `ExponentialHistogramDataPoint`.
    ExponentialHistogram,
    /// `SummaryDataPoint`.
    Summary,
}

impl PointKind {
    /// The number of the field with the attributes.
    pub(super) fn attributes_field(self) -> u32 {
        match self {
            PointKind::Number | PointKind::Summary => 7,
            PointKind::Histogram => 9,
            PointKind::ExponentialHistogram => 1,
        }
    }
}

/// A data point, as far as it is kept; attributes and quantiles are read where
/// they are used.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Point {
    /// Nanoseconds since the epoch; zero if not stated.
    pub(super) time: u64,
    /// It says that there is no value.
    pub(super) is_stale: bool,
    pub(super) exemplars: u64,
    /// Of a number.
    pub(super) value: Option<f64>,
    pub(super) count: u64,
    pub(super) sum: Option<f64>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
}

impl Point {
    pub(super) fn read(kind: PointKind, bytes: &[u8]) -> Result<Self, Unreadable> {
        use PointKind::{ExponentialHistogram, Histogram, Number, Summary};
        let mut point = Self::default();
        for field in Fields::of(bytes) {
            let field = field?;
            match (field.number, kind) {
                (3, _) => point.time = field.fixed64()?,
                (8, Number | Summary) | (10, Histogram | ExponentialHistogram) => {
                    point.is_stale = field.varint()? & FLAG_NO_RECORDED_VALUE != 0;
                }
                (5, Number) | (8, Histogram) | (11, ExponentialHistogram) => point.exemplars += 1,
                (4, Number) => point.value = Some(field.double()?),
                (6, Number) => point.value = Some(as_double(field.fixed64()?.cast_signed())),
                (4, _) => point.count = field.fixed64()?,
                (5, _) => point.sum = Some(field.double()?),
                (11, Histogram) | (12, ExponentialHistogram) => point.min = Some(field.double()?),
                (12, Histogram) | (13, ExponentialHistogram) => point.max = Some(field.double()?),
                _ => {}
            }
        }
        Ok(point)
    }
}

/// Columns hold floating point numbers, exact to 2^53.
#[expect(clippy::cast_precision_loss, reason = "columns hold nothing wider")]
pub(super) fn as_double(integer: i64) -> f64 {
    integer as f64
}

/// `ValueAtQuantile`: the quantile, 0 to 1, and the value.
pub(super) fn read_quantile(bytes: &[u8]) -> Result<(f64, f64), Unreadable> {
    let (mut quantile, mut value) = (0.0, 0.0);
    for field in Fields::of(bytes) {
        let field = field?;
        match field.number {
            1 => quantile = field.double()?,
            2 => value = field.double()?,
            _ => {}
        }
    }
    Ok((quantile, value))
}
