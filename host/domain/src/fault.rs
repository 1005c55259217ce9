//! Refusals in words, as plugins and decoders give them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whether asking again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// The same input fails again.
    Never,
    /// At the next regular attempt.
    Later,
    /// After this many milliseconds.
    AfterMs(u64),
}

/// Why something was not done: an answer, not a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Short and stable, for programs.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
    /// Whether asking again can help.
    pub retry: Retry,
}

impl Fault {
    /// A fault that the same input brings about again.
    pub fn never(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            retry: Retry::Never,
        }
    }

    /// A payload that does not have the shape it should have.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::never("malformed", message)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Fault {}
