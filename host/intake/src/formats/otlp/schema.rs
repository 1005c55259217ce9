//! The messages of OTLP 1.x as the JSON mapping names them: lower camel case to
//! field number and kind. Only what is kept; everything else is passed over,
//! as the specification asks for fields that a receiver does not know.

/// A message's fields.
#[derive(Debug)]
pub(super) struct Schema(pub(super) &'static [(&'static str, u32, Kind)]);

/// What a field holds, and how JSON writes it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// An object.
    Message(&'static Schema),
    /// A list of objects.
    Messages(&'static Schema),
    /// A string.
    Text,
    /// A string of hexadecimal digits: trace and span ids, other than the
    /// protobuf mapping has it.
    Hex,
    /// A string in Base64, with either alphabet, padded or not.
    Base64,
    /// `true` or `false`.
    Bool,
    /// A varint: a number, or a string of digits.
    Integer,
    /// Eight bytes, unsigned: as `Integer`.
    Fixed64,
    /// Eight bytes, signed: as `Integer`.
    SignedFixed64,
    /// A number, or a string: digits, `NaN`, `Infinity`, `-Infinity`.
    Double,
}

use Kind::{Base64, Bool, Double, Fixed64, Hex, Integer, Message, Messages, SignedFixed64, Text};

pub(super) static METRICS_REQUEST: Schema =
    Schema(&[("resourceMetrics", 1, Messages(&RESOURCE_METRICS))]);
static RESOURCE_METRICS: Schema = Schema(&[
    ("resource", 1, Message(&RESOURCE)),
    ("scopeMetrics", 2, Messages(&SCOPE_METRICS)),
]);
static SCOPE_METRICS: Schema = Schema(&[("metrics", 2, Messages(&METRIC))]);
static METRIC: Schema = Schema(&[
    ("name", 1, Text),
    ("unit", 3, Text),
    ("gauge", 5, Message(&NUMBERS)),
    ("sum", 7, Message(&NUMBERS)),
    ("histogram", 9, Message(&HISTOGRAM)),
    ("exponentialHistogram", 10, Message(&EXPONENTIAL_HISTOGRAM)),
    ("summary", 11, Message(&SUMMARY)),
]);
/// `Gauge` and `Sum`.
static NUMBERS: Schema = Schema(&[
    ("dataPoints", 1, Messages(&NUMBER_POINT)),
    ("aggregationTemporality", 2, Integer),
    ("isMonotonic", 3, Bool),
]);
static HISTOGRAM: Schema = Schema(&[
    ("dataPoints", 1, Messages(&HISTOGRAM_POINT)),
    ("aggregationTemporality", 2, Integer),
]);
static EXPONENTIAL_HISTOGRAM: Schema = Schema(&[
    ("dataPoints", 1, Messages(&EXPONENTIAL_HISTOGRAM_POINT)),
    ("aggregationTemporality", 2, Integer),
]);
static SUMMARY: Schema = Schema(&[("dataPoints", 1, Messages(&SUMMARY_POINT))]);
static NUMBER_POINT: Schema = Schema(&[
    ("attributes", 7, Messages(&KEY_VALUE)),
    ("timeUnixNano", 3, Fixed64),
    ("asDouble", 4, Double),
    ("asInt", 6, SignedFixed64),
    ("exemplars", 5, Messages(&NOTHING)),
    ("flags", 8, Integer),
]);
static HISTOGRAM_POINT: Schema = Schema(&[
    ("attributes", 9, Messages(&KEY_VALUE)),
    ("timeUnixNano", 3, Fixed64),
    ("count", 4, Fixed64),
    ("sum", 5, Double),
    ("exemplars", 8, Messages(&NOTHING)),
    ("flags", 10, Integer),
    ("min", 11, Double),
    ("max", 12, Double),
]);
static EXPONENTIAL_HISTOGRAM_POINT: Schema = Schema(&[
    ("attributes", 1, Messages(&KEY_VALUE)),
    ("timeUnixNano", 3, Fixed64),
    ("count", 4, Fixed64),
    ("sum", 5, Double),
    ("flags", 10, Integer),
    ("exemplars", 11, Messages(&NOTHING)),
    ("min", 12, Double),
    ("max", 13, Double),
]);
static SUMMARY_POINT: Schema = Schema(&[
    ("attributes", 7, Messages(&KEY_VALUE)),
    ("timeUnixNano", 3, Fixed64),
    ("count", 4, Fixed64),
    ("sum", 5, Double),
    ("quantileValues", 6, Messages(&VALUE_AT_QUANTILE)),
    ("flags", 8, Integer),
]);
static VALUE_AT_QUANTILE: Schema = Schema(&[("quantile", 1, Double), ("value", 2, Double)]);

pub(super) static LOGS_REQUEST: Schema = Schema(&[("resourceLogs", 1, Messages(&RESOURCE_LOGS))]);
static RESOURCE_LOGS: Schema = Schema(&[
    ("resource", 1, Message(&RESOURCE)),
    ("scopeLogs", 2, Messages(&SCOPE_LOGS)),
]);
static SCOPE_LOGS: Schema = Schema(&[("logRecords", 2, Messages(&LOG_RECORD))]);
static LOG_RECORD: Schema = Schema(&[
    ("timeUnixNano", 1, Fixed64),
    ("observedTimeUnixNano", 11, Fixed64),
    ("severityNumber", 2, Integer),
    ("severityText", 3, Text),
    ("body", 5, Message(&ANY_VALUE)),
    ("attributes", 6, Messages(&KEY_VALUE)),
    ("eventName", 12, Text),
]);

pub(super) static TRACES_REQUEST: Schema =
    Schema(&[("resourceSpans", 1, Messages(&RESOURCE_SPANS))]);
static RESOURCE_SPANS: Schema = Schema(&[
    ("resource", 1, Message(&RESOURCE)),
    ("scopeSpans", 2, Messages(&SCOPE_SPANS)),
]);
static SCOPE_SPANS: Schema = Schema(&[("spans", 2, Messages(&SPAN))]);
static SPAN: Schema = Schema(&[
    ("traceId", 1, Hex),
    ("spanId", 2, Hex),
    ("parentSpanId", 4, Hex),
    ("name", 5, Text),
    ("kind", 6, Integer),
    ("startTimeUnixNano", 7, Fixed64),
    ("endTimeUnixNano", 8, Fixed64),
    ("attributes", 9, Messages(&KEY_VALUE)),
    ("status", 15, Message(&STATUS)),
]);
static STATUS: Schema = Schema(&[("code", 3, Integer)]);

static RESOURCE: Schema = Schema(&[("attributes", 1, Messages(&KEY_VALUE))]);
static KEY_VALUE: Schema = Schema(&[("key", 1, Text), ("value", 2, Message(&ANY_VALUE))]);
static ANY_VALUE: Schema = Schema(&[
    ("stringValue", 1, Text),
    ("boolValue", 2, Bool),
    ("intValue", 3, Integer),
    ("doubleValue", 4, Double),
    ("arrayValue", 5, Message(&ARRAY_VALUE)),
    ("kvlistValue", 6, Message(&KEY_VALUE_LIST)),
    ("bytesValue", 7, Base64),
]);
static ARRAY_VALUE: Schema = Schema(&[("values", 1, Messages(&ANY_VALUE))]);
static KEY_VALUE_LIST: Schema = Schema(&[("values", 1, Messages(&KEY_VALUE))]);
/// Counted only.
static NOTHING: Schema = Schema(&[]);
