//! What weighs on each entity of an incident: its own alerts, as signs of a
//! cause and as signs of an effect, and what is taken off it or put on it
//! because others share it.
//!
//! One alert weighs more the surer its finding, the more severe, the more
//! unusual for itself ([`crate::usual`]), and the fewer other entities of the
//! incident show the same kind: what everything shows tells nothing apart.
//!
//! The tricky thing is sharing. If most parts of a whole show the same kind of
//! alert, it is the whole that has the problem; what they share is taken off
//! the parts and put on the whole. The same goes for what runs on one host, and
//! less so for the users of one provider.

use std::collections::BTreeMap;

use faultline_sdk::{Severity, Timestamp};

use crate::graph::{EntityId, Relation};
use crate::measure::number;
use crate::scene::{AlertIndex, Scene, Seen};
use crate::usual::Usual;

/// An alert that always fires still weighs this much.
const USUAL_LEAST: f64 = 0.05;
/// A kind that everything shows still weighs this much.
const KIND_LEAST: f64 = 0.2;
/// In small incidents nearly everything shows any kind. So many entities more
/// are imagined that show none of it.
const UNSEEN: f64 = 4.0;
/// What moves to the better weighs this much.
const IMPROVING: f64 = 0.2;
/// What an alert weighs on entities that it merely names.
const NAMED: f64 = 0.5;
/// Of the symptoms that different users of a silent provider show, whatever
/// their kinds.
const SILENT: f64 = 0.15;
/// An entity is affected from when this share of what weighs on it had begun:
/// a trace of noise long before is not the beginning.
const ONSET_SHARE: f64 = 0.1;
/// The most users, parts or inhabitants of one entity that are looked at.
const SHARERS_MAX: usize = 512;

/// How much of what is shared goes to the one who is shared, and how much is
/// taken off the sharers.
const fn shared_by(relation: Relation) -> (f64, f64) {
    match relation {
        Relation::PartOf | Relation::RunsOn => (0.3, 1.0),
        Relation::Calls => (0.2, 0.5),
    }
}

/// A kind of alert that several of those around an entity show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shared {
    /// One such alert.
    pub(crate) example: AlertIndex,
    pub(crate) relation: Relation,
    /// Who shows it.
    pub(crate) by: Vec<EntityId>,
    /// How many could.
    pub(crate) all: usize,
}

/// What weighs on one entity.
#[derive(Debug, Clone, Default)]
pub(crate) struct Burden {
    /// Its own alerts, heaviest first.
    pub(crate) alerts: Vec<AlertIndex>,
    /// When they began in earnest.
    pub(crate) onset: Option<Timestamp>,
    /// As a cause: its own.
    pub(crate) cause: f64,
    /// The part of that which a cause elsewhere would bring about as well.
    pub(crate) symptoms: f64,
    /// As an effect of others.
    pub(crate) effect: f64,
    /// As a cause: what others share.
    pub(crate) credit: f64,
    /// The weightiest of it.
    pub(crate) shared: Option<Shared>,
}

impl Burden {
    /// How much is wrong with it, whatever the reason.
    pub(crate) fn anomaly(&self) -> f64 {
        self.cause + self.effect
    }
}

/// One alert's weight on one entity.
#[derive(Debug, Clone, Copy)]
struct Weight<'a> {
    alert: AlertIndex,
    kind: &'a str,
    /// As a sign of a cause, whatever others show.
    cause: f64,
    is_symptom: bool,
}

