//! What stages would commit, made by the rules of the domain.

use std::sync::Arc;

use faultline_domain::alert::{Alert, Origin, Report, fingerprint};
use faultline_domain::entity::Entity;
use faultline_domain::envelope::{Arrival, Format, Position};
use faultline_domain::id::{AlertId, ChangeId, Digest, IncidentId, InstanceName, SourceName};
use faultline_domain::incident::{Author, Incident, IncidentEvent};
use faultline_domain::incidents::{IncidentPolicy, Incidents, Moment};
use faultline_domain::labels::Labels;
use faultline_domain::proposal::{
    Because, Cause, Confidence, Evidence, Proposal, Reference, Target, Verdict,
};
use faultline_domain::signal::{AlertReport, Change, Dependency, StatedSeverity};
use faultline_domain::situation::{AlertView, Situation};
use faultline_domain::telemetry::{Reading, SeriesDef, SeriesKey};
use faultline_store::{
    ChangeRecord, Chunk, CommandEnvelope, CommandRecord, CorrelateCommit, DeadLetter,
    DependencyRecord, LetterKind, ObserveCommit, SeriesRecord, SourceRecord, StageName,
    StagePosition, TransitionWrite,
};

use crate::{Bench, at, scope};

pub(crate) fn source(name: &str) -> SourceName {
    SourceName::new(name).expect("a name")
}

fn entity(text: &str) -> Entity {
    text.parse().expect("an entity")
}

fn correlator() -> Author {
    Author::Plugin {
        instance: InstanceName::new("topology").expect("a name"),
        digest: Digest::of(b"component"),
    }
}

/// An alert of this name, which concerns the service of this name.
fn fire(name: &str, position: u64) -> (Alert, TransitionWrite) {
    let origin = Origin::Sender {
        family: "prometheus".to_owned(),
    };
    let identity: Labels = [("alertname", name), ("service", name)]
        .into_iter()
        .collect();
    let id = fingerprint(&origin, &identity).expect("an identity");
    let report = Report {
        origin,
        source: source("prometheus"),
        position: Position(position),
        received: at(position),
        resolve_timeout: None,
        said: AlertReport {
            labels: identity.clone(),
            identity,
            firing: true,
            title: format!("{name} is slow"),
            severity: StatedSeverity::from_word("high"),
            started: at(position),
            ended: None,
            entities: vec![entity(&format!("service/{name}"))],
            annotations: Labels::default(),
            link: None,
        },
        score: 1.0,
        measurement: None,
    };
    let (alert, outcome) = Alert::first(id, report);
    let write = TransitionWrite {
        position: Position(position),
        ordinal: 0,
        received: at(position),
        outcome,
        source: Some(source("prometheus")),
        version: alert.version,
        view: AlertView::from(&alert),
    };
    (alert, write)
}

/// What was committed for one incident.
pub(crate) struct Opened {
    pub(crate) incident: IncidentId,
    pub(crate) alert: AlertId,
    pub(crate) change: ChangeId,
}

impl Bench {
    /// As if an alert of this name had come, together with all else that can
    /// come, and a correlator had opened an incident of it. Gives their ids.
    pub(crate) async fn open_incident(&self, name: &str) -> Opened {
        let from = self.position(StageName::Observe).await;
        let arrival = Arrival {
            source: source("prometheus"),
            format: Format::AlertmanagerAlerts,
            content_type: "application/json".to_owned(),
            headers: Vec::new(),
            body: b"[]".to_vec(),
            received: at(1),
        };
        let appended = self.journal.append(vec![arrival]).await;
        let position = appended.expect("appends");
        let (alert, transition) = fire(name, position.0);
        let change = change(name, position);
        let observed = ObserveCommit {
            from: from.position,
            to: reached(position),
            alerts: vec![alert.clone()],
            transitions: vec![transition],
            changes: vec![change.clone()],
            dependencies: vec![edge(name, position)],
            sources: vec![SourceRecord {
                envelopes: 1,
                last_position: position,
                last_received: at(position.0),
                ..SourceRecord::empty(source(&format!("from-{name}")))
            }],
            dead_letters: vec![DeadLetter {
                position,
                reader: "connector:json".to_owned(),
                kind: LetterKind::Fault,
                received: at(position.0),
                source: source("ci"),
                code: "malformed".to_owned(),
                message: "not JSON".to_owned(),
            }],
            ..ObserveCommit::default()
        };
        let committed = self.store.observe_commit(&scope(), &observed).await;
        committed.expect("commits");
        let incident = self
            .correlate(&alert, change.change.id, name, position)
            .await;
        self.tell_committed();
        Opened {
            incident,
            alert: alert.id,
            change: change.change.id,
        }
    }

