//! Correlators: their state goes round, and what the host would refuse is
//! noticed.

use std::cell::Cell;

use faultline_sdk::testkit::CorrelatorBench;
use faultline_sdk::{
    AlertView, Because, Blob, Cause, Change, Correlator, Dependency, Entity, Evidence, Fault,
    IncidentView, Proposal, Situation, Target, state,
};
use serde::Deserialize;
use serde_json::json;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    mode: String,
}

thread_local! {
    static ASKED: Cell<u32> = const { Cell::new(0) };
    static LATEST: Cell<u64> = const { Cell::new(0) };
}

/// Does what its configuration says, right or wrong.
struct Scripted;

impl Correlator for Scripted {
    type Config = Config;
    type State = Vec<String>;
    const STATE_NAME: &'static str = "test/scripted";

    fn correlate(
        config: &Config,
        state: &mut Vec<String>,
        situation: &Situation,
    ) -> Result<Vec<Proposal>, Fault> {
        let ids: Vec<&str> = situation.news().map(|alert| alert.id.as_str()).collect();
        let because = Because::new("a reason", 7.0);
        Ok(match config.mode.as_str() {
            "quiet" => Vec::new(),
            "fault" => return Err(Fault::unsupported("not today")),
            "remember" => {
                state.extend(situation.news.iter().cloned());
                Vec::new()
            }
            "open" => open(situation, &ids),
            "stranger" => vec![Proposal::join(
                Target::Opening("t".to_owned()),
                ["x"],
                because,
            )],
            "evidence" => {
                let evidence = Evidence::new("a hunch").about(Entity::new("host", "moon"));
                let because = because.with_against(evidence);
                vec![Proposal::open("t", "title", ids, because)]
            }
            "over" => vec![Proposal::open("t", "title", ["old"], because)],
            "count" => {
                ASKED.set(ASKED.get() + 1);
                // The second time is as the first; later ones are not.
                if ASKED.get() <= 2 {
                    Vec::new()
                } else {
                    open(situation, &ids)
                }
            }
            "latest" => {
                LATEST.set(LATEST.get().max(situation.now));
                if LATEST.get() == situation.now {
                    Vec::new()
                } else {
                    open(situation, &ids)
                }
            }
            mode => panic!("{mode}"),
        })
    }
}

/// One of each kind.
fn open(situation: &Situation, ids: &[&str]) -> Vec<Proposal> {
    let alert = situation.news().next().expect("there is news");
    let edge = situation.dependencies.first().expect("an edge");
    let change = situation.changes.first().expect("a change");
    let incident = situation.incidents.first().expect("an incident");
    let old = situation.alert("old").expect("an alert");
    assert_eq!(situation.incident_of(old), Some(incident));
    assert_eq!(situation.members_of(incident).collect::<Vec<_>>(), [old]);
    assert_eq!(situation.incident_of(alert), None);
    let because = Because::new("deployed just before", 0.8)
        .with_evidence(Evidence::new("it calls it").about(edge).about(alert))
        .with_against(Evidence::new("it was small").about(change));
    vec![
        Proposal::open("t", "title", ids.iter().copied(), because.clone()),
        Proposal::blame(Target::Opening("t".to_owned()), change, because.clone()),
        Proposal::blame(
            incident,
            Cause::Entity(Entity::new("host", "a")),
            because.clone(),
        ),
        Proposal::join(incident, ids.iter().copied(), because.clone()),
        Proposal::split(&incident.id, "u", "title", ["old"], because.clone()),
        Proposal::merge("i1", ["i2"], because),
    ]
}

fn situation() -> Situation {
    let host = Entity::new("host", "a");
    let mut old = AlertView::firing("old", "was", 1)
        .with_entity(host.clone())
        .resolved(5);
    let new = AlertView::firing("new", "is", 6).with_entity(host.clone());
    let change = Change::new("c1", "deployment", "web 2", 4);
    Situation::quiet(10)
        .with_incident(IncidentView::open("i1", "one", [&mut old]))
        .with_incident(IncidentView::open("i2", "two", []))
        .with_alert(old)
        .with_news(new)
        .with_change(change)
        .with_dependency(Dependency::new(
            Entity::new("service", "web"),
            host,
            "runs-on",
            9,
        ))
}

fn bench(mode: &str) -> CorrelatorBench<Scripted> {
    CorrelatorBench::new(&json!({ "mode": mode }))
}

#[test]
fn proposals_come_out() {
    let proposals = bench("open").correlate(&situation()).expect("an answer");
    assert_eq!(proposals.len(), 6);
    let Proposal::Open(opening) = &proposals[0] else {
        panic!("{:?}", proposals[0]);
    };
    assert_eq!(opening.members, ["new"]);
    assert!((opening.because.confidence - 0.8).abs() < 1e-9);
}

#[test]
fn the_state_goes_round() {
    let mut bench = bench("remember");
    bench.correlate(&situation()).expect("an answer");
    let first = bench.state().cloned();
    bench.correlate(&situation()).expect("an answer");
    let second = bench.state().expect("a state");
    assert_ne!(first.as_ref(), Some(second));
    let opened = state::open("test/scripted", &second.bytes).expect("its own state");
    let remembered: Vec<String> = state::from_bytes(opened.bytes).expect("its own shape");
    assert_eq!(remembered, ["new", "new"]);
}

#[test]
fn a_state_that_did_not_change_is_not_given_back() {
    let mut bench = bench("quiet");
    bench.correlate(&situation()).expect("an answer");
    let first = bench.state().cloned();
    bench.correlate(&situation()).expect("an answer");
    assert_eq!(bench.state(), first.as_ref());
}

#[test]
fn a_fault_or_a_foreign_state_leaves_everything_as_it_was() {
    let mut refusing = bench("fault");
    assert!(refusing.correlate(&situation()).is_err());
    assert_eq!(refusing.state(), None);

    let mut bench = bench("quiet");
    let foreign = Blob {
        media_type: "text/plain".to_owned(),
        bytes: Vec::new(),
    };
    bench.set_state(Some(foreign));
    let fault = bench.correlate(&situation()).expect_err("a foreign state");
    assert_eq!(fault.code, "state");
}

#[test]
#[should_panic(expected = "the alert `x` is not in the situation")]
fn strangers_are_noticed() {
    drop(bench("stranger").correlate(&situation()));
}

#[test]
#[should_panic(expected = "which is not in the situation")]
fn evidence_out_of_the_blue_is_noticed() {
    drop(bench("evidence").correlate(&situation()));
}

#[test]
#[should_panic(expected = "no member of the new incident fires")]
fn what_is_over_opens_nothing() {
    drop(bench("over").correlate(&situation()));
}

#[test]
#[should_panic(expected = "a fresh guest answers otherwise")]
fn what_is_counted_beside_the_state_is_noticed() {
    let mut bench = bench("count");
    for _ in 0..2 {
        drop(bench.correlate(&situation()));
    }
}

#[test]
#[should_panic(expected = "asked something else in between, it answers otherwise")]
fn what_is_remembered_beside_the_state_is_noticed() {
    let mut bench = bench("latest");
    for later in [0, 5] {
        let mut situation = situation();
        situation.now += later;
        drop(bench.correlate(&situation));
    }
}
