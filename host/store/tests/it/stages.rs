//! Results and positions, together or not at all; and what the next stage
//! reads of them.

use std::sync::Arc;

use faultline_domain::alert::{Alert, Origin, Report, fingerprint};
use faultline_domain::entity::Entity;
use faultline_domain::envelope::Position;
use faultline_domain::id::Digest;
use faultline_domain::id::{AlertId, ChangeId, InstanceName};
use faultline_domain::incident::{Author, Incident};
use faultline_domain::incident_summary::IncidentSummary;
use faultline_domain::incidents::{Command, IncidentPolicy, Incidents, Moment};
use faultline_domain::labels::Labels;
use faultline_domain::proposal::{Because, Blob, Confidence, Proposal, Verdict};
use faultline_domain::severity::Severity;
use faultline_domain::signal::{AlertReport, Change, Dependency, StatedSeverity};
use faultline_domain::situation::{AlertView, Situation};
use faultline_store::{
    AlertFilter, ChangeRecord, Checkpoint, Chunk, CommandRecord, CorrelateCommit, DeadLetter,
    DependencyRecord, IncidentFilter, LetterFilter, LetterKind, ObserveCommit, Retention,
    SourceRecord, StageName, StagePosition, StoreError, Swept, Tail, TailsDone, TransitionWrite,
};
use faultline_test_databases::{Database, Place, on_each_database};

use crate::{Fresh, at, scope, source};

pub(crate) fn entity(text: &str) -> Entity {
    text.parse().expect("an entity")
}

/// A report that `name` fires or has ended, in the envelope at this position,
/// received so many seconds after the epoch.
fn report(name: &str, position: u64, firing: bool) -> Report {
    Report {
        origin: Origin::Sender {
            family: "test".to_owned(),
        },
        source: source("test"),
        position: Position(position),
        received: at(position),
        resolve_timeout: None,
        said: AlertReport {
            identity: [("name", name)].into_iter().collect(),
            firing,
            title: name.to_owned(),
            severity: StatedSeverity::from_word("high"),
            started: at(position),
            ended: (!firing).then(|| at(position)),
            entities: vec![entity(&format!("service/{name}"))],
            labels: Labels::default(),
            annotations: Labels::default(),
            link: None,
        },
        score: 1.0,
        measurement: None,
    }
}

pub(crate) fn fire(name: &str, position: u64) -> (Alert, TransitionWrite) {
    first(name, position, true)
}

/// The first that is heard of an alert, which fires or is over.
pub(crate) fn first(name: &str, position: u64, firing: bool) -> (Alert, TransitionWrite) {
    let report = report(name, position, firing);
    let id = fingerprint(&report.origin, &report.said.identity).expect("an identity");
    let (alert, outcome) = Alert::first(id, report);
    let write = transition(&alert, outcome, position);
    (alert, write)
}

fn transition(
    alert: &Alert,
    outcome: faultline_domain::alert::Outcome,
    position: u64,
) -> TransitionWrite {
    TransitionWrite {
        position: Position(position),
        ordinal: 0,
        received: at(position),
        outcome,
        source: Some(source("test")),
        version: alert.version,
        view: AlertView::from(alert),
    }
}

pub(crate) fn commit(from: u64, to: u64, fired: Vec<(Alert, TransitionWrite)>) -> ObserveCommit {
    let (alerts, transitions) = fired.into_iter().unzip();
    ObserveCommit {
        from: Position(from),
        to: StagePosition {
            position: Position(to),
            clock: at(to),
            now: at(to),
        },
        alerts,
        transitions,
        ..ObserveCommit::default()
    }
}

fn ids(views: &[AlertView]) -> Vec<AlertId> {
    views.iter().map(|view| view.id).collect()
}

async fn a_stage_that_another_worker_moved_writes_nothing(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    store
        .observe_commit(&scope(), &commit(0, 5, vec![fire("a", 3)]))
        .await
        .expect("commits");
    let stale = commit(0, 6, vec![fire("b", 6)]);
    let refused = store.observe_commit(&scope(), &stale).await;
    assert!(matches!(refused, Err(StoreError::Moved { .. })));
    let position = store.stage_position(&scope(), StageName::Observe).await;
    assert_eq!(position.expect("reads").position, Position(5));
    assert_eq!(store.alert_count(&scope()).await.expect("counts"), (1, 1));
}

