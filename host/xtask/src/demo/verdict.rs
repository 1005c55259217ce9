//! What Faultline found beside what really happened: how far up the known
//! cause is, what stands above it, and what was opened for nothing.

use std::fmt;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::Deserialize;

use crate::record::change::Role;
use crate::record::outage::{ChangeFacts, Outage};

/// An incident as `faultline incident show --json` gives it; what else it says
/// is not needed here.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Incident {
    pub(crate) id: String,
    title: String,
    opened: Timestamp,
    members_total: u64,
    hypotheses: Vec<Hypothesis>,
    changes: Vec<Change>,
}

#[derive(Debug, Clone, Deserialize)]
struct Hypothesis {
    rank: u32,
    cause: Cause,
    because: Because,
}

#[derive(Debug, Clone, Deserialize)]
struct Cause {
    kind: String,
    id: String,
    title: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Because {
    confidence: f64,
}

#[derive(Debug, Clone, Deserialize)]
struct Change {
    id: String,
    reference: String,
}

/// The comparison.
pub(crate) struct Verdict<'a> {
    outage: &'a Outage,
    cause: &'a ChangeFacts,
    /// Of the outage: opened after the release that brought it about was
    /// announced; the largest first.
    during: Vec<&'a Incident>,
    /// Opened while the shop was well.
    before: Vec<&'a Incident>,
}

impl<'a> Verdict<'a> {
    /// Compares.
    ///
    /// # Errors
    /// If `outage.json` has no cause, or a time in it is none.
    pub(crate) fn of(outage: &'a Outage, incidents: &'a [Incident]) -> Result<Self> {
        let cause = outage
            .changes
            .iter()
            .find(|change| change.role == Role::Cause)
            .context("outage.json names no change that is the cause")?;
        let began: Timestamp = outage
            .began
            .parse()
            .with_context(|| format!("reading the time `{}` of outage.json", outage.began))?;
        let announced = began
            .checked_add(std::time::Duration::from_secs_f64(cause.announced_seconds))
            .context("the cause of outage.json was announced at no possible time")?;
        let (mut during, before): (Vec<_>, Vec<_>) = incidents
            .iter()
            .partition(|incident| incident.opened >= announced);
        during.sort_by_key(|incident| (std::cmp::Reverse(incident.members_total), &incident.id));
        Ok(Self {
            outage,
            cause,
            during,
            before,
        })
    }

    /// The incidents of the outage, the largest first.
    pub(crate) fn of_the_outage(&self) -> &[&'a Incident] {
        &self.during
    }

    /// Whether a hypothesis is the change that is the cause.
    fn is_cause(&self, incident: &Incident, hypothesis: &Hypothesis) -> bool {
        let is_it = |change: &Change| {
            change.id == hypothesis.cause.id && change.reference == self.outage.cause.change
        };
        hypothesis.cause.kind == "change" && incident.changes.iter().any(is_it)
    }

    /// Whether a hypothesis is what was changed, without the change.
    fn is_place(&self, hypothesis: &Hypothesis) -> bool {
        hypothesis.cause.kind == "entity" && hypothesis.cause.id == self.outage.cause.entity
    }

    fn tell(&self, incident: &Incident, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = incident.hypotheses.len();
        writeln!(f, "{} ({})", incident.title, incident.id)?;
        let found = incident
            .hypotheses
            .iter()
            .find(|hypothesis| self.is_cause(incident, hypothesis));
        match found {
            Some(found) => {
                writeln!(
                    f,
                    "  the known cause is hypothesis {} of {count}, with confidence {:.2}",
                    found.rank, found.because.confidence
                )?;
                for above in incident
                    .hypotheses
                    .iter()
                    .filter(|other| other.rank < found.rank)
                {
                    writeln!(
                        f,
                        "  above it: the {} \"{}\" ({:.2})",
                        above.cause.kind, above.cause.title, above.because.confidence
                    )?;
                }
            }
            None if count == 0 => writeln!(f, "  has no hypotheses")?,
            None => writeln!(f, "  the known cause is not among its {count} hypotheses")?,
        }
        if let Some(place) = incident
            .hypotheses
            .iter()
            .find(|hypothesis| self.is_place(hypothesis))
        {
            writeln!(
                f,
                "  what was changed, {}, is itself hypothesis {}",
                self.outage.cause.entity, place.rank
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.outage.title)?;
        writeln!(f, "cause: {} ({})", self.cause.title, self.cause.entity)?;
        writeln!(f, "{}\n", self.outage.cause.explanation)?;
        match self.during.as_slice() {
            [] => writeln!(f, "Faultline opened no incident for it.")?,
            incidents => {
                for incident in incidents {
                    self.tell(incident, f)?;
                }
            }
        }
        let minutes = self.cause.announced_seconds / 60.0;
        write!(
            f,
            "In the {minutes:.0} minutes before, while the shop was well, {} opened",
            match self.before.len() {
                0 => "no incident was".to_owned(),
                1 => "1 incident was".to_owned(),
                several => format!("{several} incidents were"),
            }
        )?;
        for incident in &self.before {
            write!(f, "\n  {} ({})", incident.title, incident.id)?;
        }
        write!(f, ".")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::outage;

    fn incident(id: &str, opened: &str, causes: &[(&str, &str)]) -> Incident {
        Incident {
            id: id.to_owned(),
            title: format!("title of {id}"),
            opened: opened.parse().expect("a time"),
            members_total: 1,
            hypotheses: (1..)
                .zip(causes)
                .map(|(rank, (kind, id))| Hypothesis {
                    rank,
                    cause: Cause {
                        kind: (*kind).to_owned(),
                        id: (*id).to_owned(),
                        title: format!("title of {id}"),
                    },
                    because: Because { confidence: 0.5 },
                })
                .collect(),
            changes: vec![Change {
                id: "chg_1".to_owned(),
                reference: "s c".to_owned(),
            }],
        }
    }

    fn check(incidents: &[Incident], expected: &[&str]) {
        let outage = outage::example();
        let verdict = Verdict::of(&outage, incidents).expect("a verdict");
        let text = verdict.to_string();
        for expected in expected {
            assert!(text.contains(expected), "`{expected}` is not in\n{text}");
        }
    }

    #[test]
    fn says_where_the_cause_is_and_what_stands_above_it() {
        let causes = [("entity", "service/postgresql"), ("change", "chg_1")];
        check(
            &[incident("inc_a", "2026-01-01T00:06:00Z", &causes)],
            &[
                "hypothesis 2 of 2, with confidence 0.50",
                "above it: the entity \"title of service/postgresql\" (0.50)",
                "no incident was opened.",
            ],
        );
    }

    #[test]
    fn says_so_when_the_cause_was_not_found() {
        let causes = [("entity", "service/orders"), ("change", "chg_2")];
        check(
            &[
                incident("inc_a", "2026-01-01T00:06:00Z", &causes),
                incident("inc_b", "2026-01-01T00:07:00Z", &[]),
            ],
            &[
                "the known cause is not among its 2 hypotheses",
                "service/orders, is itself hypothesis 1",
                "has no hypotheses",
            ],
        );
        check(&[], &["Faultline opened no incident for it."]);
    }

    #[test]
    fn counts_what_was_opened_for_nothing() {
        check(
            &[
                incident("inc_a", "2026-01-01T00:01:00Z", &[]),
                incident("inc_b", "2026-01-01T00:04:59Z", &[]),
            ],
            &["2 incidents were opened\n  title of inc_a (inc_a)\n  title of inc_b (inc_b)."],
        );
    }
}
