//! What correlators are given, and what they answer.

use faultline_domain::fault::Fault;
use faultline_domain::id::IncidentId;
use faultline_domain::plugin::Failure;
use faultline_domain::proposal::{
    Because, Blob, Cause, Confidence, Evidence, Proposal, Reference, Target, Verdict,
};
use faultline_domain::signal::{Change, Dependency};
use faultline_domain::situation::{AlertView, IncidentView, Situation};

use super::words::{entity, entity_to, labels_to, line, text};
use crate::bindings::exports::faultline::plugin::correlate as wit;
use crate::bindings::faultline::plugin::{signals, types};

/// The most pieces of evidence for, and against, one proposal; what is beyond
/// is dropped.
const EVIDENCE_MAX: usize = 50;

/// The most references of one piece of evidence; what is beyond is dropped.
const REFERENCES_MAX: usize = 50;

pub(crate) fn situation_of(situation: &Situation) -> wit::Situation {
    wit::Situation {
        now: situation.now.as_micros(),
        news: situation.news.iter().map(ToString::to_string).collect(),
        alerts: situation
            .alerts
            .iter()
            .map(|alert| alert_to(alert, situation.membership.get(&alert.id)))
            .collect(),
        incidents: situation
            .incidents
            .iter()
            .map(|incident| incident_to(incident))
            .collect(),
        dependencies: situation.dependencies.iter().map(dependency_to).collect(),
        changes: situation.changes.iter().map(change_to).collect(),
    }
}

fn alert_to(alert: &AlertView, incident: Option<&IncidentId>) -> wit::AlertView {
    wit::AlertView {
        id: alert.id.to_string(),
        firing: alert.firing,
        title: alert.title.clone(),
        severity: alert.severity.as_str().to_owned(),
        score: alert.score,
        started: alert.started.as_micros(),
        at: alert.at.as_micros(),
        entities: alert.entities.iter().map(entity_to).collect(),
        labels: labels_to(&alert.labels),
        origin: alert.origin.clone(),
        incident: incident.map(ToString::to_string),
    }
}

fn incident_to(incident: &IncidentView) -> wit::IncidentView {
    wit::IncidentView {
        id: incident.id.to_string(),
        version: incident.version,
        opened: incident.opened.as_micros(),
        last: incident.last.as_micros(),
        severity: incident.severity.as_str().to_owned(),
        title: incident.title.clone(),
        size: u32::try_from(incident.size).unwrap_or(u32::MAX),
        entities: incident.entities.iter().map(entity_to).collect(),
    }
}

fn dependency_to(dependency: &Dependency) -> signals::Dependency {
    signals::Dependency {
        dependent: entity_to(&dependency.dependent),
        provider: entity_to(&dependency.provider),
        relation: dependency.relation.clone(),
        seen: dependency.seen.as_micros(),
    }
}

fn change_to(change: &Change) -> signals::Change {
    signals::Change {
        id: change.id.to_string(),
        kind: change.kind.clone(),
        title: change.title.clone(),
        at: change.at.as_micros(),
        entities: change.entities.iter().map(entity_to).collect(),
        attributes: labels_to(&change.attributes),
        link: change.link.clone(),
    }
}

/// What a correlator proposes. An id that is no id, or a confidence that is
/// none, is not a matter of judgement: the answer as a whole is void.
pub(crate) fn verdict_of(raw: wit::Verdict) -> Result<Verdict, Failure> {
    let proposals = raw
        .proposals
        .into_iter()
        .enumerate()
        .map(|(index, proposal)| {
            proposal_of(proposal)
                .map_err(|why| Failure::Contract(format!("proposal {index}: {why}")))
        })
        .collect::<Result<Vec<Proposal>, Failure>>()?;
    Ok(Verdict {
        proposals,
        state: raw.state.map(blob_of),
    })
}

pub(crate) fn blob_of(raw: types::Blob) -> Blob {
    Blob {
        media_type: text(raw.media_type),
        bytes: raw.bytes,
    }
}

impl From<&Blob> for types::Blob {
    fn from(blob: &Blob) -> Self {
        Self {
            media_type: blob.media_type.clone(),
            bytes: blob.bytes.clone(),
        }
    }
}

fn proposal_of(raw: wit::Proposal) -> Result<Proposal, String> {
    Ok(match raw {
        wit::Proposal::Open(raw) => Proposal::Open {
            tag: text(raw.tag),
            title: text(raw.title),
            members: ids(&raw.members)?,
            because: because_of(raw.because)?,
        },
        wit::Proposal::Join(raw) => Proposal::Join {
            target: target_of(raw.target)?,
            members: ids(&raw.members)?,
            because: because_of(raw.because)?,
        },
        wit::Proposal::Merge(raw) => Proposal::Merge {
            keep: id(&raw.keep)?,
            fold: ids(&raw.fold)?,
            because: because_of(raw.because)?,
        },
        wit::Proposal::Split(raw) => Proposal::Split {
            incident: id(&raw.incident)?,
            tag: text(raw.tag),
            title: text(raw.title),
            members: ids(&raw.members)?,
            because: because_of(raw.because)?,
        },
        wit::Proposal::Blame(raw) => Proposal::Blame {
            target: target_of(raw.target)?,
            cause: match raw.cause {
                wit::Cause::Entity(raw) => Cause::Entity(entity(&raw).map_err(message)?),
                wit::Cause::Change(raw) => Cause::Change(id(&raw)?),
                wit::Cause::Alert(raw) => Cause::Alert(id(&raw)?),
            },
            because: because_of(raw.because)?,
        },
    })
}

fn target_of(raw: wit::Target) -> Result<Target, String> {
    Ok(match raw {
        wit::Target::Incident(raw) => Target::Incident(id(&raw)?),
        wit::Target::Opening(tag) => Target::Opening(text(tag)),
    })
}

fn because_of(raw: wit::Because) -> Result<Because, String> {
    let confidence = Confidence::new(raw.confidence)
        .ok_or_else(|| format!("its confidence is {}, not 0 to 1", raw.confidence))?;
    Ok(Because {
        reason: text(raw.reason),
        confidence,
        evidence: evidence_of(raw.evidence)?,
        against: evidence_of(raw.against)?,
    })
}

fn evidence_of(raw: Vec<wit::Evidence>) -> Result<Vec<Evidence>, String> {
    raw.into_iter()
        .take(EVIDENCE_MAX)
        .map(|raw| {
            let references = raw
                .references
                .into_iter()
                .take(REFERENCES_MAX)
                .map(reference_of)
                .collect::<Result<_, _>>()?;
            Ok(Evidence {
                text: text(raw.text),
                references,
            })
        })
        .collect()
}

fn reference_of(raw: wit::Reference) -> Result<Reference, String> {
    Ok(match raw {
        wit::Reference::Alert(raw) => Reference::Alert(id(&raw)?),
        wit::Reference::Change(raw) => Reference::Change(id(&raw)?),
        wit::Reference::Entity(raw) => Reference::Entity(entity(&raw).map_err(message)?),
        wit::Reference::Dependency((dependent, provider)) => Reference::Dependency {
            dependent: entity(&dependent).map_err(message)?,
            provider: entity(&provider).map_err(message)?,
        },
    })
}

fn message(fault: Fault) -> String {
    fault.message
}

fn id<T: std::str::FromStr<Err: ToString>>(raw: &str) -> Result<T, String> {
    raw.parse().map_err(|error: T::Err| line(error.to_string()))
}

fn ids<T: std::str::FromStr<Err: ToString>>(raw: &[String]) -> Result<Vec<T>, String> {
    raw.iter().map(|raw| id(raw)).collect()
}
