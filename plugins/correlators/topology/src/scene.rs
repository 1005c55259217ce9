//! The situation, looked through once: everything by number instead of by
//! name, duplicates and dangling names dropped, numbers made sane.
//!
//! The host gives well-formed situations; this relies on nothing but types.
//! Whatever is over a limit is left out, oldest or last first.

use std::collections::BTreeMap;

use faultline_sdk::Timestamp;
use faultline_sdk::{AlertView, Change, Dependency, Entity, IncidentView, Severity, Situation};

use crate::graph::{Edge, EntityId, Graph, relation_of};
use crate::measure::hash;
use crate::reading::{Reading, read};

/// The most alerts that are looked at.
const ALERTS_MAX: usize = 5_000;
/// The most incidents that are looked at.
const INCIDENTS_MAX: usize = 2_000;
/// The most edges that are looked at.
const EDGES_MAX: usize = 50_000;
/// The most changes that are looked at, newest first.
const CHANGES_MAX: usize = 500;
/// The most entities of one alert or change that are looked at.
const ENTITIES_EACH_MAX: usize = 16;
/// However faint a finding is, this share of the window is left to it.
const PRESENCE_MIN: f64 = 0.2;

/// An alert of the scene, by its place in it.
pub(crate) type AlertIndex = usize;
/// An incident of the scene, by its place in it.
pub(crate) type IncidentIndex = usize;

/// An alert, looked at.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) view: &'a AlertView,
    /// Names it in the state.
    pub(crate) key: u64,
    /// 0 to 1, a number.
    pub(crate) score: f64,
    pub(crate) severity: Severity,
    /// The most telling first, none twice.
    pub(crate) entities: Vec<EntityId>,
    pub(crate) reading: Reading,
    /// Where it is a member, if that is an incident of the scene.
    pub(crate) incident: Option<IncidentIndex>,
    /// Whether it changed since the last call.
    pub(crate) news: bool,
}

impl Seen<'_> {
    /// Whether it is a member of an incident, of the scene or not.
    pub(crate) fn is_member(&self) -> bool {
        self.view.incident.is_some()
    }

    /// The entity that it is about before all others.
    pub(crate) fn primary(&self) -> Option<EntityId> {
        self.entities.first().copied()
    }

    /// How far in time it reaches as a reason for others to be where it is, as
    /// a share of what a sure one does: a faint finding of ten minutes ago is
    /// no sign that what begins now belongs to it.
    pub(crate) fn presence(&self) -> f64 {
        let severity = match self.severity {
            Severity::Info => 0.6,
            Severity::Low => 0.8,
            Severity::Warning | Severity::High | Severity::Critical => 1.0,
        };
        (self.score * severity).max(PRESENCE_MIN)
    }
}

/// A change, looked at.
#[derive(Debug)]
pub(crate) struct Deed<'a> {
    pub(crate) view: &'a Change,
    pub(crate) entities: Vec<EntityId>,
}

/// An incident, looked at.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    pub(crate) view: &'a IncidentView,
    /// Names it in the state.
    pub(crate) key: u64,
    /// The members that the situation shows.
    pub(crate) members: Vec<AlertIndex>,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) now: Timestamp,
    /// By when they started, then by id.
    pub(crate) alerts: Vec<Seen<'a>>,
    /// By when they were opened, then by id.
    pub(crate) incidents: Vec<Case<'a>>,
    pub(crate) changes: Vec<Deed<'a>>,
    pub(crate) edges: &'a [Dependency],
    pub(crate) graph: Graph,
    entities: Vec<&'a Entity>,
    /// Whether an entity stands among those of any alert.
    alerted: Vec<bool>,
}

impl<'a> Scene<'a> {
    /// Looks the situation through.
    pub(crate) fn new(situation: &'a Situation) -> Self {
        let edges = &situation.dependencies[..situation.dependencies.len().min(EDGES_MAX)];
        let mut names = Names::default();
        let mut alerts = alerts(situation, &mut names);
        let changes = changes(situation, &mut names);
        let edges_by_number = edges
            .iter()
            .enumerate()
            .map(|(place, edge)| by_number(edge, place, &mut names))
            .collect();
        let incidents = incidents(situation, &mut alerts);
        let mut alerted = vec![false; names.entities.len()];
        for entity in alerts.iter().flat_map(|alert| &alert.entities) {
            alerted[*entity] = true;
        }
        Self {
            now: situation.now,
            alerts,
            incidents,
            changes,
            edges,
            graph: Graph::new(names.entities.len(), edges_by_number),
            entities: names.entities,
            alerted,
        }
    }

