//! The topology between the entities of one situation, and walks over it.
//!
//! A walk follows edges one way: towards providers, or towards dependents.
//! Edges between a part and its whole lead both ways, since the failing of
//! either shows in the other. The tricky thing is that a walk that turned
//! round at a provider would connect everything with everything: two users of
//! one database are not related by that alone, and are treated apart
//! ([`crate::surroundings`]).

use std::cell::RefCell;

/// An entity of the situation, by its place in the scene.
pub(crate) type EntityId = usize;

/// The most entities that one walk visits.
const REACH_MAX: usize = 512;
/// The most edges that one walk looks at.
const STEPS_MAX: usize = 2_048;

/// What an edge means for the spread of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Relation {
    /// The dependent asks the provider for something.
    Calls,
    /// The dependent runs on the provider.
    RunsOn,
    /// The dependent is a part, or an instance, of the provider.
    PartOf,
}

/// One edge, from dependent to provider. For [`Relation::PartOf`] the
/// dependent is the part and the provider the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) dependent: EntityId,
    pub(crate) provider: EntityId,
    pub(crate) relation: Relation,
    /// Its place in the situation.
    pub(crate) place: usize,
}

/// Where a relation's word leads: what it means, and whether the dependent of
/// the edge is the whole rather than the part.
pub(crate) fn relation_of(word: &str) -> (Relation, bool) {
    let word: String = word
        .chars()
        .map(|c| match c {
            '_' | ' ' => '-',
            c => c.to_ascii_lowercase(),
        })
        .collect();
    match word.as_str() {
        "runs-on" | "hosted-on" | "hosted-by" | "hosts" | "deployed-on" | "scheduled-on"
        | "located-in" => (Relation::RunsOn, false),
        "part-of" | "instance-of" | "member-of" | "belongs-to" | "replica-of" | "owned-by"
        | "contained-in" => (Relation::PartOf, false),
        "has-part" | "has-instance" | "has-member" | "contains" | "consists-of" | "owns" => {
            (Relation::PartOf, true)
        }
        _ => (Relation::Calls, false),
    }
}

/// Which way a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Towards {
    /// From what suffers to what may be the reason.
    Providers,
    /// From what fails to what may suffer.
    Dependents,
}

/// How much of a relation is left after one edge.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passing {
    pub(crate) calls: f64,
    pub(crate) runs_on: f64,
    pub(crate) part_of: f64,
}

impl Passing {
    const fn over(self, relation: Relation) -> f64 {
        match relation {
            Relation::Calls => self.calls,
            Relation::RunsOn => self.runs_on,
            Relation::PartOf => self.part_of,
        }
    }
}

/// An entity that a walk reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reached {
    pub(crate) entity: EntityId,
    /// What is left over the best path, 1 at the start.
    pub(crate) strength: f64,
    /// The step before it among the reached ones, and the edge's place in the
    /// situation; none at the start.
    from: Option<(usize, usize)>,
    /// Whether the path to it leads between parts and wholes only.
    one_whole: bool,
}

/// All edges, sorted for both directions.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// For each entity: its edges as dependent.
    providers: Vec<Vec<(EntityId, Relation, usize)>>,
    /// For each entity: its edges as provider.
    dependents: Vec<Vec<(EntityId, Relation, usize)>>,
    /// For each entity: those of either that lead to its wholes, and to its
    /// parts.
    wholes: Vec<Vec<(EntityId, Relation, usize)>>,
    parts: Vec<Vec<(EntityId, Relation, usize)>>,
    /// For each entity: where a walk found it, plus one. Zeros between walks:
    /// it is lent to one after the other, since most are short.
    found: RefCell<Vec<usize>>,
}

