//! Series and their samples.

use std::collections::BTreeMap;

use faultline_domain::telemetry as domain;
use faultline_store::SeriesRecord;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Time, labels};

/// A series of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Series {
    /// The catalogue's number.
    pub id: u32,
    /// What its samples measure: of counters, how fast they grow.
    #[schema(example = "rate(http_requests_total)")]
    pub name: String,
    /// UCUM, or empty.
    #[schema(example = "1/s")]
    pub unit: String,
    /// The name that the sender uses.
    #[schema(example = "http_requests_total")]
    pub sender_name: String,
    /// The unit that the sender uses.
    pub sender_unit: String,
    /// How the sender's values are read.
    pub reading: Reading,
    /// What it was measured on, as `kind/name`; none if the labels name
    /// nothing.
    pub entity: Option<String>,
    /// What tells it apart from its siblings.
    pub attributes: BTreeMap<String, String>,
    /// The envelope that first spoke of it.
    pub first_position: u64,
}

/// How the values of a sender are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// As they are.
    Gauge,
    /// They only grow: what matters is how fast.
    Counter,
    /// Each is what came since the one before.
    Delta,
}

impl From<SeriesRecord> for Series {
    fn from(record: SeriesRecord) -> Self {
        let measured = record.def.measured();
        let key = record.def.key;
        Self {
            id: record.id,
            name: measured.name,
            unit: measured.unit,
            sender_name: key.name,
            sender_unit: key.unit,
            reading: match record.def.reading {
                domain::Reading::Gauge => Reading::Gauge,
                domain::Reading::Counter => Reading::Counter,
                domain::Reading::Delta => Reading::Delta,
            },
            entity: key.entity.map(|entity| entity.to_string()),
            attributes: labels(&key.attributes),
            first_position: record.first.0,
        }
    }
}

/// Samples of one series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Samples {
    /// Which series.
    pub series: Series,
    /// From when on, included.
    pub from: Time,
    /// Until when, included.
    pub to: Time,
    /// How many samples there are in this time. If they are more than `points`,
    /// several make one point.
    pub samples: u64,
    /// In the order of time.
    pub points: Vec<Sample>,
}

/// One sample, or several that follow one another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    /// When the first of them was taken.
    pub at: Time,
    /// Their mean; none if one of them is not a number.
    pub value: Option<f64>,
    /// The least of them.
    pub min: Option<f64>,
    /// The greatest of them.
    pub max: Option<f64>,
    /// How many.
    #[schema(minimum = 1)]
    pub count: u64,
}
