//! Faults: refusals in words. An answer, not a crash.

use std::fmt;

use crate::text::clip;
use crate::{Fault, Retry};

/// The most characters of a message; what is longer is cut. Messages often
/// quote what a sender wrote, who could otherwise make them as long as he
/// likes.
pub const MESSAGE_CHARACTERS_MAX: usize = 1_000;

impl Fault {
    /// A fault that the same input brings about again.
    ///
    /// The code is short, stable and for programs; the message is one sentence
    /// for a person: what was wrong, where, and the remedy.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: clipped(message.into()),
            retry: Retry::Never,
        }
    }

    /// `malformed`: a payload that does not have the shape it should have.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new("malformed", message)
    }

    /// `unsupported`: well formed, but nothing that this plugin can read or
    /// do.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new("unsupported", message)
    }

    /// `config`: a configuration that cannot be worked with.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new("config", message)
    }

    /// `state`: a saved state that cannot be gone on from.
    pub fn state(message: impl Into<String>) -> Self {
        Self::new("state", message)
    }

    /// It may succeed at the host's next regular attempt.
    #[must_use]
    pub fn retry_later(mut self) -> Self {
        self.retry = Retry::Later;
        self
    }

    /// It may succeed after this many milliseconds.
    #[must_use]
    pub fn retry_after_ms(mut self, milliseconds: u64) -> Self {
        self.retry = Retry::AfterMs(milliseconds);
        self
    }

    /// The same fault with words before its message that say where, as in
    /// `alerts[3]: …`.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = clipped(format!("{place}: {}", self.message));
        self
    }
}

fn clipped(mut message: String) -> String {
    let end = clip(&message, MESSAGE_CHARACTERS_MAX).len();
    if end < message.len() {
        message.truncate(end);
        message.push('…');
    }
    message
}
