//! What could not be dealt with.

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

impl From<faultline_store::DeadLetter> for DeadLetter {
    fn from(letter: faultline_store::DeadLetter) -> Self {
        Self {
            position: letter.position.0,
            reader: letter.reader,
            received: letter.received.into(),
            source: letter.source.to_string(),
            code: letter.code,
            message: letter.message,
        }
    }
}
