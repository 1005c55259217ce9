//! Who may have brought an incident about, best first.
//!
//! Suspects are the entities that something weighs on ([`crate::burden`]), the
//! recent changes that reach them, and alerts that name no entity. An entity is
//! the more suspect
//!
//! - the more weighs on it as a cause, less the symptoms that a failing
//!   provider of its own explains away (Pearl 1988, ch. 2);
//! - the more of the incident's symptoms lie downstream of it, over a path of
//!   affected entities: what `MonitorRank` (Kim, Sumbaly and Shah 2013) and its
//!   successors find by walking the graph of calls;
//! - the earlier its first alert, a little.
//!
//! A change ([`crate::deeds`]) is as suspect as the best entity, times the share of the trouble
//! that it reaches and that began after it, times how fresh it was; the more if
//! what it changed was affected within minutes. It reaches what depends on what
//! it changed, what that depends on, and who else uses a provider that came
//! into trouble after it. Changes and entities are rivals of one another, but
//! for a change and what it changed: that is one story.
//!
//! The scores are turned into confidences by comparing each suspect's square
//! with those of its rivals and of an unknown cause. So a suspect with many
//! rivals is never sure, and nothing is ever certain.

use std::collections::BTreeMap;

use faultline_sdk::Timestamp;

use crate::burden::{Burden, burdens};
use crate::config::Config;
use crate::graph::{EntityId, Passing, Relation, Towards};
use crate::measure::CONFIDENCE_MAX;
use crate::reach::Reaches;
use crate::scene::{AlertIndex, Scene};
use crate::timing::{SKEW, micros};
use crate::usual::Usual;

/// How much of a failure is handed on over one edge.
const SPREAD: Passing = Passing {
    calls: 0.7,
    runs_on: 0.2,
    part_of: 0.5,
};
/// How far failures are followed.
pub(crate) const SPREAD_HOPS: u32 = 3;
/// What is left of a path that leads through an entity without alerts.
const THROUGH_HEALTHY: f64 = 0.1;
/// How much symptoms downstream add to the symptoms that a suspect shows
/// itself, and to the rest of what weighs on it: what is handed on is slowness
/// and errors, so it speaks above all for those who show the same.
const DOWNSTREAM: (f64, f64) = (4.0, 1.2);
/// All symptoms downstream of the suspect that explains most count in full if
/// they are at least this share of the incident's.
const DOWNSTREAM_SHARE: f64 = 0.3;
/// And no less than this, which is half of one unusual alert: a trace of
/// slowness is nothing that wants explaining.
const DOWNSTREAM_LEAST: f64 = 0.5;
/// What is left of a symptom that began before the suspect's first alert.
const BEFORE_ITS_CAUSE: f64 = 0.5;
/// How much of its symptoms a failing provider takes off an entity.
const EXPLAINED_AWAY: f64 = 0.5;
/// How much being the first adds, and how soon that wears off.
const FIRST: (f64, u64) = (0.2, 60 * 1_000_000);
/// Who carries less than this share of all that is wrong is not looked at when
/// it is asked who was affected first.
const FIRST_SHARE: f64 = 0.02;
/// The weight of causes that nothing points to: that of one unusual alert.
const UNKNOWN: f64 = 1.0;

/// Whoever is suspect at all is so by this much.
const CONFIDENCE_MIN: f64 = 0.01;

/// The most entities that are judged as suspects, those first that most
/// weighs on.
const SUSPECTS_MAX: usize = 256;

/// Who or what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Culprit {
    /// Something failed by itself.
    Entity(EntityId),
    /// Something was changed; its place in the scene.
    Change(usize),
    /// A condition that names no entity.
    Alert(AlertIndex),
}

/// A suspect, and what the suspicion rests on.
#[derive(Debug, Clone)]
pub(crate) struct Suspect {
    pub(crate) culprit: Culprit,
    /// Comparable within one incident only.
    pub(crate) score: f64,
    /// 0 to 1.
    pub(crate) confidence: f64,
    /// The affected entities that it explains, the most surely explained
    /// first. For a change, those that it changed are among them.
    pub(crate) explains: Vec<EntityId>,
    /// Of those, the ones that were affected before it.
    pub(crate) too_early: Vec<EntityId>,
    /// Of those that a change explains, the ones that it did not touch but for
    /// a provider that they share with what it changed: who, and the provider.
    pub(crate) shares: Vec<(EntityId, EntityId)>,
}

/// What weighs on an entity as a cause.
#[derive(Debug, Clone, Copy)]
struct Weights {
    symptoms: f64,
    rest: f64,
}

impl Weights {
    fn all(self) -> f64 {
        self.symptoms + self.rest
    }
}

/// What may have come of an entity's failing.
#[derive(Debug)]
struct Downstream {
    /// The symptoms, by how surely they are handed on.
    symptoms: f64,
    /// Who shows them, the most surely reached first.
    explains: Vec<EntityId>,
    /// Who of those did so before the entity was affected itself.
    too_early: Vec<EntityId>,
}

