//! Several stores in one place, as several processes have them: nothing that
//! one reads before it writes is changed by another in between.

use faultline_domain::audit::Verifier;
use faultline_domain::envelope::{Arrival, Format, Position};
use faultline_domain::id::InstanceName;
use faultline_store::{
    AlertFilter, AuditFilter, Cursor, DeadLetter, IncidentFilter, KV_ENTRY_BYTES, KvChange,
    KvCommit, LetterFilter, LetterKind, ObserveCommit, Retention, StagePosition, Store, StoreError,
};
use faultline_test_databases::{Database, Server, on_each_database};

use crate::reading::change;
use crate::stages::{commit, fire};
use crate::{Fresh, at, at_url, entry, scope, source, store};

/// The work of two processes, several tasks each, of which all succeed.
async fn together<T: Send + 'static, F>(
    stores: &[Store; 2],
    work: impl Fn(Store, u64) -> F,
) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..16_u8)
        .map(|number| {
            let store = stores[usize::from(number % 2)].clone();
            tokio::spawn(work(store, u64::from(number)))
        })
        .collect();
    let mut done = Vec::new();
    for task in tasks {
        done.push(task.await.expect("no panic"));
    }
    done
}

async fn two(fresh: &Fresh) -> [Store; 2] {
    [fresh.store.clone(), store(&fresh.place).await]
}

async fn audit_rows_make_one_chain(database: Database) {
    let fresh = Fresh::open(database).await;
    let stores = two(&fresh).await;
    let mut sequences = together(&stores, async |store, number| {
        let appended = store.audit_append(entry("plugin.grant", number)).await;
        appended.expect("appends")
    })
    .await;
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=16).collect::<Vec<u64>>());
    let mut verifier = Verifier::after(0, faultline_domain::audit::GENESIS);
    let rows = fresh.store.audit_list(&AuditFilter::default(), 100).await;
    for row in rows.expect("reads") {
        verifier.next(&row).expect("a chain");
    }
}

async fn envelopes_share_no_position(database: Database) {
    let fresh = Fresh::open(database).await;
    let stores = two(&fresh).await;
    let mut firsts = together(&stores, async |store, number| {
        let arrival = Arrival {
            source: source("test"),
            format: Format::OtlpLogs,
            content_type: String::new(),
            headers: Vec::new(),
            body: vec![7; 600],
            received: at(100 - number),
        };
        let appended = store.envelope_append(&scope(), vec![arrival; 3]).await;
        appended.expect("appends").first.0
    })
    .await;
    firsts.sort_unstable();
    let expected: Vec<u64> = (0..16).map(|number| 1 + 3 * number).collect();
    assert_eq!(firsts, expected);
    let envelopes = fresh
        .store
        .envelope_list(&scope(), Position::START, 100, usize::MAX)
        .await
        .expect("reads");
    assert_eq!(envelopes.len(), 48);
    let is_ordered = envelopes.is_sorted_by_key(|envelope| envelope.arrival.received);
    assert!(is_ordered, "time never goes back");
}

async fn a_key_is_counted_up_once_for_each_who_does(database: Database) {
    let fresh = Fresh::open(database).await;
    let stores = two(&fresh).await;
    let instance = InstanceName::new("poller").expect("a name");
    let add_one = async |store: Store, _| {
        let instance = InstanceName::new("poller").expect("a name");
        let key = ["count".to_owned()];
        loop {
            let found = store.kv_fetch(&instance, &key).await.expect("reads");
            let (count, version) = found
                .first()
                .map_or((0, 0), |entry| (entry.value[0], entry.version));
            let change = KvChange {
                key: key[0].clone(),
                value: Some(vec![count + 1]),
                if_version: Some(version),
            };
            match store
                .kv_commit(&instance, &[change], 1_000)
                .await
                .expect("answers")
            {
                KvCommit::Written(_) => return,
                KvCommit::Conflict => {}
                KvCommit::OverQuota(bytes) => panic!("{bytes} bytes"),
            }
        }
    };
    together(&stores, add_one).await;
    let found = fresh.store.kv_fetch(&instance, &["count".to_owned()]).await;
    assert_eq!(found.expect("reads")[0].value, [16]);
}

