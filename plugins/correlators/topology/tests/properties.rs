//! Whatever the situation: the correlator does not panic, says nothing that
//! the host would refuse, and says nothing twice.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use faultline_domain::entity::Entity;
use faultline_domain::id::{AlertId, ChangeId};
use faultline_domain::incident::IncidentEvent;
use faultline_domain::labels::Labels;
use faultline_domain::severity::Severity;
use faultline_domain::signal::{Change, Dependency};
use faultline_domain::situation::AlertView;
use faultline_domain::time::Timestamp;
use faultline_plugin_topology::{Config, Memory, Topology};
use faultline_sdk as sdk;
use faultline_sdk::Correlator;
use proptest::prelude::*;
use support::World;

/// The most bytes of state that a call may leave behind.
const STATE_BYTES_MAX: usize = 128 << 10;

// What no host would send: names that dangle, ids twice, numbers that are none.

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-e]",
        1 => Just(String::new()),
        1 => "\\PC{0,40}",
    ]
}

fn guest_entity() -> impl Strategy<Value = sdk::Entity> {
    (prop_oneof!["[a-c]", "cluster", "\\PC{0,8}"], word())
        .prop_map(|(kind, name)| sdk::Entity::new(kind, name))
}

fn any_time() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => (0_u64..2_000).prop_map(|seconds| seconds * 1_000_000),
        1 => any::<u64>(),
        1 => Just(u64::MAX),
        1 => Just(0),
    ]
}

fn any_score() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => 0.0..=1.0_f64,
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
        1 => any::<f64>(),
    ]
}

fn guest_alert() -> impl Strategy<Value = sdk::AlertView> {
    (
        (word(), any::<bool>(), "\\PC{0,60}", word()),
        prop::option::of(word()),
        (any_score(), any_time(), any_time()),
        prop::collection::vec(guest_entity(), 0..4),
        prop::collection::vec((word(), word()), 0..4),
    )
        .prop_map(
            |((id, firing, title, severity), incident, (score, started, at), entities, labels)| {
                sdk::AlertView {
                    id,
                    firing,
                    title,
                    severity,
                    score,
                    started,
                    at,
                    entities,
                    labels: labels.into_iter().map(sdk::Attribute::from).collect(),
                    origin: "x".to_owned(),
                    incident,
                }
            },
        )
}

fn guest_incident() -> impl Strategy<Value = sdk::IncidentView> {
    (
        word(),
        any_time(),
        any_time(),
        prop_oneof![4 => 0_u32..6, 1 => any::<u32>()],
        prop::collection::vec(guest_entity(), 0..3),
    )
        .prop_map(|(id, opened, last, size, entities)| sdk::IncidentView {
            id,
            version: 1,
            opened,
            last,
            severity: "high".to_owned(),
            title: "something".to_owned(),
            size,
            entities,
        })
}

fn guest_situation() -> impl Strategy<Value = sdk::Situation> {
    let edge = (guest_entity(), guest_entity(), relation(), any_time());
    let change = (
        word(),
        any_time(),
        prop::collection::vec(guest_entity(), 0..3),
    );
    (
        any_time(),
        prop::collection::vec(word(), 0..6),
        prop::collection::vec(guest_alert(), 0..20),
        prop::collection::vec(guest_incident(), 0..5),
        prop::collection::vec(edge, 0..20),
        prop::collection::vec(change, 0..4),
    )
        .prop_map(
            |(now, news, alerts, incidents, edges, changes)| sdk::Situation {
                now,
                news,
                alerts,
                incidents,
                dependencies: edges
                    .into_iter()
                    .map(|(dependent, provider, relation, seen)| sdk::Dependency {
                        dependent,
                        provider,
                        relation,
                        seen,
                    })
                    .collect(),
                changes: changes
                    .into_iter()
                    .map(|(id, at, entities)| sdk::Change {
                        id,
                        kind: String::new(),
                        title: "a change".to_owned(),
                        at,
                        entities,
                        attributes: Vec::new(),
                        link: None,
                    })
                    .collect(),
            },
        )
}

fn relation() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["calls", "runs-on", "part-of", "contains", ""])
        .prop_map(str::to_owned)
}

fn config() -> impl Strategy<Value = Config> {
    (
        1_u32..3_600,
        1_u32..4,
        0.0..1.0_f64,
        0.0..1.0_f64,
        1_u32..6,
        0_u32..6,
    )
        .prop_map(
            |(window_seconds, hops, join, open_score, members_max, hypotheses_max)| Config {
                window_seconds,
                hops,
                join_confidence: join,
                merge_confidence: join,
                open_score,
                members_max,
                hypotheses_max,
                ..Config::default()
            },
        )
}

// What a host sends, in rounds.

/// How often a correlator is asked again without news before it has nothing
/// more to say.
const ASKED_AGAIN_MAX: usize = 4;

#[derive(Debug, Clone)]
struct Report {
    name: u8,
    firing: bool,
    after: u64,
    severity: Severity,
    score: f64,
    entities: Vec<u8>,
    label: Option<u8>,
}

fn report() -> impl Strategy<Value = Report> {
    (
        0_u8..24,
        prop::bool::weighted(0.75),
        prop_oneof![Just(0_u64), 1_u64..60, 60_u64..2_400],
        prop::sample::select(Severity::ALL.to_vec()),
        prop_oneof![Just(1.0_f64), 0.0..=1.0_f64],
        prop::collection::vec(0_u8..10, 0..3),
        prop::option::of(0_u8..4),
    )
        .prop_map(
            |(name, firing, after, severity, score, entities, label)| Report {
                name,
                firing,
                after,
                severity,
                score,
                entities,
                label,
            },
        )
}

