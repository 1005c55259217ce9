//! Prometheus remote write 1.0: `prometheus.WriteRequest`, the snappy encoding
//! undone (<https://prometheus.io/docs/specs/prw/remote_write_spec/>).
//!
//! This is the hottest of all formats, with about one sample per series and
//! request. Labels are read in place, and the definition of a series is made
//! when it is met for the first time (see `series_cache`).
//!
//! Left out, and counted: staleness markers and other values that are no
//! numbers, buckets of histograms (detection goes by their count and sum, and
//! a bucket per bound would multiply every series), native histograms and
//! exemplars. Labels need not be sorted, although the specification asks for
//! it, and their names may be any text, as Prometheus 3 allows.

mod series_cache;

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::{Arc, Mutex, TryLockError};

use faultline_domain::conventions;
use faultline_domain::decode::{Decoded, Decoder, Note};
use faultline_domain::envelope::Envelope;
use faultline_domain::fault::Fault;
use faultline_domain::labels::Labels;
use faultline_domain::plugin::Failure;
use faultline_domain::telemetry::{SeriesDef, SeriesKey};
use faultline_domain::time::Timestamp;

use self::series_cache::SeriesCache;
use super::checked::Checked;
use super::limits::Limits;
use super::prometheus::{self, FamilyKind};
use super::refusal::{Refusal, check_label};
use super::series::{SeriesTable, Unmet, Verdict};
use super::wire::{Field, Fields, Unreadable, Within, repeated, write};

/// "The series has ended": one particular NaN
/// (`prometheus/model/value/value.go`, `StaleNaN`).
const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The label that is the metric's name.
const NAME: &str = "__name__";

/// Reads `prometheus.WriteRequest`.
pub struct RemoteWrite {
    limits: Limits,
    cache: Mutex<SeriesCache>,
}

impl RemoteWrite {
    /// A decoder that remembers series in about this many bytes of memory.
    pub fn new(limits: Limits, cache_bytes_max: usize) -> Self {
        Self {
            limits,
            cache: Mutex::new(SeriesCache::new(cache_bytes_max)),
        }
    }
}

impl Decoder for RemoteWrite {
    fn decode(&self, envelopes: &[&Envelope]) -> Result<Vec<Result<Decoded, Fault>>, Failure> {
        // Who finds the memory in use does without: that is slower than
        // having it, and faster than waiting for it.
        let mut cache = match self.cache.try_lock() {
            Ok(cache) => Some(cache),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        let answers = envelopes.iter().map(|envelope| {
            let arrival = &envelope.arrival;
            let reader = Reader::new(arrival.received, self.limits, cache.as_deref_mut());
            reader.read(&arrival.body)
        });
        Ok(answers.collect())
    }
}

/// Reads one request. Samples without a time take the time of arrival.
///
/// # Errors
/// If the bytes are no `WriteRequest`, or more than the limits on a payload
/// allow.
pub fn decode(body: &[u8], received: Timestamp, limits: Limits) -> Result<Decoded, Fault> {
    Reader::new(received, limits, None).read(body)
}

/// Finds what [`decode`] would reject, and makes nothing of the rest: a third
/// of the work.
///
/// # Errors
/// As for [`decode`], and also if labels are over the limit when those of a
/// series count as often as it is named.
pub fn check(body: &[u8], limits: Limits) -> Result<Checked, Fault> {
    let mut reader = Reader::new(Timestamp::ZERO, limits, None);
    reader.task = Task::Check;
    reader.walk(body)?;
    let items = reader.table.samples() as u64;
    Ok(Checked {
        items,
        ..Checked::from(reader.decoded)
    })
}

/// The kinds of families as far as the request states them.
fn families(body: &[u8], limits: Limits) -> Result<HashMap<&str, FamilyKind>, Unreadable> {
    let mut families = HashMap::new();
    for (index, metadata) in repeated(body, 3).enumerate() {
        let (mut kind, mut name) = (None, None);
        for field in metadata.into_iter().flat_map(Fields::of) {
            let field = field.within("metadata", index)?;
            match field.number {
                1 => kind = FamilyKind::from_number(field.varint().within("metadata", index)?),
                2 => name = std::str::from_utf8(field.bytes().within("metadata", index)?).ok(),
                _ => {}
            }
        }
        if families.len() >= limits.series_per_payload_max {
            return Err(Unreadable::over(
                "limit.series-per-payload",
                "more metadata than a payload may have series; send smaller batches",
            ));
        }
        if let (Some(kind), Some(name)) = (kind, name) {
            families.insert(name, kind);
        }
    }
    Ok(families)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Decode,
    Check,
}

struct Reader<'a, 'c> {
    task: Task,
    limits: Limits,
    received: Timestamp,
    families: HashMap<&'a str, FamilyKind>,
    table: SeriesTable<'a>,
    cache: Option<&'c mut SeriesCache>,
    /// The labels of the series at hand; kept between series for its room.
    labels: Vec<(&'a str, &'a str)>,
    decoded: Decoded,
}

impl<'a, 'c> Reader<'a, 'c> {
    fn new(received: Timestamp, limits: Limits, cache: Option<&'c mut SeriesCache>) -> Self {
        let hasher = cache
            .as_ref()
            .map_or_else(RandomState::new, |cache| cache.hasher());
        Self {
            task: Task::Decode,
            limits,
            received,
            families: HashMap::new(),
            table: SeriesTable::new(limits, hasher),
            cache,
            labels: Vec::new(),
            decoded: Decoded::default(),
        }
    }