/// All that is known about the causes of one incident.
#[derive(Debug)]
pub(crate) struct Inquest {
    pub(crate) burdens: BTreeMap<EntityId, Burden>,
    /// Best first.
    pub(crate) suspects: Vec<Suspect>,
    /// When the first of those began that something weighs on in earnest.
    pub(crate) onset: Timestamp,
}

/// Judges the suspects of the incident of these members.
pub(crate) fn inquire(
    scene: &Scene<'_>,
    config: &Config,
    usual: &Usual,
    reaches: &Reaches<'_, '_>,
    members: &[AlertIndex],
) -> Inquest {
    let mut inquest = Inquest {
        burdens: burdens(scene, usual, members),
        suspects: Vec::new(),
        onset: scene.now,
    };
    inquest.onset = inquest.first(scene, members);
    let mut suspects = inquest.entities(scene);
    suspects.extend(nameless(scene, usual, members));
    let changes = inquest.changes(scene, config, reaches, &suspects);
    compare(scene, &mut suspects, changes);
    suspects.retain(|suspect| suspect.confidence > 0.0);
    suspects.sort_by(|a, b| {
        (b.confidence.total_cmp(&a.confidence))
            .then_with(|| inquest.since(a.culprit).cmp(&inquest.since(b.culprit)))
            .then(a.culprit.cmp(&b.culprit))
    });
    inquest.suspects = suspects;
    inquest
}

/// Gives all their confidences, and puts the changes with the others.
fn compare(scene: &Scene<'_>, suspects: &mut Vec<Suspect>, mut changes: Vec<Suspect>) {
    let square = |suspect: &Suspect| suspect.score * suspect.score;
    let of_entities: f64 = suspects.iter().map(square).sum();
    let of_changes: f64 = changes.iter().map(square).sum();
    // The entity that was changed and the change itself are one story, not
    // rivals.
    let one_story = |change: &Suspect, suspect: &Suspect| match (change.culprit, suspect.culprit) {
        (Culprit::Change(place), Culprit::Entity(entity)) => {
            scene.changes[place].entities.contains(&entity)
        }
        _ => false,
    };
    for change in &mut changes {
        let own = square(change);
        let same: f64 = suspects
            .iter()
            .filter(|suspect| one_story(change, suspect))
            .map(square)
            .sum();
        change.confidence = confidence(own, of_entities - same + of_changes - own);
    }
    for suspect in suspects.iter_mut() {
        let own = square(suspect);
        // Of many changes only the likeliest counts: most have nothing to do
        // with it, and would drown whoever has.
        let change = changes
            .iter()
            .filter(|change| !one_story(change, suspect))
            .map(square)
            .fold(0.0, f64::max);
        suspect.confidence = confidence(own, of_entities - own + change);
    }
    suspects.extend(changes);
}

/// The square of a score against those of its rivals and of the unknown.
fn confidence(own: f64, rivals: f64) -> f64 {
    if own <= 0.0 {
        return 0.0;
    }
    (CONFIDENCE_MAX * own / (own + rivals.max(0.0) + UNKNOWN * UNKNOWN)).max(CONFIDENCE_MIN)
}

/// Alerts that name no entity stand for themselves.
fn nameless(scene: &Scene<'_>, usual: &Usual, members: &[AlertIndex]) -> Vec<Suspect> {
    members
        .iter()
        .filter(|&&member| scene.alerts[member].entities.is_empty())
        .take(SUSPECTS_MAX)
        .map(|&member| Suspect {
            culprit: Culprit::Alert(member),
            score: crate::burden::weight(&scene.alerts[member], usual)
                * scene.alerts[member].reading.class.as_cause(),
            confidence: 0.0,
            explains: Vec::new(),
            too_early: Vec::new(),
            shares: Vec::new(),
        })
        .collect()
}

impl Inquest {
    /// When the first of those was affected that carry a share of the trouble
    /// that is worth the name.
    fn first(&self, scene: &Scene<'_>, members: &[AlertIndex]) -> Timestamp {
        let trouble: f64 = self.burdens.values().map(Burden::anomaly).sum();
        let of_entities = self
            .burdens
            .values()
            .filter(|burden| burden.anomaly() >= FIRST_SHARE * trouble)
            .filter_map(|burden| burden.onset)
            .min();
        let of_members = || {
            let starts = members
                .iter()
                .map(|&member| scene.alerts[member].view.started);
            starts.min()
        };
        of_entities.or_else(of_members).unwrap_or(scene.now)
    }

    /// When a suspect's first alert began; never, for those without any.
    fn since(&self, culprit: Culprit) -> Timestamp {
        match culprit {
            Culprit::Entity(entity) => self
                .burdens
                .get(&entity)
                .and_then(|burden| burden.onset)
                .unwrap_or(Timestamp::MAX),
            Culprit::Change(_) | Culprit::Alert(_) => Timestamp::MAX,
        }
    }