impl Graph {
    /// Edges that lead back to where they begin, and second edges of the same
    /// meaning between the same two, are left out.
    pub(crate) fn new(entities: usize, mut edges: Vec<Edge>) -> Self {
        edges.sort_unstable();
        edges.dedup_by_key(|edge| (edge.dependent, edge.provider, edge.relation));
        let mut graph = Self {
            providers: vec![Vec::new(); entities],
            dependents: vec![Vec::new(); entities],
            wholes: vec![Vec::new(); entities],
            parts: vec![Vec::new(); entities],
            found: RefCell::new(vec![0; entities]),
        };
        for edge in edges {
            let (from, to) = (edge.dependent, edge.provider);
            if from == to || from >= entities || to >= entities {
                continue;
            }
            graph.providers[from].push((to, edge.relation, edge.place));
            graph.dependents[to].push((from, edge.relation, edge.place));
            if edge.relation == Relation::PartOf {
                graph.wholes[from].push((to, edge.relation, edge.place));
                graph.parts[to].push((from, edge.relation, edge.place));
            }
        }
        graph
    }

    /// What this entity depends on directly, and the places of the edges.
    pub(crate) fn providers(&self, entity: EntityId) -> &[(EntityId, Relation, usize)] {
        self.providers.get(entity).map_or(&[], Vec::as_slice)
    }

    /// What depends on this entity directly, and the places of the edges.
    pub(crate) fn dependents(&self, entity: EntityId) -> &[(EntityId, Relation, usize)] {
        self.dependents.get(entity).map_or(&[], Vec::as_slice)
    }

    /// Whether the topology knows this entity at all.
    pub(crate) fn knows(&self, entity: EntityId) -> bool {
        !self.providers(entity).is_empty() || !self.dependents(entity).is_empty()
    }

    /// Everything within so many edges, each over the path that leaves most.
    /// `damping` says what remains when a path leads through an entity. What is
    /// over the limits of a walk is left out, the farthest first.
    pub(crate) fn walk(
        &self,
        start: EntityId,
        towards: Towards,
        hops: u32,
        passing: Passing,
        damping: impl Fn(EntityId) -> f64,
    ) -> Walk {
        let mut walk = Walk::begin(start);
        let mut found = self.found.take();
        found.resize(self.providers.len().max(start + 1), 0);
        found[start] = 1;
        let mut frontier = vec![0_usize];
        let mut steps_left = STEPS_MAX;
        for _ in 0..hops {
            let mut next: Vec<usize> = Vec::new();
            for &place in &frontier {
                let here = walk.reached[place];
                let through = if here.entity == start {
                    1.0
                } else {
                    damping(here.entity)
                };
                for (entity, relation, edge) in self.steps(here.entity, towards).take(steps_left) {
                    steps_left -= 1;
                    let step = Reached {
                        entity,
                        strength: here.strength * through * passing.over(relation),
                        from: Some((place, edge)),
                        one_whole: here.one_whole && relation == Relation::PartOf,
                    };
                    next.extend(walk.arrive(step, &mut found[entity]));
                    if walk.is_full() {
                        break;
                    }
                }
            }
            next.sort_unstable();
            next.dedup();
            if next.is_empty() || steps_left == 0 || walk.is_full() {
                break;
            }
            frontier = next;
        }
        for step in &walk.reached {
            found[step.entity] = 0;
        }
        self.found.replace(found);
        walk
    }

    fn steps(
        &self,
        entity: EntityId,
        towards: Towards,
    ) -> impl Iterator<Item = (EntityId, Relation, usize)> {
        let (along, across) = match towards {
            Towards::Providers => (self.providers(entity), self.parts.get(entity)),
            Towards::Dependents => (self.dependents(entity), self.wholes.get(entity)),
        };
        along.iter().chain(across.into_iter().flatten()).copied()
    }
}

/// What a walk found, in the order in which it was found.
#[derive(Debug)]
pub(crate) struct Walk {
    reached: Vec<Reached>,
}

impl Walk {
    fn begin(start: EntityId) -> Self {
        Self {
            reached: vec![Reached {
                entity: start,
                strength: 1.0,
                from: None,
                one_whole: true,
            }],
        }
    }

    fn is_full(&self) -> bool {
        self.reached.len() >= REACH_MAX
    }

