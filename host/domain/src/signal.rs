//! Signals: what an envelope says, apart from telemetry.

use serde::{Deserialize, Serialize};

use crate::entity::Entity;
use crate::id::ChangeId;
use crate::labels::Labels;
use crate::severity::Severity;
use crate::time::Timestamp;

/// A severity, and the sender's own word for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedSeverity {
    /// The grade that it counts as.
    pub grade: Severity,
    /// What the sender wrote.
    pub word: String,
}

impl StatedSeverity {
    /// What the word means; [`Severity::Warning`] for words that nobody knows.
    pub fn from_word(word: &str) -> Self {
        Self {
            grade: Severity::from_word(word).unwrap_or(Severity::Warning),
            word: word.to_owned(),
        }
    }
}

impl From<Severity> for StatedSeverity {
    fn from(grade: Severity) -> Self {
        Self {
            grade,
            word: grade.as_str().to_owned(),
        }
    }
}

/// One report about a condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertReport {
    /// What makes it the same condition next time. Never empty.
    pub identity: Labels,
    /// Whether the condition holds.
    pub firing: bool,
    /// A line for people.
    pub title: String,
    /// How bad.
    pub severity: StatedSeverity,
    /// Since when it holds.
    pub started: Timestamp,
    /// When it ended, or when it will count as ended unless reported again.
    pub ended: Option<Timestamp>,
    /// What it concerns.
    pub entities: Vec<Entity>,
    /// Labels of the sender.
    pub labels: Labels,
    /// Free text of the sender.
    pub annotations: Labels,
    /// Where to read more.
    pub link: Option<String>,
}

/// Something that was changed on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Family and the sender's id, hashed.
    pub id: ChangeId,
    /// The sender's id.
    pub reference: String,
    /// `deployment`, `configuration`, …
    pub kind: String,
    /// A line for people.
    pub title: String,
    /// When it happened.
    pub at: Timestamp,
    /// What was changed.
    pub entities: Vec<Entity>,
    /// Whatever else the sender said.
    pub attributes: Labels,
    /// Where to read more.
    pub link: Option<String>,
}

/// A directed edge of the topology, seen once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// Suffers if the provider fails.
    pub dependent: Entity,
    /// What it depends on.
    pub provider: Entity,
    /// `calls`, `runs-on`, …
    pub relation: String,
    /// When it was known to hold.
    pub seen: Timestamp,
}

/// A work item in another system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The other system's id.
    pub id: String,
    /// A line for people.
    pub title: String,
    /// The other system's word.
    pub status: String,
    /// What it concerns.
    pub entities: Vec<Entity>,
    /// Where to read more.
    pub link: Option<String>,
}

/// What is not a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A report about a condition.
    Alert(AlertReport),
    /// Something was changed.
    Change(Change),
    /// An edge of the topology was seen.
    Dependency(Dependency),
    /// A work item.
    Ticket(Ticket),
}