async fn a_quota_holds_whoever_writes(database: Database) {
    let fresh = Fresh::open(database).await;
    let stores = two(&fresh).await;
    let outcomes = together(&stores, async |store, number| {
        let instance = InstanceName::new("poller").expect("a name");
        let change = KvChange {
            key: format!("key-{number:02}"),
            value: Some(vec![0; 24]),
            if_version: None,
        };
        store
            .kv_commit(&instance, &[change], 100 + 3 * KV_ENTRY_BYTES)
            .await
            .expect("answers")
    })
    .await;
    let written = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, KvCommit::Written(_)));
    assert_eq!(written.count(), 3, "of 30 bytes each");
}

async fn a_stage_is_moved_once(database: Database) {
    let fresh = Fresh::open(database).await;
    let stores = two(&fresh).await;
    let outcomes = together(&stores, async |store, number| {
        let fired = fire("shop", 5);
        let mut commit = commit(0, 5, vec![fired]);
        commit.to.now = at(number);
        store.observe_commit(&scope(), &commit).await
    })
    .await;
    let moved = outcomes.iter().filter(|outcome| outcome.is_ok());
    assert_eq!(moved.count(), 1);
    let refused = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Err(StoreError::Moved { .. })));
    assert_eq!(refused.count(), 15);
}

async fn what_is_swept_meanwhile_is_not_what_is_needed(database: Database) {
    let fresh = Fresh::open(database).await;
    let [one, other] = two(&fresh).await;
    let retention = Retention::default();
    for position in 1..=30 {
        // The same change is reported again while its last report goes.
        let mut commit = commit(position - 1, position, Vec::new());
        commit.changes = vec![change("shop", position, "again")];
        let now = at(position).plus(retention.changes);
        let scope = scope();
        let (committed, swept) = tokio::join!(
            one.observe_commit(&scope, &commit),
            other.sweep(&scope, &retention, now)
        );
        committed.expect("commits");
        swept.expect("sweeps");
        let entity = "service/shop".parse().expect("an entity");
        let found = one.change_list(&scope, Some(&entity), None, 10).await;
        assert_eq!(found.expect("reads").items.len(), 1, "at {position}");
    }
}

async fn what_operators_change_is_counted(database: Database) {
    let fresh = Fresh::open(database).await;
    let other = store(&fresh.place).await;
    let before = other.edition_fetch().await.expect("reads");
    let token = faultline_store::TokenRecord {
        id: "id".to_owned(),
        name: "a name with a \0 in it".to_owned(),
        purpose: faultline_store::Purpose::Ingest(None),
        hash: faultline_domain::id::Digest::of(b"secret"),
        created: at(1),
        created_by: "dana".to_owned(),
        expires: None,
        revoked: None,
    };
    let created = fresh
        .store
        .token_create(&token, entry("token.create", 1))
        .await;
    created.expect("creates");
    let after = other.edition_fetch().await.expect("reads");
    assert_eq!(after.tokens, before.tokens + 1);
    assert_eq!(after.plugins, before.plugins);
    let revoke = async || {
        let revoked = fresh
            .store
            .token_revoke("id", at(2), entry("token.revoke", 2));
        revoked.await.expect("answers")
    };
    assert!(revoke().await);
    assert!(!revoke().await, "it was");
    let last = other.edition_fetch().await.expect("reads");
    assert_eq!(last.tokens, after.tokens + 1);
}

async fn the_first_who_proposes_a_setting_sets_it(database: Database) {
    let fresh = Fresh::open(database).await;
    let stores = two(&fresh).await;
    let values = together(&stores, async |store, number| {
        let value = store
            .setting_propose("install.id", &number.to_string())
            .await;
        value.expect("answers")
    })
    .await;
    assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
}

