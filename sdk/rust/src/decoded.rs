//! What an envelope said, put together piece by piece.

use std::collections::BTreeMap;

use crate::{
    Attribute, Decoded, Entity, Fault, LogLines, LogSource, Samples, Series, Signal, Timestamp,
};

impl Decoded {
    /// Nothing said yet.
    pub fn builder() -> DecodedBuilder {
        DecodedBuilder::default()
    }
}

/// Puts a [`Decoded`] together from signals, series with their rows, and log
/// sources with their lines, in any order. It numbers series and sources,
/// knows those that come twice, and fills the columns.
#[derive(Debug, Default)]
pub struct DecodedBuilder {
    signals: Vec<Signal>,
    series: Vec<Series>,
    series_ids: BTreeMap<SeriesKey, u32>,
    rows: Vec<Row>,
    log_sources: Vec<LogSource>,
    log_source_ids: BTreeMap<(Option<Entity>, Vec<Attribute>), u32>,
    logs: LogLines,
    rejected: Vec<Fault>,
    rejected_unlisted: u32,
}

/// The most rejected items that are listed with their reasons; others are
/// counted. A payload in which everything is wrong would otherwise make a list
/// that is many times its own size.
pub const REJECTED_LISTED_MAX: usize = 100;

/// What tells one series from another.
type SeriesKey = (Option<Entity>, String, String, Vec<Attribute>);

#[derive(Debug)]
struct Row {
    series: u32,
    time: Timestamp,
    value: f64,
}

/// A series of one [`DecodedBuilder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesHandle(u32);

/// A log source of one [`DecodedBuilder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSourceHandle(u32);

impl DecodedBuilder {
    /// An alert, a change, a dependency or a ticket. They apply in this order.
    pub fn signal(&mut self, signal: impl Into<Signal>) {
        self.signals.push(signal.into());
    }

    /// A series, to push samples to. The same series again is the same handle;
    /// the order of its attributes and its id do not matter.
    pub fn series(&mut self, mut series: Series) -> SeriesHandle {
        series.attributes.sort_unstable();
        let key = (
            series.entity.clone(),
            series.name.clone(),
            series.unit.clone(),
            series.attributes.clone(),
        );
        let next = u32::try_from(self.series.len()).unwrap_or(u32::MAX);
        let id = *self.series_ids.entry(key).or_insert(next);
        if id == next {
            self.series.push(series.with_id(id));
        }
        SeriesHandle(id)
    }

    /// A measurement. Rows may come in any order; where a series has two of
    /// the same time, the last one counts.
    pub fn sample(&mut self, series: SeriesHandle, time: Timestamp, value: f64) {
        self.rows.push(Row {
            series: series.0,
            time,
            value,
        });
    }

    /// A log source, to push lines to. The same source again is the same
    /// handle.
    pub fn log_source(&mut self, mut source: LogSource) -> LogSourceHandle {
        source.attributes.sort_unstable();
        let key = (source.entity.clone(), source.attributes.clone());
        let next = u32::try_from(self.log_sources.len()).unwrap_or(u32::MAX);
        let id = *self.log_source_ids.entry(key).or_insert(next);
        if id == next {
            self.log_sources.push(source.with_id(id));
        }
        LogSourceHandle(id)
    }

    /// A log line. The severity is OpenTelemetry's number, 1 to 24; 0 if the
    /// sender gave none. Lines keep the order in which they come.
    ///
    /// # Errors
    /// `limit.output`, if the lines of this envelope exceed 4 GiB.
    pub fn line(
        &mut self,
        source: LogSourceHandle,
        time: Timestamp,
        severity: u8,
        text: &str,
    ) -> Result<(), Fault> {
        if self.logs.push(source.0, time, severity, text) {
            Ok(())
        } else {
            Err(Fault::new(
                "limit.output",
                "the log lines of one envelope cannot exceed 4 GiB: send fewer at a time",
            ))
        }
    }

    /// An item that could not be read, and why. The others count nevertheless;
    /// see [`Fault::at`] for saying which it was.
    pub fn reject(&mut self, fault: Fault) {
        if self.rejected.len() < REJECTED_LISTED_MAX {
            self.rejected.push(fault);
        } else {
            self.rejected_unlisted = self.rejected_unlisted.saturating_add(1);
        }
    }

    /// Everything that was pushed.
    ///
    /// # Errors
    /// The fault of the first rejected item, if there were items and none of
    /// them could be read: then the envelope as a whole says nothing.
    pub fn finish(self) -> Result<Decoded, Fault> {
        let says_nothing = self.signals.is_empty() && self.rows.is_empty() && self.logs.is_empty();
        if let (true, Some(first)) = (says_nothing, self.rejected.first()) {
            let others = self.rejected.len() as u64 - 1 + u64::from(self.rejected_unlisted);
            let mut fault = first.clone();
            if others > 0 {
                fault.message = format!("{} ({others} more rejected)", fault.message);
            }
            return Err(fault);
        }
        Ok(Decoded {
            signals: self.signals,
            series: self.series,
            samples: columns(self.rows),
            log_sources: self.log_sources,
            logs: (!self.logs.is_empty()).then_some(self.logs),
            rejected: self.rejected,
            rejected_unlisted: self.rejected_unlisted,
        })
    }
}

/// Rows in order of time, one for each series and time.
fn columns(mut rows: Vec<Row>) -> Option<Samples> {
    if rows.is_empty() {
        return None;
    }
    // Stable, so that of two rows with the same series and time the one that
    // came last is still last.
    rows.sort_by_key(|row| (row.time, row.series));
    let mut samples = Samples::new();
    for (index, row) in rows.iter().enumerate() {
        let superseded = rows
            .get(index + 1)
            .is_some_and(|next| (next.time, next.series) == (row.time, row.series));
        if !superseded {
            samples.push(row.series, row.time, row.value);
        }
    }
    Some(samples)
}
