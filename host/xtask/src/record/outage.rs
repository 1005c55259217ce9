//! `outage.json`: what really happened during a recording, for whoever wants
//! to judge what Faultline made of it.
//!
//! It holds what the recorder did and when, and what was seen from outside,
//! by the customers and by Prometheus. Nothing in it comes from Faultline, and
//! Faultline never reads it.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::record::change::Role;

/// Below this share of failed requests there was no outage.
const OUTAGE_FAILED_SHARE_MIN: f64 = 0.10;
/// Above this one the shop was not well to begin with.
const NORMAL_FAILED_SHARE_MAX: f64 = 0.005;
/// Without these alerts the outage was not the one that was meant.
const ALERTS_EXPECTED: [(&str, &str); 2] = [
    ("PostgresConnectionsNearLimit", "postgresql"),
    ("HighErrorRate", "gateway"),
];

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outage {
    /// Of this file: 1.
    pub(crate) format: u32,
    /// A line for people.
    pub(crate) title: String,
    /// When the first customer came, RFC 3339. All `_seconds` below count
    /// from here.
    pub(crate) began: String,
    /// When the last one had left.
    pub(crate) ended_seconds: f64,
    /// How the customers were drawn.
    pub(crate) load: LoadFacts,
    /// What was changed, in order.
    pub(crate) changes: Vec<ChangeFacts>,
    /// The known root cause.
    pub(crate) cause: CauseFacts,
    /// What an observer could see of it, in the order in which it shows.
    pub(crate) symptoms: Vec<Symptom>,
    /// What was measured before, during and after.
    pub(crate) phases: Vec<Phase>,
    /// Which alerts Prometheus raised, by its own account.
    pub(crate) alerts: Vec<AlertFacts>,
}

/// How the customers were drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LoadFacts {
    /// Requests a second, on average.
    pub(crate) rate: f64,
    /// What all chance was drawn from.
    pub(crate) seed: u64,
    /// How many of a hundred requests were traced.
    pub(crate) trace_percent: u8,
}

/// A change as it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChangeFacts {
    /// The id of the event that announced it.
    pub(crate) id: String,
    /// The source and the id of that event, which is how Faultline refers to
    /// a change.
    pub(crate) reference: String,
    /// What it had to do with the outage.
    pub(crate) role: Role,
    /// `deployment` or `configuration`.
    pub(crate) kind: String,
    /// As announced.
    pub(crate) title: String,
    /// What was changed.
    pub(crate) entity: String,
    /// When it was announced.
    pub(crate) announced_seconds: f64,
    /// When it had taken effect.
    pub(crate) done_seconds: f64,
}

/// The known root cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CauseFacts {
    /// The reference of the change.
    pub(crate) change: String,
    /// The entity that was changed.
    pub(crate) entity: String,
    /// How it led to what was seen.
    pub(crate) explanation: String,
}

/// Something that an observer could see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Symptom {
    /// Where.
    pub(crate) entity: String,
    /// What.
    pub(crate) what: String,
}

/// A part of the recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Phase {
    /// `normal`, `outage` or `recovery`.
    pub(crate) name: String,
    /// From here.
    pub(crate) from_seconds: f64,
    /// To here.
    pub(crate) to_seconds: f64,
    /// Requests that customers made.
    pub(crate) requests: u64,
    /// The share of them that failed: a server error, or no answer.
    pub(crate) failed_share: f64,
    /// The share in the worst five seconds.
    pub(crate) failed_share_max: f64,
    /// The middle one of the 95th percentiles of each five seconds.
    pub(crate) p95_ms_median: f64,
    /// The largest of them.
    pub(crate) p95_ms_max: f64,
    /// Answers by status.
    pub(crate) statuses: BTreeMap<String, u64>,
    /// The most connections that PostgreSQL had, of 40.
    pub(crate) postgresql_connections_max: u32,
}

/// An alert that fired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AlertFacts {
    /// The rule's name.
    pub(crate) name: String,
    /// Its label `service`, or `instance` where there is none.
    pub(crate) subject: String,
    /// As the rule says.
    pub(crate) severity: String,
    /// First evaluation at which it fired.
    pub(crate) fired_seconds: f64,
    /// Last one.
    pub(crate) last_seconds: f64,
}

impl Outage {
    /// Fails, with all reasons, unless the outage was what it was meant to be:
    /// a recording of anything else should not be shown to people.
    pub(crate) fn check(&self) -> Result<()> {
        let mut faults = Vec::new();
        let mut phase = |name: &str, accept: &dyn Fn(&Phase) -> bool, wanted: &str| match self
            .phases
            .iter()
            .find(|phase| phase.name == name)
        {
            None => faults.push(format!("no phase `{name}` was measured")),
            Some(phase) if !accept(phase) => faults.push(format!(
                "in the phase `{name}` {:.2}% of {} requests failed: {wanted}",
                phase.failed_share * 100.0,
                phase.requests
            )),
            Some(_) => {}
        };
        phase(
            "normal",
            &|phase| phase.failed_share <= NORMAL_FAILED_SHARE_MAX && phase.requests > 0,
            "the shop was not well before the deployment",
        );
        phase(
            "outage",
            &|phase| phase.failed_share >= OUTAGE_FAILED_SHARE_MIN,
            "the failure did not develop",
        );
        for (name, subject) in ALERTS_EXPECTED {
            if !self
                .alerts
                .iter()
                .any(|alert| alert.name == name && alert.subject == subject)
            {
                faults.push(format!("the alert {name} of {subject} did not fire"));
            }
        }
        let cause = self
            .changes
            .iter()
            .find(|change| change.role == Role::Cause)
            .map_or(0.0, |change| change.announced_seconds);
        for alert in &self.alerts {
            if alert.fired_seconds < cause {
                faults.push(format!(
                    "{} of {} fired before the deployment",
                    alert.name, alert.subject
                ));
            }
            if alert.last_seconds > self.ended_seconds - 10.0 {
                faults.push(format!(
                    "{} of {} still fired at the end",
                    alert.name, alert.subject
                ));
            }
        }
        if !faults.is_empty() {
            bail!(
                "this recording does not show the outage that it should:\n    {}",
                faults.join("\n    ")
            );
        }
        Ok(())
    }
}