    fn read(mut self, body: &'a [u8]) -> Result<Decoded, Fault> {
        self.walk(body)?;
        Ok(self.decoded)
    }

    fn walk(&mut self, body: &'a [u8]) -> Result<(), Unreadable> {
        self.families = families(body, self.limits)?;
        if !self.families.is_empty() {
            // The definitions that are remembered were made without metadata.
            self.cache = None;
        }
        for (index, series) in repeated(body, 1).enumerate() {
            series
                .and_then(|series| self.time_series(index, series))
                .within("timeseries", index)?;
        }
        Ok(())
    }

    fn time_series(&mut self, index: usize, series: &'a [u8]) -> Result<(), Unreadable> {
        self.table.count_series(1)?;
        let verdict = match self.identify(series) {
            Ok(verdict) => verdict,
            Err(Refusal::Item(reason)) => {
                let message = format!("timeseries[{index}]: {reason}");
                self.decoded.reject(Fault::malformed(message));
                Verdict::Rejected
            }
            Err(Refusal::Payload(unreadable)) => return Err(unreadable),
        };
        for field in Fields::of(series) {
            let field = field?;
            match (field.number, verdict) {
                (2, Verdict::Known(series)) => self.sample(index, series, field)?,
                (2, Verdict::LeftOut(note)) => self.decoded.notes.add(note, 1),
                (3, _) => self.decoded.notes.add(Note::Exemplar, 1),
                (4, _) => self.decoded.notes.add(Note::NativeHistogram, 1),
                _ => {}
            }
        }
        Ok(())
    }

    fn sample(&mut self, index: usize, series: u32, field: Field<'a>) -> Result<(), Unreadable> {
        let (mut value, mut millis) = (0.0_f64, 0_i64);
        for field in Fields::of(field.bytes()?) {
            let field = field?;
            match field.number {
                1 => value = field.double()?,
                2 => millis = field.varint()?.cast_signed(),
                _ => {}
            }
        }
        if value.to_bits() == STALE_BITS {
            self.decoded.notes.add(Note::Stale, 1);
            return Ok(());
        }
        let time = match u64::try_from(millis) {
            Ok(0) => {
                self.decoded.notes.add(Note::Timeless, 1);
                self.received
            }
            Ok(millis) => Timestamp::from_millis(millis),
            Err(_) => {
                self.decoded.reject(Fault::malformed(format!(
                    "timeseries[{index}]: a sample at {millis} ms, which is before 1970"
                )));
                return Ok(());
            }
        };
        match self.task {
            Task::Decode => self.table.sample(&mut self.decoded, series, time, value),
            Task::Check => self.table.count_sample(&mut self.decoded, value).map(drop),
        }
    }

    fn identify(&mut self, series: &'a [u8]) -> Result<Verdict, Refusal> {
        if self.task == Task::Check {
            let checked = self.check_labels(series);
            if checked.is_err() {
                // Of several reasons, the one that decoding meets first.
                label_bytes(series)?;
            }
            return checked;
        }
        let bytes = label_bytes(series)?;
        let unmet = match self.table.find(&bytes) {
            Ok(verdict) => return Ok(verdict),
            Err(hash) => Unmet { hash, bytes },
        };
        let known = self.cache.as_mut().and_then(|cache| cache.find(&unmet));
        let definition = if let Some(definition) = known {
            definition
        } else {
            let definition = self.define(series)?;
            if let Some(cache) = &mut self.cache {
                cache.keep(&unmet, &definition);
            }
            definition
        };
        match definition {
            Definition::Series(series) => Ok(self.table.add(unmet, series, &mut self.decoded)?),
            Definition::Bucket => Ok(self.table.leave_out(unmet, Note::Bucket)),
        }
    }

