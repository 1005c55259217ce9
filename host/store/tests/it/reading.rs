//! What people read: listings by page, things by the beginning of their id, and
//! several things at once.

use std::time::Duration;

use faultline_domain::envelope::Position;
use faultline_domain::id::{ChangeId, IncidentId};
use faultline_domain::incidents::Command;
use faultline_domain::labels::Labels;
use faultline_domain::signal::Change;
use faultline_domain::telemetry::{Reading, SeriesDef, SeriesKey};
use faultline_store::{
    ChangeRecord, Chunk, CommandRecord, CommandState, CorrelateCommit, Cursor, DeadLetter,
    LetterKind, SeriesFilter, SeriesRecord, StagePosition, StoreError,
};
use faultline_test_databases::{Database, on_each_database};

use crate::stages::{commit, entity, fire, opened};
use crate::{Fresh, at, scope, source};

pub(crate) fn change(name: &str, position: u64, title: &str) -> ChangeRecord {
    ChangeRecord {
        position: Position(position),
        ordinal: 0,
        received: at(position),
        source: source("ci"),
        change: Change {
            id: ChangeId::derive([name.as_bytes()]),
            reference: name.to_owned(),
            kind: "deployment".to_owned(),
            title: title.to_owned(),
            at: at(position),
            entities: vec![entity(&format!("service/{name}")), entity("host/one")],
            attributes: Labels::default(),
            link: None,
        },
    }
}

fn titles(records: &[ChangeRecord]) -> Vec<&str> {
    let records = records.iter();
    records.map(|record| record.change.title.as_str()).collect()
}

async fn changes_are_read_as_last_reported(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let mut observed = commit(0, 9, Vec::new());
    observed.changes = vec![
        change("a", 1, "a begins"),
        change("b", 2, "b"),
        change("a", 3, "a is done"),
        change("c", 9, "c"),
    ];
    let committed = store.observe_commit(&scope(), &observed).await;
    committed.expect("commits");

    let ids = ["a", "b", "missing"].map(|name| ChangeId::derive([name.as_bytes()]));
    let mut found = store.change_fetch_all(&scope(), &ids).await.expect("reads");
    found.sort_by_key(|record| record.position);
    assert_eq!(titles(&found), ["b", "a is done"]);
    let none = store.change_fetch_all(&scope(), &[]).await;
    assert!(none.expect("reads").is_empty());

    let about = async |entities: &[&str], from, to, most| {
        let entities: Vec<_> = entities.iter().map(|text| entity(text)).collect();
        let found = store
            .changes_about(&scope(), &entities, at(from), at(to), most)
            .await;
        let found = found.expect("reads");
        let titles = titles(&found).into_iter().map(ToOwned::to_owned);
        titles.collect::<Vec<String>>()
    };
    let services = ["service/a", "service/b", "service/c"];
    assert_eq!(about(&services, 0, 9, 10).await, ["c", "a is done", "b"]);
    assert_eq!(about(&services, 2, 3, 10).await, ["a is done", "b"]);
    assert_eq!(about(&services, 0, 9, 1).await, ["c"]);
    // One change that concerns two of them is one change.
    assert_eq!(about(&["service/b", "host/one"], 2, 2, 10).await, ["b"]);
    assert!(about(&[], 0, 9, 10).await.is_empty());
    // More than one statement takes.
    let many: Vec<String> = (0..300).map(|i| format!("service/{i}")).collect();
    let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
    many.extend(services);
    assert_eq!(about(&many, 0, 9, 10).await, ["c", "a is done", "b"]);
}

