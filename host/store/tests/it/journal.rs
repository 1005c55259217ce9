//! Appending, reading, and what retention leaves.

use faultline_domain::envelope::{Arrival, Format, Position};
use faultline_store::{Checkpoint, ObserveCommit, Retention, StagePosition};
use faultline_test_databases::{Database, on_each_database};

use crate::{Fresh, at, scope, source};

fn arrival(secs: u64, body: &[u8]) -> Arrival {
    Arrival {
        source: source("test"),
        format: Format::OtlpLogs,
        content_type: "application/json".to_owned(),
        headers: vec![("user-agent".to_owned(), "test".to_owned())],
        body: body.to_vec(),
        received: at(secs),
    }
}

async fn positions_have_no_gaps_and_time_never_goes_back(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let long = b"a line of a log that repeats itself; ".repeat(100);
    let first = store
        .envelope_append(&scope(), vec![arrival(100, b"one"), arrival(90, &long)])
        .await
        .expect("appends");
    assert_eq!(first.first, Position(1));
    let next = store
        .envelope_append(&scope(), vec![arrival(95, b"")])
        .await
        .expect("appends");
    assert_eq!((next.first, next.head.position), (Position(3), Position(3)));

    let fresh = fresh.reopen().await;
    let envelopes = fresh
        .store
        .envelope_list(&scope(), Position::START, 10, usize::MAX)
        .await
        .expect("reads");
    let positions: Vec<u64> = envelopes.iter().map(|e| e.position.0).collect();
    assert_eq!(positions, [1, 2, 3]);
    assert_eq!(envelopes[1].arrival.body, long);
    assert!(envelopes.iter().all(|e| e.arrival.received == at(100)));
    assert_eq!(envelopes[0].arrival, arrival(100, b"one"));

    let head = fresh.store.journal_head(&scope()).await.expect("reads");
    assert_eq!((head.position, head.received), (Position(3), at(100)));
}

async fn reads_stop_at_a_number_of_bytes_but_give_at_least_one(database: Database) {
    let fresh = Fresh::open(database).await;
    let arrivals = (0..5).map(|_| arrival(1, &[7; 1_000])).collect();
    fresh
        .store
        .envelope_append(&scope(), arrivals)
        .await
        .expect("appends");
    let read = async |after, bytes| {
        fresh
            .store
            .envelope_list(&scope(), Position(after), 10, bytes)
            .await
            .expect("reads")
            .len()
    };
    assert_eq!(read(0, 2_500).await, 3);
    assert_eq!(read(0, 1).await, 1);
    assert_eq!(read(4, 2_500).await, 1);
    assert_eq!(read(5, 2_500).await, 0);
    let one = fresh.store.envelope_fetch(&scope(), Position(2)).await;
    assert_eq!(one.expect("reads").map(|e| e.position), Some(Position(2)));
}

async fn concurrent_appends_share_no_position(database: Database) {
    let fresh = Fresh::open(database).await;
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let store = fresh.store.clone();
            tokio::spawn(async move {
                let arrivals = vec![arrival(1, b"x"), arrival(1, b"y")];
                store.envelope_append(&scope(), arrivals).await
            })
        })
        .collect();
    let mut firsts = Vec::new();
    for task in tasks {
        firsts.push(task.await.expect("no panic").expect("appends").first.0);
    }
    firsts.sort_unstable();
    let expected: Vec<u64> = (0..20).map(|i| 1 + 2 * i).collect();
    assert_eq!(firsts, expected);
}

async fn retention_takes_only_what_no_stage_needs(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let arrivals = (0..10).map(|i| arrival(100 + i, b"x")).collect();
    store
        .envelope_append(&scope(), arrivals)
        .await
        .expect("appends");
    let retention = Retention::default();
    let much_later = at(200).plus(retention.journal);

    let swept = store.sweep(&scope(), &retention, much_later).await;
    assert_eq!(
        swept.expect("sweeps").envelopes,
        0,
        "no stage has read them"
    );

    let commit = ObserveCommit {
        to: StagePosition {
            position: Position(8),
            clock: at(107),
            now: at(107),
        },
        ..ObserveCommit::default()
    };
    store
        .observe_commit(&scope(), &commit)
        .await
        .expect("commits");
    let barely = at(105).plus(retention.journal);
    let swept = store.sweep(&scope(), &retention, barely).await;
    assert_eq!(swept.expect("sweeps").envelopes, 5, "those before 105");
    let swept = store.sweep(&scope(), &retention, much_later).await;
    assert_eq!(swept.expect("sweeps").envelopes, 3, "up to the stage");
    let rest = store
        .envelope_list(&scope(), Position::START, 10, usize::MAX)
        .await
        .expect("reads");
    assert_eq!(rest[0].position, Position(9));
}

async fn checkpoints_of_plugins_that_are_gone_keep_nothing(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let arrivals = (0..10).map(|i| arrival(100 + i, b"x")).collect();
    store
        .envelope_append(&scope(), arrivals)
        .await
        .expect("appends");
    let commit = |from, to, names: &[&str]| ObserveCommit {
        from: Position(from),
        to: StagePosition {
            position: Position(to),
            clock: at(100 + to),
            now: at(100 + to),
        },
        checkpoints: names
            .iter()
            .map(|name| Checkpoint {
                name: (*name).to_owned(),
                data: vec![1],
            })
            .collect(),
        ..ObserveCommit::default()
    };
    for commit in [
        commit(0, 2, &["telemetry", "detector/gone/0-of-1"]),
        commit(2, 5, &[]),
        commit(5, 8, &["telemetry"]),
    ] {
        store
            .observe_commit(&scope(), &commit)
            .await
            .expect("commits");
    }
    let retention = Retention::default();
    let swept = store
        .sweep(&scope(), &retention, at(200).plus(retention.journal))
        .await;
    assert_eq!(swept.expect("sweeps").envelopes, 8, "up to the checkpoint");
}

on_each_database!(
    positions_have_no_gaps_and_time_never_goes_back,
    reads_stop_at_a_number_of_bytes_but_give_at_least_one,
    concurrent_appends_share_no_position,
    retention_takes_only_what_no_stage_needs,
    checkpoints_of_plugins_that_are_gone_keep_nothing,
);
