//! How a newcomer is related to the alerts that already have a place.
//!
//! Five things relate alerts: the same entity, a path of dependencies, a
//! provider or container that both have ([`crate::surroundings`]), a label
//! that few have ([`crate::labels`]), and a recent change that explains both
//! ([`crate::reach`]). Each has a strength from 0 to 1, which falls with the
//! distance in time; [`crate::links`] says how they add up.

use std::collections::BTreeMap;

use faultline_sdk::Timestamp;

use crate::config::Config;
use crate::graph::EntityId;
use crate::labels::Labels;
use crate::links::{How, Links, Meaning, Near};
use crate::reach::Reach;
use crate::scene::{AlertIndex, Scene};
use crate::surroundings::{Related, Surroundings};
use crate::timing::{closeness, share_of};

/// Both are about the same entity before all others.
const SAME_PRIMARY: f64 = 0.85;
/// One is about the entity, the other merely names it.
const SAME_NAMED: f64 = 0.7;
/// Both name something as wide as a cluster.
const SAME_BROAD: f64 = 0.2;
/// The other alert merely names the entity that the path leads to.
const NAMED: f64 = 0.8;
/// One change that reaches both.
const CHANGE: f64 = 0.6;
/// While another alert about the very same entity still fires, time takes
/// away no more than this leaves…
const STILL_FIRING: f64 = 0.7;
/// …for so many windows. What has been firing for days is not the beginning of
/// today's trouble, and would bury it.
const STILL_FIRING_WINDOWS: u64 = 6;

/// The most moments on one related entity that are looked at, nearest first.
const NEAREST_MAX: usize = 16;
/// The most firing alerts on one entity that are kept in view.
const HOLDING_MAX: usize = 8;

/// An alert that has a place, at one of the moments of its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment {
    at: Timestamp,
    alert: AlertIndex,
    /// Whether it is about the entity before all others.
    primary: bool,
}

/// The alerts that have a place, indexed by what may relate others to them.
pub(crate) struct Relations<'s, 'a> {
    scene: &'s Scene<'a>,
    config: &'s Config,
    /// For each entity, ascending.
    moments: Vec<Vec<Moment>>,
    /// For each entity, those still firing that are about it.
    holding: Vec<Vec<AlertIndex>>,
    surroundings: Surroundings<'s, 'a>,
    labels: Labels,
    reach: Reach<'s, 'a>,
}

impl<'s, 'a> Relations<'s, 'a> {
    /// Nothing has a place yet.
    pub(crate) fn new(scene: &'s Scene<'a>, config: &'s Config) -> Self {
        let entities = scene.entities_len();
        Self {
            scene,
            config,
            moments: vec![Vec::new(); entities],
            holding: vec![Vec::new(); entities],
            surroundings: Surroundings::new(scene, config),
            labels: Labels::new(scene, config),
            reach: Reach::new(scene, config),
        }
    }

    /// Gives an alert its place: newcomers can be related to it from now on.
    pub(crate) fn place(&mut self, index: AlertIndex) {
        let alert = &self.scene.alerts[index];
        for (rank, &entity) in alert.entities.iter().enumerate() {
            let changed = Some(alert.view.at).filter(|&at| at != alert.view.started);
            for at in std::iter::once(alert.view.started).chain(changed) {
                let moment = Moment {
                    at,
                    alert: index,
                    primary: rank == 0,
                };
                let moments = &mut self.moments[entity];
                let place = moments.partition_point(|held| *held < moment);
                moments.insert(place, moment);
            }
            if rank == 0 && alert.view.firing {
                let holding = &mut self.holding[entity];
                holding.push(index);
                if holding.len() > HOLDING_MAX {
                    holding.remove(0);
                }
            }
        }
        self.labels.place(index);
        self.reach.place(index);
    }

    /// The links between a newcomer and each group that has any.
    pub(crate) fn links(
        &mut self,
        index: AlertIndex,
        group_of: impl Fn(AlertIndex) -> usize,
    ) -> BTreeMap<usize, Links> {
        let mut found: BTreeMap<usize, Links> = BTreeMap::new();
        let mut offer = |near: Near, how: &How| {
            if near.strength > 0.0 {
                let links = found.entry(group_of(near.witness)).or_default();
                links.offer(near, how);
            }
        };
        for related in self.surroundings.of(index).iter() {
            self.over_entity(index, related, &mut offer);
        }
        self.over_labels(index, &mut offer);
        self.over_changes(index, &mut offer);
        found
    }

