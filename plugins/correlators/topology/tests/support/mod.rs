//! A small host: keeps alerts and incidents, shows them to the correlator,
//! and carries out what the host's own rules let it propose.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use faultline_domain::entity::Entity;
use faultline_domain::envelope::Position;
use faultline_domain::id::{AlertId, ChangeId, Digest, IncidentId, InstanceName, ScopeName};
use faultline_domain::incident::{Author, IncidentEvent};
use faultline_domain::incidents::{IncidentPolicy, Incidents, Moment, RefusedProposal};
use faultline_domain::proposal::{
    Because, Cause, Confidence, Evidence, Proposal, Reference, Target, Verdict,
};
use faultline_domain::signal::{Change, Dependency};
use faultline_domain::situation::{AlertView, Situation};
use faultline_domain::time::Timestamp;
use faultline_plugin_topology::{Config, Memory, Topology};
use faultline_sdk as sdk;
use faultline_sdk::Correlator;

/// What came of one round.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) proposals: Vec<sdk::Proposal>,
    pub(crate) events: Vec<IncidentEvent>,
    pub(crate) refused: Vec<RefusedProposal>,
}

/// The host's side.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) memory: Memory,
    pub(crate) incidents: Incidents,
    pub(crate) alerts: BTreeMap<AlertId, AlertView>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) changes: Vec<Change>,
    pub(crate) now: Timestamp,
    position: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            config: Config::default(),
            memory: Memory::default(),
            incidents: Incidents::new(
                ScopeName::default_scope(),
                IncidentPolicy::default(),
                Vec::new(),
            ),
            alerts: BTreeMap::new(),
            dependencies: Vec::new(),
            changes: Vec::new(),
            now: Timestamp::ZERO,
            position: 0,
        }
    }

    /// These alerts came about or changed: one round.
    pub(crate) fn hear(&mut self, news: Vec<AlertView>) -> Round {
        let mut ids = BTreeSet::new();
        self.position += 1;
        for alert in news {
            self.now = self.now.max(alert.at);
            let moment = self.moment();
            self.incidents.alert_changed(&alert, moment);
            ids.insert(alert.id);
            self.alerts.insert(alert.id, alert);
        }
        self.round(&ids)
    }

    /// Time passes until then; what is due happens, and old alerts go.
    pub(crate) fn pass(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.position += 1;
        let moment = self.moment();
        self.incidents.pass_time(moment);
        let oldest = self.now.minus(std::time::Duration::from_secs(30 * 60));
        self.alerts
            .retain(|_, alert| alert.firing || alert.at >= oldest);
    }

    /// The correlator is asked, and what it proposes is carried out or refused.
    pub(crate) fn round(&mut self, news: &BTreeSet<AlertId>) -> Round {
        let situation = self.situation(news);
        let proposals = self.ask(&situation);
        let verdict = Verdict {
            proposals: proposals.iter().map(to_host).collect(),
            state: None,
        };
        let moment = self.moment();
        let (events, refused) = self
            .incidents
            .propose(verdict, &situation, &author(), moment);
        Round {
            proposals,
            events,
            refused,
        }
    }

    /// What the correlator says of a situation. The state goes through bytes,
    /// as it does in earnest.
    pub(crate) fn ask(&mut self, situation: &Situation) -> Vec<sdk::Proposal> {
        let proposals = Topology::correlate(&self.config, &mut self.memory, &to_guest(situation))
            .expect("no fault");
        let bytes = sdk::state::to_bytes(&self.memory).expect("a state");
        self.memory = sdk::state::from_bytes(&bytes).expect("a state");
        proposals
    }

    pub(crate) fn situation(&self, news: &BTreeSet<AlertId>) -> Situation {
        let mut changes = self.changes.clone();
        changes.retain(|change| change.at <= self.now);
        changes.sort_by_key(|change| std::cmp::Reverse(change.at));
        let membership = self.alerts.keys().copied();
        let membership = membership.filter_map(|id| Some((id, self.incidents.incident_of(id)?)));
        Situation {
            now: self.now,
            news: news.iter().copied().collect(),
            membership: membership.collect(),
            alerts: self.alerts.values().cloned().map(Arc::new).collect(),
            incidents: self
                .incidents
                .iter()
                .map(|incident| Arc::new(incident.view()))
                .collect(),
            dependencies: self.dependencies.clone(),
            changes,
        }
    }

    fn moment(&self) -> Moment {
        Moment {
            at: self.now,
            position: Position(self.position),
        }
    }
}

fn author() -> Author {
    Author::Plugin {
        instance: InstanceName::new("topology").expect("a name"),
        digest: Digest::of(b"component"),
    }
}