    /// How much is wrong with an entity as an effect of others.
    fn effect(&self, entity: EntityId) -> f64 {
        self.burdens
            .get(&entity)
            .map_or(0.0, |burden| burden.effect)
    }

    fn entities(&self, scene: &Scene<'_>) -> Vec<Suspect> {
        let mut weighed: Vec<(Weights, EntityId)> = self
            .burdens
            .iter()
            .map(|(&entity, burden)| (self.weights(scene, entity, burden), entity))
            .filter(|(weights, _)| weights.all() > 0.0)
            .collect();
        weighed.sort_by(|a, b| b.0.all().total_cmp(&a.0.all()).then(a.1.cmp(&b.1)));
        weighed.truncate(SUSPECTS_MAX);
        let reaches: Vec<Downstream> = weighed
            .iter()
            .map(|&(_, entity)| self.downstream(scene, entity))
            .collect();
        let all: f64 = self.burdens.values().map(|burden| burden.effect).sum();
        let most = reaches
            .iter()
            .map(|reach| reach.symptoms)
            .fold(DOWNSTREAM_LEAST.max(DOWNSTREAM_SHARE * all), f64::max);
        weighed
            .into_iter()
            .zip(reaches)
            .map(|((weights, entity), reach)| {
                let share = reach.symptoms / most;
                let (of_symptoms, of_rest) = DOWNSTREAM;
                let score = weights.symptoms * (1.0 + of_symptoms * share)
                    + weights.rest * (1.0 + of_rest * share);
                Suspect {
                    culprit: Culprit::Entity(entity),
                    score: score * self.firstness(entity),
                    confidence: 0.0,
                    explains: reach.explains,
                    too_early: reach.too_early,
                    shares: Vec::new(),
                }
            })
            .collect()
    }

    /// As a cause: its own, less what a failing provider explains, and what
    /// others share.
    fn weights(&self, scene: &Scene<'_>, entity: EntityId, burden: &Burden) -> Weights {
        let explained = self.upstream(scene, entity).map_or(0.0, |(_, share)| share);
        Weights {
            symptoms: burden.symptoms * (1.0 - EXPLAINED_AWAY * explained),
            rest: (burden.cause - burden.symptoms).max(0.0) + burden.credit,
        }
    }

    /// The affected provider that best explains an entity's symptoms, and how
    /// well, 0 to 1.
    pub(crate) fn upstream(&self, scene: &Scene<'_>, entity: EntityId) -> Option<(EntityId, f64)> {
        let own = self.effect(entity);
        scene
            .graph
            .providers(entity)
            .iter()
            .filter_map(|&(provider, relation, _)| {
                let passed = match relation {
                    Relation::Calls => SPREAD.calls,
                    Relation::RunsOn => SPREAD.runs_on,
                    Relation::PartOf => return None,
                };
                let anomaly = self.burdens.get(&provider)?.anomaly();
                (own > 0.0 && anomaly > 0.0).then(|| (provider, passed * (anomaly / own).min(1.0)))
            })
            .max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
    }

    /// What may have come of an entity's failing.
    fn downstream(&self, scene: &Scene<'_>, entity: EntityId) -> Downstream {
        let damping = |through: EntityId| {
            if self.effect(through) > 0.0 {
                1.0
            } else {
                THROUGH_HEALTHY
            }
        };
        let walk = scene
            .graph
            .walk(entity, Towards::Dependents, SPREAD_HOPS, SPREAD, damping);
        let onset = self.since(Culprit::Entity(entity));
        let mut symptoms = 0.0;
        let mut explains: Vec<(f64, EntityId)> = Vec::new();
        let mut too_early = Vec::new();
        for step in walk.reached().iter().skip(1) {
            let effect = self.effect(step.entity);
            if effect <= 0.0 {
                continue;
            }
            let early = onset != Timestamp::MAX
                && self
                    .since(Culprit::Entity(step.entity))
                    .saturating_add(SKEW)
                    < onset;
            if early {
                too_early.push(step.entity);
            }
            let in_time = if early { BEFORE_ITS_CAUSE } else { 1.0 };
            symptoms += step.strength * effect * in_time;
            explains.push((step.strength, step.entity));
        }
        explains.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        Downstream {
            symptoms,
            explains: explains.into_iter().map(|(_, entity)| entity).collect(),
            too_early,
        }
    }

    /// A little more for those whose alerts came first.
    fn firstness(&self, entity: EntityId) -> f64 {
        let (most, half_life) = FIRST;
        let late = self
            .since(Culprit::Entity(entity))
            .saturating_sub(self.onset);
        1.0 + most * (-micros(late) / micros(half_life)).exp2()
    }
}