    async fn correlate(
        &self,
        alert: &Alert,
        change: ChangeId,
        name: &str,
        position: Position,
    ) -> IncidentId {
        let mut incidents = self.incidents().await;
        let situation = Situation {
            alerts: vec![Arc::new(AlertView::from(alert))],
            changes: vec![changed(name, position)],
            ..Situation::default()
        };
        let moment = Moment {
            at: at(position.0),
            position,
        };
        let verdict = verdict(name, alert.id, change);
        let (events, refused) = incidents.propose(verdict, &situation, &correlator(), moment);
        assert_eq!(refused.len(), 1, "{refused:?}");
        let id = events[0].incident;
        let refusals = refused
            .into_iter()
            .map(|refused| (position, at(position.0), refused));
        let commit = CorrelateCommit {
            from: self.position(StageName::Correlate).await,
            to: reached(position),
            incidents: touched(&incidents, &events),
            events,
            refusals: refusals.collect(),
            ..CorrelateCommit::default()
        };
        let committed = self.store.correlate_commit(&scope(), &commit).await;
        committed.expect("commits");
        id
    }

    /// As if the stages had come to the act in this place of the journal.
    pub(crate) async fn carry_out(&self, position: Position) {
        let envelope = self.store.envelope_fetch(&scope(), position).await;
        let envelope = envelope.expect("reads").expect("is there");
        let act = CommandEnvelope::parse(&envelope.arrival.body).expect("an act");
        let observed = ObserveCommit {
            from: self.position(StageName::Observe).await.position,
            to: reached(position),
            commands: vec![CommandRecord {
                position,
                received: envelope.arrival.received,
                person: act.person.clone(),
                command: act.command.clone(),
            }],
            ..ObserveCommit::default()
        };
        let committed = self.store.observe_commit(&scope(), &observed).await;
        committed.expect("commits");
        let mut incidents = self.incidents().await;
        let moment = Moment {
            at: at(position.0),
            position,
        };
        let (events, refusal) = match incidents.command(&act.command, &act.person, moment) {
            Ok(events) => (events, None),
            Err(refusal) => (Vec::new(), Some(refusal.to_string())),
        };
        let commit = CorrelateCommit {
            from: self.position(StageName::Correlate).await,
            to: reached(position),
            incidents: touched(&incidents, &events),
            events,
            command_outcomes: vec![(position, refusal)],
            ..CorrelateCommit::default()
        };
        let committed = self.store.correlate_commit(&scope(), &commit).await;
        committed.expect("commits");
        self.tell_committed();
    }

    /// As if a correlator had found that the second incident is the first.
    pub(crate) async fn merge(&self, keep: IncidentId, fold: IncidentId) {
        let from = self.position(StageName::Correlate).await;
        let mut incidents = self.incidents().await;
        let moment = Moment {
            at: from.now,
            position: from.position,
        };
        let verdict = Verdict {
            proposals: vec![Proposal::Merge {
                keep,
                fold: vec![fold],
                because: Because {
                    reason: "the same".to_owned(),
                    confidence: Confidence::new(0.9).expect("0 to 1"),
                    evidence: Vec::new(),
                    against: Vec::new(),
                },
            }],
            state: None,
        };
        let shown = incidents.iter().map(|incident| Arc::new(incident.view()));
        let situation = Situation {
            incidents: shown.collect(),
            ..Situation::default()
        };
        let (events, refused) = incidents.propose(verdict, &situation, &correlator(), moment);
        assert!(refused.is_empty(), "{refused:?}");
        let mut touched = touched(&incidents, &events);
        touched.extend(incidents.take_finished());
        let commit = CorrelateCommit {
            from,
            to: from,
            incidents: touched,
            events,
            ..CorrelateCommit::default()
        };
        let committed = self.store.correlate_commit(&scope(), &commit).await;
        committed.expect("commits");
        self.tell_committed();
    }

