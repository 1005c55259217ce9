//! Where pollers stand, and what they fetched: together or not at all.

use faultline_domain::envelope::{Arrival, Format, Position};
use faultline_domain::id::{Digest, IncidentId, InstanceName, ScopeName};
use faultline_domain::incidents::Command;
use faultline_domain::poll::{CURSOR_BYTES_MAX, PollFault, PollState};
use faultline_domain::supervision::{Failed, SupervisionPolicy, Supervisor};
use faultline_store::{CommandRecord, PollRecord, StoreError};
use faultline_test_databases::{Database, on_each_database};

use crate::stages::commit;
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
        supervisor: Some(supervisor()),
        heard: Position(41),
    }
}

/// Watches over one that failed on its cursor.
fn supervisor() -> Supervisor {
    let mut supervisor = Supervisor::new(Digest::of(b"a component"));
    let failed = Failed {
        code: "trap",
        message: "trap: unreachable",
        input: Some("cursor 0badcafe".to_owned()),
    };
    supervisor.failed(at(95), &failed, 7, &SupervisionPolicy::default());
    supervisor
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

async fn a_poller_that_failed_is_listed_until_it_is_not_supervised_any_more(database: Database) {
    let fresh = Fresh::open(database).await;
    let listed = async || fresh.store.supervision_list(&scope()).await.expect("lists");
    assert!(listed().await.is_empty());
    fresh
        .store
        .poll_commit(&scope(), &instance(), 0, &state(b"a"), Vec::new())
        .await
        .expect("commits");
    assert_eq!(listed().await, [(instance(), supervisor())]);
    let other = ScopeName::new("elsewhere").expect("a name");
    let elsewhere = fresh.store.supervision_list(&other).await;
    assert!(elsewhere.expect("lists").is_empty());
    let anew = PollState {
        supervisor: None,
        ..state(b"a")
    };
    fresh
        .store
        .poll_commit(&scope(), &instance(), 1, &anew, Vec::new())
        .await
        .expect("commits");
    assert!(listed().await.is_empty());
}

async fn the_last_act_that_lets_an_instance_run_again_is_found(database: Database) {
    let fresh = Fresh::open(database).await;
    let resume = |name: &str| Command::Resume {
        instance: InstanceName::new(name).expect("a name"),
    };
    let acknowledge = Command::Acknowledge {
        incident: IncidentId::derive([b"i".as_slice()]),
    };
    let acts = [
        (1, resume("tickets")),
        (2, resume("tickets")),
        (3, resume("others")),
        (4, acknowledge),
    ];
    let mut observed = commit(0, 4, Vec::new());
    observed.commands = acts
        .into_iter()
        .map(|(position, command)| CommandRecord {
            position: Position(position),
            received: at(position),
            person: "dana".to_owned(),
            command,
        })
        .collect();
    let committed = fresh.store.observe_commit(&scope(), &observed).await;
    committed.expect("commits");
    for (after, found) in [(0, Some(2)), (1, Some(2)), (2, None), (4, None)] {
        let last = fresh
            .store
            .resume_after(&scope(), &instance(), Position(after))
            .await;
        assert_eq!(last.expect("reads"), found.map(Position), "after {after}");
    }
}

on_each_database!(
    a_poller_that_failed_is_listed_until_it_is_not_supervised_any_more,
    the_last_act_that_lets_an_instance_run_again_is_found,
    a_page_and_its_cursor_are_there_after_a_restart,
    whoever_was_overtaken_appends_nothing,
);
