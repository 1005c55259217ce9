//! The series of one payload, each once, and their samples in columns.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use faultline_domain::decode::{Decoded, Note};
use faultline_domain::telemetry::SeriesDef;
use faultline_domain::time::Timestamp;

use super::limits::Limits;
use super::wire::Unreadable;

/// A series and its samples' place in a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the series of this index.
    Known(u32),
    /// Its samples are left out, with this note.
    LeftOut(Note),
    /// It was rejected, and the reason given.
    Rejected,
}

/// A series that was not met before in this payload.
#[derive(Debug)]
pub(crate) struct Unmet<'a> {
    /// Of `bytes`, by the table's hasher.
    pub(crate) hash: u64,
    /// What tells the series from others.
    pub(crate) bytes: Cow<'a, [u8]>,
}

/// Collects series and samples. A series is found again by its bytes on the
/// wire, which is cheap and, within one payload, nearly always enough; where a
/// sender writes one series in two ways it stands twice, with equal keys.
pub(crate) struct SeriesTable<'a> {
    limits: Limits,
    hasher: RandomState,
    /// By the hash of the bytes, so that they are hashed once. Should two
    /// series share a hash, the later one is not remembered and stands as often
    /// as it is named.
    verdicts: HashMap<u64, (Cow<'a, [u8]>, Verdict)>,
    series: usize,
    labels: usize,
    label_bytes: usize,
    samples: usize,
}

impl<'a> SeriesTable<'a> {
    pub(crate) fn new(limits: Limits, hasher: RandomState) -> Self {
        Self {
            limits,
            hasher,
            verdicts: HashMap::new(),
            series: 0,
            labels: 0,
            label_bytes: 0,
            samples: 0,
        }
    }

    /// What was made of the series with these bytes, if it was met before; if
    /// not, their hash.
    pub(crate) fn find(&self, bytes: &[u8]) -> Result<Verdict, u64> {
        let hash = self.hasher.hash_one(bytes);
        match self.verdicts.get(&hash) {
            Some((known, verdict)) if **known == *bytes => Ok(*verdict),
            _ => Err(hash),
        }
    }

    /// Remembers that the samples of a series are left out.
    pub(crate) fn leave_out(&mut self, unmet: Unmet<'a>, note: Note) -> Verdict {
        self.remember(unmet, Verdict::LeftOut(note))
    }

    /// Adds a series.
    pub(crate) fn add(
        &mut self,
        unmet: Unmet<'a>,
        series: Arc<SeriesDef>,
        decoded: &mut Decoded,
    ) -> Result<Verdict, Unreadable> {
        self.count_labels(series.key.attributes.iter())?;
        let index = u32::try_from(decoded.series.len()).unwrap_or(u32::MAX);
        decoded.series.push(series);
        Ok(self.remember(unmet, Verdict::Known(index)))
    }

    fn remember(&mut self, unmet: Unmet<'a>, verdict: Verdict) -> Verdict {
        self.verdicts
            .entry(unmet.hash)
            .or_insert((unmet.bytes, verdict));
        verdict
    }

    /// Adds a sample, unless its value is none.
    pub(crate) fn sample(
        &mut self,
        decoded: &mut Decoded,
        series: u32,
        time: Timestamp,
        value: f64,
    ) -> Result<(), Unreadable> {
        if self.count_sample(decoded, value)? {
            decoded.samples.push(series, time, value);
        }
        Ok(())
    }

    /// How many samples were counted.
    pub(crate) fn samples(&self) -> usize {
        self.samples
    }

    /// Whether the value of a sample is one; if so, it counts.
    pub(crate) fn count_sample(
        &mut self,
        decoded: &mut Decoded,
        value: f64,
    ) -> Result<bool, Unreadable> {
        if !value.is_finite() {
            decoded.notes.add(Note::NotFinite, 1);
            return Ok(false);
        }
        self.samples += 1;
        let max = self.limits.samples_per_payload_max;
        if self.samples > max {
            return Err(Unreadable::over(
                "limit.samples-per-payload",
                format!("a payload may have {max} samples; send smaller batches"),
            ));
        }
        Ok(true)
    }

    /// Counts series as the payload names them, each as often as it does.
    pub(crate) fn count_series(&mut self, series: usize) -> Result<(), Unreadable> {
        self.series += series;
        let max = self.limits.series_per_payload_max;
        if self.series <= max {
            return Ok(());
        }
        Err(Unreadable::over(
            "limit.series-per-payload",
            format!("a payload may name {max} series; send smaller batches"),
        ))
    }

    /// Counts labels of series, and their bytes.
    pub(crate) fn count_labels<'l>(
        &mut self,
        labels: impl Iterator<Item = (&'l str, &'l str)>,
    ) -> Result<(), Unreadable> {
        for (name, value) in labels {
            self.labels += 1;
            self.label_bytes += name.len() + value.len();
        }
        let max = self.limits.labels_per_payload_max;
        if self.labels > max {
            return Err(Unreadable::over(
                "limit.labels-per-payload",
                format!("a payload may have {max} labels in all; send smaller batches"),
            ));
        }
        let max = self.limits.label_bytes_per_payload_max;
        if self.label_bytes > max {
            return Err(Unreadable::over(
                "limit.label-bytes-per-payload",
                format!(
                    "the labels of a payload may have {max} bytes in all; send smaller batches"
                ),
            ));
        }
        Ok(())
    }
}
