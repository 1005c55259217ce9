//! Leases as rows: taken once, fenced for ever after.

use faultline_domain::envelope::Position;
use faultline_domain::lease::{Fence, Holder, LeaseName};
use faultline_store::{CorrelateCommit, ObserveCommit, StageName, StagePosition, StoreError};
use faultline_test_databases::{Database, on_each_database};

use crate::{Fresh, at, scope};

fn holder(node: &str) -> Holder {
    Holder {
        node: node.to_owned(),
        life: format!("life-of-{node}"),
    }
}

fn observed(fence: Fence, from: u64, to: u64) -> ObserveCommit {
    ObserveCommit {
        fence,
        from: Position(from),
        to: StagePosition {
            position: Position(to),
            clock: at(to),
            now: at(to),
        },
        ..ObserveCommit::default()
    }
}

async fn a_lease_is_taken_renewed_and_let_go_of(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let name = LeaseName::Observe;
    let take = async |node: &str, over, secs| {
        let taken = store
            .lease_take(&scope(), name, &holder(node), over, at(secs))
            .await;
        taken.expect("answers")
    };
    assert!(store.lease_list(&scope()).await.expect("reads").is_empty());
    assert_eq!(take("a", None, 10).await, Some(Fence(1)));
    assert_eq!(take("b", None, 11).await, None, "it was there already");

    let renewed = store.lease_renew(&scope(), name, Fence(1), at(12)).await;
    assert!(renewed.expect("answers"));
    let leases = store.lease_list(&scope()).await.expect("reads");
    assert_eq!(leases.len(), 1);
    let lease = &leases[0];
    assert_eq!(lease.name, "observe");
    assert_eq!(lease.view.holder, Some(holder("a")));
    assert_eq!((lease.taken, lease.renewed), (at(10), at(12)));
    let beat = lease.view.beat;

    // Whoever saw an earlier beat does not know that a lives.
    assert_eq!(take("b", Some((Fence(1), beat - 1)), 13).await, None);
    assert_eq!(take("b", Some((Fence(1), beat)), 14).await, Some(Fence(2)));
    let renewed = store.lease_renew(&scope(), name, Fence(1), at(15)).await;
    assert!(!renewed.expect("answers"), "it is b's");

    let release = async |fence| {
        let released = store.lease_release(&scope(), name, fence).await;
        released.expect("answers");
        store.lease_list(&scope()).await.expect("reads")[0].clone()
    };
    assert_eq!(release(Fence(1)).await.view.holder, Some(holder("b")));
    let free = release(Fence(2)).await.view;
    assert_eq!((free.holder, free.fence), (None, Fence(2)));
    let over = Some((free.fence, free.beat));
    assert_eq!(take("a", over, 16).await, Some(Fence(3)));
}

async fn commits_under_an_earlier_fence_are_refused(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    // Nobody has taken it yet, and nobody need.
    let commit = async |commit: ObserveCommit| store.observe_commit(&scope(), &commit).await;
    commit(observed(Fence(0), 0, 1)).await.expect("commits");

    let take = async |node: &str| {
        let leases = store.lease_list(&scope()).await.expect("reads");
        let lease = leases.iter().find(|lease| lease.name == "observe");
        let over = lease.map(|lease| (lease.view.fence, lease.view.beat));
        let name = LeaseName::Observe;
        let taken = store
            .lease_take(&scope(), name, &holder(node), over, at(1))
            .await;
        taken.expect("answers").expect("nobody else wants it")
    };
    let first = take("a").await;
    let refused = commit(observed(Fence(0), 1, 2)).await;
    assert!(matches!(refused, Err(StoreError::Fenced { .. })));
    commit(observed(first, 1, 2)).await.expect("commits");

    let second = take("b").await;
    let refused = commit(observed(first, 2, 3)).await;
    let Err(StoreError::Fenced { lease, fence }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((lease, fence), ("observe", first));
    let reached = store.stage_position(&scope(), StageName::Observe).await;
    assert_eq!(reached.expect("reads").position, Position(2));
    commit(observed(second, 2, 3)).await.expect("commits");

    // Each stage has its own.
    let correlated = CorrelateCommit {
        to: StagePosition {
            position: Position(1),
            ..StagePosition::default()
        },
        ..CorrelateCommit::default()
    };
    let committed = store.correlate_commit(&scope(), &correlated).await;
    committed.expect("nobody has taken that one");
}

async fn a_commit_is_a_sign_of_life(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let name = LeaseName::Observe;
    let taken = store
        .lease_take(&scope(), name, &holder("a"), None, at(1))
        .await;
    let fence = taken.expect("answers").expect("is free");
    let beat = async || {
        store.lease_list(&scope()).await.expect("reads")[0]
            .view
            .beat
    };
    let before = beat().await;
    let committed = store.observe_commit(&scope(), &observed(fence, 0, 1)).await;
    committed.expect("commits");
    assert!(beat().await > before);
}

async fn of_many_that_want_it_one_gets_it(database: Database) {
    let fresh = Fresh::open(database).await;
    for round in 0..5_u64 {
        let leases = fresh.store.lease_list(&scope()).await.expect("reads");
        let over = leases
            .first()
            .map(|lease| (lease.view.fence, lease.view.beat));
        let tasks: Vec<_> = (0..6)
            .map(|number| {
                let store = fresh.store.clone();
                tokio::spawn(async move {
                    let holder = holder(&format!("node-{number}"));
                    let name = LeaseName::Correlate;
                    store
                        .lease_take(&scope(), name, &holder, over, at(round))
                        .await
                })
            })
            .collect();
        let mut fences = Vec::new();
        for task in tasks {
            fences.extend(task.await.expect("no panic").expect("answers"));
        }
        assert_eq!(fences, [Fence(round + 1)]);
    }
}

on_each_database!(
    a_lease_is_taken_renewed_and_let_go_of,
    commits_under_an_earlier_fence_are_refused,
    a_commit_is_a_sign_of_life,
    of_many_that_want_it_one_gets_it,
);