fn host_entity(number: u8) -> Entity {
    let kind = ["service", "pod", "host", "cluster"][usize::from(number % 4)];
    Entity::new(kind, &format!("e{number}")).expect("an entity")
}

fn heard(world: &World, report: &Report) -> AlertView {
    let id = AlertId::derive([[report.name].as_slice()]);
    let at = Timestamp::from_secs(report.after)
        .plus(std::time::Duration::from_micros(world.now.as_micros()));
    let before = world.alerts.get(&id);
    let began = report.firing && before.is_none_or(|before| !before.firing);
    AlertView {
        id,
        episode: before.map_or(0, |before| before.episode) + u64::from(began),
        firing: report.firing,
        title: format!("error rate of {}", report.name % 5),
        severity: report.severity,
        score: report.score,
        started: match before {
            Some(before) if !began => before.started,
            _ => at,
        },
        at,
        entities: report.entities.iter().map(|&n| host_entity(n)).collect(),
        labels: report
            .label
            .iter()
            .map(|label| ("batch", label.to_string()))
            .collect::<Labels>(),
        origin: "prometheus".to_owned(),
        source: None,
    }
}

proptest! {
    #[test]
    fn never_panics(
        config in config(),
        situations in prop::collection::vec(guest_situation(), 1..4),
    ) {
        let mut memory = Memory::default();
        for situation in &situations {
            let proposals = Topology::correlate(&config, &mut memory, situation)
                .expect("no fault");
            for because in proposals.iter().map(because) {
                prop_assert!((0.0..=1.0).contains(&because.confidence));
                prop_assert!(because.reason.chars().count() <= 500);
            }
            let bytes = sdk::state::to_bytes(&memory).expect("a state");
            prop_assert_eq!(&memory, &sdk::state::from_bytes(&bytes).expect("a state"));
        }
    }

    #[test]
    fn the_host_refuses_nothing_and_it_comes_to_rest(
        config in config(),
        edges in prop::collection::vec((0_u8..10, 0_u8..10, relation()), 0..16),
        changes in prop::collection::vec((0_u64..2_000, 0_u8..10), 0..4),
        rounds in prop::collection::vec(prop::collection::vec(report(), 1..8), 1..8),
    ) {
        let mut world = World::new();
        world.config = config;
        world.dependencies = edges
            .into_iter()
            .map(|(dependent, provider, relation)| Dependency {
                dependent: host_entity(dependent),
                provider: host_entity(provider),
                relation,
                seen: Timestamp::from_secs(1),
            })
            .collect();
        world.changes = changes
            .into_iter()
            .enumerate()
            .map(|(number, (at, entity))| Change {
                id: ChangeId::derive([number.to_string().as_bytes()]),
                reference: number.to_string(),
                kind: "deployment".to_owned(),
                title: format!("change {number}"),
                at: Timestamp::from_secs(at),
                entities: vec![host_entity(entity)],
                attributes: Labels::default(),
                link: None,
            })
            .collect();
        for reports in rounds {
            // An alert changes once in a round.
            let news: BTreeMap<AlertId, AlertView> = reports
                .iter()
                .map(|report| heard(&world, report))
                .map(|alert| (alert.id, alert))
                .collect();
            let ids: BTreeSet<AlertId> = news.keys().copied().collect();
            let latest = news.values().map(|alert| alert.at).max().unwrap_or(world.now);
            world.pass(latest);
            let round = world.hear(news.into_values().collect());
            prop_assert!(round.refused.is_empty(), "{:#?}", round.refused);
            let events = settle(&mut world, &ids)?;
            prop_assert!(events.is_empty(), "{events:#?}");

            let mut places: BTreeMap<AlertId, usize> = BTreeMap::new();
            for incident in world.incidents.iter() {
                let most = usize::try_from(world.config.members_max).expect("a number");
                prop_assert!(incident.members.len() <= most);
                for member in incident.members.keys() {
                    *places.entry(*member).or_default() += 1;
                }
            }
            prop_assert!(places.values().all(|places| *places == 1));
            let bytes = sdk::state::to_bytes(&world.memory).expect("a state");
            prop_assert!(bytes.len() <= STATE_BYTES_MAX);
        }
    }
}

/// Asks again until there is nothing more to say. What one answer opened can
/// bring about another, as a later round would; that ends soon, for a correlator
/// that never comes to rest would fill the history.
fn settle(world: &mut World, ids: &BTreeSet<AlertId>) -> Result<Vec<IncidentEvent>, TestCaseError> {
    for _ in 0..ASKED_AGAIN_MAX {
        let again = world.round(ids);
        prop_assert!(again.refused.is_empty(), "{:#?}", again.refused);
        if again.proposals.is_empty() {
            return Ok(again.events);
        }
    }
    Ok(world.round(ids).events)
}

fn because(proposal: &sdk::Proposal) -> &sdk::Because {
    match proposal {
        sdk::Proposal::Open(opening) => &opening.because,
        sdk::Proposal::Join(joining) => &joining.because,
        sdk::Proposal::Merge(merging) => &merging.because,
        sdk::Proposal::Split(splitting) => &splitting.because,
        sdk::Proposal::Blame(blaming) => &blaming.because,
    }
}
