//! Situations: all that a correlator may know.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::alert::Alert;
use crate::entity::Entity;
use crate::id::{AlertId, ChangeId, IncidentId, SourceName};
use crate::labels::Labels;
use crate::proposal::Reference;
use crate::severity::Severity;
use crate::signal::{Change, Dependency};
use crate::time::Timestamp;

/// An alert as it stood after one of its transitions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertView {
    /// The fingerprint.
    pub id: AlertId,
    /// Which of its episodes.
    pub episode: u64,
    /// Whether the condition holds.
    pub firing: bool,
    /// A line for people.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// 0 to 1.
    pub score: f64,
    /// When the episode began.
    pub started: Timestamp,
    /// When it last changed.
    pub at: Timestamp,
    /// What it concerns.
    pub entities: Vec<Entity>,
    /// Labels of the sender, or attributes of the finding.
    pub labels: Labels,
    /// The family of senders, or the detector's instance.
    pub origin: String,
    /// The source that reported it first: whose share of the limits it takes.
    #[serde(default)]
    pub source: Option<SourceName>,
}

impl From<&Alert> for AlertView {
    fn from(alert: &Alert) -> Self {
        Self {
            id: alert.id,
            episode: alert.episode,
            firing: alert.is_firing(),
            title: alert.title.clone(),
            severity: alert.severity.grade,
            score: alert.score,
            started: alert.started,
            at: alert.changed,
            entities: alert.entities.clone(),
            labels: alert.labels.clone(),
            origin: alert.origin.as_str().to_owned(),
            source: alert.first_source().cloned(),
        }
    }
}

/// An incident that is not closed.
#[derive(Debug, Clone, PartialEq)]
pub struct IncidentView {
    /// Which one.
    pub id: IncidentId,
    /// Grows with each event.
    pub version: u64,
    /// When it was opened.
    pub opened: Timestamp,
    /// When a member last joined or changed.
    pub last: Timestamp,
    /// The worst of its firing members; of all members when none fires.
    pub severity: Severity,
    /// A line for people.
    pub title: String,
    /// How many members it has.
    pub size: usize,
    /// What they concern; of too many, those that most of them do, and in that
    /// order.
    pub entities: Vec<Entity>,
}

/// The news, and what lies around it. What was shown before is shared, not copied:
/// there are thousands of alerts, and ten situations a second.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Situation {
    /// The event time that the host has reached.
    pub now: Timestamp,
    /// Alerts that changed since the last call.
    pub news: Vec<AlertId>,
    /// The news, and what fires or was recently resolved.
    pub alerts: Vec<Arc<AlertView>>,
    /// Which of these alerts are members of what is not closed, and of what:
    /// shown or not.
    pub membership: BTreeMap<AlertId, IncidentId>,
    /// What is not closed.
    pub incidents: Vec<Arc<IncidentView>>,
    /// The topology around these alerts.
    pub dependencies: Vec<Dependency>,
    /// Recent changes, newest first.
    pub changes: Vec<Change>,
}

/// What a situation contains, for looking up what proposals refer to.
#[derive(Debug)]
pub struct Contents<'a> {
    alerts: HashMap<AlertId, &'a AlertView>,
    changes: HashMap<ChangeId, &'a Change>,
    incidents: HashSet<IncidentId>,
    entities: HashSet<&'a Entity>,
    edges: HashSet<(&'a Entity, &'a Entity)>,
}

impl Situation {
    /// Indexes the situation.
    pub fn contents(&self) -> Contents<'_> {
        let mut entities: HashSet<&Entity> = HashSet::new();
        entities.extend(self.alerts.iter().flat_map(|alert| &alert.entities));
        entities.extend(
            self.incidents
                .iter()
                .flat_map(|incident| &incident.entities),
        );
        entities.extend(self.changes.iter().flat_map(|change| &change.entities));
        let mut edges = HashSet::new();
        for edge in &self.dependencies {
            entities.extend([&edge.dependent, &edge.provider]);
            edges.insert((&edge.dependent, &edge.provider));
        }
        Contents {
            alerts: self
                .alerts
                .iter()
                .map(|alert| (alert.id, &**alert))
                .collect(),
            changes: self
                .changes
                .iter()
                .map(|change| (change.id, change))
                .collect(),
            incidents: self
                .incidents
                .iter()
                .map(|incident| incident.id)
                .chain(self.membership.values().copied())
                .collect(),
            entities,
            edges,
        }
    }
}

impl<'a> Contents<'a> {
    /// The alert with this id.
    pub fn alert(&self, id: AlertId) -> Option<&'a AlertView> {
        self.alerts.get(&id).copied()
    }

    /// Whether the situation has this incident, or an alert that is a member of it.
    pub fn has_incident(&self, id: IncidentId) -> bool {
        self.incidents.contains(&id)
    }

    /// Whether the situation has what the reference speaks of.
    pub fn has(&self, reference: &Reference) -> bool {
        match reference {
            Reference::Alert(id) => self.alerts.contains_key(id),
            Reference::Change(id) => self.changes.contains_key(id),
            Reference::Entity(entity) => self.entities.contains(entity),
            Reference::Dependency {
                dependent,
                provider,
            } => self.edges.contains(&(dependent, provider)),
        }
    }
}
