//! What could not be dealt with.

use faultline_store::LetterKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Time;

/// A payload, or some of it, that a reader could not deal with. The payload
/// itself is at `/envelopes/{position}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    /// Where in the journal.
    pub position: u64,
    /// Who could not deal with it: a format, or an instance.
    #[schema(example = "connector:alertmanager")]
    pub reader: String,
    /// Why it is dead.
    pub kind: DeadLetterKind,
    /// When the payload arrived.
    pub received: Time,
    /// Who sent it.
    pub source: String,
    /// `malformed`, `trap`, the name of a limit, …
    #[schema(example = "malformed")]
    pub code: String,
    /// What was wrong.
    pub message: String,
}

/// Why a letter is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeadLetterKind {
    /// The payload, or some of it, could not be read.
    Fault,
    /// It made a plugin fail, and is not shown to it again.
    Poison,
    /// Whoever reads it was not called at the moment.
    Held,
    /// A plugin failed here, and no payload is to blame.
    Failure,
}

impl From<LetterKind> for DeadLetterKind {
    fn from(kind: LetterKind) -> Self {
        match kind {
            LetterKind::Fault => Self::Fault,
            LetterKind::Poison => Self::Poison,
            LetterKind::Held => Self::Held,
            LetterKind::Failure => Self::Failure,
        }
    }
}

impl From<DeadLetterKind> for LetterKind {
    fn from(kind: DeadLetterKind) -> Self {
        match kind {
            DeadLetterKind::Fault => Self::Fault,
            DeadLetterKind::Poison => Self::Poison,
            DeadLetterKind::Held => Self::Held,
            DeadLetterKind::Failure => Self::Failure,
        }
    }
}

/// A payload that was given to its reader once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Redriven {
    /// Where it lay.
    pub from: u64,
    /// Where it lies now, too: the envelope that is read in its turn.
    pub position: u64,
}

impl From<faultline_store::DeadLetter> for DeadLetter {
    fn from(letter: faultline_store::DeadLetter) -> Self {
        Self {
            position: letter.position.0,
            reader: letter.reader,
            kind: letter.kind.into(),
            received: letter.received.into(),
            source: letter.source.to_string(),
            code: letter.code,
            message: letter.message,
        }
    }
}