    /// The place of the entity if this way to it is new or better. `found` is
    /// where it was found before, plus one.
    fn arrive(&mut self, step: Reached, found: &mut usize) -> Option<usize> {
        match found.checked_sub(1) {
            Some(place) if step.strength > self.reached[place].strength + 1e-12 => {
                self.reached[place] = step;
                Some(place)
            }
            Some(_) => None,
            None if step.strength <= 0.0 => None,
            None => {
                self.reached.push(step);
                *found = self.reached.len();
                Some(self.reached.len() - 1)
            }
        }
    }

    /// The start first, then what was found.
    pub(crate) fn reached(&self) -> &[Reached] {
        &self.reached
    }

    /// Whether the path to what was reached at this place leads between parts
    /// and wholes only.
    pub(crate) fn is_one_whole(&self, place: usize) -> bool {
        self.reached[place].one_whole
    }

    /// The places of the edges from the start to what was reached at this
    /// place, in order.
    pub(crate) fn path(&self, mut place: usize) -> Vec<usize> {
        let mut path = Vec::new();
        while let Some((before, edge)) = self.reached[place].from {
            path.push(edge);
            place = before;
            if path.len() > REACH_MAX {
                break;
            }
        }
        path.reverse();
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: Passing = Passing {
        calls: 0.5,
        runs_on: 0.5,
        part_of: 0.5,
    };

    fn graph(edges: &[(EntityId, EntityId, Relation)]) -> Graph {
        let edges = edges
            .iter()
            .enumerate()
            .map(|(place, &(dependent, provider, relation))| Edge {
                dependent,
                provider,
                relation,
                place,
            })
            .collect();
        Graph::new(8, edges)
    }

    fn found(graph: &Graph, start: EntityId, towards: Towards, hops: u32) -> Vec<EntityId> {
        let walk = graph.walk(start, towards, hops, HALF, |_| 1.0);
        walk.reached().iter().map(|step| step.entity).collect()
    }

    #[test]
    fn walks_one_way_and_ends_in_cycles() {
        use Relation::Calls;
        let graph = graph(&[(0, 1, Calls), (1, 2, Calls), (2, 0, Calls), (3, 2, Calls)]);
        assert_eq!(found(&graph, 0, Towards::Providers, 9), [0, 1, 2]);
        assert_eq!(found(&graph, 2, Towards::Dependents, 1), [2, 1, 3]);
        assert_eq!(found(&graph, 7, Towards::Dependents, 9), [7]);
    }

    #[test]
    fn parts_and_wholes_lead_both_ways() {
        use Relation::{Calls, PartOf};
        // 0 calls 1; 2 and 3 are parts of 1.
        let graph = graph(&[(0, 1, Calls), (2, 1, PartOf), (3, 1, PartOf)]);
        assert_eq!(found(&graph, 0, Towards::Providers, 9), [0, 1, 2, 3]);
        assert_eq!(found(&graph, 2, Towards::Dependents, 9), [2, 1, 0, 3]);
    }

    #[test]
    fn keeps_the_better_path() {
        use Relation::{Calls, PartOf};
        // A long way round leaves more than the direct one.
        let graph = graph(&[(0, 1, Calls), (0, 2, PartOf), (2, 1, PartOf)]);
        let passing = Passing {
            calls: 0.3,
            runs_on: 0.3,
            part_of: 0.9,
        };
        let walk = graph.walk(0, Towards::Providers, 3, passing, |_| 1.0);
        let one = walk.reached().iter().position(|step| step.entity == 1);
        let one = one.expect("reached");
        assert!((walk.reached()[one].strength - 0.81).abs() < 1e-9);
        assert_eq!(walk.path(one), [1, 2]);
        assert!(walk.is_one_whole(one));
        assert_eq!(walk.path(0), [0_usize; 0]);
    }

    #[test]
    fn reads_the_words_for_relations() {
        assert_eq!(relation_of("Runs_On"), (Relation::RunsOn, false));
        assert_eq!(relation_of("instance of"), (Relation::PartOf, false));
        assert_eq!(relation_of("contains"), (Relation::PartOf, true));
        assert_eq!(relation_of("publishes-to"), (Relation::Calls, false));
    }
}
