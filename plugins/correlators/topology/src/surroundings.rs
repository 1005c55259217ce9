//! What is related to the entities of an alert, whoever alerts there: the
//! entities themselves, those on a path of dependencies, and those with the
//! same provider.
//!
//! A storm is thousands of alerts on few entities in few minutes, so what was
//! found for one alert is kept for the others of its minute. The tricky thing
//! is that in a storm everything is related to everything: of all that is
//! found only the most strongly related is kept, and of equals what alerted
//! nearest in time.

use std::collections::BTreeMap;
use std::rc::Rc;

use faultline_sdk::Timestamp;

use crate::config::Config;
use crate::graph::{EntityId, Passing, Relation, Towards, Walk};
use crate::links::{How, Meaning};
use crate::measure::number;
use crate::scene::{AlertIndex, Scene};
use crate::timing::SKEW;

/// Both merely name it: at least this, and more the more others do.
const SAME_CROWD: (f64, f64) = (0.35, 0.35);
/// What is left of a relation after one edge.
const PASSING: Passing = Passing {
    calls: 0.75,
    runs_on: 0.75,
    part_of: 0.85,
};
/// Two users of one provider, and how much more if all of its users alert.
const SIBLINGS_CALLS: (f64, f64) = (0.25, 0.45);
/// Two things on one host, likewise.
const SIBLINGS_RUNS_ON: (f64, f64) = (0.35, 0.45);

/// The most entities elsewhere that are related to one alert.
const RELATED_MAX: usize = 32;
/// The most providers of one entity whose users are looked at, those first
/// most of whose users alert.
const PROVIDERS_MAX: usize = 8;
/// The most users of one provider that are related to one alert.
const SIBLINGS_MAX: usize = 16;
/// The most alerts that name one entity which are looked at.
const CROWD_MAX: usize = 256;
/// The most alerts of one minute whose surroundings are kept.
const KNOWN_MAX: usize = 512;

/// An entity that is related to an alert's.
#[derive(Debug)]
pub(crate) struct Related {
    pub(crate) entity: EntityId,
    pub(crate) strength: f64,
    pub(crate) how: How,
}

/// Those users of a provider that alert around one minute.
#[derive(Debug)]
struct Gathering {
    /// When the first of each one's alerts began, ascending.
    alerting: Vec<(Timestamp, EntityId)>,
    /// How many users there are.
    all: usize,
}

impl Gathering {
    /// Those whose alerts began nearest to this time.
    fn nearest(&self, at: Timestamp) -> &[(Timestamp, EntityId)] {
        let middle = self.alerting.partition_point(|&(start, _)| start < at);
        let from = middle.saturating_sub(SIBLINGS_MAX / 2);
        let to = (middle + SIBLINGS_MAX / 2).min(self.alerting.len());
        &self.alerting[from..to]
    }
}

/// An entity that may be among the related ones.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    entity: EntityId,
    strength: f64,
    /// How far away in time it alerted.
    away: u64,
    way: Way,
}

/// How a candidate was found.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// By a walk, at this place of it.
    Path {
        towards: Towards,
        place: usize,
        meaning: Meaning,
    },
    Siblings {
        provider: EntityId,
        relation: Relation,
        alerting: usize,
        all: usize,
    },
}

/// Finds out what is related.
pub(crate) struct Surroundings<'s, 'a> {
    scene: &'s Scene<'a>,
    config: &'s Config,
    /// When alerts that name each entity began, ascending.
    starts: Vec<Vec<Timestamp>>,
    /// The alerts that merely name each entity: when, and what they are about.
    named: Vec<Vec<(Timestamp, EntityId)>>,
    /// The minute of what is kept below.
    minute: u64,
    /// By the entities of an alert.
    known: BTreeMap<Vec<EntityId>, Rc<[Related]>>,
    gatherings: BTreeMap<(EntityId, Relation), Rc<Gathering>>,
    /// For each entity how far from the minute its nearest alert began.
    away: Vec<Option<u64>>,
    /// Room for candidates, used again and again.
    candidates: Vec<Candidate>,
}

