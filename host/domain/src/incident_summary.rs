//! Incidents in short: what a listing shows of one, which may have a thousand
//! members, without any of them.

use serde::{Deserialize, Serialize};

use crate::entity::Entity;
use crate::id::IncidentId;
use crate::incident::{Act, Incident, Phase, Resolution};
use crate::proposal::{Cause, Confidence};
use crate::severity::Severity;
use crate::time::Timestamp;

/// The most entities of a summary.
pub const ENTITIES_MAX: usize = 20;

/// What is said of an incident in a line or two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentSummary {
    /// Derived from what founded it.
    pub id: IncidentId,
    /// A line for people.
    pub title: String,
    /// Where it stands.
    pub phase: Phase,
    /// The worst of its firing members; of all members when none fires.
    pub severity: Severity,
    /// When the first of its members began.
    pub began: Timestamp,
    /// When it was opened.
    pub opened: Timestamp,
    /// When a member last joined or changed.
    pub last: Timestamp,
    /// Who looks after it, since when.
    pub acknowledged: Option<Act>,
    /// Since when it is over, and how we know.
    pub resolved: Option<(Act, Resolution)>,
    /// How many alerts belong to it.
    pub members: u64,
    /// How many of them fire.
    pub firing: u64,
    /// What its members concern, those first that most of them do: at most
    /// [`ENTITIES_MAX`].
    pub entities: Vec<Entity>,
    /// How many entities there are.
    pub entities_total: u64,
    /// The likeliest cause.
    pub suspect: Option<(Cause, Confidence)>,
}

impl From<&Incident> for IncidentSummary {
    fn from(incident: &Incident) -> Self {
        let entities = incident.members.entities();
        let members = incident.members.values();
        let suspect = incident.hypotheses.first();
        Self {
            id: incident.id,
            title: incident.title.clone(),
            phase: incident.phase,
            severity: incident.severity(),
            began: incident.began(),
            opened: incident.opened,
            last: incident.last,
            acknowledged: incident.acknowledged.clone(),
            resolved: incident.resolved.clone(),
            members: incident.members.len() as u64,
            firing: members.filter(|member| member.facts.firing).count() as u64,
            entities_total: entities.len() as u64,
            entities: entities.into_iter().take(ENTITIES_MAX).cloned().collect(),
            suspect: suspect.map(|it| (it.cause.clone(), it.because.confidence)),
        }
    }
}
