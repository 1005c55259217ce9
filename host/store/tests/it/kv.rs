//! The plugins' own state.

use faultline_domain::id::InstanceName;
use faultline_store::{KV_ENTRY_BYTES, KvChange, KvCommit};
use faultline_test_databases::{Database, on_each_database};

use crate::Fresh;

fn put(key: &str, value: &str, if_version: Option<u64>) -> KvChange {
    KvChange {
        key: key.to_owned(),
        value: Some(value.as_bytes().to_vec()),
        if_version,
    }
}

async fn commits_all_or_nothing(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let instance = InstanceName::new("poller").expect("a name");
    let other = InstanceName::new("other").expect("a name");
    let commit = async |changes: &[KvChange]| {
        let committed = store
            .kv_commit(&instance, changes, 100 + 2 * KV_ENTRY_BYTES)
            .await;
        committed.expect("answers")
    };

    assert_eq!(
        commit(&[put("a", "1", None), put("b", "2", Some(0))]).await,
        KvCommit::Written(1)
    );
    assert_eq!(
        commit(&[put("c", "3", None), put("b", "x", Some(0))]).await,
        KvCommit::Conflict
    );
    assert_eq!(
        commit(&[put("b", "x", Some(1))]).await,
        KvCommit::Written(2)
    );
    let long = "x".repeat(200);
    assert!(matches!(commit(&[put("c", &long, None)]).await, KvCommit::OverQuota(n) if n > 200));

    let keys = ["a", "b", "c"].map(str::to_owned);
    let entries = store.kv_fetch(&instance, &keys).await.expect("reads");
    let mut found: Vec<(&str, &[u8], u64)> = entries
        .iter()
        .map(|e| (e.key.as_str(), e.value.as_slice(), e.version))
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [("a", b"1".as_slice(), 1), ("b", b"x".as_slice(), 2)]
    );
    assert!(
        store
            .kv_fetch(&other, &keys)
            .await
            .expect("reads")
            .is_empty()
    );
}

async fn entries_count_even_if_they_are_empty(database: Database) {
    let fresh = Fresh::open(database).await;
    let instance = InstanceName::new("poller").expect("a name");
    let commit = async |changes: &[KvChange], quota| {
        let committed = fresh.store.kv_commit(&instance, changes, quota).await;
        committed.expect("answers")
    };
    let of = |entries: u64| entries * (1 + KV_ENTRY_BYTES);
    let empty = ["a", "b", "c"].map(|key| put(key, "", None));
    assert_eq!(commit(&empty, of(3) - 1).await, KvCommit::OverQuota(of(3)));
    assert!(matches!(commit(&empty, of(3)).await, KvCommit::Written(_)));
    // A quota that was lowered keeps nobody from tidying up.
    let delete = |key: &str| KvChange {
        value: None,
        ..put(key, "", None)
    };
    assert_eq!(
        commit(&[put("a", "", None)], of(1)).await,
        KvCommit::OverQuota(of(3))
    );
    let deleted = commit(&[delete("a")], of(1)).await;
    assert!(matches!(deleted, KvCommit::Written(_)), "{deleted:?}");
}

async fn a_key_that_comes_again_has_a_new_version(database: Database) {
    let fresh = Fresh::open(database).await;
    let instance = InstanceName::new("poller").expect("a name");
    let commit = async |change: KvChange| {
        let committed = fresh.store.kv_commit(&instance, &[change], 1_000).await;
        committed.expect("answers")
    };
    let delete = KvChange {
        key: "a".to_owned(),
        value: None,
        if_version: None,
    };
    assert_eq!(commit(put("a", "1", None)).await, KvCommit::Written(1));
    commit(delete).await;
    assert_eq!(commit(put("a", "1", None)).await, KvCommit::Written(3));
    assert_eq!(commit(put("a", "2", Some(1))).await, KvCommit::Conflict);
}

async fn scans_by_prefix_in_order(database: Database) {
    let fresh = Fresh::open(database).await;
    let store = &fresh.store;
    let instance = InstanceName::new("poller").expect("a name");
    let changes: Vec<KvChange> = ["a/1", "a/2", "a/3", "b/1", "a%"]
        .into_iter()
        .map(|key| put(key, "x", None))
        .collect();
    let committed = store.kv_commit(&instance, &changes, 1_000).await;
    assert_eq!(committed.expect("answers"), KvCommit::Written(1));
    let scan = async |prefix: &str, after: Option<&str>, most| -> Vec<String> {
        let entries = store.kv_scan(&instance, prefix, after, most).await;
        let entries = entries.expect("reads");
        entries.into_iter().map(|entry| entry.key).collect()
    };
    assert_eq!(scan("a/", None, 10).await, ["a/1", "a/2", "a/3"]);
    assert_eq!(scan("a/", Some("a/1"), 1).await, ["a/2"]);
    assert_eq!(scan("", None, 2).await, ["a%", "a/1"]);
}

on_each_database!(
    commits_all_or_nothing,
    entries_count_even_if_they_are_empty,
    a_key_that_comes_again_has_a_new_version,
    scans_by_prefix_in_order,
);
