//! Telemetry: numbers and lines, in columns.

use serde::{Deserialize, Serialize};

use crate::entity::Entity;
use crate::labels::Labels;
use crate::time::Timestamp;

/// How the values of a series are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// As they are.
    Gauge,
    /// They only grow, and begin again at zero after a restart: what matters
    /// is how fast.
    Counter,
    /// Each is what came since the one before: what matters is how much in
    /// what time.
    Delta,
}

/// What a column of samples measures.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeriesKey {
    /// The metric's name.
    pub name: String,
    /// UCUM, or empty.
    pub unit: String,
    /// What it was measured on; none if the labels name nothing.
    pub entity: Option<Entity>,
    /// What tells it apart from its siblings.
    pub attributes: Labels,
}

/// A series as an envelope announces it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeriesDef {
    /// What the sender measures.
    pub key: SeriesKey,
    /// How to read its values.
    pub reading: Reading,
}

impl SeriesDef {
    /// What becomes of it after reading: a gauge stays what it is, of counters
    /// and deltas what matters is how fast they grow.
    pub fn measured(&self) -> SeriesKey {
        match self.reading {
            Reading::Gauge => self.key.clone(),
            Reading::Counter | Reading::Delta => SeriesKey {
                name: format!("rate({})", self.key.name),
                unit: match self.key.unit.as_str() {
                    "" | "1" => "1/s".to_owned(),
                    unit => format!("{unit}/s"),
                },
                entity: self.key.entity.clone(),
                attributes: self.key.attributes.clone(),
            },
        }
    }
}

impl Reading {
    /// One word, as stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reading::Gauge => "gauge",
            Reading::Counter => "counter",
            Reading::Delta => "delta",
        }
    }

    /// What the word stands for.
    pub fn from_word(word: &str) -> Option<Self> {
        [Reading::Gauge, Reading::Counter, Reading::Delta]
            .into_iter()
            .find(|reading| reading.as_str() == word)
    }
}

/// Measurements in columns of equal length: row i is `(series[i], time[i],
/// value[i])`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Samples {
    /// An index into whatever list of series comes with the columns.
    pub series: Vec<u32>,
    /// Microseconds since the epoch.
    pub time: Vec<u64>,
    /// The measurements.
    pub value: Vec<f64>,
}

impl Samples {
    /// Appends a row.
    pub fn push(&mut self, series: u32, time: Timestamp, value: f64) {
        self.series.push(series);
        self.time.push(time.as_micros());
        self.value.push(value);
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// The rows, one by one.
    pub fn rows(&self) -> impl Iterator<Item = (u32, Timestamp, f64)> + '_ {
        self.series
            .iter()
            .zip(&self.time)
            .zip(&self.value)
            .map(|((series, time), value)| (*series, Timestamp::from_micros(*time), *value))
    }
}

/// Where log lines come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogSource {
    /// What wrote the lines; none if the labels name nothing.
    pub entity: Option<Entity>,
    /// What tells it apart from others of the same entity.
    pub attributes: Labels,
}

/// Log lines in columns: the text of row i is `text[ends[i-1]..ends[i]]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogLines {
    /// An index into whatever list of log sources comes with the columns.
    pub source: Vec<u32>,
    /// Microseconds since the epoch.
    pub time: Vec<u64>,
    /// OpenTelemetry's severity number; 0 if unknown.
    pub severity: Vec<u8>,
    /// Where the text of each row ends.
    pub ends: Vec<u32>,
    /// All texts, one after the other.
    pub text: String,
}

impl LogLines {
    /// Appends a line. False, and nothing is appended, if the texts would
    /// exceed 4 GiB.
    #[must_use]
    pub fn push(&mut self, source: u32, time: Timestamp, severity: u8, text: &str) -> bool {
        let Ok(end) = u32::try_from(self.text.len() + text.len()) else {
            return false;
        };
        self.text.push_str(text);
        self.source.push(source);
        self.time.push(time.as_micros());
        self.severity.push(severity);
        self.ends.push(end);
        true
    }

    /// How many lines.
    pub fn len(&self) -> usize {
        self.source.len()
    }

    /// Whether there are no lines.
    pub fn is_empty(&self) -> bool {
        self.source.is_empty()
    }

    /// The text of a row; empty if there is no such row.
    pub fn text_of(&self, row: usize) -> &str {
        let start = match row.checked_sub(1) {
            None => 0,
            Some(before) => self.ends.get(before).copied().unwrap_or(u32::MAX) as usize,
        };
        let end = self.ends.get(row).copied().unwrap_or(0) as usize;
        self.text.get(start..end).unwrap_or("")
    }
}

/// How a span ended (OpenTelemetry, "Span status").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanOutcome {
    /// Unset or Ok.
    Ok,
    /// Error.
    Error,
}

/// Which side of a call a span stands on (OpenTelemetry, `SpanKind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Inside one service.
    Internal,
    /// Answers a request.
    Server,
    /// Makes a request.
    Client,
    /// Sends a message.
    Producer,
    /// Takes a message.
    Consumer,
}

/// One span, reduced to what rates, errors, durations and edges need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// 16 bytes.
    pub trace: [u8; 16],
    /// 8 bytes.
    pub id: [u8; 8],
    /// The span that caused it.
    pub parent: Option<[u8; 8]>,
    /// Who says so; none if the resource names no service.
    pub service: Option<Entity>,
    /// Which side of a call.
    pub kind: SpanKind,
    /// What was done.
    pub operation: String,
    /// What a client says it called, by name or by kind of database.
    pub peer: Option<Entity>,
    /// When it began.
    pub start: Timestamp,
    /// When it ended, not before it began.
    pub end: Timestamp,
    /// How it ended.
    pub outcome: SpanOutcome,
}
