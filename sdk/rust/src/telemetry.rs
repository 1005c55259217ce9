//! Telemetry: numbers and lines, in columns as they cross the boundary, and
//! row by row as one thinks of them.
//!
//! The iterators here borrow and allocate nothing: they are made for the hot
//! path of a detector.

use crate::{Attribute, Entity, LogLines, LogSource, Samples, Series, Timestamp};

impl Series {
    /// A metric measured on an entity, or on nothing that has a name (`None`).
    /// The unit is in UCUM notation (`s`,
    /// `By`, `1`, `{request}/s`), or empty if unknown. The id is 0 until
    /// somebody who numbers series sets it.
    pub fn new(
        name: impl Into<String>,
        unit: impl Into<String>,
        entity: impl Into<Option<Entity>>,
    ) -> Self {
        Self {
            id: 0,
            name: name.into(),
            unit: unit.into(),
            entity: entity.into(),
            attributes: Vec::new(),
        }
    }

    /// With this id.
    #[must_use]
    pub fn with_id(mut self, id: u32) -> Self {
        self.id = id;
        self
    }

    /// Told apart from its siblings by this attribute too.
    #[must_use]
    pub fn with_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push(Attribute::new(key, value));
        self
    }
}

impl LogSource {
    /// What wrote the lines, if it has a name. The id is 0 until somebody who numbers sources
    /// sets it.
    pub fn new(entity: impl Into<Option<Entity>>) -> Self {
        Self {
            id: 0,
            entity: entity.into(),
            attributes: Vec::new(),
        }
    }

    /// With this id.
    #[must_use]
    pub fn with_id(mut self, id: u32) -> Self {
        self.id = id;
        self
    }

    /// Told apart from others of the same entity by this attribute too.
    #[must_use]
    pub fn with_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push(Attribute::new(key, value));
        self
    }
}

/// One row of [`Samples`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Which row of the batch.
    pub row: u32,
    /// The id of its series.
    pub series: u32,
    /// Event time, microseconds since the Unix epoch.
    pub time: Timestamp,
    /// The measurement.
    pub value: f64,
}

impl Samples {
    /// No rows.
    pub const fn new() -> Self {
        Self {
            series: Vec::new(),
            time: Vec::new(),
            value: Vec::new(),
        }
    }

    /// Appends a row.
    pub fn push(&mut self, series: u32, time: Timestamp, value: f64) {
        self.series.push(series);
        self.time.push(time);
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

    /// The rows in order.
    pub fn rows(&self) -> impl Iterator<Item = Sample> + '_ {
        (0..)
            .zip(&self.series)
            .zip(&self.time)
            .zip(&self.value)
            .map(|(((row, &series), &time), &value)| Sample {
                row,
                series,
                time,
                value,
            })
    }
}

impl Default for Samples {
    fn default() -> Self {
        Self::new()
    }
}

/// One row of [`LogLines`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// Which row of the batch.
    pub row: u32,
    /// The id of its log source.
    pub source: u32,
    /// Event time, microseconds since the Unix epoch.
    pub time: Timestamp,
    /// OpenTelemetry's severity number, 1 to 24; 0 if the sender gave none.
    pub severity: u8,
    /// The line.
    pub text: &'a str,
}

impl LogLines {
    /// No lines.
    pub const fn new() -> Self {
        Self {
            source: Vec::new(),
            time: Vec::new(),
            severity: Vec::new(),
            ends: Vec::new(),
            text: Vec::new(),
        }
    }

    /// Appends a line. False, and nothing is appended, if the texts would
    /// exceed 4 GiB.
    #[must_use]
    pub fn push(&mut self, source: u32, time: Timestamp, severity: u8, text: &str) -> bool {
        let Some(end) = self.text.len().checked_add(text.len()) else {
            return false;
        };
        let Ok(end) = u32::try_from(end) else {
            return false;
        };
        self.text.extend_from_slice(text.as_bytes());
        self.source.push(source);
        self.time.push(time);
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

    /// The lines in order.
    ///
    /// The host guarantees UTF-8. Should a line not be, its text ends before
    /// the first bad byte: this never panics.
    pub fn rows(&self) -> impl Iterator<Item = LogLine<'_>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        (0..)
            .zip(&self.source)
            .zip(&self.time)
            .zip(&self.severity)
            .zip(starts.zip(&self.ends))
            .map(
                |((((row, &source), &time), &severity), (start, &end))| LogLine {
                    row,
                    source,
                    time,
                    severity,
                    text: text_between(&self.text, start, end),
                },
            )
    }
}

impl Default for LogLines {
    fn default() -> Self {
        Self::new()
    }
}

fn text_between(text: &[u8], start: u32, end: u32) -> &str {
    let bytes = text.get(start as usize..end as usize).unwrap_or_default();
    match std::str::from_utf8(bytes) {
        Ok(line) => line,
        Err(error) => bytes
            .get(..error.valid_up_to())
            .and_then(|valid| std::str::from_utf8(valid).ok())
            .unwrap_or_default(),
    }
}