async fn alerts_are_found_by_what_they_are(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let fired: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .zip(1..)
        .map(|(n, p)| fire(n, p))
        .collect();
    let first = fired[0].0.clone();
    store
        .observe_commit(&scope(), &commit(0, 3, fired))
        .await
        .expect("commits");
    let mut ended = first.clone();
    let outcome = ended.report(&report("a", 4, false));
    let write = transition(&ended, outcome, 4);
    let second = commit(3, 4, vec![(ended.clone(), write)]);
    store
        .observe_commit(&scope(), &second)
        .await
        .expect("commits");

    let list = async |filter: AlertFilter| -> Vec<String> {
        let page = store.alert_list(&scope(), &filter, None, 10).await;
        page.expect("lists")
            .items
            .into_iter()
            .map(|alert| alert.title)
            .collect()
    };
    assert_eq!(list(AlertFilter::default()).await, ["a", "c", "b"]);
    let firing = AlertFilter {
        firing: Some(true),
        ..AlertFilter::default()
    };
    assert_eq!(list(firing).await, ["c", "b"]);
    let of_a = AlertFilter {
        entity: Some(entity("service/a")),
        ..AlertFilter::default()
    };
    assert_eq!(list(of_a).await, ["a"]);
    let bad = AlertFilter {
        severity_min: Some(Severity::Critical),
        ..AlertFilter::default()
    };
    assert!(list(bad).await.is_empty());

    let mut pages = Vec::new();
    let mut cursor = None;
    loop {
        let page = store
            .alert_list(&scope(), &AlertFilter::default(), cursor, 2)
            .await;
        let page = page.expect("lists");
        pages.push(page.items.len());
        cursor = page
            .next
            .map(|next| next.to_string().parse().expect("a cursor"));
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(pages, [2, 1]);

    assert_eq!(
        store
            .alert_fetch(&scope(), &[first.id])
            .await
            .expect("reads"),
        [ended]
    );
    let history = store
        .transition_list(&scope(), first.id, 10)
        .await
        .expect("reads");
    let words: Vec<&str> = history.iter().map(|step| step.outcome.as_str()).collect();
    assert_eq!(words, ["fired", "resolved"]);
}

async fn the_past_can_be_seen_as_it_was(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let (mut a, fired_a) = fire("a", 1);
    let fired = vec![(a.clone(), fired_a), fire("b", 2)];
    let b = fired[1].0.id;
    store
        .observe_commit(&scope(), &commit(0, 2, fired))
        .await
        .expect("commits");
    let outcome = a.report(&report("a", 3, false));
    let write = transition(&a, outcome, 3);
    let second = commit(2, 3, vec![(a.clone(), write)]);
    store
        .observe_commit(&scope(), &second)
        .await
        .expect("commits");

    let views = async |position, since| {
        let records = store
            .alert_views_at(&scope(), Position(position), at(since))
            .await;
        let views: Vec<AlertView> = records
            .expect("reads")
            .into_iter()
            .map(|r| r.view)
            .collect();
        views
    };
    let then = views(2, 0).await;
    assert_eq!(ids(&then), [a.id, b]);
    assert!(then[0].firing, "at position 2 it still fired");
    let now = views(3, 0).await;
    assert_eq!(ids(&now), [b, a.id]);
    assert!(!now[1].firing);
    assert_eq!(
        ids(&views(3, 10).await),
        [b],
        "what ended long ago is left out"
    );
    assert_eq!(
        ids(&views(2, 10).await),
        [a.id, b],
        "but not if it ended later than then"
    );
}

async fn how_much_is_read_at_once_is_counted_in_what_is_read(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let mut all: Vec<_> = (1..=9)
        .map(|position| first(&format!("over-{position}"), position, false))
        .collect();
    all.push(fire("a", 10));
    all.push(fire("b", 11));
    store
        .observe_commit(&scope(), &commit(0, 11, all))
        .await
        .expect("commits");
    // What was over before anybody heard of it is no news, however much it is:
    // a reader that counted it would find nothing, and look there for ever.
    let horizon = store
        .news_horizon(&scope(), Position::START, at(100), 1)
        .await;
    assert_eq!(horizon.expect("reads"), at(11));
    let news = store.news(&scope(), Position::START, at(11)).await;
    assert_eq!(news.expect("reads").transitions.len(), 1);
}

async fn the_next_stage_reads_whole_records_in_order(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let change = Change {
        id: ChangeId::derive([b"c".as_slice()]),
        reference: "c".to_owned(),
        kind: "deployment".to_owned(),
        title: "cart 2".to_owned(),
        at: at(2),
        entities: vec![entity("service/cart")],
        attributes: Labels::default(),
        link: None,
    };
    let dependency = Dependency {
        dependent: entity("service/cart"),
        provider: entity("service/db"),
        relation: "calls".to_owned(),
        seen: at(3),
    };
    let command = Command::Acknowledge {
        incident: faultline_domain::id::IncidentId::derive([b"i".as_slice()]),
    };
    let mut everything = commit(0, 4, vec![fire("a", 1), fire("b", 4)]);
    everything.changes = vec![ChangeRecord {
        position: Position(2),
        ordinal: 0,
        received: at(2),
        source: source("ci"),
        change: change.clone(),
    }];
    everything.dependencies = vec![DependencyRecord {
        position: Position(3),
        ordinal: 0,
        received: at(3),
        source: source("otlp"),
        dependency,
    }];
    everything.commands = vec![CommandRecord {
        position: Position(3),
        received: at(3),
        person: "dana".to_owned(),
        command,
    }];
    store
        .observe_commit(&scope(), &everything)
        .await
        .expect("commits");

    let news = store
        .news(&scope(), Position::START, at(4))
        .await
        .expect("reads");
    assert_eq!(news.transitions.len(), 1, "the second arrived too late");
    assert_eq!(news.changes, everything.changes);
    assert_eq!(news.dependencies, everything.dependencies);
    assert_eq!(news.commands, everything.commands);
    let news = store
        .news(&scope(), Position(3), at(100))
        .await
        .expect("reads");
    assert_eq!(news.transitions.len(), 1);
    assert!(news.changes.is_empty());

    let horizon = async |most| {
        let horizon = store
            .news_horizon(&scope(), Position::START, at(100), most)
            .await;
        horizon.expect("reads")
    };
    // All records count, of whatever kind.
    let mut counted = Vec::new();
    for most in 0..6 {
        counted.push(horizon(most).await);
    }
    assert_eq!(counted, [1, 2, 3, 3, 4, 100].map(at));

    let listed = store
        .change_list(&scope(), Some(&entity("service/cart")), None, 10)
        .await;
    assert_eq!(listed.expect("lists").items[0].change, change);
    let edges = store
        .topology_at(&scope(), Position(3), at(0))
        .await
        .expect("reads");
    assert_eq!(edges.len(), 1);
    assert!(
        store
            .topology_at(&scope(), Position(2), at(0))
            .await
            .expect("reads")
            .is_empty()
    );
}

async fn tails_are_read_beside_chunks(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let tail = |band, ordinal, samples: &[(u32, u64)]| Tail {
        band,
        ordinal,
        closed: Vec::new(),
        samples: (samples.iter())
            .map(|(series, secs)| (*series, at(*secs), 1.0))
            .collect(),
    };
    let read = async |series, from, to| {
        let samples = store.sample_list(&scope(), series, at(from), at(to)).await;
        let times = samples.expect("reads").into_iter().map(|(at, _)| at);
        times.collect::<Vec<_>>()
    };
    let mut first = commit(0, 1, Vec::new());
    first.tails = vec![
        tail(0, 0, &[(7, 1), (8, 1), (7, 2)]),
        tail(1, 0, &[(256 + 7, 1)]),
    ];
    let committed = store.observe_commit(&scope(), &first).await;
    committed.expect("commits");
    let mut second = commit(1, 2, Vec::new());
    let mut newer = tail(0, 1, &[(8, 4), (7, 5)]);
    newer.closed = vec![(7, at(3))];
    second.tails = vec![newer.clone()];
    // The first tail is of use for the other series.
    second.chunks = vec![Chunk {
        series: 7,
        times: (1..4).map(at).collect(),
        values: vec![1.0; 3],
    }];
    let committed = store.observe_commit(&scope(), &second).await;
    committed.expect("commits");

    assert_eq!(read(7, 0, 100).await, [1, 2, 3, 5].map(at));
    assert_eq!(read(7, 4, 100).await, [5].map(at));
    assert_eq!(read(8, 0, 100).await, [1, 4].map(at));
    assert_eq!(read(256 + 7, 0, 100).await, [1].map(at));
    for (series, last) in [(7, Some(at(5))), (8, Some(at(4))), (9, None)] {
        let found = store.sample_last(&scope(), series).await.expect("reads");
        assert_eq!(found, last, "of {series}");
    }
    // Three in the chunk; of the tails, of two series each, one each.
    let count = store.sample_count(&scope(), 7, at(0), at(100)).await;
    assert_eq!(count.expect("counts"), 5);

    let mut third = commit(2, 3, Vec::new());
    third.tails_done = vec![TailsDone { band: 0, before: 1 }];
    let committed = store.observe_commit(&scope(), &third).await;
    committed.expect("commits");
    let kept = store.tail_list(&scope(), 0).await.expect("reads");
    assert_eq!(kept, [newer]);
    assert_eq!(read(256 + 7, 0, 100).await, [1].map(at), "of another band");

    let retention = Retention::default();
    let later = at(2).plus(retention.series);
    let swept = store.sweep(&scope(), &retention, later).await;
    assert_eq!(swept.expect("sweeps").chunks, 1);
    assert_eq!(read(256 + 7, 0, 100).await, []);
    assert_eq!(read(7, 0, 100).await, [1, 2, 3, 5].map(at), "none is over");
    let later = at(6).plus(retention.series);
    let swept = store.sweep(&scope(), &retention, later).await;
    assert_eq!(swept.expect("sweeps").chunks, 2);
    assert_eq!(read(7, 0, 100).await, []);
}

async fn telemetry_is_kept_in_chunks(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let chunk = |times: std::ops::Range<u64>, value: f64| Chunk {
        series: 7,
        times: times.clone().map(at).collect(),
        values: times.map(|_| value).collect(),
    };
    let mut first = commit(0, 1, Vec::new());
    first.chunks = vec![chunk(0..10, 1.0), chunk(10..15, 2.0)];
    first.sources = vec![SourceRecord {
        samples: 15,
        ..SourceRecord::empty(source("rw"))
    }];
    store
        .observe_commit(&scope(), &first)
        .await
        .expect("commits");
    let mut second = commit(1, 2, Vec::new());
    second.chunks = vec![chunk(10..20, 2.0)];
    second.sources = first.sources.clone();
    store
        .observe_commit(&scope(), &second)
        .await
        .expect("commits");

    let samples = store
        .sample_list(&scope(), 7, at(8), at(12))
        .await
        .expect("reads");
    let expected = [(8, 1.0), (9, 1.0), (10, 2.0), (11, 2.0), (12, 2.0)];
    assert_eq!(samples, expected.map(|(secs, value)| (at(secs), value)));
    let all = store
        .sample_list(&scope(), 7, at(0), at(100))
        .await
        .expect("reads");
    assert_eq!(all.len(), 20, "the longer chunk replaced the shorter one");
    for (series, last) in [(7, Some(at(19))), (8, None)] {
        let found = store.sample_last(&scope(), series).await.expect("reads");
        assert_eq!(found, last);
    }
    assert_eq!(
        store.source_list(&scope()).await.expect("reads")[0].samples,
        30
    );
}

/// One alert, observed at position 1, and a correlator that opens an incident
/// of it, then proposes something silly and wants to remember something.
pub(crate) fn opened() -> (ObserveCommit, CorrelateCommit, Incident) {
    let (alert, write) = fire("a", 1);
    let situation = Situation {
        alerts: vec![Arc::new(AlertView::from(&alert))],
        ..Situation::default()
    };
    let open = |tag: &str, members| Proposal::Open {
        tag: tag.to_owned(),
        title: "a is down".to_owned(),
        members,
        because: Because {
            reason: "alone".to_owned(),
            confidence: Confidence::new(0.5).expect("0 to 1"),
            evidence: Vec::new(),
            against: Vec::new(),
        },
    };
    let verdict = Verdict {
        proposals: vec![open("one", vec![alert.id]), open("two", Vec::new())],
        state: None,
    };
    let author = Author::Plugin {
        instance: correlator(),
        digest: Digest::of(b"component"),
    };
    let mut incidents = Incidents::new(scope(), IncidentPolicy::default(), Vec::new());
    let moment = Moment {
        at: at(1),
        position: Position(1),
    };
    let (events, refused) = incidents.propose(verdict, &situation, &author, moment);
    let incident = incidents.get(events[0].incident).expect("open").clone();
    let correlated = CorrelateCommit {
        to: StagePosition {
            position: Position(1),
            clock: at(2),
            now: at(1),
        },
        events,
        incidents: vec![Arc::clone(&incident)],
        refusals: refused
            .into_iter()
            .map(|refusal| (Position(1), at(1), refusal))
            .collect(),
        states: vec![(correlator(), remembered())],
        ..CorrelateCommit::default()
    };
    let incident = Incident::clone(&incident);
    (commit(0, 1, vec![(alert, write)]), correlated, incident)
}

fn correlator() -> InstanceName {
    InstanceName::new("topology").expect("a name")
}

fn remembered() -> Blob {
    Blob {
        media_type: "application/x-test".to_owned(),
        bytes: vec![1, 2, 3],
    }
}

async fn incidents_read_back_with_their_events(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let (observed, correlated, incident) = opened();
    let alert = observed.alerts[0].id;
    store
        .observe_commit(&scope(), &observed)
        .await
        .expect("commits");
    store
        .correlate_commit(&scope(), &correlated)
        .await
        .expect("commits");

    let fetched = store
        .incident_fetch(&scope(), incident.id)
        .await
        .expect("reads");
    assert_eq!(fetched.as_ref(), Some(&incident));
    let stored = store
        .incident_event_list(&scope(), incident.id)
        .await
        .expect("reads");
    let read: Vec<_> = stored.into_iter().map(|stored| stored.event).collect();
    assert_eq!(read, correlated.events);
    let since = store
        .incident_event_since(&scope(), 1, 10)
        .await
        .expect("reads");
    assert_eq!(since.iter().map(|s| s.sequence).collect::<Vec<_>>(), [2]);
    assert_eq!(store.incident_event_last(&scope()).await.expect("reads"), 2);
    let refusals = store.refusal_list(&scope(), None, 10).await.expect("lists");
    assert_eq!(refusals.items[0].reason, "names no members");
    let state = store
        .correlator_state(&scope(), &correlator())
        .await
        .expect("reads");
    assert_eq!(state, Some(remembered()));

    let all = [incident];
    assert_eq!(store.incident_open(&scope()).await.expect("reads"), all);
    assert_eq!(
        store
            .incidents_of_alert(&scope(), alert)
            .await
            .expect("reads"),
        [(
            IncidentSummary::from(&all[0]),
            all[0].members.get(&alert).cloned()
        )]
    );
    let mut filter = IncidentFilter {
        active: Some(true),
        entity: Some(entity("service/a")),
        ..IncidentFilter::default()
    };
    let list = async |filter: &IncidentFilter| {
        let page = store.incident_list(&scope(), filter, None, 10).await;
        page.expect("lists").items
    };
    let summary = IncidentSummary::from(&all[0]);
    assert_eq!(list(&filter).await, [summary]);
    filter.active = Some(false);
    assert!(list(&filter).await.is_empty());
}

async fn commands_wait_for_their_outcome(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let incident = faultline_domain::id::IncidentId::derive([b"i".as_slice()]);
    let mut observed = commit(0, 2, Vec::new());
    observed.commands = [
        Command::Acknowledge { incident },
        Command::Resolve { incident },
    ]
    .into_iter()
    .zip(1..)
    .map(|(command, position)| CommandRecord {
        position: Position(position),
        received: at(position),
        person: "dana".to_owned(),
        command,
    })
    .collect();
    store
        .observe_commit(&scope(), &observed)
        .await
        .expect("commits");
    let outcome = async |position| {
        let outcome = store.command_outcome(&scope(), Position(position)).await;
        outcome.expect("reads")
    };
    assert_eq!(outcome(1).await, None);
    let correlated = CorrelateCommit {
        to: StagePosition {
            position: Position(2),
            ..StagePosition::default()
        },
        command_outcomes: vec![(Position(1), None), (Position(2), Some("no".to_owned()))],
        ..CorrelateCommit::default()
    };
    store
        .correlate_commit(&scope(), &correlated)
        .await
        .expect("commits");
    assert_eq!(outcome(1).await, Some(Ok(())));
    assert_eq!(outcome(2).await, Some(Err("no".to_owned())));
}

async fn checkpoints_and_dead_letters_read_back(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let checkpoint = Checkpoint {
        name: "detector/baseline/0".to_owned(),
        data: vec![0, 1, 2],
    };
    let letter = DeadLetter {
        position: Position(2),
        reader: "connector:json".to_owned(),
        kind: LetterKind::Fault,
        received: at(2),
        source: source("ci"),
        code: "malformed".to_owned(),
        message: "not JSON".to_owned(),
    };
    let mut observed = commit(0, 2, Vec::new());
    observed.checkpoints = vec![checkpoint.clone()];
    observed.dead_letters = vec![letter.clone()];
    store
        .observe_commit(&scope(), &observed)
        .await
        .expect("commits");
    let listed = store
        .checkpoint_list(&scope(), StageName::Observe)
        .await
        .expect("reads");
    assert_eq!(listed, [(checkpoint, Position(2))]);
    let page = store
        .dead_letter_list(&scope(), &LetterFilter::default(), None, 10)
        .await
        .expect("lists");
    assert_eq!(page.items, std::slice::from_ref(&letter));
    let at_two = store
        .dead_letters_at(&scope(), Position(2))
        .await
        .expect("lists");
    assert_eq!(at_two, [letter]);
}

async fn equal_histories_have_equal_digests(database: Database) {
    let one = Fresh::open(database).await;
    let two = Fresh::open(database).await;
    let all = || vec![fire("a", 1), fire("b", 2)];
    one.store
        .observe_commit(&scope(), &commit(0, 2, all()))
        .await
        .expect("commits");
    for (i, fired) in (0..).zip(all()) {
        let piecemeal = commit(i, i + 1, vec![fired]);
        two.store
            .observe_commit(&scope(), &piecemeal)
            .await
            .expect("commits");
    }
    let digest = async |fresh: &Fresh| fresh.store.history_digest(&scope()).await.expect("reads");
    assert_eq!(digest(&one).await, digest(&two).await);
    let more = commit(2, 3, vec![fire("c", 3)]);
    two.store
        .observe_commit(&scope(), &more)
        .await
        .expect("commits");
    assert_ne!(digest(&one).await, digest(&two).await);
}

#[tokio::test]
async fn a_sweep_that_removes_nothing_waits_for_the_disk_all_the_same() {
    let fresh = Fresh::open(Database::Sqlite).await;
    let Place::Folder(folder) = &fresh.place else {
        panic!("SQLite is in a folder");
    };
    let log = folder.path().join("state.db-wal");
    let sweep = async || {
        let keeps = Retention::default();
        let swept = fresh.store.sweep(&scope(), &keeps, at(1_000)).await;
        assert_eq!(swept.expect("sweeps"), Swept::default());
        std::fs::read(&log).expect("its log")
    };
    // Who writes nothing to the log has not waited for it.
    let first = sweep().await;
    assert!(sweep().await != first, "nothing was written");
}

on_each_database!(
    a_stage_that_another_worker_moved_writes_nothing,
    alerts_are_found_by_what_they_are,
    the_past_can_be_seen_as_it_was,
    how_much_is_read_at_once_is_counted_in_what_is_read,
    the_next_stage_reads_whole_records_in_order,
    tails_are_read_beside_chunks,
    telemetry_is_kept_in_chunks,
    incidents_read_back_with_their_events,
    commands_wait_for_their_outcome,
    checkpoints_and_dead_letters_read_back,
    equal_histories_have_equal_digests,
);