/// What senders and plugins say can hold anything that is UTF-8, and can name
/// one thing twice.
async fn nothing_that_can_be_said_is_in_the_way(database: Database) {
    let fresh = Fresh::open(database).await;
    let (mut alert, mut transition) = fire("shop", 3);
    "a\0b".clone_into(&mut alert.title);
    transition.view.title = alert.title.clone();
    let letter = |message: &str| DeadLetter {
        position: Position(3),
        reader: "fake".to_owned(),
        kind: LetterKind::Fault,
        received: at(3),
        source: source("test"),
        code: "malformed".to_owned(),
        message: message.to_owned(),
    };
    let commit = ObserveCommit {
        to: StagePosition {
            position: Position(3),
            clock: at(3),
            now: at(3),
        },
        alerts: vec![alert.clone(), alert.clone()],
        transitions: vec![transition],
        dead_letters: vec![letter("first"), letter("last\0")],
        ..ObserveCommit::default()
    };
    let committed = fresh.store.observe_commit(&scope(), &commit).await;
    committed.expect("commits");
    let alerts = fresh.store.alert_fetch(&scope(), &[alert.id]).await;
    assert_eq!(alerts.expect("reads"), [alert.clone()]);
    let found = fresh
        .store
        .alert_find(&scope(), &alert.id.to_string(), 2)
        .await;
    assert_eq!(found.expect("reads")[0].1, "a\u{2400}b");
    let found = fresh.store.alert_find(&scope(), "alr_\0", 2).await;
    assert!(found.expect("answers").is_empty());
    let letters = fresh.store.dead_letters_at(&scope(), Position(3)).await;
    assert_eq!(letters.expect("reads"), [letter("last\u{2400}")]);
    what_can_be_asked_is_not_in_the_way_either(&fresh.store).await;
    let mut audited = entry("plugin.\0", 3);
    "{\"said\":\"\0\"}".clone_into(&mut audited.detail);
    fresh.store.audit_append(audited).await.expect("appends");
    let mut verifier = Verifier::after(0, faultline_domain::audit::GENESIS);
    for row in fresh
        .store
        .audit_list(&AuditFilter::default(), 10)
        .await
        .expect("reads")
    {
        verifier.next(&row).expect("a chain");
    }
}

/// Nor can what people ask for, however odd: it is answered with nothing.
async fn what_can_be_asked_is_not_in_the_way_either(store: &Store) {
    let scope = scope();
    let after = || -> Option<Cursor> { Some("5.a\0b".parse().expect("a cursor")) };
    let all = AlertFilter::default();
    let alerts = store.alert_list(&scope, &all, after(), 5).await;
    assert!(alerts.expect("answers").items.is_empty());
    let changes = store.change_list(&scope, None, after(), 5).await;
    assert!(changes.expect("answers").items.is_empty());
    let all = IncidentFilter::default();
    let incidents = store.incident_list(&scope, &all, after(), 5).await;
    assert!(incidents.expect("answers").items.is_empty());
    let some = LetterFilter {
        reader: Some("fa\0ke".to_owned()),
        ..LetterFilter::default()
    };
    let letters = store.dead_letter_list(&scope, &some, after(), 5).await;
    assert!(letters.expect("answers").items.is_empty());
    let name = InstanceName::new("some").expect("a name");
    let revoked = store
        .grant_revoke(&name, "k\0v", entry("plugin.revoke", 4))
        .await;
    assert!(!revoked.expect("answers"), "nobody granted it");
}

#[tokio::test]
async fn an_empty_database_is_opened_by_many_at_once() {
    let url = Server::shared().create();
    let opening: Vec<_> = (0..6)
        .map(|_| {
            let location = at_url(&url);
            tokio::spawn(async move { Store::open(&location).await })
        })
        .collect();
    for opened in opening {
        let store = opened.await.expect("no panic").expect("opens");
        let head = store.journal_head(&scope()).await.expect("reads");
        assert_eq!(head.position, Position::START);
        store.close().await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_no_secret_but_its_password_is() {
    let location = at_url("postgres://someone:s3cret@127.0.0.1:1/faultline");
    let Err(error) = Store::open(&location).await else {
        panic!("nothing listens there");
    };
    assert!(error.is_transient());
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[tokio::test]
async fn a_database_of_another_encoding_is_refused_with_the_remedy() {
    let server = Server::shared();
    server.run(
        "postgres",
        "create database latin encoding 'LATIN1' locale 'C' template template0",
    );
    let Err(error) = Store::open(&at_url(&server.url("latin"))).await else {
        panic!("it cannot hold every text");
    };
    assert!(error.to_string().contains("encoding 'UTF8'"), "{error}");
}

on_each_database!(
    audit_rows_make_one_chain,
    envelopes_share_no_position,
    a_key_is_counted_up_once_for_each_who_does,
    a_quota_holds_whoever_writes,
    a_stage_is_moved_once,
    what_is_swept_meanwhile_is_not_what_is_needed,
    what_operators_change_is_counted,
    the_first_who_proposes_a_setting_sets_it,
    nothing_that_can_be_said_is_in_the_way,
);
