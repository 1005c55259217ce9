//! Where pollers stand, and what they fetched: together or not at all.

use faultline_domain::envelope::{Arrival, Format, Position};
use faultline_domain::id::InstanceName;
use faultline_domain::poll::{CURSOR_BYTES_MAX, PollFault, PollState};
use faultline_store::{PollRecord, StoreError};
use faultline_test_databases::{Database, on_each_database};

use crate::{Fresh, at, scope, source};

fn instance() -> InstanceName {
    InstanceName::new("tickets").expect("a name")
}

fn arrival(body: &[u8]) -> Arrival {
    Arrival {
        source: source("tickets"),
        format: Format::Connector(instance()),
        content_type: "application/json".to_owned(),
        headers: Vec::new(),
        body: body.to_vec(),
        received: at(100),
    }
}

fn state(cursor: &[u8]) -> PollState {
    PollState {
        cursor: Some(cursor.to_vec()),
        pages: 3,
        envelopes: 20,
        faults: 2,
        pages_in_a_row: 1,
        faults_in_a_row: 1,
        polled: Some(at(100)),
        caught_up: Some(at(90)),
        due: at(160),
        last_fault: Some(PollFault {
            at: at(95),
            code: "http.503".to_owned(),
            message: "not now".to_owned(),
        }),
    }
}

async fn a_page_and_its_cursor_are_there_after_a_restart(database: Database) {
    let fresh = Fresh::open(database).await;
    let found = fresh.store.poll_fetch(&scope(), &instance()).await;
    assert_eq!(found.expect("reads"), PollRecord::default());
    let longest = vec![0xff; CURSOR_BYTES_MAX];
    let arrivals = vec![arrival(b"one"), arrival(b"two")];
    let appended = fresh
        .store
        .poll_commit(&scope(), &instance(), 0, &state(&longest), arrivals)
        .await
        .expect("commits")
        .expect("appends");
    assert_eq!(appended.head.position, Position(2));
    let fresh = fresh.reopen().await;
    let found = fresh.store.poll_fetch(&scope(), &instance()).await;
    let expected = PollRecord {
        version: 1,
        state: state(&longest),
    };
    assert_eq!(found.expect("reads"), expected);
    // From the start again; nothing is appended, and the head stays.
    let begun = PollState::default();
    let appended = fresh
        .store
        .poll_commit(&scope(), &instance(), 1, &begun, Vec::new())
        .await;
    assert_eq!(appended.expect("commits"), None);
    let found = fresh.store.poll_fetch(&scope(), &instance()).await;
    let expected = PollRecord {
        version: 2,
        state: begun,
    };
    assert_eq!(found.expect("reads"), expected);
    let head = fresh.store.journal_head(&scope()).await.expect("reads");
    assert_eq!(head.position, Position(2));
}

async fn whoever_was_overtaken_appends_nothing(database: Database) {
    let fresh = Fresh::open(database).await;
    let commit = async |version, cursor: &[u8]| {
        fresh
            .store
            .poll_commit(
                &scope(),
                &instance(),
                version,
                &state(cursor),
                vec![arrival(cursor)],
            )
            .await
    };
    commit(0, b"a").await.expect("commits");
    for version in [0, 2] {
        let refused = commit(version, b"b").await.expect_err("moved");
        assert!(matches!(refused, StoreError::Moved { .. }), "{refused}");
    }
    commit(1, b"c").await.expect("commits");
    let envelopes = fresh
        .store
        .envelope_list(&scope(), Position::START, 10, usize::MAX)
        .await
        .expect("reads");
    let bodies: Vec<&[u8]> = envelopes
        .iter()
        .map(|envelope| envelope.arrival.body.as_slice())
        .collect();
    assert_eq!(bodies, [b"a", b"c"]);
    let positions: Vec<u64> = envelopes.iter().map(|e| e.position.0).collect();
    assert_eq!(positions, [1, 2], "no gap");
}

on_each_database!(
    a_page_and_its_cursor_are_there_after_a_restart,
    whoever_was_overtaken_appends_nothing,
);