impl<'s, 'a> Surroundings<'s, 'a> {
    /// Indexes the alerts by what they name.
    pub(crate) fn new(scene: &'s Scene<'a>, config: &'s Config) -> Self {
        let entities = scene.entities_len();
        let mut starts = vec![Vec::new(); entities];
        let mut named = vec![Vec::new(); entities];
        for alert in &scene.alerts {
            let Some(primary) = alert.primary() else {
                continue;
            };
            for &entity in &alert.entities {
                starts[entity].push(alert.view.started);
                if entity != primary {
                    named[entity].push((alert.view.started, primary));
                }
            }
        }
        Self {
            scene,
            config,
            starts,
            named,
            minute: 0,
            known: BTreeMap::new(),
            gatherings: BTreeMap::new(),
            away: vec![None; entities],
            candidates: Vec::new(),
        }
    }

    /// What is related to this alert's entities. Quick if alerts come in the
    /// order in which they began.
    pub(crate) fn of(&mut self, index: AlertIndex) -> Rc<[Related]> {
        let alert = &self.scene.alerts[index];
        let minute = alert.view.started / SKEW;
        if self.minute != minute {
            self.minute = minute;
            self.known.clear();
            self.gatherings.clear();
            self.away.fill(None);
        }
        if let Some(known) = self.known.get(&alert.entities) {
            return Rc::clone(known);
        }
        let related: Rc<[Related]> = self.look_around(&alert.entities).into();
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known
            .insert(alert.entities.clone(), Rc::clone(&related));
        related
    }

    /// The middle of the minute that is looked at.
    fn now(&self) -> Timestamp {
        self.minute.saturating_mul(SKEW).saturating_add(SKEW / 2)
    }

    /// The alert's own entities, then what is most strongly related to them.
    fn look_around(&mut self, entities: &[EntityId]) -> Vec<Related> {
        let own = entities.iter().map(|&entity| Related {
            entity,
            strength: self.crowd(entity),
            how: How::Same { entity },
        });
        let mut related: Vec<Related> = own.collect();
        let Some(from) = self.standpoint(entities) else {
            return related;
        };
        let walks = [Towards::Dependents, Towards::Providers].map(|towards| {
            let hops = self.config.hops;
            let walk = self.scene.graph.walk(from, towards, hops, PASSING, |_| 1.0);
            (towards, walk)
        });
        let mut candidates = std::mem::take(&mut self.candidates);
        for (towards, walk) in &walks {
            self.over_paths(*towards, walk, entities, &mut candidates);
        }
        self.over_siblings(from, &mut candidates);
        best(&mut candidates);
        related.extend(candidates.drain(..).map(|candidate| Related {
            entity: candidate.entity,
            strength: candidate.strength,
            how: spelled_out(from, &candidate, &walks),
        }));
        self.candidates = candidates;
        related
    }

    /// From where paths are looked for: what the alert is about, or else the
    /// first of its entities that the topology knows.
    fn standpoint(&self, entities: &[EntityId]) -> Option<EntityId> {
        entities
            .iter()
            .copied()
            .find(|&entity| self.scene.graph.knows(entity))
    }

    fn over_paths(
        &mut self,
        towards: Towards,
        walk: &Walk,
        own: &[EntityId],
        candidates: &mut Vec<Candidate>,
    ) {
        for (place, step) in walk.reached().iter().enumerate().skip(1) {
            let entity = step.entity;
            if !self.scene.is_alerted(entity) || own.contains(&entity) {
                continue;
            }
            let meaning = match (walk.is_one_whole(place), towards) {
                // Both walks find it; it counts once.
                (true, Towards::Providers) => continue,
                (true, Towards::Dependents) => Meaning::OneWhole,
                (false, Towards::Dependents) => Meaning::Provides,
                (false, Towards::Providers) => Meaning::Depends,
            };
            candidates.push(Candidate {
                entity,
                strength: step.strength,
                away: self.away(entity),
                way: Way::Path {
                    towards,
                    place,
                    meaning,
                },
            });
        }
    }

    fn over_siblings(&mut self, from: EntityId, candidates: &mut Vec<Candidate>) {
        let mut shared: Vec<(f64, EntityId, Relation, Rc<Gathering>)> = Vec::new();
        for &(provider, relation, _) in self.scene.graph.providers(from) {
            let (least, more) = match relation {
                Relation::Calls => SIBLINGS_CALLS,
                Relation::RunsOn => SIBLINGS_RUNS_ON,
                Relation::PartOf => continue,
            };
            let gathering = self.gathering(provider, relation);
            let alerting = gathering.alerting.len();
            if alerting >= 2 {
                let strength = least + more * number(alerting) / number(gathering.all);
                shared.push((strength, provider, relation, gathering));
            }
        }
        shared.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let now = self.now();
        for (strength, provider, relation, gathering) in shared.iter().take(PROVIDERS_MAX) {
            for &(at, entity) in gathering.nearest(now) {
                if entity != from {
                    candidates.push(Candidate {
                        entity,
                        strength: *strength,
                        away: at.abs_diff(now),
                        way: Way::Siblings {
                            provider: *provider,
                            relation: *relation,
                            alerting: gathering.alerting.len(),
                            all: gathering.all,
                        },
                    });
                }
            }
        }
    }

