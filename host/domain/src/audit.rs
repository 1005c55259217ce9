//! The audit log: what was about to be done and how it ended, in a chain of
//! hashes that shows when a row was changed, removed or put in.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::id::Digest;
use crate::time::Timestamp;

/// Before an act, or after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// It is about to be done. If this cannot be written, it is not done.
    Intent,
    /// It was done, or not: the answer to an intent.
    Outcome {
        /// The sequence number of the intent.
        intent: u64,
        /// `ok`, `denied`, `failed`, or the name of a limit.
        result: String,
    },
    /// Something that had no intent: a refusal, a limit that was hit.
    Event,
}

impl Stage {
    /// One word, as stored and shown.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Stage::Intent => "intent",
            Stage::Outcome { .. } => "outcome",
            Stage::Event => "event",
        }
    }
}

/// What is to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Who: `person:dana`, `token:ci`, `plugin:baseline@sha256:…`, `host`.
    pub actor: String,
    /// What, in dotted words: `plugin.grant`, `kv.commit`, `limit.memory`.
    pub action: String,
    /// To what.
    pub subject: String,
    /// Before or after.
    pub stage: Stage,
    /// Whatever else a reader needs: a JSON object as text, hashed as it
    /// stands. Never a secret.
    pub detail: String,
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// 1, 2, 3, … without gaps.
    pub sequence: u64,
    /// What it says.
    pub entry: Entry,
    /// The hash of the row before; zeros for the first.
    pub previous: Digest,
    /// SHA-256 over the sequence number, the previous hash and the entry.
    pub hash: Digest,
}

/// The hash before the first row.
pub const GENESIS: Digest = Digest::from_bytes([0; 32]);

impl Row {
    /// The row that follows one with this sequence number and hash.
    pub fn chain(sequence_before: u64, hash_before: Digest, entry: Entry) -> Self {
        let sequence = sequence_before + 1;
        let hash = hash_of(sequence, hash_before, &entry);
        Self {
            sequence,
            entry,
            previous: hash_before,
            hash,
        }
    }
}

fn hash_of(sequence: u64, previous: Digest, entry: &Entry) -> Digest {
    let mut hasher = Sha256::new();
    let mut absorb = |part: &[u8]| {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    };
    absorb(&sequence.to_be_bytes());
    absorb(previous.as_bytes());
    absorb(&entry.at.as_micros().to_be_bytes());
    absorb(entry.actor.as_bytes());
    absorb(entry.action.as_bytes());
    absorb(entry.subject.as_bytes());
    absorb(entry.stage.as_str().as_bytes());
    if let Stage::Outcome { intent, result } = &entry.stage {
        absorb(&intent.to_be_bytes());
        absorb(result.as_bytes());
    }
    absorb(entry.detail.as_bytes());
    Digest::from_bytes(hasher.finalize().into())
}

/// Where and how a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Broken {
    /// A row is missing, or one was put in.
    #[error("row {found} stands where row {expected} should: rows were removed or put in")]
    Gap {
        /// The number that should come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// The row before was changed or replaced.
    #[error("row {0} does not follow from the row before it")]
    Link(u64),
    /// The row was changed.
    #[error("row {0} was changed after it was written")]
    Content(u64),
}

/// Checks rows one after the other.
#[derive(Debug, Clone)]
pub struct Verifier {
    sequence: u64,
    hash: Digest,
}

impl Verifier {
    /// Begins after a row with this number and hash: 0 and [`GENESIS`] for the
    /// whole log, or what was kept when older rows were exported.
    pub const fn after(sequence: u64, hash: Digest) -> Self {
        Self { sequence, hash }
    }

    /// Checks the next row.
    ///
    /// # Errors
    /// If it is not the next one, or is not what was written.
    pub fn next(&mut self, row: &Row) -> Result<(), Broken> {
        let expected = self.sequence + 1;
        if row.sequence != expected {
            return Err(Broken::Gap {
                expected,
                found: row.sequence,
            });
        }
        if row.previous != self.hash {
            return Err(Broken::Link(row.sequence));
        }
        if row.hash != hash_of(row.sequence, row.previous, &row.entry) {
            return Err(Broken::Content(row.sequence));
        }
        self.sequence = row.sequence;
        self.hash = row.hash;
        Ok(())
    }

    /// The number and hash of the last row that was good.
    pub const fn head(&self) -> (u64, Digest) {
        (self.sequence, self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: u64) -> Vec<Row> {
        let mut head = (0, GENESIS);
        (0..count)
            .map(|i| {
                let entry = Entry {
                    at: Timestamp::from_secs(i),
                    actor: "host".to_owned(),
                    action: "test".to_owned(),
                    subject: format!("row {i}"),
                    stage: Stage::Event,
                    detail: format!("{{\"i\":{i}}}"),
                };
                let row = Row::chain(head.0, head.1, entry);
                head = (row.sequence, row.hash);
                row
            })
            .collect()
    }

    fn verify(rows: &[Row]) -> Result<(), Broken> {
        let mut verifier = Verifier::after(0, GENESIS);
        rows.iter().try_for_each(|row| verifier.next(row))
    }

    #[test]
    fn finds_what_was_done_to_the_log() {
        let good = rows(5);
        assert_eq!(verify(&good), Ok(()));

        let mut changed = good.clone();
        changed[2].entry.subject = "nothing to see".to_owned();
        assert_eq!(verify(&changed), Err(Broken::Content(3)));

        let mut removed = good.clone();
        removed.remove(2);
        assert!(matches!(
            verify(&removed),
            Err(Broken::Gap { expected: 3, .. })
        ));

        // Changed, with its own hash made anew: the next row tells.
        let mut rehashed = good;
        let entry = Entry {
            subject: "rewritten".to_owned(),
            ..rehashed[2].entry.clone()
        };
        rehashed[2] = Row::chain(2, rehashed[1].hash, entry);
        assert_eq!(verify(&rehashed), Err(Broken::Link(4)));
    }
}