    /// What decoding would say of the labels.
    fn check_labels(&mut self, series: &'a [u8]) -> Result<Verdict, Refusal> {
        let kind = self.read_labels(series)?;
        self.table.count_labels(self.labels.iter().copied())?;
        Ok(match kind {
            Kind::Plain(_) => Verdict::Known(0),
            Kind::Bucket => Verdict::LeftOut(Note::Bucket),
        })
    }

    /// The series that the labels name.
    fn define(&mut self, series: &'a [u8]) -> Result<Definition, Refusal> {
        let name = match self.read_labels(series)? {
            Kind::Plain(name) => name,
            Kind::Bucket => return Ok(Definition::Bucket),
        };
        let attributes: Labels = self
            .labels
            .iter()
            .filter(|(label, _)| *label != NAME)
            .copied()
            .collect();
        let series = SeriesDef {
            reading: prometheus::reading(name, self.stated_kind(name)),
            key: SeriesKey {
                name: name.to_owned(),
                unit: prometheus::unit(name).to_owned(),
                entity: conventions::primary_entity(&attributes),
                attributes,
            },
        };
        Ok(Definition::Series(Arc::new(series)))
    }

    /// Fills `labels`, sorted.
    fn read_labels(&mut self, series: &'a [u8]) -> Result<Kind<'a>, Refusal> {
        self.labels.clear();
        for label in repeated(series, 1) {
            if self.labels.len() >= self.limits.labels_max {
                let max = self.limits.labels_max;
                return Err(Refusal::Item(format!("more than {max} labels")));
            }
            self.labels.push(read_label(label?, self.limits)?);
        }
        // Quick where they are sorted, as they should be.
        self.labels.sort_by_key(|(name, _)| *name);
        let twice = self.labels.windows(2).find(|pair| pair[0].0 == pair[1].0);
        if let Some(pair) = twice {
            return Err(Refusal::Item(format!("label `{}` stands twice", pair[0].0)));
        }
        let name = self.value_of(NAME).unwrap_or_default();
        if name.is_empty() {
            let reason = format!("no metric name: label `{NAME}` is missing");
            return Err(Refusal::Item(reason));
        }
        if name.ends_with("_bucket") && self.value_of("le").is_some() {
            return Ok(Kind::Bucket);
        }
        Ok(Kind::Plain(name))
    }

    fn value_of(&self, label: &str) -> Option<&'a str> {
        let at = self.labels.binary_search_by_key(&label, |(name, _)| *name);
        at.ok().map(|index| self.labels[index].1)
    }

    fn stated_kind(&self, name: &str) -> Option<FamilyKind> {
        let family = || self.families.get(prometheus::family_of(name));
        self.families.get(name).or_else(family).copied()
    }
}

/// What the labels of a series say about it.
enum Kind<'a> {
    /// A series of this name.
    Plain(&'a str),
    /// The bucket of a histogram.
    Bucket,
}

/// What is made of the labels of a series.
#[derive(Clone)]
enum Definition {
    Series(Arc<SeriesDef>),
    Bucket,
}

/// The labels of a series as they stand on the wire. Senders write them in one
/// piece before the samples, and then nothing is copied.
fn label_bytes(series: &[u8]) -> Result<Cow<'_, [u8]>, Unreadable> {
    let mut fields = Fields::of(series);
    let mut end = 0;
    while let Some(field) = fields.next().transpose()? {
        if field.number != 1 {
            break;
        }
        end = series.len() - fields.rest().len();
    }
    let mut labels = Cow::Borrowed(&series[..end]);
    for field in fields {
        let field = field?;
        if field.number == 1 {
            write::bytes(labels.to_mut(), 1, field.bytes()?);
        }
    }
    Ok(labels)
}

/// Name and value of a label.
fn read_label(label: &[u8], limits: Limits) -> Result<(&str, &str), Refusal> {
    let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
    for field in Fields::of(label) {
        let field = field?;
        match field.number {
            1 => name = field.bytes()?,
            2 => value = field.bytes()?,
            _ => {}
        }
    }
    let name = std::str::from_utf8(name)
        .map_err(|_| Refusal::Item("the name of a label is not UTF-8".to_owned()))?;
    let value = std::str::from_utf8(value)
        .map_err(|_| Refusal::Item(format!("the value of label `{name}` is not UTF-8")))?;
    check_label(name, value, limits)?;
    Ok((name, value))
}

#[cfg(test)]
pub(crate) mod tests;
