//! Faultline's own alerts: that a plugin is quarantined, keeps failing or
//! cannot be loaded, that a stage does not go on.
//!
//! Nothing is remembered here. What ought to fire is compared with what fires,
//! and the difference is put into the journal, as a report like any other's. So
//! a report that was lost is made again, one that was made twice is a duplicate,
//! and when a journal is read again, its own reports come first: only what is
//! different at its end is reported.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use faultline_api::{InstanceState, InstanceStatus};
use faultline_domain::alert::Alert;
use faultline_domain::entity::Entity;
use faultline_domain::envelope::Position;
use faultline_domain::id::{Digest, InstanceName};
use faultline_domain::labels::Labels;
use faultline_domain::severity::Severity;
use faultline_domain::signal::{AlertReport, StatedSeverity};
use faultline_domain::supervision::{SupervisionPolicy, Supervisor};
use faultline_domain::time::Timestamp;
use faultline_store::{AlertFilter, HostEnvelope, Journal, StageName, Store, StoreError};
use tokio::sync::watch;

use crate::clock::now;
use crate::faults::Faults;
use crate::plugin_host::PluginHost;

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The stages are told of trouble only once they have almost caught up: what
/// they have yet to read may say that it is over.
const BEHIND_MAX: Duration = Duration::from_secs(10);

/// The most own alerts that fire.
const ALERTS_MAX: u32 = 500;

/// What is wrong with one plugin or one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trouble {
    title: String,
    reason: String,
    severity: Severity,
    entity: Entity,
    since: Timestamp,
}

/// All that is wrong, by what makes it the same the next time.
type Troubles = BTreeMap<Labels, Trouble>;

/// Looks after Faultline itself.
pub(crate) struct OwnAlerts {
    pub(crate) store: Store,
    pub(crate) journal: Journal,
    pub(crate) host: Arc<PluginHost>,
    pub(crate) faults: Faults,
    pub(crate) policy: SupervisionPolicy,
    /// Whether this node observes. Of several nodes only that one reports: what
    /// one of them knows nothing of is not over.
    pub(crate) mine: watch::Receiver<bool>,
}

