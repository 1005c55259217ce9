//! Verdicts, changes and time in; events and refusals out.

use std::sync::Arc;

use super::*;
use crate::entity::Entity;
use crate::id::{Digest, InstanceName};
use crate::labels::Labels;
use crate::proposal::{Confidence, Evidence};
use crate::severity::Severity;

fn alert(name: &str, firing: bool, at: u64) -> AlertView {
    AlertView {
        id: AlertId::derive([name.as_bytes()]),
        episode: 1,
        firing,
        title: name.to_owned(),
        severity: Severity::High,
        score: 1.0,
        started: Timestamp::from_secs(10),
        at: Timestamp::from_secs(at),
        entities: vec![Entity::new("service", name).expect("an entity")],
        labels: Labels::default(),
        origin: "prometheus".to_owned(),
        source: None,
    }
}

fn id(name: &str) -> AlertId {
    AlertId::derive([name.as_bytes()])
}

fn moment(secs: u64) -> Moment {
    Moment {
        at: Timestamp::from_secs(secs),
        position: Position(secs),
    }
}

fn because(confidence: f64) -> Because {
    Because {
        reason: "in one breath".to_owned(),
        confidence: Confidence::new(confidence).expect("0 to 1"),
        evidence: Vec::new(),
        against: Vec::new(),
    }
}

fn author() -> Author {
    plugin("topology")
}

fn plugin(name: &str) -> Author {
    Author::Plugin {
        instance: InstanceName::new(name).expect("a name"),
        digest: Digest::of(b"component"),
    }
}

fn open(tag: &str, members: &[&str]) -> Proposal {
    Proposal::Open {
        tag: tag.to_owned(),
        title: format!("incident {tag}"),
        members: members.iter().map(|name| id(name)).collect(),
        because: because(0.9),
    }
}

struct World {
    incidents: Incidents,
    situation: Situation,
}

impl World {
    fn new(alerts: &[&str]) -> Self {
        Self {
            incidents: Incidents::new(
                ScopeName::default_scope(),
                IncidentPolicy::default(),
                Vec::new(),
            ),
            situation: Situation {
                alerts: alerts
                    .iter()
                    .map(|name| Arc::new(alert(name, true, 10)))
                    .collect(),
                ..Situation::default()
            },
        }
    }

    fn propose(
        &mut self,
        secs: u64,
        proposals: Vec<Proposal>,
    ) -> (Vec<IncidentEvent>, Vec<Refusal>) {
        self.propose_as(&author(), secs, proposals)
    }

    fn propose_as(
        &mut self,
        author: &Author,
        secs: u64,
        proposals: Vec<Proposal>,
    ) -> (Vec<IncidentEvent>, Vec<Refusal>) {
        let verdict = Verdict {
            proposals,
            state: None,
        };
        let shown = self.incidents.iter().map(|one| Arc::new(one.view()));
        self.situation.incidents = shown.collect();
        let (events, refused) =
            self.incidents
                .propose(verdict, &self.situation, author, moment(secs));
        (events, refused.into_iter().map(|r| r.refusal).collect())
    }

    fn opened(&mut self, members: &[&str]) -> IncidentId {
        let (events, refused) = self.propose(20, vec![open("t", members)]);
        assert_eq!(refused, []);
        events[0].incident
    }

    fn phase(&self, id: IncidentId) -> Option<Phase> {
        self.incidents.get(id).map(|incident| incident.phase)
    }
}

fn words(events: &[IncidentEvent]) -> Vec<&'static str> {
    events
        .iter()
        .map(|event| event.happening.as_str())
        .collect()
}

