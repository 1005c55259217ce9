//! Decoding: from envelopes to what they say. Implemented by the host for
//! standard formats and by connectors for all others.

use std::sync::Arc;

use crate::envelope::Envelope;
use crate::fault::Fault;
use crate::plugin::Failure;
use crate::signal::Signal;
use crate::telemetry::{LogLines, LogSource, Samples, SeriesDef, Span};

/// All that one envelope said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decoded {
    /// In the order in which they apply.
    pub signals: Vec<Signal>,
    /// Named by `samples` through their index. Shared, for a decoder that meets
    /// the same ones in each payload.
    pub series: Vec<Arc<SeriesDef>>,
    /// Measurements.
    pub samples: Samples,
    /// Named by `logs` through their index.
    pub log_sources: Vec<LogSource>,
    /// Log lines.
    pub logs: LogLines,
    /// Spans, from the host's own formats only.
    pub spans: Vec<Span>,
    /// Items of the envelope that could not be read, each with its reason: the
    /// others count nevertheless. At most [`REJECTED_LISTED_MAX`] of them.
    pub rejected: Vec<Fault>,
    /// Rejected items that are not listed: there were too many of them, or they
    /// share a reason that is.
    pub rejected_unlisted: u64,
    /// What was left out or mended on purpose.
    pub notes: Notes,
}

/// The most rejected items that are listed with their reasons. The payload of
/// a sender that gets everything wrong would otherwise make a list that is many
/// times its own size.
pub const REJECTED_LISTED_MAX: usize = 100;

impl Decoded {
    /// Notes that an item was rejected.
    pub fn reject(&mut self, fault: Fault) {
        if self.rejected.len() < REJECTED_LISTED_MAX {
            self.rejected.push(fault);
        } else {
            self.rejected_unlisted += 1;
        }
    }

    /// How many items were rejected, listed or not.
    pub fn rejected_count(&self) -> u64 {
        self.rejected.len() as u64 + self.rejected_unlisted
    }
}

/// Something that a decoder left out, or mended, on purpose. Not an error of
/// the sender's: counted, so that nothing disappears unseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Note {
    /// A sample that says that its series has ended, without a value.
    Stale,
    /// A sample whose value is not a number, or infinite.
    NotFinite,
    /// A sample of a histogram's bucket: detection goes by count and sum.
    Bucket,
    /// A Prometheus native histogram.
    NativeHistogram,
    /// An example of what was measured.
    Exemplar,
    /// An item without a time of its own, which took the time of arrival.
    Timeless,
    /// A text that was cut off at the limit.
    Clipped,
}

impl Note {
    /// All of them.
    pub const ALL: [Note; 7] = [
        Note::Stale,
        Note::NotFinite,
        Note::Bucket,
        Note::NativeHistogram,
        Note::Exemplar,
        Note::Timeless,
        Note::Clipped,
    ];

    /// The word that stands for it everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Note::Stale => "stale",
            Note::NotFinite => "not-finite",
            Note::Bucket => "bucket",
            Note::NativeHistogram => "native-histogram",
            Note::Exemplar => "exemplar",
            Note::Timeless => "timeless",
            Note::Clipped => "clipped",
        }
    }
}

/// How often each [`Note`] was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Notes([u64; Note::ALL.len()]);

impl Notes {
    /// Makes a note `times` times.
    pub fn add(&mut self, note: Note, times: u64) {
        self.0[note as usize] += times;
    }

    /// How often it was made.
    pub fn count(&self, note: Note) -> u64 {
        self.0[note as usize]
    }

    /// Those that were made, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (Note, u64)> + '_ {
        Note::ALL
            .into_iter()
            .map(|note| (note, self.count(note)))
            .filter(|(_, times)| *times > 0)
    }
}

/// Reads payloads of one format. Pure: the same envelopes give the same
/// answers, however they are batched.
pub trait Decoder: Send + Sync {
    /// One answer for each envelope, in order.
    ///
    /// # Errors
    /// If a plugin failed on them; which of several is to blame shows when they
    /// are given one by one. The host's own decoders never fail.
    fn decode(&self, envelopes: &[&Envelope]) -> Result<Vec<Result<Decoded, Fault>>, Failure>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_count_by_kind() {
        let mut notes = Notes::default();
        for (index, note) in Note::ALL.into_iter().enumerate() {
            assert_eq!(note as usize, index, "{note:?}");
        }
        notes.add(Note::Clipped, 2);
        notes.add(Note::Clipped, 1);
        assert_eq!(notes.iter().collect::<Vec<_>>(), [(Note::Clipped, 3)]);
    }

    #[test]
    fn rejections_are_listed_up_to_a_limit_and_all_counted() {
        let mut decoded = Decoded::default();
        for index in 0..=REJECTED_LISTED_MAX {
            decoded.reject(Fault::malformed(format!("item {index}")));
        }
        assert_eq!(decoded.rejected.len(), REJECTED_LISTED_MAX);
        assert_eq!(decoded.rejected_count(), REJECTED_LISTED_MAX as u64 + 1);
    }
}
