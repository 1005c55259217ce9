//! The chain survives concurrent writers, restarts and retention, and shows
//! what was done to it behind the store's back.

use faultline_domain::audit::{Broken, Verifier};
use faultline_store::{AuditFilter, Retention, Store};
use faultline_test_databases::{Database, on_each_database};

use crate::{Fresh, at, entry, scope};

pub(crate) async fn verify(store: &Store) -> Result<u64, Broken> {
    let (sequence, hash) = store.audit_base().await.expect("a base");
    let mut verifier = Verifier::after(sequence, hash);
    let rows = store
        .audit_list(&AuditFilter::default(), 1_000)
        .await
        .expect("rows");
    for row in &rows {
        verifier.next(row)?;
    }
    assert_eq!(verifier.head(), store.audit_head().await.expect("a head"));
    Ok(rows.len() as u64)
}

async fn the_chain_holds(database: Database) {
    let fresh = Fresh::open(database).await;
    assert_eq!(verify(&fresh.store).await, Ok(0));
    let tasks: Vec<_> = (0..10)
        .map(|i| {
            let store = fresh.store.clone();
            tokio::spawn(async move { store.audit_append(entry("plugin.grant", i)).await })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("appends");
    }
    let fresh = fresh.reopen().await;
    fresh
        .store
        .audit_append(entry("token.create", 11))
        .await
        .expect("appends");
    assert_eq!(verify(&fresh.store).await, Ok(11));

    let filter = AuditFilter {
        action: Some("token.".to_owned()),
        ..AuditFilter::default()
    };
    let rows = fresh.store.audit_list(&filter, 10).await.expect("rows");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].entry, entry("token.create", 11));
}

async fn the_latest_rows_can_be_read_first(database: Database) {
    let fresh = Fresh::open(database).await;
    for i in 0..6 {
        let action = if i % 2 == 0 {
            "plugin.grant"
        } else {
            "token.create"
        };
        let appended = fresh.store.audit_append(entry(action, i)).await;
        appended.expect("appends");
    }
    let list = async |action: Option<&str>, before, most| -> Vec<u64> {
        let filter = AuditFilter {
            action: action.map(ToOwned::to_owned),
            ..AuditFilter::default()
        };
        let rows = fresh.store.audit_list_latest(&filter, before, most).await;
        rows.expect("rows").iter().map(|row| row.sequence).collect()
    };
    assert_eq!(list(None, None, 4).await, [6, 5, 4, 3]);
    assert_eq!(list(None, Some(3), 4).await, [2, 1]);
    assert_eq!(list(Some("token."), Some(6), 4).await, [4, 2]);
    assert_eq!(list(None, Some(u64::MAX), 1).await, [6]);
}

async fn retention_keeps_the_chain_verifiable(database: Database) {
    let fresh = Fresh::open(database).await;
    for i in 0..10 {
        let appended = fresh.store.audit_append(entry("test", 100 + i)).await;
        appended.expect("appends");
    }
    let retention = Retention::default();
    let now = at(105).plus(retention.audit);
    let swept = fresh.store.sweep(&scope(), &retention, now).await;
    assert_eq!(swept.expect("sweeps").audit_rows, 5);
    // Five that are left, and the row that says that five went.
    assert_eq!(verify(&fresh.store).await, Ok(6));
}

async fn tampering_shows(database: Database) {
    let fresh = Fresh::open(database).await;
    for i in 0..5 {
        let appended = fresh.store.audit_append(entry("test", i)).await;
        appended.expect("appends");
    }
    let tamper = fresh.tables().await;
    sqlx::query("update audit set actor = 'somebody else' where sequence = 3")
        .execute(&tamper)
        .await
        .expect("writes");
    assert_eq!(verify(&fresh.store).await, Err(Broken::Content(3)));
    sqlx::query("delete from audit where sequence = 3")
        .execute(&tamper)
        .await
        .expect("writes");
    let gap = Broken::Gap {
        expected: 3,
        found: 4,
    };
    assert_eq!(verify(&fresh.store).await, Err(gap));
}

on_each_database!(
    the_chain_holds,
    the_latest_rows_can_be_read_first,
    retention_keeps_the_chain_verifiable,
    tampering_shows,
);
