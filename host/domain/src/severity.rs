//! How bad: five grades, and how the words and numbers of standards map to
//! them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// From best to worst, so that the maximum of several is the worst of them.
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

    /// What a sender's word means: the habits of Prometheus rules, PagerDuty's
    /// Events API v2, syslog keywords (RFC 5424, table 2) and OpenTelemetry's
    /// short names. None for a word that nobody knows; the caller then takes
    /// [`Severity::Warning`] and keeps the word.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word.trim().to_ascii_lowercase().as_str() {
            "critical" | "crit" | "fatal" | "emergency" | "emerg" | "panic" | "page"
            | "disaster" | "p1" | "sev1" => Severity::Critical,
            "high" | "error" | "err" | "major" | "alert" | "severe" | "p2" | "sev2" => {
                Severity::High
            }
            "warning" | "warn" | "medium" | "moderate" | "average" | "p3" | "sev3" => {
                Severity::Warning
            }
            "low" | "minor" | "notice" | "ticket" | "p4" | "sev4" => Severity::Low,
            "info" | "information" | "informational" | "debug" | "trace" | "ok" | "none" | "p5"
            | "sev5" => Severity::Info,
            _ => return None,
        })
    }

    /// What OpenTelemetry's severity number means (logs data model, "Field:
    /// `SeverityNumber`"): 1 to 24, in steps of four from TRACE to FATAL.
    pub const fn from_otel(number: u8) -> Self {
        match number {
            0..=12 => Severity::Info,
            13..=16 => Severity::Warning,
            17..=20 => Severity::High,
            21.. => Severity::Critical,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is none of the five.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a severity: expected info, low, warning, high or critical")]
pub struct BadSeverity(String);

impl FromStr for Severity {
    type Err = BadSeverity;

    /// Exactly the five words; for the words of others see
    /// [`Severity::from_word`].
    fn from_str(word: &str) -> Result<Self, BadSeverity> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str() == word)
            .ok_or_else(|| BadSeverity(word.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for severity in Severity::ALL {
            assert_eq!(severity.as_str().parse(), Ok(severity));
            assert_eq!(Severity::from_word(severity.as_str()), Some(severity));
        }
        assert_eq!(Severity::from_word(" Page "), Some(Severity::Critical));
        assert_eq!(Severity::from_word("purple"), None);
    }

    #[test]
    fn worse_is_greater() {
        assert!(Severity::ALL.is_sorted());
        assert!(Severity::from_otel(9) < Severity::from_otel(17));
    }
}