    /// Which users of a provider alert around this minute.
    fn gathering(&mut self, provider: EntityId, relation: Relation) -> Rc<Gathering> {
        if let Some(gathering) = self.gatherings.get(&(provider, relation)) {
            return Rc::clone(gathering);
        }
        let window = self.config.window();
        let (from, to) = (
            self.now().saturating_sub(window),
            self.now().saturating_add(window),
        );
        let mut gathering = Gathering {
            alerting: Vec::new(),
            all: 0,
        };
        for &(user, other, _) in self.scene.graph.dependents(provider) {
            if other != relation {
                continue;
            }
            gathering.all += 1;
            let starts = &self.starts[user];
            let next = starts.partition_point(|&start| start < from);
            if let Some(&start) = starts.get(next).filter(|&&start| start <= to) {
                gathering.alerting.push((start, user));
            }
        }
        gathering.alerting.sort_unstable();
        let gathering = Rc::new(gathering);
        self.gatherings
            .insert((provider, relation), Rc::clone(&gathering));
        gathering
    }

    /// How far from this minute the nearest alert of an entity began.
    fn away(&mut self, entity: EntityId) -> u64 {
        let now = self.now();
        let starts = &self.starts[entity];
        *self.away[entity].get_or_insert_with(|| {
            let next = starts.partition_point(|&start| start < now);
            let around = starts[next.saturating_sub(1)..].iter().take(2);
            around
                .map(|start| start.abs_diff(now))
                .min()
                .unwrap_or(u64::MAX)
        })
    }

    /// How much it says that two alerts name an entity which neither is about:
    /// more, the more different things around this minute do.
    fn crowd(&self, entity: EntityId) -> f64 {
        let named = &self.named[entity];
        let from = self.now().saturating_sub(self.config.window());
        let to = self.now().saturating_add(self.config.window());
        let first = named.partition_point(|&(start, _)| start < from);
        let mut about: Vec<EntityId> = named[first..]
            .iter()
            .take_while(|&&(start, _)| start <= to)
            .take(CROWD_MAX)
            .map(|&(_, primary)| primary)
            .collect();
        about.sort_unstable();
        about.dedup();
        let (least, more) = SAME_CROWD;
        least + more * number(about.len()) / (number(about.len()) + 4.0)
    }
}

/// Leaves the most strongly related, strongest first.
fn best(candidates: &mut Vec<Candidate>) {
    let order = |a: &Candidate, b: &Candidate| {
        (b.strength.total_cmp(&a.strength))
            .then(a.away.cmp(&b.away))
            .then(a.entity.cmp(&b.entity))
            .then(a.way.order().cmp(&b.way.order()))
    };
    if candidates.len() > RELATED_MAX {
        candidates.select_nth_unstable_by(RELATED_MAX, order);
        candidates.truncate(RELATED_MAX);
    }
    candidates.sort_by(order);
}

impl Way {
    /// Puts different ways to one entity in order.
    const fn order(self) -> (usize, usize) {
        match self {
            Way::Path {
                meaning: Meaning::OneWhole,
                ..
            } => (0, 0),
            Way::Path {
                meaning: Meaning::Provides,
                ..
            } => (1, 0),
            Way::Path {
                meaning: Meaning::Depends,
                ..
            } => (2, 0),
            Way::Siblings { provider, .. } => (3, provider),
        }
    }
}

fn spelled_out(from: EntityId, candidate: &Candidate, walks: &[(Towards, Walk)]) -> How {
    let to = candidate.entity;
    match candidate.way {
        Way::Path {
            towards,
            place,
            meaning,
        } => How::Path {
            from,
            to,
            edges: walks
                .iter()
                .find(|(way, _)| *way == towards)
                .map_or_else(Vec::new, |(_, walk)| walk.path(place))
                .into(),
            meaning,
        },
        Way::Siblings {
            provider,
            relation,
            alerting,
            all,
        } => How::Siblings {
            from,
            to,
            provider,
            relation,
            alerting,
            all,
        },
    }
}
