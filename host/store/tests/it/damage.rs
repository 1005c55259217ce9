//! Journals that are not what was written, and what can be saved of them.

use std::path::Path;

use faultline_domain::envelope::{Arrival, Format, Position};
use faultline_store::{
    Damage, Extent, JournalCheck, Range, Retention, StageName, Store, StoreError, Trouble, salvage,
};
use faultline_test_databases::{Database, on_each_database};
use tokio::sync::watch;

use crate::stages::commit;
use crate::{Fresh, at, entry, scope, source, store};

fn arrival(number: u64) -> Arrival {
    Arrival {
        source: source("test"),
        format: Format::AlertmanagerAlerts,
        content_type: "application/json".to_owned(),
        headers: vec![("user-agent".to_owned(), "test".to_owned())],
        // Too short to be compressed: nothing but the checksum tells.
        body: format!("payload {number:04} {}", "x".repeat(400)).into_bytes(),
        received: at(number),
    }
}

async fn filled(count: u64) -> Fresh {
    let fresh = Fresh::open(Database::Sqlite).await;
    let scope = scope();
    for number in 1..=count {
        let appended = fresh.store.envelope_append(&scope, vec![arrival(number)]);
        appended.await.expect("appends");
    }
    let observed = commit(0, count, Vec::new());
    let committed = fresh.store.observe_commit(&scope, &observed).await;
    committed.expect("commits");
    fresh
}

async fn change(fresh: &Fresh, sql: &'static str) {
    let url = &fresh.databases()[0];
    let pool = sqlx::AnyPool::connect(url).await.expect("opens");
    sqlx::query(sql).execute(&pool).await.expect("writes");
    pool.close().await;
}

async fn check(store: &Store, extent: Extent) -> JournalCheck {
    store.journal_check(&scope(), extent).await.expect("looks")
}

fn range(first: u64, last: u64) -> Range {
    Range {
        first: Position(first),
        last: Position(last),
    }
}

#[tokio::test]
async fn a_sound_journal_is_said_to_be() {
    let fresh = filled(20).await;
    for extent in [Extent::End, Extent::All] {
        let checked = check(&fresh.store, extent).await;
        assert!(checked.is_good(), "{checked:?}");
        assert_eq!((checked.good, checked.head), (20, Position(20)));
    }
}

/// Appends, observes and sweeps through a store of its own, as another process
/// does, until it is told to end.
async fn write(store: Store, stop: watch::Receiver<bool>) {
    let retention = Retention::default();
    for number in 1_u64.. {
        if *stop.borrow() {
            break;
        }
        let appended = store.envelope_append(&scope(), vec![arrival(number)]).await;
        let head = appended.expect("appends").head.position.0;
        let observed = commit(head - 1, head, Vec::new());
        let committed = store.observe_commit(&scope(), &observed).await;
        committed.expect("commits");
        if number.is_multiple_of(8) {
            let now = at(number - 4).plus(retention.journal);
            let swept = store.sweep(&scope(), &retention, now).await;
            swept.expect("sweeps");
        }
    }
    store.close().await;
}

async fn a_journal_that_is_written_to_is_sound_meanwhile(database: Database) {
    let fresh = Fresh::open(database).await;
    let (stop, stopped) = watch::channel(false);
    let writing = tokio::spawn(write(store(&fresh.place).await, stopped));
    for _ in 0..60 {
        for extent in [Extent::End, Extent::All] {
            let checked = check(&fresh.store, extent).await;
            assert!(checked.is_good(), "{extent:?}: {checked:?}");
        }
    }
    stop.send_replace(true);
    writing.await.expect("writes");
}

on_each_database!(a_journal_that_is_written_to_is_sound_meanwhile);

#[tokio::test]
async fn each_kind_of_damage_has_its_place() {
    let position = |number| Position(number);
    for (sql, expected) in [
        (
            "update envelope set body = x'00' where position in (7, 8)",
            Damage::Unreadable {
                range: range(7, 8),
                reason: "envelope holds a row that cannot be read: position 7: it is not what was \
                         written"
                    .to_owned(),
            },
        ),
        (
            "delete from envelope where position between 5 and 6",
            Damage::Missing(range(5, 6)),
        ),
        (
            "update journal_head set position = 15",
            Damage::HeadBehind {
                head: position(15),
                last: position(20),
            },
        ),
    ] {
        let fresh = filled(20).await;
        change(&fresh, sql).await;
        let checked = check(&fresh.store, Extent::All).await;
        assert_eq!(checked.damage.first(), Some(&expected), "{sql}");
    }
}