impl OwnAlerts {
    /// Looks now and then until it is to stop.
    pub(crate) async fn watch(self, mut stop: watch::Receiver<bool>) {
        let mut reported = Position::START;
        while !*stop.borrow() {
            let is_mine = *self.mine.borrow();
            if is_mine {
                match self.look(reported).await {
                    Ok(position) => reported = position,
                    // That the database does not answer is said by the stages.
                    Err(error) => tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "Faultline's own alerts cannot be looked after"
                    ),
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }

    /// Reports what is not yet known to fire, and what does not fire any more.
    /// `reported` is where the last report lies; gives where it lies now.
    async fn look(&self, reported: Position) -> Result<Position, StoreError> {
        let scope = self.journal.scope();
        let head = *self.journal.head().borrow();
        let observed = self.store.stage_position(scope, StageName::Observe).await?;
        let is_behind =
            head.position > observed.position && head.received.since(observed.clock) > BEHIND_MAX;
        if is_behind || observed.position < reported {
            return Ok(reported);
        }
        let now = now();
        let supervisors = self.store.supervision_list(scope).await?;
        let statuses = self.host.statuses(&supervisors, now);
        let mut troubles = plugins(&statuses, &supervisors, &self.policy, now);
        troubles.extend(stages(&self.faults.lasting(now), now));
        let filter = AlertFilter {
            firing: Some(true),
            origin: Some(HostEnvelope::SOURCE.to_owned()),
            ..AlertFilter::default()
        };
        let firing = self.store.alert_list(scope, &filter, None, ALERTS_MAX);
        let alerts = difference(&troubles, &firing.await?.items, now);
        if alerts.is_empty() {
            return Ok(reported);
        }
        for alert in &alerts {
            let state = if alert.firing { "fires" } else { "is over" };
            tracing::warn!(alert.title = %alert.title, "an alert of Faultline's own {state}");
        }
        let arrival = HostEnvelope { alerts }.into_arrival(now);
        self.journal.append(vec![arrival]).await
    }
}

/// What is wrong with plugins.
fn plugins(
    statuses: &[InstanceStatus],
    supervisors: &[(InstanceName, Supervisor)],
    policy: &SupervisionPolicy,
    now: Timestamp,
) -> Troubles {
    let mut troubles = Troubles::new();
    for status in statuses {
        let name = &status.name;
        let of_it = supervisors.iter().filter(|(instance, _)| instance == name);
        let lasting = of_it
            .filter_map(|(_, it)| Some((it.troubled_since(now, policy)?, it)))
            .min_by_key(|(since, it)| (!it.is_quarantined(), *since));
        let (state, severity, since, digest) = match (status.state, lasting) {
            (InstanceState::Quarantined, Some((since, it))) => {
                ("is quarantined", Severity::High, since, Some(it.digest()))
            }
            (InstanceState::BackingOff | InstanceState::Running, Some((since, it))) => {
                ("keeps failing", Severity::Warning, since, Some(it.digest()))
            }
            (InstanceState::Failed, _) => ("cannot be loaded", Severity::High, now, None),
            _ => continue,
        };
        let trouble = Trouble {
            title: format!("the plugin {name} {state}"),
            reason: status.reason.clone().unwrap_or_default(),
            severity,
            entity: plugin_entity(name),
            since,
        };
        troubles.insert(plugin_identity(name, digest), trouble);
    }
    troubles
}

fn plugin_identity(name: &InstanceName, digest: Option<Digest>) -> Labels {
    let mut identity = Labels::default();
    identity.set("alertname", "FaultlinePlugin");
    identity.set("instance", name.as_str());
    if let Some(digest) = digest {
        identity.set("digest", digest.to_string());
    }
    identity
}

fn plugin_entity(name: &InstanceName) -> Entity {
    Entity::new("plugin", name.as_str()).expect("an instance's name is an entity's")
}

/// What is wrong with stages, and since when.
fn stages(faults: &[(&'static str, String, Timestamp)], now: Timestamp) -> Troubles {
    let trouble = |(stage, why, since): &(&'static str, String, Timestamp)| {
        let mut identity = Labels::default();
        identity.set("alertname", "FaultlineStage");
        identity.set("stage", *stage);
        let trouble = Trouble {
            title: format!("the stage {stage} does not go on"),
            reason: why.clone(),
            severity: Severity::Critical,
            entity: Entity::new("stage", stage).expect("a word"),
            since: (*since).min(now),
        };
        (identity, trouble)
    };
    faults.iter().map(trouble).collect()
}

/// The reports that make what fires what ought to.
fn difference(troubles: &Troubles, firing: &[Alert], now: Timestamp) -> Vec<AlertReport> {
    let mut reports = Vec::new();
    for (identity, trouble) in troubles {
        let known = firing.iter().find(|alert| alert.identity == *identity);
        let is_said = known.is_some_and(|alert| {
            alert.title == trouble.title && alert.severity.grade == trouble.severity
        });
        if !is_said {
            reports.push(AlertReport {
                identity: identity.clone(),
                firing: true,
                title: trouble.title.clone(),
                severity: StatedSeverity::from(trouble.severity),
                started: known.map_or(trouble.since, |alert| alert.started),
                ended: None,
                entities: vec![trouble.entity.clone()],
                labels: identity.clone(),
                annotations: [("reason", &trouble.reason)].into_iter().collect(),
                link: None,
            });
        }
    }
    for alert in firing {
        if !troubles.contains_key(&alert.identity) {
            reports.push(AlertReport {
                identity: alert.identity.clone(),
                firing: false,
                title: alert.title.clone(),
                severity: alert.severity.clone(),
                started: alert.started,
                ended: Some(now.max(alert.started)),
                entities: alert.entities.clone(),
                labels: alert.labels.clone(),
                annotations: alert.annotations.clone(),
                link: None,
            });
        }
    }
    reports
}

#[cfg(test)]
mod tests {
    use faultline_domain::alert::{Origin, Report, fingerprint};
    use faultline_domain::supervision::Failed;

    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_000 + secs)
    }

    fn name() -> InstanceName {
        InstanceName::new("eye").expect("a name")
    }

    fn status(state: InstanceState) -> InstanceStatus {
        InstanceStatus {
            name: name(),
            state,
            reason: Some("trap: unreachable".to_owned()),
            usage: faultline_api::Usage::default(),
            supervision: faultline_api::SupervisionStatus::default(),
        }
    }

    fn failed(times: u32, digest: &[u8]) -> (InstanceName, Supervisor) {
        let policy = SupervisionPolicy::default();
        let mut supervisor = Supervisor::new(Digest::of(digest));
        for _ in 0..times {
            let failed = Failed {
                code: "trap",
                message: "unreachable",
                input: None,
            };
            supervisor.failed(at(0), &failed, 999_999, &policy);
        }
        (name(), supervisor)
    }

    fn found(state: InstanceState, supervisors: &[(InstanceName, Supervisor)]) -> Troubles {
        let policy = SupervisionPolicy::default();
        plugins(&[status(state)], supervisors, &policy, at(10))
    }

    /// As the stages would have it after these reports.
    fn applied(reports: &[AlertReport]) -> Vec<Alert> {
        let alert = |said: &AlertReport| {
            let origin = Origin::Sender {
                family: HostEnvelope::SOURCE.to_owned(),
            };
            let id = fingerprint(&origin, &said.identity).expect("an identity");
            let report = Report {
                origin,
                source: HostEnvelope::SOURCE.parse().expect("a name"),
                position: Position(1),
                received: at(10),
                resolve_timeout: None,
                said: said.clone(),
                score: 1.0,
                measurement: None,
            };
            Alert::first(id, report).0
        };
        let alerts = reports.iter().map(alert);
        alerts.filter(Alert::is_firing).collect()
    }

    #[test]
    fn a_quarantine_fires_until_it_is_lifted_and_once() {
        let quarantined = found(InstanceState::Quarantined, &[failed(5, b"a")]);
        let reports = difference(&quarantined, &[], at(10));
        assert_eq!(reports.len(), 1);
        assert_eq!(reports[0].title, "the plugin eye is quarantined");
        assert_eq!(reports[0].entities[0].to_string(), "plugin/eye");
        assert_eq!(reports[0].started, at(0));
        let firing = applied(&reports);
        assert_eq!(difference(&quarantined, &firing, at(11)), []);
        let over = difference(&Troubles::new(), &firing, at(12));
        assert_eq!(
            (over.len(), over[0].firing, over[0].ended),
            (1, false, Some(at(12)))
        );
        assert_eq!(applied(&over), []);
    }

    #[test]
    fn another_component_is_another_alert() {
        let first = found(InstanceState::Quarantined, &[failed(5, b"a")]);
        let firing = applied(&difference(&first, &[], at(10)));
        let second = found(InstanceState::Quarantined, &[failed(5, b"b")]);
        let reports = difference(&second, &firing, at(11));
        let states: Vec<bool> = reports.iter().map(|report| report.firing).collect();
        assert_eq!(states, [true, false]);
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        assert_eq!(found(InstanceState::Running, &[]), Troubles::new());
        assert_eq!(
            found(InstanceState::Disabled, &[failed(5, b"a")]),
            Troubles::new()
        );
        // It waits, but not for long enough to say so.
        assert_eq!(
            found(InstanceState::BackingOff, &[failed(1, b"a")]),
            Troubles::new()
        );
        let lost = found(InstanceState::Failed, &[]);
        let lost: Vec<&str> = lost.values().map(|it| it.title.as_str()).collect();
        assert_eq!(lost, ["the plugin eye cannot be loaded"]);
        let stuck = stages(
            &[("correlate", "the database is full".to_owned(), at(0))],
            at(70),
        );
        let reports = difference(&stuck, &[], at(70));
        assert_eq!(reports[0].title, "the stage correlate does not go on");
        assert_eq!(reports[0].severity.grade, Severity::Critical);
    }
}