/// How the release of [`crate::record::shop::RELEASE_BAD`] breaks the shop.
pub(crate) const EXPLANATION: &str = "Release 1.5.0 of orders writes an audit entry for each \
    large order over a connection that it opens for the customer and never gives back. After a \
    few minutes these are all the connections that PostgreSQL allows. inventory, which connects \
    for each statement, then gets none and fails after two seconds of trying; orders fails \
    because inventory does, and where it needs a new connection itself; the gateway answers \
    with 502.";

/// What can be seen of it, in order.
pub(crate) fn symptoms() -> Vec<Symptom> {
    [
        (
            "service/postgresql",
            "connections of the user orders rise steadily until none is left",
        ),
        (
            "service/postgresql",
            "refuses connections: remaining connection slots are reserved",
        ),
        (
            "service/inventory",
            "fails most requests after two seconds, though nothing was changed there but its configuration",
        ),
        (
            "service/orders",
            "cannot reserve what is ordered, cannot write audit entries; orders drop to almost none",
        ),
        (
            "service/gateway",
            "answers with 502; latency rises from milliseconds to two seconds",
        ),
        ("service/nginx", "passes the errors on"),
    ]
    .map(|(entity, what)| Symptom {
        entity: entity.to_owned(),
        what: what.to_owned(),
    })
    .into()
}

/// One that has all parts.
#[cfg(test)]
pub(crate) fn example() -> Outage {
    tests::good()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(name: &str, failed_share: f64) -> Phase {
        Phase {
            name: name.to_owned(),
            from_seconds: 0.0,
            to_seconds: 1.0,
            requests: 100,
            failed_share,
            failed_share_max: failed_share,
            p95_ms_median: 10.0,
            p95_ms_max: 10.0,
            statuses: BTreeMap::new(),
            postgresql_connections_max: 12,
        }
    }

    fn alert(name: &str, subject: &str, fired_seconds: f64, last_seconds: f64) -> AlertFacts {
        AlertFacts {
            name: name.to_owned(),
            subject: subject.to_owned(),
            severity: "warning".to_owned(),
            fired_seconds,
            last_seconds,
        }
    }

    pub(super) fn good() -> Outage {
        Outage {
            format: 1,
            title: "an outage".to_owned(),
            began: "2026-01-01T00:00:00Z".to_owned(),
            ended_seconds: 900.0,
            load: LoadFacts {
                rate: 1.0,
                seed: 1,
                trace_percent: 1,
            },
            changes: vec![ChangeFacts {
                id: "c".to_owned(),
                reference: "s c".to_owned(),
                role: Role::Cause,
                kind: "deployment".to_owned(),
                title: "c".to_owned(),
                entity: "service/orders".to_owned(),
                announced_seconds: 300.0,
                done_seconds: 302.0,
            }],
            cause: CauseFacts {
                change: "s c".to_owned(),
                entity: "service/orders".to_owned(),
                explanation: EXPLANATION.to_owned(),
            },
            symptoms: symptoms(),
            phases: vec![
                phase("normal", 0.0),
                phase("outage", 0.4),
                phase("recovery", 0.0),
            ],
            alerts: vec![
                alert("PostgresConnectionsNearLimit", "postgresql", 400.0, 600.0),
                alert("HighErrorRate", "gateway", 450.0, 650.0),
            ],
        }
    }

    fn check(change: impl FnOnce(&mut Outage), expected: &str) {
        let mut outage = good();
        change(&mut outage);
        let message = outage.check().expect_err(expected).to_string();
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn accepts_only_what_it_is_meant_to_be() {
        good().check().expect("a good recording");
        check(
            |outage| outage.phases[1] = phase("outage", 0.01),
            "did not develop",
        );
        check(
            |outage| outage.phases[0] = phase("normal", 0.1),
            "was not well",
        );
        check(
            |outage| outage.alerts.truncate(1),
            "HighErrorRate of gateway did not fire",
        );
        check(
            |outage| outage.alerts[0].fired_seconds = 20.0,
            "before the deployment",
        );
        check(
            |outage| outage.alerts[1].last_seconds = 899.0,
            "still fired at the end",
        );
    }

    #[test]
    fn reads_back_what_it_wrote() {
        let text = serde_json::to_string(&good()).expect("it serialises");
        assert_eq!(
            serde_json::from_str::<Outage>(&text).expect("it parses"),
            good()
        );
    }
}
