//! Changes as suspects: how much of the trouble a change reaches, and how soon
//! after it that began.

use std::collections::{BTreeMap, BTreeSet};

use faultline_sdk::Timestamp;

use crate::burden::Burden;
use crate::config::Config;
use crate::graph::{EntityId, Relation};
use crate::reach::{Reaches, breadth, fellow_users};
use crate::scene::{Deed, Scene};
use crate::suspects::{Culprit, Inquest, Suspect};
use crate::timing::{SKEW, freshness, micros};

/// A fresh change that reaches everything, against the best entity. Most
/// outages follow a change (Beyer et al. 2016, "Site Reliability
/// Engineering", ch. 1).
const CHANGE: f64 = 1.3;
/// How much more suspect a change is whose own entity was affected as soon as
/// it was made, and in which time half of that is gone, in microseconds.
const STRUCK: (f64, u64) = (0.5, 5 * 60 * 1_000_000);
/// What is left of a change for trouble that began before it.
const BEFORE_THE_CHANGE: f64 = 0.1;

/// The most changes that are judged, newest first.
const CHANGES_MAX: usize = 100;
/// The most users that are looked at of what one changed thing depends on.
const FELLOWS_MAX: usize = 512;

impl Inquest {
    /// The recent changes that reach anything affected.
    pub(crate) fn changes(
        &self,
        scene: &Scene<'_>,
        config: &Config,
        reaches: &Reaches<'_, '_>,
        entities: &[Suspect],
    ) -> Vec<Suspect> {
        let best = entities
            .iter()
            .map(|suspect| suspect.score)
            .fold(0.0, f64::max);
        let trouble: f64 = self.burdens.values().map(Burden::anomaly).sum();
        if best <= 0.0 || trouble <= 0.0 {
            return Vec::new();
        }
        let oldest = self.onset.saturating_sub(config.change_window());
        scene
            .changes
            .iter()
            .enumerate()
            .filter(|(_, deed)| deed.view.at >= oldest && deed.view.at <= scene.now)
            .take(CHANGES_MAX)
            .filter_map(|(place, _)| {
                let mut affected = self.affected(reaches.of(place));
                let shares = self.sharing(scene, place, &mut affected);
                let mut change = change_as_suspect(scene, place, &affected, (best, trouble))?;
                change.shares = shares;
                Some(change)
            })
            .collect()
    }

    /// Adds those who suffer because a change was too much for what they share
    /// with what it changed: a provider that came into trouble after it.
    fn sharing<'i>(
        &'i self,
        scene: &Scene<'_>,
        place: usize,
        affected: &mut Vec<(EntityId, f64, &'i Burden)>,
    ) -> Vec<(EntityId, EntityId)> {
        let deed = &scene.changes[place];
        let after = |provider: EntityId| {
            let onset = self.burdens.get(&provider).and_then(|burden| burden.onset);
            onset.is_some_and(|onset| onset.saturating_add(SKEW) >= deed.view.at)
        };
        let fellows = deed
            .entities
            .iter()
            .flat_map(|&changed| scene.graph.providers(changed))
            .filter(|&&(provider, relation, _)| relation == Relation::Calls && after(provider))
            .flat_map(|&(provider, _, _)| {
                fellow_users(scene, provider).map(move |(user, reach)| (provider, user, reach))
            })
            .take(FELLOWS_MAX);
        let mut known: BTreeSet<EntityId> = affected.iter().map(|&(entity, _, _)| entity).collect();
        let mut shares = Vec::new();
        for (provider, user, reach) in fellows {
            let burden = self.burdens.get(&user);
            if let Some(burden) = burden.filter(|burden| burden.onset.is_some())
                && known.insert(user)
            {
                affected.push((user, reach, burden));
                shares.push((user, provider));
            }
        }
        shares
    }

    /// Those of the reached entities that something weighs on.
    fn affected<'i>(
        &'i self,
        reached: &BTreeMap<EntityId, f64>,
    ) -> Vec<(EntityId, f64, &'i Burden)> {
        if reached.len() < self.burdens.len() {
            let burdened = |(entity, reach): (&EntityId, &f64)| {
                let burden = self.burdens.get(entity)?;
                Some((*entity, *reach, burden))
            };
            return reached.iter().filter_map(burdened).collect();
        }
        let reached = |(entity, burden): (&EntityId, &'i Burden)| {
            let reach = reached.get(entity)?;
            Some((*entity, *reach, burden))
        };
        self.burdens.iter().filter_map(reached).collect()
    }
}

/// A change, judged by those affected entities that it reaches, and how
/// strongly. `best` is the score of the likeliest entity, `trouble` all that is
/// wrong.
fn change_as_suspect(
    scene: &Scene<'_>,
    place: usize,
    reached: &[(EntityId, f64, &Burden)],
    (best, trouble): (f64, f64),
) -> Option<Suspect> {
    let deed = &scene.changes[place];
    let at = deed.view.at;
    let mut sum = 0.0;
    let mut first: Option<Timestamp> = None;
    let mut explains: Vec<(f64, EntityId)> = Vec::new();
    let mut too_early = BTreeSet::new();
    for &(entity, reach, burden) in reached {
        let Some(onset) = burden.onset else {
            continue;
        };
        let early = onset.saturating_add(SKEW) < at;
        if early {
            too_early.insert(entity);
        } else {
            first = Some(first.map_or(onset, |first| first.min(onset)));
        }
        let in_time = if early { BEFORE_THE_CHANGE } else { 1.0 };
        sum += reach * burden.anomaly() * in_time;
        explains.push((reach, entity));
    }
    let age = first.map_or(0, |first| first.saturating_sub(at));
    let score = CHANGE
        * best
        * (sum / trouble).min(1.0)
        * freshness(age)
        * breadth(deed)
        * struck(deed, reached);
    explains.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    (score > 0.0).then(|| Suspect {
        culprit: Culprit::Change(place),
        score,
        confidence: 0.0,
        explains: explains.into_iter().map(|(_, entity)| entity).collect(),
        too_early: too_early.into_iter().collect(),
        shares: Vec::new(),
    })
}

/// More than 1 for a change soon after which what it changed was affected.
fn struck(deed: &Deed<'_>, reached: &[(EntityId, f64, &Burden)]) -> f64 {
    let (most, half_life) = STRUCK;
    let soonest = reached
        .iter()
        .filter(|(entity, _, _)| deed.entities.contains(entity))
        .filter_map(|(_, _, burden)| burden.onset)
        .filter(|onset| onset.saturating_add(SKEW) >= deed.view.at)
        .map(|onset| onset.saturating_sub(deed.view.at))
        .min();
    soonest.map_or(1.0, |age| {
        1.0 + most * (-micros(age) / micros(half_life)).exp2()
    })
}