/// What weighs on each entity that the members name or share.
pub(crate) fn burdens(
    scene: &Scene<'_>,
    usual: &Usual,
    members: &[AlertIndex],
) -> BTreeMap<EntityId, Burden> {
    let spread = Spread::of(scene, members);
    let mut burdens: BTreeMap<EntityId, Burden> = BTreeMap::new();
    let mut weights: BTreeMap<EntityId, Vec<Weight<'_>>> = BTreeMap::new();
    let mut begun: BTreeMap<EntityId, Vec<(Timestamp, f64)>> = BTreeMap::new();
    let mut order: Vec<(f64, AlertIndex)> = Vec::with_capacity(members.len());
    for &member in members {
        let alert = &scene.alerts[member];
        let weight = weight(alert, usual);
        let kind = alert.reading.kind.as_str();
        let cause = weight * alert.reading.class.as_cause();
        order.push((cause * spread.rarity(kind, 1), member));
        for (rank, &entity) in alert.entities.iter().enumerate() {
            let share = if rank == 0 { 1.0 } else { NAMED };
            let burden = burdens.entry(entity).or_default();
            burden.effect += share * weight * alert.reading.class.as_effect();
            begun
                .entry(entity)
                .or_default()
                .push((alert.view.started, share * weight));
            weights.entry(entity).or_default().push(Weight {
                alert: member,
                kind,
                cause: share * cause,
                is_symptom: alert.reading.class.is_symptom(),
            });
        }
    }
    for (entity, begun) in begun {
        burdens.entry(entity).or_default().onset = onset(begun);
    }
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    for (_, member) in order {
        for entity in &scene.alerts[member].entities {
            burdens.entry(*entity).or_default().alerts.push(member);
        }
    }
    let taken = share(scene, &spread, &weights, &mut burdens);
    for (entity, weights) in &weights {
        let burden = burdens.entry(*entity).or_default();
        for weight in weights {
            let off = taken
                .get(&(*entity, weight.kind))
                .copied()
                .unwrap_or_default();
            let cause = weight.cause * spread.rarity(weight.kind, 1) * (1.0 - off);
            burden.cause += cause;
            if weight.is_symptom {
                burden.symptoms += cause;
            }
        }
    }
    burdens
}

/// When a share of all this weight had begun.
fn onset(mut begun: Vec<(Timestamp, f64)>) -> Option<Timestamp> {
    begun.sort_by_key(|&(started, _)| started);
    let all: f64 = begun.iter().map(|(_, weight)| weight).sum();
    let mut sum = 0.0;
    begun
        .into_iter()
        .find(|(_, weight)| {
            sum += weight;
            sum >= ONSET_SHARE * all
        })
        .map(|(started, _)| started)
}

/// What one alert weighs before it is asked what kind it is.
pub(crate) fn weight(alert: &Seen<'_>, usual: &Usual) -> f64 {
    let severity = match alert.severity {
        Severity::Info => 0.5,
        Severity::Low => 0.7,
        Severity::Warning => 0.85,
        Severity::High => 0.95,
        Severity::Critical => 1.0,
    };
    let rarity = usual.rarity(alert.key, alert.view.started);
    let trend = if alert.reading.improves {
        IMPROVING
    } else {
        1.0
    };
    alert.score * severity * trend * rarity.max(USUAL_LEAST)
}

/// On how many entities each kind of alert stands.
struct Spread<'a> {
    kinds: BTreeMap<&'a str, usize>,
    entities: usize,
}

impl<'a> Spread<'a> {
    fn of(scene: &'a Scene<'_>, members: &[AlertIndex]) -> Self {
        let mut pairs: Vec<(&str, EntityId)> = Vec::with_capacity(members.len());
        let mut entities: Vec<EntityId> = Vec::new();
        for &member in members {
            let alert = &scene.alerts[member];
            if let Some(primary) = alert.primary() {
                pairs.push((&alert.reading.kind, primary));
            }
            entities.extend(&alert.entities);
        }
        pairs.sort_unstable();
        pairs.dedup();
        entities.sort_unstable();
        entities.dedup();
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for (kind, _) in pairs {
            *kinds.entry(kind).or_default() += 1;
        }
        Self {
            kinds,
            entities: entities.len(),
        }
    }