#[tokio::test]
async fn a_changed_row_is_refused_wherever_it_is_read() {
    let fresh = filled(10).await;
    change(
        &fresh,
        "update envelope set source = 'other' where position = 4",
    )
    .await;
    let list = async |after, most| {
        let scope = scope();
        let listed = fresh
            .store
            .envelope_list(&scope, Position(after), most, 1 << 20);
        listed.await.map(|envelopes| envelopes.len())
    };
    assert_eq!(list(0, 3).await.expect("good ones"), 3);
    let refused = list(3, 10).await.expect_err("a changed one");
    assert_eq!(refused.trouble(), Some(Trouble::Damaged));
    assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused}");
    assert!(refused.to_string().contains("position 4"), "{refused}");
}

#[tokio::test]
async fn an_end_that_is_lost_shows() {
    let fresh = filled(20).await;
    change(&fresh, "delete from envelope where position > 15").await;
    change(&fresh, "update journal_head set position = 15").await;
    let checked = check(&fresh.store, Extent::End).await;
    let ahead = Damage::StageAhead {
        stage: "observe",
        position: Position(20),
        head: Position(15),
    };
    assert_eq!(checked.damage, [ahead]);
}

async fn saved(from: &Path, to: &Path) -> faultline_store::Salvaged {
    let entry = |_: &faultline_store::Salvaged| entry("journal.repair", 100);
    salvage(from, to, &scope(), entry).await.expect("saves")
}

#[tokio::test]
async fn what_is_good_is_saved_in_its_place() {
    let fresh = filled(20).await;
    change(
        &fresh,
        "update envelope set body = x'00' where position in (1, 7, 8, 20)",
    )
    .await;
    fresh.store.close().await;
    let to = tempfile::tempdir().expect("a folder");
    let salvaged = saved(fresh.place.folder().expect("a folder"), to.path()).await;
    assert_eq!(salvaged.lost, [range(1, 1), range(7, 8), range(20, 20)]);
    assert_eq!((salvaged.envelopes, salvaged.head), (16, Position(20)));
    assert_eq!(salvaged.state_lost, None);

    let store = Store::open(to.path()).await.expect("opens");
    let checked = check(&store, Extent::All).await;
    assert!(checked.is_good(), "{checked:?}");
    assert_eq!(checked.known_losses, salvaged.lost);
    let envelopes = store
        .envelope_list(&scope(), Position::START, 100, 1 << 20)
        .await;
    for envelope in envelopes.expect("lists") {
        assert_eq!(envelope.arrival, arrival(envelope.position.0));
    }
    let observed = store.stage_position(&scope(), StageName::Observe).await;
    assert_eq!(observed.expect("reads").position, Position(20));
    let appended = store.envelope_append(&scope(), vec![arrival(21)]).await;
    assert_eq!(appended.expect("appends").first, Position(21));
    store.close().await;
}

#[tokio::test]
async fn tables_that_are_not_whole_stay_behind() {
    let fresh = filled(5).await;
    fresh.store.close().await;
    std::fs::write(
        fresh.place.folder().expect("a folder").join("state.db"),
        b"no database at all",
    )
    .expect("a file");
    let to = tempfile::tempdir().expect("a folder");
    let salvaged = saved(fresh.place.folder().expect("a folder"), to.path()).await;
    assert!(salvaged.state_lost.is_some(), "{salvaged:?}");
    assert_eq!((salvaged.envelopes, salvaged.lost), (5, Vec::new()));
    let store = Store::open(to.path()).await.expect("opens");
    let observed = store.stage_position(&scope(), StageName::Observe).await;
    assert_eq!(
        observed.expect("reads").position,
        Position::START,
        "from anew"
    );
    store.close().await;
}

#[tokio::test]
async fn a_file_that_was_replaced_is_not_written_to() {
    let fresh = filled(3).await;
    let (there, away) = (
        fresh.place.folder().expect("a folder").join("journal.db"),
        fresh.place.folder().expect("a folder").join("away.db"),
    );
    let append = async || {
        fresh
            .store
            .envelope_append(&scope(), vec![arrival(4)])
            .await
    };
    for is_replaced in [false, true] {
        std::fs::rename(&there, &away).expect("it is there");
        if is_replaced {
            std::fs::copy(&away, &there).expect("a copy");
        }
        let refused = append().await.expect_err("it is not there");
        assert_eq!(refused.trouble(), Some(Trouble::Gone), "{refused}");
        std::fs::rename(&away, &there).expect("it is there");
    }
    let appended = append().await.expect("it is back");
    assert_eq!(appended.first, Position(4));
}
