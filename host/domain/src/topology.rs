//! Topology: who depends on whom, and since when we know.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::entity::Entity;
use crate::signal::Dependency;
use crate::time::Timestamp;

/// What makes two sightings the same edge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EdgeKey {
    /// Suffers if the provider fails.
    pub dependent: Entity,
    /// What it depends on.
    pub provider: Entity,
    /// `calls`, `runs-on`, …
    pub relation: String,
}

impl From<&Dependency> for EdgeKey {
    fn from(dependency: &Dependency) -> Self {
        Self {
            dependent: dependency.dependent.clone(),
            provider: dependency.provider.clone(),
            relation: dependency.relation.clone(),
        }
    }
}

/// When an edge is known to have held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The first sighting.
    pub first: Timestamp,
    /// The last one that was recorded.
    pub last: Timestamp,
}

/// The edges of a scope: up to a hundred thousand, of which each question is about
/// a few.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topology {
    edges: BTreeMap<Arc<EdgeKey>, Seen>,
    /// The edges that each entity is an end of.
    by_end: BTreeMap<Entity, BTreeSet<Arc<EdgeKey>>>,
    /// All edges, the one that was not seen for longest first.
    by_age: BTreeSet<(Timestamp, Arc<EdgeKey>)>,
}

impl Topology {
    /// Notes that an edge was seen. True if that is worth recording: the edge
    /// is new, or its last recorded sighting is older than `granularity`.
    /// Edges are seen with every request; recording each sighting would cost
    /// more than it tells.
    pub fn see(&mut self, dependency: &Dependency, granularity: Duration) -> bool {
        let key = EdgeKey::from(dependency);
        let before = self.edges.get(&key).copied();
        if before.is_some_and(|seen| dependency.seen.since(seen.last) < granularity) {
            return false;
        }
        let seen = Seen {
            first: before.map_or(dependency.seen, |seen| seen.first),
            last: dependency.seen,
        };
        self.restore(key, seen);
        true
    }

    /// Whether this edge is known.
    pub fn has(&self, dependency: &Dependency) -> bool {
        self.edges.contains_key(&EdgeKey::from(dependency))
    }

    /// Puts an edge back as it was recorded.
    pub fn restore(&mut self, key: EdgeKey, seen: Seen) {
        self.forget(&key);
        let key = Arc::new(key);
        for end in [&key.dependent, &key.provider] {
            let edges = self.by_end.entry(end.clone()).or_default();
            edges.insert(Arc::clone(&key));
        }
        self.by_age.insert((seen.last, Arc::clone(&key)));
        self.edges.insert(key, seen);
    }

    fn forget(&mut self, key: &EdgeKey) {
        let Some((key, seen)) = self.edges.remove_entry(key) else {
            return;
        };
        for end in [&key.dependent, &key.provider] {
            if let Some(edges) = self.by_end.get_mut(end) {
                edges.remove(&key);
                if edges.is_empty() {
                    self.by_end.remove(end);
                }
            }
        }
        self.by_age.remove(&(seen.last, key));
    }

    /// Forgets edges last seen before `oldest`.
    pub fn age_out(&mut self, oldest: Timestamp) {
        while let Some((last, key)) = self.by_age.first().cloned()
            && last < oldest
        {
            self.forget(&key);
        }
    }

    /// All edges, in the order of their keys.
    pub fn edges(&self) -> impl Iterator<Item = (&EdgeKey, &Seen)> {
        self.edges.iter().map(|(key, seen)| (&**key, seen))
    }

    /// How many edges.
    pub fn len(&self) -> usize {
        self.edges.len()
    }

    /// Whether there are no edges.
    pub fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }

    /// The edges within `hops` of any of these entities, in either direction,
    /// in the order of their keys; those nearest to the entities if there are
    /// more than `most`.
    pub fn around(&self, centre: &BTreeSet<&Entity>, hops: u32, most: usize) -> Vec<Dependency> {
        let mut reached: BTreeMap<&Entity, u32> = BTreeMap::new();
        let mut queue: VecDeque<&Entity> = VecDeque::new();
        for entity in centre {
            reached.insert(entity, 0);
            queue.push_back(entity);
        }
        let mut taken: BTreeSet<&EdgeKey> = BTreeSet::new();
        while let Some(entity) = queue.pop_front() {
            let distance = reached[entity];
            if distance >= hops {
                continue;
            }
            for key in self.by_end.get(entity).into_iter().flatten() {
                if taken.len() >= most {
                    break;
                }
                taken.insert(key);
                for end in [&key.dependent, &key.provider] {
                    if !reached.contains_key(end) {
                        reached.insert(end, distance + 1);
                        queue.push_back(end);
                    }
                }
            }
        }
        taken
            .into_iter()
            .map(|key| Dependency {
                dependent: key.dependent.clone(),
                provider: key.provider.clone(),
                relation: key.relation.clone(),
                seen: self.edges[key].last,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(name: &str) -> Entity {
        Entity::new("service", name).expect("an entity")
    }

    fn calls(dependent: &str, provider: &str, seen: u64) -> Dependency {
        Dependency {
            dependent: entity(dependent),
            provider: entity(provider),
            relation: "calls".to_owned(),
            seen: Timestamp::from_secs(seen),
        }
    }

    fn chain() -> Topology {
        let mut topology = Topology::default();
        for (dependent, provider) in [("a", "b"), ("b", "c"), ("c", "d"), ("x", "y")] {
            assert!(topology.see(&calls(dependent, provider, 1), Duration::from_secs(60)));
        }
        topology
    }

    #[test]
    fn records_sightings_at_a_granularity() {
        let mut topology = chain();
        assert!(!topology.see(&calls("a", "b", 30), Duration::from_secs(60)));
        assert!(topology.see(&calls("a", "b", 61), Duration::from_secs(60)));
        topology.age_out(Timestamp::from_secs(60));
        assert_eq!(topology.len(), 1);
    }

    #[test]
    fn finds_what_lies_around() {
        let topology = chain();
        let names = |centre: &str, hops, most| -> Vec<String> {
            let centre = entity(centre);
            topology
                .around(&BTreeSet::from([&centre]), hops, most)
                .iter()
                .map(|edge| format!("{}>{}", edge.dependent.name(), edge.provider.name()))
                .collect()
        };
        assert_eq!(names("b", 1, 10), ["a>b", "b>c"]);
        assert_eq!(names("b", 2, 10), ["a>b", "b>c", "c>d"]);
        assert_eq!(names("d", 9, 1), ["c>d"]);
        assert!(names("z", 9, 10).is_empty());
    }
}
