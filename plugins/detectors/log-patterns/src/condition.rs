//! What can be wrong with a log source, and since when it is.

use faultline_sdk::Severity;
use serde::{Deserialize, Serialize};

use crate::miner::TemplateId;

/// Buckets in a row without it end what is about counts.
const QUIET_BUCKETS: u32 = 5;

/// What is out of the ordinary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Condition {
    /// Lines of a kind that was never seen.
    NewPattern {
        /// Which kind.
        template: TemplateId,
        /// The line that showed it.
        excerpt: String,
    },
    /// Far more lines of a kind than usual.
    Burst {
        /// Which kind.
        template: TemplateId,
        /// Up to so many in a bucket are usual.
        high: f64,
    },
    /// A greater share of errors than usual.
    Errors {
        /// Up to this share is usual.
        high: f64,
    },
    /// Far more lines than usual, or far fewer.
    Volume {
        /// From so many in a bucket
        low: f64,
        /// to so many are usual.
        high: f64,
    },
}

/// A condition that holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Open {
    pub(crate) condition: Condition,
    pub(crate) severity: Severity,
    /// Since when.
    pub(crate) started: u64,
    /// Buckets in a row in which it did not hold.
    quiet_buckets: u32,
}

/// Why a condition is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It holds no more.
    Recovered,
    /// It has lasted so long that it is normal.
    Settled,
    /// The kind of line is no longer told apart from others, or is forgotten.
    Merged,
    /// Nothing was written for long.
    Silent,
    /// What was counted cannot be compared with what is counted now.
    Reconfigured,
}

impl Open {
    /// It holds since this time.
    pub(crate) fn new(condition: Condition, severity: Severity, started: u64) -> Self {
        Self {
            condition,
            severity,
            started,
            quiet_buckets: 0,
        }
    }

    /// Whether it is over, given that it goes on in this bucket or not.
    pub(crate) fn is_over(&mut self, goes_on: bool) -> bool {
        if goes_on {
            self.quiet_buckets = 0;
        } else {
            self.quiet_buckets += 1;
        }
        self.quiet_buckets >= QUIET_BUCKETS
    }
}

impl Ending {
    /// A word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Ending::Recovered => "recovered",
            Ending::Settled => "settled",
            Ending::Merged => "merged",
            Ending::Silent => "silent",
            Ending::Reconfigured => "reconfigured",
        }
    }
}

impl Condition {
    /// A word for what it is.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Condition::NewPattern { .. } => "new-pattern",
            Condition::Burst { .. } => "burst",
            Condition::Errors { .. } => "errors",
            Condition::Volume { .. } => "volume",
        }
    }

    /// The key of its findings.
    pub(crate) fn key(&self) -> String {
        match self.template() {
            Some(template) => format!("{}-{}", self.as_str(), template.0),
            None => self.as_str().to_owned(),
        }
    }

    /// The kind of line that it is about.
    pub(crate) fn template(&self) -> Option<TemplateId> {
        match self {
            Condition::NewPattern { template, .. } | Condition::Burst { template, .. } => {
                Some(*template)
            }
            Condition::Errors { .. } | Condition::Volume { .. } => None,
        }
    }

    /// Whether it is about counts in buckets.
    pub(crate) fn is_of_counts(&self) -> bool {
        !matches!(self, Condition::NewPattern { .. })
    }

    /// Whether it is a burst of this kind of line.
    pub(crate) fn is_burst_of(&self, id: TemplateId) -> bool {
        matches!(self, Condition::Burst { template, .. } if *template == id)
    }

    /// Whether it is that this kind of line is new.
    pub(crate) fn is_new_pattern(&self, id: TemplateId) -> bool {
        matches!(self, Condition::NewPattern { template, .. } if *template == id)
    }
}
