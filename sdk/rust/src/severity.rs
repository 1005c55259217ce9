//! How bad: five grades.

use std::fmt;

use serde::{Deserialize, Serialize};

/// From best to worst, so that the maximum of several is the worst of them.
///
/// Over the boundary a severity travels as a word. A connector passes on the
/// sender's word, which the host grades and keeps; what a plugin decides by
/// itself, it says in these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth a look some day.
    Low,
    /// Worth a look today.
    Warning,
    /// Something is failing.
    High,
    /// Something that people depend on is down.
    Critical,
}

impl Severity {
    /// All grades, from best to worst.
    pub const ALL: [Severity; 5] = [
        Severity::Info,
        Severity::Low,
        Severity::Warning,
        Severity::High,
        Severity::Critical,
    ];

    /// The word that stands for it everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Warning => "warning",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }

    /// Exactly the five words; none for any other.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str() == word)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<Severity> for String {
    fn from(severity: Severity) -> String {
        severity.as_str().to_owned()
    }
}
