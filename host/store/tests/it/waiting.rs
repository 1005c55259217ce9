//! How much waits for whom.

use faultline_domain::envelope::{Arrival, Format, Position};
use faultline_domain::id::InstanceName;
use faultline_domain::plugin::Kind;
use faultline_store::{CorrelateCommit, Queue, StagePosition};
use faultline_test_databases::{Database, on_each_database};

use crate::stages::{commit, fire, first};
use crate::{Fresh, at, scope, source};

fn name(text: &str) -> InstanceName {
    InstanceName::new(text).expect("a name")
}

fn arrival(number: u64, format: Format) -> Arrival {
    Arrival {
        source: source("test"),
        format,
        content_type: String::new(),
        headers: Vec::new(),
        body: b"a payload".repeat(1_000),
        received: at(number),
    }
}

fn queue(count: u64, oldest: u64) -> Queue {
    Queue {
        count,
        oldest: Some(at(oldest)),
    }
}

async fn what_waits_is_told_apart_by_who_it_is_for(database: Database) {
    let fresh = Fresh::open(database).await;
    let waiting = async || fresh.store.waiting(&scope()).await.expect("counts");
    let nothing = Queue::default();
    for kind in Kind::ALL {
        assert_eq!(waiting().await.of(&name("json"), kind), nothing);
    }
    let json = Format::Connector(name("json"));
    let formats = [
        json.clone(),
        Format::OtlpMetrics,
        Format::Clock,
        json,
        Format::OtlpMetrics,
        Format::Command,
    ];
    let arrivals = (1..).zip(formats).map(|(number, it)| arrival(number, it));
    let appended = fresh
        .store
        .envelope_append(&scope(), arrivals.collect())
        .await;
    appended.expect("appends");
    let now = waiting().await;
    assert_eq!(now.of(&name("json"), Kind::Connector), queue(2, 1));
    assert_eq!(now.of(&name("other"), Kind::Connector), nothing);
    // What the host says to itself is shown to nobody.
    assert_eq!(now.of(&name("eye"), Kind::Detector), queue(4, 1));
    assert_eq!(now.of(&name("groups"), Kind::Correlator), nothing);

    // What was observed does not wait, but what came of it does; except for what
    // was over before anybody heard of it, which nobody is shown.
    let alerts = vec![first("over", 1, false), fire("a", 2), fire("b", 3)];
    let observed = commit(0, 3, alerts);
    let committed = fresh.store.observe_commit(&scope(), &observed).await;
    committed.expect("commits");
    let now = waiting().await;
    assert_eq!(now.of(&name("json"), Kind::Connector), queue(1, 4));
    assert_eq!(now.of(&name("eye"), Kind::Detector), queue(2, 4));
    let records = now.of(&name("groups"), Kind::Correlator);
    assert_eq!(records.count, 2);
    assert!(records.oldest.is_some());
    let correlated = CorrelateCommit {
        to: StagePosition {
            position: Position(3),
            clock: at(3),
            now: at(3),
        },
        ..CorrelateCommit::default()
    };
    let committed = fresh.store.correlate_commit(&scope(), &correlated).await;
    committed.expect("commits");
    let now = waiting().await;
    assert_eq!(now.of(&name("groups"), Kind::Correlator), nothing);
}

on_each_database!(what_waits_is_told_apart_by_who_it_is_for);
