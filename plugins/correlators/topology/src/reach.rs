//! What recent changes reach: the things that they changed, and what depends
//! on those.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use crate::config::Config;
use crate::graph::{EntityId, Passing, Relation, Towards};
use crate::measure::number;
use crate::scene::{AlertIndex, Deed, Scene};
use crate::timing::{SKEW, freshness};

/// What is left of a change's reach after one edge.
const PASSING: Passing = Passing {
    calls: 0.8,
    runs_on: 0.8,
    part_of: 0.9,
};
/// What a change does to the one provider of what it changed that nothing else
/// uses, and to the other users of a provider that it uses up.
const UPSTREAM: f64 = 0.6;
const USED_UP: f64 = 0.8;
/// How far a change reaches.
const HOPS: u32 = 2;
/// The most changes that are looked at, newest first.
const CHANGES_MAX: usize = 100;
/// The most changes behind one alert that are looked at, newest first.
const CHANGES_EACH_MAX: usize = 8;
/// The most alerts reached by one change that are looked at.
const REACHED_EACH_MAX: usize = 32;

/// How strongly a change reaches what depends on the things that it changed
/// within so many edges.
fn reach(scene: &Scene<'_>, deed: &Deed<'_>, hops: u32) -> BTreeMap<EntityId, f64> {
    let mut best: BTreeMap<EntityId, f64> = BTreeMap::new();
    for &entity in &deed.entities {
        let walk = scene
            .graph
            .walk(entity, Towards::Dependents, hops.min(HOPS), PASSING, |_| {
                1.0
            });
        for step in walk.reached() {
            let held = best.entry(step.entity).or_insert(0.0);
            *held = held.max(step.strength);
        }
    }
    best
}

/// How strongly a change of one of its users reaches a provider: the less, the
/// more there are who may have asked too much of it.
fn upstream(scene: &Scene<'_>, provider: EntityId) -> f64 {
    let users = scene.graph.dependents(provider).len();
    UPSTREAM / (1.0 + 0.25 * number(users.max(1)).ln())
}

/// The other users of what a changed thing depends on, and how strongly the
/// change reaches them if it was too much for what they share.
pub(crate) fn fellow_users(
    scene: &Scene<'_>,
    provider: EntityId,
) -> impl Iterator<Item = (EntityId, f64)> {
    let reach = USED_UP * upstream(scene, provider);
    scene
        .graph
        .dependents(provider)
        .iter()
        .filter(|(_, relation, _)| *relation == Relation::Calls)
        .map(move |&(user, _, _)| (user, reach))
}

/// A change of many things at once says less about each.
pub(crate) fn breadth(deed: &Deed<'_>) -> f64 {
    1.0 / (1.0 + 0.25 * number(deed.entities.len().max(1)).ln())
}

/// What each change reaches, found out when it is first asked for.
pub(crate) struct Reaches<'s, 'a> {
    scene: &'s Scene<'a>,
    reaches: Vec<OnceCell<BTreeMap<EntityId, f64>>>,
}

impl<'s, 'a> Reaches<'s, 'a> {
    /// Of the changes of this scene.
    pub(crate) fn new(scene: &'s Scene<'a>) -> Self {
        Self {
            scene,
            reaches: vec![OnceCell::new(); scene.changes.len()],
        }
    }

    /// How strongly a change, by its place in the scene, reaches entities: what
    /// it changed, what depends on that, and what that depends on, of which
    /// more may be asked now.
    pub(crate) fn of(&self, change: usize) -> &BTreeMap<EntityId, f64> {
        self.reaches[change].get_or_init(|| {
            let deed = &self.scene.changes[change];
            let mut reached = reach(self.scene, deed, HOPS);
            for &entity in &deed.entities {
                for &(provider, _, _) in self.scene.graph.providers(entity) {
                    let held = reached.entry(provider).or_insert(0.0);
                    *held = held.max(upstream(self.scene, provider));
                }
            }
            reached
        })
    }
}

/// A change behind an alert.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Behind {
    /// Its place in the scene.
    pub(crate) change: usize,
    /// How likely it brought the alert about, 0 to 1.
    pub(crate) strength: f64,
}

/// The changes behind the alerts that have a place.
pub(crate) struct Reach<'s, 'a> {
    scene: &'s Scene<'a>,
    /// How long a change counts as recent, in microseconds.
    window: u64,
    /// For each entity: the changes that reach it, newest first.
    reached_by: Vec<Vec<Behind>>,
    /// For each change: the alerts with a place that it reaches, and how
    /// strongly.
    reached: Vec<Vec<(AlertIndex, f64)>>,
}

impl<'s, 'a> Reach<'s, 'a> {
    /// Nothing has a place yet.
    pub(crate) fn new(scene: &'s Scene<'a>, config: &Config) -> Self {
        let mut reached_by = vec![Vec::new(); scene.entities_len()];
        for (change, deed) in scene.changes.iter().enumerate().take(CHANGES_MAX) {
            for (entity, strength) in reach(scene, deed, config.hops) {
                if scene.is_alerted(entity) {
                    reached_by[entity].push(Behind {
                        change,
                        strength: strength * breadth(deed),
                    });
                }
            }
        }
        Self {
            scene,
            window: config.change_window(),
            reached_by,
            reached: vec![Vec::new(); scene.changes.len()],
        }
    }

    /// The changes that may have brought this alert about, and how much so.
    pub(crate) fn behind(&self, alert: AlertIndex) -> Vec<Behind> {
        let alert = &self.scene.alerts[alert];
        let Some(entity) = alert.primary() else {
            return Vec::new();
        };
        let started = alert.view.started;
        self.reached_by[entity]
            .iter()
            .filter_map(|behind| {
                let at = self.scene.changes[behind.change].view.at;
                let age = started.saturating_sub(at);
                let can_be = started.saturating_add(SKEW) >= at && age <= self.window;
                can_be.then(|| Behind {
                    strength: behind.strength * freshness(age),
                    ..*behind
                })
            })
            .take(CHANGES_EACH_MAX)
            .collect()
    }

    /// The alerts with a place that this change reaches.
    pub(crate) fn reached(&self, change: usize) -> &[(AlertIndex, f64)] {
        &self.reached[change]
    }

    /// This alert has a place from now on.
    pub(crate) fn place(&mut self, alert: AlertIndex) {
        for behind in self.behind(alert) {
            let reached = &mut self.reached[behind.change];
            if reached.len() < REACHED_EACH_MAX {
                reached.push((alert, behind.strength));
            }
        }
    }
}