async fn ids_are_found_by_their_beginning(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let (observed, correlated, incident) = opened();
    let alert = observed.alerts[0].clone();
    store
        .observe_commit(&scope(), &observed)
        .await
        .expect("commits");
    store
        .correlate_commit(&scope(), &correlated)
        .await
        .expect("commits");

    let id = alert.id.to_string();
    for prefix in [&id[..8], id.as_str(), "alr_"] {
        let found = store.alert_find(&scope(), prefix, 10).await;
        assert_eq!(
            found.expect("reads"),
            [(alert.id, alert.title.clone())],
            "{prefix}"
        );
    }
    let id = incident.id.to_string();
    let found = store.incident_find(&scope(), &id[..8], 10).await;
    assert_eq!(
        found.expect("reads"),
        [(incident.id, incident.title.clone())]
    );
    let other = if id.starts_with("inc_0") {
        "inc_1"
    } else {
        "inc_0"
    };
    assert!(
        store
            .incident_find(&scope(), other, 10)
            .await
            .expect("reads")
            .is_empty()
    );
    assert!(
        store
            .alert_find(&scope(), "alr_", 0)
            .await
            .expect("reads")
            .is_empty()
    );
}

async fn the_events_of_an_incident_are_read_from_a_version_on(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let (observed, correlated, incident) = opened();
    store
        .observe_commit(&scope(), &observed)
        .await
        .expect("commits");
    store
        .correlate_commit(&scope(), &correlated)
        .await
        .expect("commits");
    let versions = async |after, most| -> Vec<u64> {
        let events = store
            .incident_event_after(&scope(), incident.id, after, most)
            .await;
        let events = events.expect("reads");
        events.iter().map(|stored| stored.event.version).collect()
    };
    assert_eq!(versions(0, 10).await, [1, 2]);
    assert_eq!(versions(0, 1).await, [1]);
    assert_eq!(versions(1, 10).await, [2]);
    assert!(versions(u64::MAX, 10).await.is_empty());
}

async fn refusals_come_in_pages(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let (observed, mut correlated, _) = opened();
    let (position, time, refused) = correlated.refusals[0].clone();
    correlated.refusals = vec![(position, time, refused); 3];
    store
        .observe_commit(&scope(), &observed)
        .await
        .expect("commits");
    store
        .correlate_commit(&scope(), &correlated)
        .await
        .expect("commits");
    let mut after = None;
    let mut ordinals = Vec::new();
    for _ in 0..3 {
        let page = store.refusal_list(&scope(), after, 1).await.expect("lists");
        ordinals.extend(page.items.iter().map(|record| record.ordinal));
        after = page.next;
    }
    assert_eq!((ordinals, after), (vec![2, 1, 0], None));
    let other: Cursor = "7.connector:json".parse().expect("a cursor");
    let refused = store.refusal_list(&scope(), Some(other), 1).await;
    assert!(matches!(refused, Err(StoreError::BadCursor(_))));
}

async fn an_act_is_read_with_what_became_of_it(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let incident = IncidentId::derive([b"i".as_slice()]);
    let record = CommandRecord {
        position: Position(1),
        received: at(1),
        person: "dana".to_owned(),
        command: Command::Resolve { incident },
    };
    let mut observed = commit(0, 1, Vec::new());
    observed.commands = vec![record.clone()];
    store
        .observe_commit(&scope(), &observed)
        .await
        .expect("commits");
    let fetch = async |position| {
        let state = store.command_fetch(&scope(), Position(position)).await;
        state.expect("reads")
    };
    let waiting = CommandState {
        record: record.clone(),
        outcome: None,
    };
    assert_eq!(fetch(1).await, Some(waiting));
    assert_eq!(fetch(2).await, None);
    let correlated = CorrelateCommit {
        to: StagePosition {
            position: Position(1),
            ..StagePosition::default()
        },
        command_outcomes: vec![(Position(1), Some("it is closed".to_owned()))],
        ..CorrelateCommit::default()
    };
    store
        .correlate_commit(&scope(), &correlated)
        .await
        .expect("commits");
    let refused = CommandState {
        record,
        outcome: Some(Err("it is closed".to_owned())),
    };
    assert_eq!(fetch(1).await, Some(refused));
}