    /// The entity with this number.
    pub(crate) fn entity(&self, id: EntityId) -> &'a Entity {
        self.entities[id]
    }

    /// How many entities there are.
    pub(crate) fn entities_len(&self) -> usize {
        self.entities.len()
    }

    /// Whether any alert of the situation names this entity.
    pub(crate) fn is_alerted(&self, id: EntityId) -> bool {
        self.alerted[id]
    }
}

/// Numbers for entities.
#[derive(Debug, Default)]
struct Names<'a> {
    /// By a hash first: it is quicker to compare.
    numbers: BTreeMap<(u64, &'a str, &'a str), EntityId>,
    entities: Vec<&'a Entity>,
}

impl<'a> Names<'a> {
    fn number(&mut self, entity: &'a Entity) -> EntityId {
        let next = self.entities.len();
        let number = *self
            .numbers
            .entry((hash(&[&entity.name]), &entity.name, &entity.kind))
            .or_insert(next);
        if number == next {
            self.entities.push(entity);
        }
        number
    }

    fn numbers(&mut self, entities: &'a [Entity]) -> Vec<EntityId> {
        let mut numbers = Vec::new();
        for entity in entities.iter().take(ENTITIES_EACH_MAX) {
            let number = self.number(entity);
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        numbers
    }
}

fn alerts<'a>(situation: &'a Situation, names: &mut Names<'a>) -> Vec<Seen<'a>> {
    // Where an id stands twice, the host means the last.
    let by_id: BTreeMap<&str, &AlertView> = situation
        .alerts
        .iter()
        .take(ALERTS_MAX)
        .map(|alert| (alert.id.as_str(), alert))
        .collect();
    let mut views: Vec<&AlertView> = by_id.into_values().collect();
    views.sort_by_key(|view| view.started);
    let mut seen: Vec<Seen<'_>> = views
        .into_iter()
        .map(|view| Seen {
            view,
            key: hash(&[&view.id]),
            score: match view.score {
                score if score.is_nan() => 0.0,
                score => score.clamp(0.0, 1.0),
            },
            severity: Severity::from_word(&view.severity).unwrap_or(Severity::Warning),
            entities: names.numbers(&view.entities),
            reading: read(view),
            incident: None,
            news: false,
        })
        .collect();
    let mut news: Vec<&str> = situation.news.iter().map(String::as_str).collect();
    news.sort_unstable();
    for alert in &mut seen {
        alert.news = news.binary_search(&alert.view.id.as_str()).is_ok();
    }
    seen
}

fn incidents<'a>(situation: &'a Situation, alerts: &mut [Seen<'a>]) -> Vec<Case<'a>> {
    let by_id: BTreeMap<&str, &IncidentView> = situation
        .incidents
        .iter()
        .take(INCIDENTS_MAX)
        .map(|incident| (incident.id.as_str(), incident))
        .collect();
    let mut views: Vec<&IncidentView> = by_id.into_values().collect();
    views.sort_by_key(|view| view.opened);
    let places: BTreeMap<&str, IncidentIndex> = views
        .iter()
        .enumerate()
        .map(|(place, view)| (view.id.as_str(), place))
        .collect();
    let mut cases: Vec<Case<'_>> = views
        .iter()
        .map(|view| Case {
            view,
            key: hash(&[&view.id]),
            members: Vec::new(),
        })
        .collect();
    for (alert, seen) in alerts.iter_mut().enumerate() {
        let incident = seen.view.incident.as_deref();
        seen.incident = incident.and_then(|id| places.get(id).copied());
        if let Some(incident) = seen.incident {
            cases[incident].members.push(alert);
        }
    }
    cases
}

fn changes<'a>(situation: &'a Situation, names: &mut Names<'a>) -> Vec<Deed<'a>> {
    let mut by_id: BTreeMap<&str, &Change> = BTreeMap::new();
    for change in situation.changes.iter().take(CHANGES_MAX) {
        by_id.insert(&change.id, change);
    }
    let mut views: Vec<&Change> = by_id.into_values().collect();
    views.sort_by_key(|view| std::cmp::Reverse(view.at));
    views
        .into_iter()
        .map(|view| Deed {
            view,
            entities: names.numbers(&view.entities),
        })
        .collect()
}

fn by_number<'a>(edge: &'a Dependency, place: usize, names: &mut Names<'a>) -> Edge {
    let (relation, reversed) = relation_of(&edge.relation);
    let dependent = names.number(&edge.dependent);
    let provider = names.number(&edge.provider);
    let (dependent, provider) = if reversed {
        (provider, dependent)
    } else {
        (dependent, provider)
    };
    Edge {
        dependent,
        provider,
        relation,
        place,
    }
}
