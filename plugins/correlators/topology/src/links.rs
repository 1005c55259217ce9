//! Why an alert belongs to a group: the strongest reason of each kind.
//!
//! Of each kind the strongest counts once, and the kinds are joined by a
//! noisy-or, as if they were independent reasons. So more evidence never lowers
//! a confidence, and many weak reasons of one kind do not make a strong one.
//!
//! The tricky thing is direction. That a newcomer *depends on* members of two
//! incidents explains the newcomer, and says nothing about the two incidents:
//! it joins one and connects none ([`Links::binding`]).

use std::cmp::Reverse;

use crate::graph::{EntityId, Relation};
use crate::measure::{CONFIDENCE_MAX, noisy_or};
use crate::scene::AlertIndex;

/// What a path between two entities means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Meaning {
    /// They are parts of one whole, or one is a part of the other: each shows
    /// the failing of the other.
    OneWhole,
    /// The other suffers if the newcomer's fails.
    Provides,
    /// The newcomer's suffers if the other fails.
    Depends,
}

/// Why two alerts are related.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum How {
    /// Both name this entity.
    Same { entity: EntityId },
    /// A path of dependencies leads from the newcomer's entity to the other's.
    Path {
        /// The newcomer's.
        from: EntityId,
        /// The other's.
        to: EntityId,
        /// Places of the edges in the situation.
        edges: Box<[usize]>,
        /// What the path means for the two.
        meaning: Meaning,
    },
    /// Both use, or run on, this.
    Siblings {
        from: EntityId,
        to: EntityId,
        provider: EntityId,
        relation: Relation,
        /// How many of its users alert, and how many there are.
        alerting: usize,
        all: usize,
    },
    /// Both have this label.
    Label {
        key: String,
        value: String,
        holders: usize,
    },
    /// This change reaches both; its place in the scene.
    Change { change: usize },
}

impl How {
    /// The kind, as a place among [`KINDS`].
    const fn kind(&self) -> usize {
        match self {
            How::Same { .. } => 0,
            How::Path {
                meaning: Meaning::OneWhole | Meaning::Provides,
                ..
            } => 1,
            How::Path {
                meaning: Meaning::Depends,
                ..
            } => 2,
            How::Siblings { .. } => 3,
            How::Label { .. } => 4,
            How::Change { .. } => 5,
        }
    }
}

/// How many kinds of [`How`] are told apart.
const KINDS: usize = 6;

/// How near a newcomer is to an alert that has a place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Near {
    /// 0 to 1, the distance in time included.
    pub(crate) strength: f64,
    /// The alert that it is related to.
    pub(crate) witness: AlertIndex,
    /// How far apart the two are, in microseconds.
    pub(crate) gap: u64,
}

/// One reason why a newcomer belongs to a group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Link {
    pub(crate) near: Near,
    pub(crate) how: How,
}

/// The strongest link of each kind between a newcomer and one group.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Links([Option<Link>; KINDS]);

impl Links {
    /// Keeps a link if it is the strongest of its kind; of equals the one to
    /// the earliest alert. Most links are not, which is why this takes what it
    /// keeps by reference.
    pub(crate) fn offer(&mut self, near: Near, how: &How) {
        let held = &mut self.0[how.kind()];
        let stronger = held.as_ref().is_none_or(|held| {
            (held.near.strength, Reverse(held.near.witness))
                < (near.strength, Reverse(near.witness))
        });
        if stronger && near.strength > 0.0 {
            *held = Some(Link {
                near,
                how: how.clone(),
            });
        }
    }

    fn strength(&self, kind: usize) -> f64 {
        self.0[kind].as_ref().map_or(0.0, |link| link.near.strength)
    }

    /// How sure it is that the newcomer belongs there.
    pub(crate) fn total(&self) -> f64 {
        let path = self.strength(1).max(self.strength(2));
        let kinds = [0, 3, 4, 5].map(|kind| self.strength(kind));
        noisy_or(kinds.into_iter().chain([path])).min(CONFIDENCE_MAX)
    }

    /// The same without what only makes the newcomer a victim: how sure it is
    /// that the newcomer ties others to the group.
    pub(crate) fn binding(&self) -> f64 {
        let kinds = [0, 1, 3, 4, 5].map(|kind| self.strength(kind));
        noisy_or(kinds).min(CONFIDENCE_MAX)
    }

    /// Strongest first.
    pub(crate) fn strongest_first(&self) -> Vec<&Link> {
        let mut links: Vec<&Link> = self.0.iter().flatten().collect();
        links.sort_by(|a, b| b.near.strength.total_cmp(&a.near.strength));
        links
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_counts_once_and_paths_count_by_the_better_direction() {
        let near = |strength: f64| Near {
            strength,
            witness: 0,
            gap: 0,
        };
        let path = |meaning: Meaning| How::Path {
            from: 0,
            to: 1,
            edges: [0].into(),
            meaning,
        };
        let mut links = Links::default();
        links.offer(near(0.5), &path(Meaning::Depends));
        links.offer(near(0.4), &path(Meaning::Depends));
        assert!((links.total() - 0.5).abs() < 1e-12);
        assert!(links.binding() < 1e-12, "a victim ties nothing together");
        links.offer(near(0.5), &path(Meaning::Provides));
        assert!((links.total() - 0.5).abs() < 1e-12);
        links.offer(near(0.5), &How::Same { entity: 1 });
        assert!((links.total() - 0.75).abs() < 1e-12);
        links.offer(near(f64::NAN), &How::Change { change: 0 });
        assert!((links.total() - 0.75).abs() < 1e-12);
    }
}