    /// 1 for a kind that one entity shows, falling with the square of the
    /// logarithm of how many do.
    /// `together` of those who show it count as one.
    fn rarity(&self, kind: &str, together: usize) -> f64 {
        let all = number(self.entities) + UNSEEN;
        let holders = self.kinds.get(kind).copied().unwrap_or(1);
        let holders = (holders + 1).saturating_sub(together).max(1);
        let rarity = ((all / number(holders)).ln() / all.ln()).clamp(0.0, 1.0);
        KIND_LEAST + (1.0 - KIND_LEAST) * rarity * rarity
    }
}

/// Puts on each entity what those around it share, and says which share of
/// each kind is taken off the sharers.
fn share<'a>(
    scene: &Scene<'_>,
    spread: &Spread<'_>,
    weights: &BTreeMap<EntityId, Vec<Weight<'a>>>,
    burdens: &mut BTreeMap<EntityId, Burden>,
) -> BTreeMap<(EntityId, &'a str), f64> {
    let mut taken: BTreeMap<(EntityId, &'a str), f64> = BTreeMap::new();
    let mut around: Vec<EntityId> = weights
        .keys()
        .flat_map(|&entity| scene.graph.providers(entity))
        .map(|&(provider, _, _)| provider)
        .collect();
    around.sort_unstable();
    around.dedup();
    for provider in around {
        for relation in [Relation::Calls, Relation::RunsOn, Relation::PartOf] {
            let sharers: Vec<EntityId> = scene
                .graph
                .dependents(provider)
                .iter()
                .filter(|(_, other, _)| *other == relation)
                .map(|&(dependent, _, _)| dependent)
                .take(SHARERS_MAX)
                .collect();
            if sharers.len() >= 2 {
                let around = (provider, relation, sharers.as_slice());
                share_around(around, spread, weights, burdens, &mut taken);
            }
        }
    }
    taken
}

fn share_around<'a>(
    (provider, relation, sharers): (EntityId, Relation, &[EntityId]),
    spread: &Spread<'_>,
    weights: &BTreeMap<EntityId, Vec<Weight<'a>>>,
    burdens: &mut BTreeMap<EntityId, Burden>,
    taken: &mut BTreeMap<(EntityId, &'a str), f64>,
) {
    let mut kinds: BTreeMap<&'a str, (AlertIndex, f64, Vec<EntityId>)> = BTreeMap::new();
    for &sharer in sharers {
        for weight in weights.get(&sharer).into_iter().flatten() {
            let (_, sum, by) = kinds
                .entry(weight.kind)
                .or_insert_with(|| (weight.alert, 0.0, Vec::new()));
            *sum += weight.cause;
            if by.last() != Some(&sharer) {
                by.push(sharer);
            }
        }
    }
    let (given, off) = shared_by(relation);
    let mut weightiest = 0.0;
    for (kind, (example, sum, by)) in kinds {
        if by.len() < 2 {
            continue;
        }
        let share = number(by.len()) / number(sharers.len());
        for &sharer in &by {
            let held = taken.entry((sharer, kind)).or_default();
            *held = held.max(share * off);
        }
        let credit = given * sum * spread.rarity(kind, by.len()) * share * share;
        let burden = burdens.entry(provider).or_default();
        burden.credit += credit;
        if credit > weightiest {
            weightiest = credit;
            burden.shared = Some(Shared {
                example,
                relation,
                by,
                all: sharers.len(),
            });
        }
    }
    let is_silent = !weights.contains_key(&provider);
    let symptoms: Vec<f64> = sharers
        .iter()
        .filter_map(|sharer| burdens.get(sharer))
        .map(|burden| burden.effect)
        .filter(|&effect| effect > 0.0)
        .collect();
    if is_silent && relation == Relation::Calls && symptoms.len() >= 2 {
        let share = number(symptoms.len()) / number(sharers.len());
        let burden = burdens.entry(provider).or_default();
        burden.credit += SILENT * symptoms.iter().sum::<f64>() * share * share;
    }
}