    fn over_entity(
        &self,
        index: AlertIndex,
        related: &Related,
        offer: &mut impl FnMut(Near, &How),
    ) {
        let started = self.scene.alerts[index].view.started;
        let window = self.config.window();
        for moment in self.nearest(related.entity, started) {
            if moment.alert == index {
                continue;
            }
            let gap = moment.at.abs_diff(started);
            let near = Near {
                strength: self.strength(index, related, *moment)
                    * self.closeness_to(moment.alert, gap),
                witness: moment.alert,
                gap,
            };
            offer(near, &related.how);
        }
        let about_it = self.scene.alerts[index].primary() == Some(related.entity);
        if !matches!(related.how, How::Same { .. }) || !about_it {
            return;
        }
        for &witness in &self.holding[related.entity] {
            let gap = self.gap(witness, started);
            let was_firing = self.scene.alerts[witness].view.started <= started;
            let in_time = gap <= window.saturating_mul(STILL_FIRING_WINDOWS);
            if witness != index && was_firing && in_time {
                let near = Near {
                    strength: SAME_PRIMARY * STILL_FIRING * self.scene.alerts[witness].presence(),
                    witness,
                    gap,
                };
                offer(near, &related.how);
            }
        }
    }

    /// The moments around a point in time, those nearest to it.
    fn nearest(&self, entity: EntityId, at: Timestamp) -> &[Moment] {
        let moments = &self.moments[entity];
        let middle = moments.partition_point(|moment| moment.at < at);
        let window = self.config.window();
        let mut from = middle.saturating_sub(NEAREST_MAX / 2);
        let mut to = (middle + NEAREST_MAX / 2).min(moments.len());
        while from < middle && at.abs_diff(moments[from].at) > window {
            from += 1;
        }
        while to > middle && at.abs_diff(moments[to - 1].at) > window {
            to -= 1;
        }
        &moments[from..to]
    }

    /// How strong a relation is between these two alerts, time aside.
    fn strength(&self, index: AlertIndex, related: &Related, moment: Moment) -> f64 {
        match &related.how {
            How::Same { entity } => {
                let about_it = self.scene.alerts[index].primary() == Some(*entity);
                match (about_it, moment.primary) {
                    (true, true) => SAME_PRIMARY,
                    _ if self.is_broad(*entity) => SAME_BROAD,
                    (true, false) | (false, true) => SAME_NAMED,
                    (false, false) => related.strength,
                }
            }
            // What merely runs on a provider is no sign of the provider's
            // failing; what concerns a dependent is hit all the same.
            How::Path {
                meaning: Meaning::Depends,
                ..
            }
            | How::Siblings { .. }
                if !moment.primary =>
            {
                0.0
            }
            How::Path { .. } if !moment.primary => related.strength * NAMED,
            _ => related.strength,
        }
    }

    fn is_broad(&self, entity: EntityId) -> bool {
        let kind = &self.scene.entity(entity).kind;
        self.config.broad_kinds.iter().any(|broad| broad == kind)
    }

    fn over_labels(&self, index: AlertIndex, offer: &mut impl FnMut(Near, &How)) {
        let started = self.scene.alerts[index].view.started;
        for label in self.labels.of(index) {
            for &witness in label.placed.iter().filter(|&&witness| witness != index) {
                let gap = self.gap(witness, started);
                let near = Near {
                    strength: label.strength * self.closeness_to(witness, gap),
                    witness,
                    gap,
                };
                offer(near, &label.how);
            }
        }
    }

    fn over_changes(&self, index: AlertIndex, offer: &mut impl FnMut(Near, &How)) {
        let started = self.scene.alerts[index].view.started;
        for behind in self.reach.behind(index) {
            let how = How::Change {
                change: behind.change,
            };
            for &(witness, other) in self.reach.reached(behind.change) {
                let gap = self.gap(witness, started);
                let near = Near {
                    strength: CHANGE * behind.strength.min(other) * self.closeness_to(witness, gap),
                    witness,
                    gap,
                };
                if witness != index {
                    offer(near, &how);
                }
            }
        }
    }

    /// How much is left of a relation to this alert over a distance in time.
    fn closeness_to(&self, witness: AlertIndex, gap: u64) -> f64 {
        let presence = self.scene.alerts[witness].presence();
        closeness(gap, share_of(self.config.window(), presence))
    }

    fn gap(&self, witness: AlertIndex, at: Timestamp) -> u64 {
        let view = self.scene.alerts[witness].view;
        view.started.abs_diff(at).min(view.at.abs_diff(at))
    }
}