fn to_guest(situation: &Situation) -> sdk::Situation {
    sdk::Situation {
        now: situation.now.as_micros(),
        news: strings(&situation.news),
        alerts: situation
            .alerts
            .iter()
            .map(|alert| sdk::AlertView {
                id: alert.id.to_string(),
                firing: alert.firing,
                title: alert.title.clone(),
                severity: alert.severity.as_str().to_owned(),
                score: alert.score,
                started: alert.started.as_micros(),
                at: alert.at.as_micros(),
                entities: entities(&alert.entities),
                labels: alert
                    .labels
                    .iter()
                    .map(|(key, value)| sdk::Attribute::new(key, value))
                    .collect(),
                origin: alert.origin.clone(),
                incident: situation.membership.get(&alert.id).map(ToString::to_string),
            })
            .collect(),
        incidents: situation
            .incidents
            .iter()
            .map(|incident| sdk::IncidentView {
                id: incident.id.to_string(),
                version: incident.version,
                opened: incident.opened.as_micros(),
                last: incident.last.as_micros(),
                severity: incident.severity.as_str().to_owned(),
                title: incident.title.clone(),
                size: u32::try_from(incident.size).unwrap_or(u32::MAX),
                entities: entities(&incident.entities),
            })
            .collect(),
        dependencies: situation
            .dependencies
            .iter()
            .map(|edge| sdk::Dependency {
                dependent: entity(&edge.dependent),
                provider: entity(&edge.provider),
                relation: edge.relation.clone(),
                seen: edge.seen.as_micros(),
            })
            .collect(),
        changes: situation
            .changes
            .iter()
            .map(|change| sdk::Change {
                id: change.id.to_string(),
                kind: change.kind.clone(),
                title: change.title.clone(),
                at: change.at.as_micros(),
                entities: entities(&change.entities),
                attributes: Vec::new(),
                link: None,
            })
            .collect(),
    }
}

fn strings<T: ToString>(ids: &[T]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

fn entity(entity: &Entity) -> sdk::Entity {
    sdk::Entity::new(entity.kind(), entity.name())
}

fn entities(list: &[Entity]) -> Vec<sdk::Entity> {
    list.iter().map(entity).collect()
}

fn to_host(proposal: &sdk::Proposal) -> Proposal {
    match proposal {
        sdk::Proposal::Open(opening) => Proposal::Open {
            tag: opening.tag.clone(),
            title: opening.title.clone(),
            members: alerts(&opening.members),
            because: because(&opening.because),
        },
        sdk::Proposal::Join(joining) => Proposal::Join {
            target: target(&joining.target),
            members: alerts(&joining.members),
            because: because(&joining.because),
        },
        sdk::Proposal::Merge(merging) => Proposal::Merge {
            keep: incident(&merging.keep),
            fold: merging.fold.iter().map(|id| incident(id)).collect(),
            because: because(&merging.because),
        },
        sdk::Proposal::Split(splitting) => Proposal::Split {
            incident: incident(&splitting.incident),
            tag: splitting.tag.clone(),
            title: splitting.title.clone(),
            members: alerts(&splitting.members),
            because: because(&splitting.because),
        },
        sdk::Proposal::Blame(blaming) => Proposal::Blame {
            target: target(&blaming.target),
            cause: match &blaming.cause {
                sdk::Cause::Entity(entity) => Cause::Entity(known(entity)),
                sdk::Cause::Change(id) => Cause::Change(change(id)),
                sdk::Cause::Alert(id) => Cause::Alert(alert(id)),
            },
            because: because(&blaming.because),
        },
    }
}

fn because(because: &sdk::Because) -> Because {
    Because {
        reason: because.reason.clone(),
        confidence: Confidence::new(because.confidence).expect("0 to 1"),
        evidence: because.evidence.iter().map(evidence).collect(),
        against: because.against.iter().map(evidence).collect(),
    }
}

fn evidence(evidence: &sdk::Evidence) -> Evidence {
    Evidence {
        text: evidence.text.clone(),
        references: evidence
            .references
            .iter()
            .map(|reference| match reference {
                sdk::Reference::Alert(id) => Reference::Alert(alert(id)),
                sdk::Reference::Change(id) => Reference::Change(change(id)),
                sdk::Reference::Entity(entity) => Reference::Entity(known(entity)),
                sdk::Reference::Dependency((dependent, provider)) => Reference::Dependency {
                    dependent: known(dependent),
                    provider: known(provider),
                },
            })
            .collect(),
    }
}

fn target(target: &sdk::Target) -> Target {
    match target {
        sdk::Target::Incident(id) => Target::Incident(incident(id)),
        sdk::Target::Opening(tag) => Target::Opening(tag.clone()),
    }
}

fn alerts(ids: &[String]) -> Vec<AlertId> {
    ids.iter().map(|id| alert(id)).collect()
}

fn alert(id: &str) -> AlertId {
    id.parse().expect("an alert's id")
}

fn change(id: &str) -> ChangeId {
    id.parse().expect("a change's id")
}

fn incident(id: &str) -> IncidentId {
    id.parse().expect("an incident's id")
}

fn known(entity: &sdk::Entity) -> Entity {
    Entity::new(&entity.kind, &entity.name).expect("an entity")
}
