//! What does not work at the moment, where, and why: for readiness, status,
//! metrics and the doctor alike.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use faultline_api::Condition;
use faultline_domain::time::Timestamp;
use faultline_store::{StoreError, Trouble};

/// A fault that lasts for so long is worth an alert.
const LASTING: Duration = Duration::from_secs(60);

/// A part of the process that works with a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// What writes the journal: intake, and the passage of time.
    Journal,
    Observe,
    Correlate,
    /// What asks pollers, whose pages go into the journal.
    Poll,
    /// What removes what is old.
    Retention,
    /// Who does what only one process may do at a time.
    Leases,
}

impl Part {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Part::Journal => "journal",
            Part::Observe => "observe",
            Part::Correlate => "correlate",
            Part::Poll => "poll",
            Part::Retention => "retention",
            Part::Leases => "leases",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The parts that do not go on. Cheap to clone; clones are told together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<BTreeMap<Part, Fault>>>);

#[derive(Debug, Clone)]
struct Fault {
    trouble: Trouble,
    why: String,
    since: Timestamp,
}

impl Faults {
    /// Why this part does not go on; none if it does.
    pub(crate) fn of(&self, part: Part) -> Option<String> {
        self.faults().get(&part).map(|fault| fault.why.clone())
    }

    /// The first part without which no work is done that does not go on, and
    /// why.
    pub(crate) fn first(&self) -> Option<(Part, String)> {
        let faults = self.faults();
        let (part, fault) = faults.iter().find(|(part, _)| **part != Part::Retention)?;
        Some((*part, fault.why.clone()))
    }

    /// The parts that have not gone on for a while, why, and since when.
    pub(crate) fn lasting(&self, now: Timestamp) -> Vec<(&'static str, String, Timestamp)> {
        let faults = self.faults();
        let lasting = faults
            .iter()
            .filter(|(_, fault)| now.since(fault.since) >= LASTING);
        lasting
            .map(|(part, fault)| (part.as_str(), fault.why.clone(), fault.since))
            .collect()
    }

    /// All of them, as operators are told.
    pub(crate) fn conditions(&self) -> Vec<Condition> {
        let faults = self.faults();
        faults
            .iter()
            .map(|(part, fault)| Condition {
                part: part.to_string(),
                condition: fault.trouble.to_string(),
                what: format!("{part} does not go on: {}", fault.why),
                remedy: fault.trouble.remedy().to_owned(),
                since: fault.since,
            })
            .collect()
    }

    /// A part does not go on, and was not known not to, or for another reason.
    pub(crate) fn set(&self, part: Part, error: &StoreError, now: Timestamp) {
        // With its causes: `the database does not answer` says too little.
        let why: Vec<String> = anyhow::Chain::new(error).map(ToString::to_string).collect();
        let trouble = error.trouble().unwrap_or(Trouble::Refused);
        let why = why.join(": ");
        let mut faults = self.faults();
        let known = faults.get(&part).filter(|known| known.trouble == trouble);
        if known.is_none() {
            tracing::error!(
                part = part.as_str(),
                condition = trouble.as_str(),
                "{part} does not go on: {why}; {}",
                trouble.remedy()
            );
        }
        let since = known.map_or(now, |known| known.since);
        faults.insert(
            part,
            Fault {
                trouble,
                why,
                since,
            },
        );
    }

    /// A part goes on.
    pub(crate) fn clear(&self, part: Part) {
        if self.faults().remove(&part).is_some() {
            tracing::info!(part = part.as_str(), "{part} goes on again");
        }
    }

    fn faults(&self) -> MutexGuard<'_, BTreeMap<Part, Fault>> {
        // Entries are put in whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_lasts_as_long_as_its_reason() {
        let faults = Faults::default();
        let secs = Timestamp::from_secs;
        let damaged = StoreError::Corrupt {
            table: "envelope",
            reason: "position 7".to_owned(),
        };
        faults.set(Part::Observe, &damaged, secs(1));
        faults.set(Part::Observe, &damaged, secs(2));
        let conditions = faults.conditions();
        assert_eq!(conditions.len(), 1);
        let condition = &conditions[0];
        assert_eq!(
            (condition.condition.as_str(), condition.since),
            ("damaged", secs(1))
        );
        assert!(condition.what.contains("position 7"), "{condition:?}");
        faults.set(
            Part::Observe,
            &StoreError::BadCursor("x".to_owned()),
            secs(3),
        );
        assert_eq!(faults.conditions()[0].since, secs(3));
        faults.clear(Part::Observe);
        assert!(faults.conditions().is_empty());
    }
}