    /// As if a series had come with a sample a second, of these values.
    pub(crate) async fn measure(&self, id: u32, values: &[f64]) {
        let from = self.position(StageName::Observe).await;
        let times = (1..).map(at).take(values.len());
        let observed = ObserveCommit {
            from: from.position,
            to: from,
            series: vec![SeriesRecord {
                id,
                def: SeriesDef {
                    key: SeriesKey {
                        name: "queue.length".to_owned(),
                        unit: String::new(),
                        entity: Some(entity("service/checkout")),
                        attributes: Labels::default(),
                    },
                    reading: Reading::Gauge,
                },
                first: from.position,
            }],
            chunks: vec![Chunk {
                series: id,
                times: times.collect(),
                values: values.to_vec(),
            }],
            ..ObserveCommit::default()
        };
        let committed = self.store.observe_commit(&scope(), &observed).await;
        committed.expect("commits");
    }

    pub(crate) async fn position(&self, stage: StageName) -> StagePosition {
        let position = self.store.stage_position(&scope(), stage).await;
        position.expect("reads")
    }

    async fn incidents(&self) -> Incidents {
        let open = self.store.incident_open(&scope()).await.expect("reads");
        Incidents::new(scope(), IncidentPolicy::default(), open)
    }
}

pub(crate) fn reached(position: Position) -> StagePosition {
    StagePosition {
        position,
        clock: at(position.0),
        now: at(position.0),
    }
}

fn touched(incidents: &Incidents, events: &[IncidentEvent]) -> Vec<Arc<Incident>> {
    let all = incidents.iter();
    let is_touched = |incident: &&Incident| events.iter().any(|e| e.incident == incident.id);
    all.filter(is_touched).cloned().map(Arc::new).collect()
}

fn changed(name: &str, position: Position) -> Change {
    change(name, position).change
}

fn change(name: &str, position: Position) -> ChangeRecord {
    ChangeRecord {
        position,
        ordinal: 0,
        received: at(position.0),
        source: source("ci"),
        change: Change {
            id: ChangeId::derive([name.as_bytes()]),
            reference: format!("deploy-{name}"),
            kind: "deployment".to_owned(),
            title: format!("{name} 2.0"),
            at: at(position.0),
            entities: vec![entity(&format!("service/{name}"))],
            attributes: Labels::default(),
            link: None,
        },
    }
}

fn edge(name: &str, position: Position) -> DependencyRecord {
    DependencyRecord {
        position,
        ordinal: 0,
        received: at(position.0),
        source: source("spans"),
        dependency: Dependency {
            dependent: entity(&format!("service/{name}")),
            provider: entity("service/payments"),
            relation: "calls".to_owned(),
            seen: at(position.0),
        },
    }
}

/// Opens an incident, suspects the change and the provider, and opens another
/// one of nothing, which is refused.
fn verdict(name: &str, alert: AlertId, change: ChangeId) -> Verdict {
    let because = |reason: &str, confidence, reference| Because {
        reason: reason.to_owned(),
        confidence: Confidence::new(confidence).expect("0 to 1"),
        evidence: vec![Evidence {
            text: "it was there".to_owned(),
            references: vec![reference],
        }],
        against: Vec::new(),
    };
    let blame = |cause, because| Proposal::Blame {
        target: Target::Opening("one".to_owned()),
        cause,
        because,
    };
    let open = |tag: &str, members| Proposal::Open {
        tag: tag.to_owned(),
        title: format!("{name} is in trouble"),
        members,
        because: because("alone", 0.5, Reference::Alert(alert)),
    };
    Verdict {
        proposals: vec![
            open("one", vec![alert]),
            blame(
                Cause::Change(change),
                because("just before", 0.8, Reference::Change(change)),
            ),
            blame(
                Cause::Entity(entity(&format!("service/{name}"))),
                because("by itself", 0.3, Reference::Alert(alert)),
            ),
            open("two", Vec::new()),
        ],
        state: None,
    }
}