async fn dead_letters_of_several_envelopes_are_read_at_once(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let letter = |position: u64, reader: &str| DeadLetter {
        position: Position(position),
        reader: reader.to_owned(),
        kind: LetterKind::Fault,
        received: at(position),
        source: source("ci"),
        code: "malformed".to_owned(),
        message: "not JSON".to_owned(),
    };
    let mut observed = commit(0, 400, vec![fire("a", 1)]);
    observed.dead_letters = vec![
        letter(2, "b"),
        letter(2, "a"),
        letter(3, "a"),
        letter(399, "a"),
    ];
    store
        .observe_commit(&scope(), &observed)
        .await
        .expect("commits");
    let among = async |positions: Vec<u64>| {
        let positions: Vec<Position> = positions.into_iter().map(Position).collect();
        let letters = store.dead_letters_among(&scope(), &positions).await;
        letters.expect("reads")
    };
    assert_eq!(among(vec![2]).await, [letter(2, "a"), letter(2, "b")]);
    assert_eq!(among(vec![1, 3, 4]).await, [letter(3, "a")]);
    assert_eq!(
        among((3..=400).collect()).await,
        [letter(3, "a"), letter(399, "a")]
    );
    assert!(among(Vec::new()).await.is_empty());
}

async fn the_catalogue_of_series_is_read_by_page_and_by_name(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let series = |id: u32, name: &str, on: &str| SeriesRecord {
        id,
        def: SeriesDef {
            key: SeriesKey {
                name: name.to_owned(),
                unit: "s".to_owned(),
                entity: Some(entity(on)),
                attributes: Labels::default(),
            },
            reading: Reading::Gauge,
        },
        first: Position(1),
    };
    let all = [
        series(0, "http.duration", "service/a"),
        series(1, "http_duration", "service/b"),
        series(2, "queue.length", "service/a"),
    ];
    let mut observed = commit(0, 1, Vec::new());
    observed.series = all.to_vec();
    observed.chunks = vec![Chunk {
        series: 2,
        times: (10..20).map(at).collect(),
        values: (10..20).map(f64::from).collect(),
    }];
    store
        .observe_commit(&scope(), &observed)
        .await
        .expect("commits");
    let list = async |on: Option<&str>, name: Option<&str>, after, limit| {
        let filter = SeriesFilter {
            entity: on.map(entity),
            name: name.map(ToOwned::to_owned),
        };
        let page = store.series_page(&scope(), &filter, after, limit).await;
        page.expect("lists")
    };
    let first = list(None, None, None, 2).await;
    assert_eq!(first.items, all[..2]);
    let rest = list(None, None, first.next, 2).await;
    assert_eq!((rest.items.as_slice(), rest.next), (&all[2..], None));
    assert_eq!(list(Some("service/a"), None, None, 9).await.items.len(), 2);
    // No pattern: a dot is a dot, a line a line, and case counts.
    for (name, found) in [
        ("http.", 1),
        ("http_", 1),
        ("duration", 2),
        ("%", 0),
        ("Http", 0),
    ] {
        let page = list(None, Some(name), None, 9).await;
        assert_eq!(page.items.len(), found, "{name}");
    }
    let count = async |from, to| {
        let count = store.sample_count(&scope(), 2, at(from), at(to)).await;
        count.expect("counts")
    };
    // All of a chunk that reaches into the time.
    assert_eq!(count(0, 100).await, 10);
    assert_eq!(count(19, 19).await, 10);
    assert_eq!(count(0, 9).await, 0);
    assert_eq!(count(20, 100).await, 0);
    let read = store
        .sample_list(&scope(), 2, at(12), at(13).plus(Duration::from_micros(1)))
        .await;
    assert_eq!(read.expect("reads").len(), 2);
}

on_each_database!(
    changes_are_read_as_last_reported,
    ids_are_found_by_their_beginning,
    the_events_of_an_incident_are_read_from_a_version_on,
    refusals_come_in_pages,
    an_act_is_read_with_what_became_of_it,
    dead_letters_of_several_envelopes_are_read_at_once,
    the_catalogue_of_series_is_read_by_page_and_by_name,
);