#[test]
fn opens_joins_and_blames_in_one_verdict() {
    let mut world = World::new(&["a", "b"]);
    let target = || Target::Opening("t".to_owned());
    let (events, refused) = world.propose(
        20,
        vec![
            open("t", &["a"]),
            Proposal::Join {
                target: target(),
                members: vec![id("b")],
                because: because(0.5),
            },
            Proposal::Blame {
                target: target(),
                cause: Cause::Alert(id("a")),
                because: because(0.7),
            },
        ],
    );
    assert_eq!(refused, []);
    assert_eq!(words(&events), ["opened", "joined", "joined", "blamed"]);
    assert_eq!(
        events.iter().map(|e| e.version).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    let folded = Incident::fold(&events).expect("an incident");
    assert_eq!(
        Some(&folded),
        world.incidents.get(events[0].incident).map(|it| &**it)
    );
    assert_eq!(folded.members.len(), 2);
    assert_eq!(folded.hypotheses.len(), 1);
}

#[test]
fn the_same_news_at_the_same_place_give_the_same_id() {
    let first = World::new(&["a", "b"]).opened(&["a", "b"]);
    let second = World::new(&["a", "b"]).opened(&["b", "a"]);
    assert_eq!(first, second);
}

#[test]
fn an_alert_has_one_incident() {
    let mut world = World::new(&["a", "b"]);
    let incident = world.opened(&["a"]);
    let (events, refused) = world.propose(21, vec![open("u", &["a", "b"])]);
    assert!(events.is_empty());
    let alert = id("a");
    assert_eq!(refused, [Refusal::AlreadyMember { alert, incident }]);
}

#[test]
fn one_refusal_stops_no_other_proposal() {
    let mut world = World::new(&["a", "b"]);
    let (events, refused) = world.propose(
        20,
        vec![
            open("t", &["nobody"]),
            open("t", &["a"]),
            open("t", &["b"]),
            open("e", &[]),
        ],
    );
    assert_eq!(words(&events), ["opened", "joined"]);
    let expected = [
        Refusal::UnknownAlert(id("nobody")),
        Refusal::TagTwice("t".to_owned()),
        Refusal::NoMembers,
    ];
    assert_eq!(refused, expected);
}

#[test]
fn what_is_over_opens_nothing() {
    let mut world = World::new(&[]);
    world.situation.alerts = vec![Arc::new(alert("a", false, 10))];
    let (_, refused) = world.propose(20, vec![open("t", &["a"])]);
    assert_eq!(refused, [Refusal::NothingFires]);
}

#[test]
fn evidence_cannot_be_invented() {
    let mut world = World::new(&["a"]);
    let mut because = because(0.9);
    because.evidence.push(Evidence {
        text: "trust me".to_owned(),
        references: vec![Reference::Entity(
            "service/elsewhere".parse().expect("an entity"),
        )],
    });
    let Proposal::Open {
        tag,
        title,
        members,
        ..
    } = open("t", &["a"])
    else {
        unreachable!("made above")
    };
    let proposal = Proposal::Open {
        tag,
        title,
        members,
        because,
    };
    let (_, refused) = world.propose(20, vec![proposal]);
    let unknown = "service/elsewhere".to_owned();
    assert_eq!(refused, [Refusal::UnknownReference(unknown)]);
}

#[test]
fn merges_and_splits_move_members_with_their_edges() {
    let mut world = World::new(&["a", "b", "c"]);
    let keep = world.opened(&["a"]);
    let other = plugin("other");
    let (events, _) = world.propose_as(&other, 21, vec![open("u", &["b", "c"])]);
    let fold = events[0].incident;
    let (events, refused) = world.propose(
        22,
        vec![Proposal::Merge {
            keep,
            fold: vec![fold],
            because: because(0.8),
        }],
    );
    assert_eq!(refused, []);
    assert_eq!(
        words(&events),
        ["merged-into", "absorbed", "joined", "joined"]
    );
    assert_eq!(world.phase(fold), None);
    let finished = world.incidents.take_finished();
    assert_eq!(finished[0].merged_into, Some(keep));
    assert!(world.incidents.take_finished().is_empty());
    assert_eq!(world.incidents.incident_of(id("c")), Some(keep));
    // Who merges does not come to have said why each is a member.
    let incident = world.incidents.get(keep).expect("open");
    let moved = incident.members.get(&id("c")).expect("a member");
    assert_eq!(moved.edge.because, because(0.9));
    assert_eq!(moved.edge.author, other);
    assert_eq!(moved.edge.at, Timestamp::from_secs(21));
    assert!(events.iter().all(|event| event.author == author()));

    let (events, refused) = world.propose(
        23,
        vec![Proposal::Split {
            incident: keep,
            tag: "s".to_owned(),
            title: "another".to_owned(),
            members: vec![id("c")],
            because: because(0.6),
        }],
    );
    assert_eq!(refused, []);
    assert_eq!(words(&events), ["left", "opened", "joined"]);
    let split = world.incidents.incident_of(id("c")).expect("an incident");
    assert_ne!(split, keep);
    assert_eq!(
        world.incidents.get(split).and_then(|i| i.split_from),
        Some(keep)
    );

    let all = vec![id("a"), id("b")];
    let (_, refused) = world.propose(
        24,
        vec![Proposal::Split {
            incident: keep,
            tag: "x".to_owned(),
            title: "all".to_owned(),
            members: all,
            because: because(0.6),
        }],
    );
    assert_eq!(refused, [Refusal::SplitsAll(keep)]);
}

#[test]
fn resolves_after_the_delay_reopens_within_the_window_and_closes_after_it() {
    let mut world = World::new(&["a"]);
    let id = world.opened(&["a"]);
    assert!(world.incidents.pass_time(moment(1_000)).is_empty());

    let events = world
        .incidents
        .alert_changed(&alert("a", false, 100), moment(101));
    assert_eq!(words(&events), ["member-changed"]);
    assert!(world.incidents.pass_time(moment(159)).is_empty());
    let events = world.incidents.pass_time(moment(500));
    assert_eq!(words(&events), ["resolved"]);
    assert_eq!(
        events[0].at,
        Timestamp::from_secs(161),
        "due then, noticed later"
    );

    let mut again = alert("a", true, 600);
    again.episode = 2;
    let events = world.incidents.alert_changed(&again, moment(600));
    assert_eq!(words(&events), ["member-changed", "reopened"]);
    assert_eq!(world.phase(id), Some(Phase::Open));

    let mut over = alert("a", false, 700);
    over.episode = 2;
    world.incidents.alert_changed(&over, moment(700));
    let events = world.incidents.pass_time(moment(760));
    assert_eq!(words(&events), ["resolved"]);
    let events = world.incidents.pass_time(moment(760 + 1_800));
    assert_eq!(words(&events), ["closed"]);
    assert_eq!(world.phase(id), None);
    assert_eq!(world.incidents.incident_of(alert("a", true, 0).id), None);
}

#[test]
fn what_was_over_long_ago_is_quiet_since_that_is_known() {
    let mut world = World::new(&["a"]);
    world.opened(&["a"]);
    // Over before the incident was opened, as the sender says now.
    world
        .incidents
        .alert_changed(&alert("a", false, 15), moment(200));
    assert!(world.incidents.pass_time(moment(259)).is_empty());
    let events = world.incidents.pass_time(moment(300));
    assert_eq!(words(&events), ["resolved"]);
    assert_eq!(events[0].at, Timestamp::from_secs(260));
}

#[test]
fn events_and_members_that_were_kept_before_are_read() {
    let mut world = World::new(&["a"]);
    let (events, _) = world.propose(20, vec![open("t", &["a"])]);
    let joined = serde_json::to_value(&events[1]).expect("JSON");
    assert_eq!(joined["happening"]["joined"].get("said"), None);
    let read: IncidentEvent = serde_json::from_value(joined).expect("reads");
    assert_eq!(read, events[1]);
    let incident = world.incidents.get(events[0].incident).expect("open");
    let mut member = serde_json::to_value(incident.members.get(&id("a"))).expect("JSON");
    member.as_object_mut().expect("an object").remove("learnt");
    let member: crate::incident::Member = serde_json::from_value(member).expect("reads");
    assert_eq!(member.learnt, Timestamp::ZERO);
}

#[test]
fn people_acknowledge_and_resolve() {
    let mut world = World::new(&["a"]);
    let incident = world.opened(&["a"]);
    let acknowledge = Command::Acknowledge { incident };
    let resolve = Command::Resolve { incident };
    let command = |world: &mut World, command: &Command| {
        world
            .incidents
            .command(command, "dana", moment(30))
            .map(|events| words(&events))
    };
    assert_eq!(command(&mut world, &acknowledge), Ok(vec!["acknowledged"]));
    assert!(command(&mut world, &acknowledge).is_err());
    assert_eq!(command(&mut world, &resolve), Ok(vec!["resolved"]));
    assert!(command(&mut world, &resolve).is_err());
    let unknown = Command::Resolve {
        incident: IncidentId::derive([b"?".as_slice()]),
    };
    assert!(matches!(
        command(&mut world, &unknown),
        Err(Refusal::UnknownIncident(_))
    ));
    // It still fires, but says nothing new: resolved stays resolved.
    assert!(
        world
            .incidents
            .alert_changed(&alert("a", true, 10), moment(40))
            .is_empty()
    );
    assert_eq!(world.phase(incident), Some(Phase::Resolved));
}

#[test]
fn hypotheses_are_ranked_renewed_and_withdrawn() {
    let mut world = World::new(&["a", "b"]);
    let incident = world.opened(&["a", "b"]);
    let blame = |cause: &str, confidence| Proposal::Blame {
        target: Target::Incident(incident),
        cause: Cause::Alert(id(cause)),
        because: because(confidence),
    };
    let ranking = |world: &World| -> Vec<(Cause, f64)> {
        let incident = world.incidents.get(incident).expect("open");
        incident
            .hypotheses
            .iter()
            .map(|h| (h.cause.clone(), h.because.confidence.value()))
            .collect()
    };
    world.propose(30, vec![blame("a", 0.3), blame("b", 0.6)]);
    assert_eq!(
        ranking(&world),
        [(Cause::Alert(id("b")), 0.6), (Cause::Alert(id("a")), 0.3)]
    );
    let (events, _) = world.propose(31, vec![blame("a", 0.3)]);
    assert!(events.is_empty(), "nothing new");
    world.propose(32, vec![blame("a", 0.9)]);
    assert_eq!(ranking(&world)[0], (Cause::Alert(id("a")), 0.9));
    world.propose(33, vec![blame("a", 0.0)]);
    assert_eq!(ranking(&world), [(Cause::Alert(id("b")), 0.6)]);
}

#[test]
fn what_was_opened_and_folded_away_in_a_round_is_not_opened_again() {
    let mut world = World::new(&["a", "b"]);
    let kept = world.opened(&["b"]);
    let (events, _) = world.propose(30, vec![open("first", &["a"])]);
    let folded = events[0].incident;
    // Another correlator, in the same round: the id would be the same, and its
    // events would begin at 1 a second time.
    let (events, refused) = world.propose(
        30,
        vec![
            Proposal::Merge {
                keep: kept,
                fold: vec![folded],
                because: because(0.9),
            },
            Proposal::Split {
                incident: kept,
                tag: "again".to_owned(),
                title: "again".to_owned(),
                members: vec![id("a")],
                because: because(0.9),
            },
        ],
    );
    assert_eq!(refused, [Refusal::OpenedBefore(folded)]);
    assert!(!events.iter().any(|event| event.version == 1));
    assert_eq!(world.incidents.incident_of(id("a")), Some(kept));
}

#[test]
fn a_because_that_is_a_book_is_refused() {
    let mut world = World::new(&["a"]);
    let long = Because {
        evidence: vec![
            Evidence {
                text: String::new(),
                references: vec![
                    Reference::Entity(Entity::new("service", "a").expect("an entity"));
                    3_000
                ],
            };
            2
        ],
        ..because(0.9)
    };
    let open = Proposal::Open {
        tag: "t".to_owned(),
        title: "t".to_owned(),
        members: vec![id("a")],
        because: long,
    };
    let (events, refused) = world.propose(20, vec![open]);
    assert!(events.is_empty());
    let text = refused[0].to_string();
    assert!(text.starts_with("limit.because-bytes"), "{text}");
}

#[test]
fn one_verdict_does_not_move_the_same_members_without_end() {
    let names: Vec<String> = (0..220).map(|number| format!("a{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::new(&names);
    let mut heap = world.opened(&names[..100]);
    let mut merges = Vec::new();
    for name in &names[100..] {
        let (events, _) = world.propose(21, vec![open("t", &[name])]);
        let keep = events[0].incident;
        merges.push(Proposal::Merge {
            keep,
            fold: vec![heap],
            because: because(0.9),
        });
        heap = keep;
    }
    let (events, refused) = world.propose(30, merges);
    assert!(events.len() < VERDICT_EVENTS_MAX + 2 * names.len());
    assert_eq!(refused[0], limit("verdict-events", VERDICT_EVENTS_MAX));
}

#[test]
fn of_many_refusals_the_first_are_kept_and_what_comes_after_them_counts() {
    let mut world = World::new(&["a"]);
    let mut proposals = vec![open("n", &["nobody"]); 10_000];
    proposals.push(open("t", &["a"]));
    let (events, refused) = world.propose(20, proposals);
    assert_eq!(words(&events), ["opened", "joined"]);
    let (last, first) = refused.split_last().expect("refusals");
    assert_eq!(*last, limit("verdict-refusals", VERDICT_REFUSALS_MAX));
    assert_eq!(first.len(), VERDICT_REFUSALS_MAX);
    let unknown = Refusal::UnknownAlert(id("nobody"));
    assert!(first.iter().all(|refusal| *refusal == unknown));
}

#[test]
fn correlators_are_shown_what_most_members_concern() {
    let names: Vec<String> = (0..100).map(|number| format!("a{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::new(&names);
    let shared = Entity::new("host", "z").expect("an entity");
    for alert in &mut world.situation.alerts {
        Arc::make_mut(alert).entities.push(shared.clone());
    }
    let incident = world.opened(&names);
    let incident = world.incidents.get(incident).expect("is open");
    assert_eq!(incident.members.entities().len(), names.len() + 1);
    let view = incident.view();
    assert_eq!(view.size, names.len());
    assert_eq!(view.entities.len(), 50);
    assert_eq!(view.entities[0], shared);
    assert_eq!(view.entities[1].name(), "a00");
}

#[test]
fn what_was_not_shown_is_no_target() {
    let mut world = World::new(&["a", "b", "c"]);
    let incident = world.opened(&["a", "b"]);
    let join = || Verdict {
        proposals: vec![Proposal::Join {
            target: Target::Incident(incident),
            members: vec![id("c")],
            because: because(0.9),
        }],
        state: None,
    };
    let author = author();
    let mut ask = |situation: &Situation| {
        let (events, refused) = world
            .incidents
            .propose(join(), situation, &author, moment(30));
        let refusals: Vec<Refusal> = refused.into_iter().map(|it| it.refusal).collect();
        (words(&events), refusals)
    };
    let mut situation = Situation {
        incidents: Vec::new(),
        ..world.situation.clone()
    };
    let unknown = Refusal::UnknownReference(incident.to_string());
    assert_eq!(ask(&situation), (vec![], vec![unknown]));
    // A member of it that is shown names it.
    situation.membership.insert(id("a"), incident);
    assert_eq!(ask(&situation), (vec!["joined"], vec![]));
}
