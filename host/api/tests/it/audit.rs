//! The audit log, read and checked.

use axum::http::Method;
use faultline_domain::access::Role;
use faultline_domain::audit::GENESIS;
use serde_json::json;

use crate::{Bench, encoded};

const VERIFY: &str = "/api/v1/audit/verify";

async fn with_rows(count: u32) -> Bench {
    let bench = Bench::open().await;
    for i in 0..count {
        let body = json!({"name": format!("ci-{i}"), "purpose": "ingest"});
        let made = bench
            .with_json(Method::POST, Role::Admin, "/api/v1/tokens", &body)
            .await;
        made.expect(201);
    }
    bench
}

#[tokio::test]
async fn rows_are_read_from_either_end() {
    let bench = with_rows(3).await;
    let sequences = async |path: &str, limit| -> Vec<u64> {
        let rows = bench.walk(Role::Operator, path, limit).await;
        rows.iter()
            .filter_map(|row| row["sequence"].as_u64())
            .collect()
    };
    // The bench made the first five.
    for limit in [1, 3, 500] {
        assert_eq!(
            sequences("/api/v1/audit", limit).await,
            [8, 7, 6, 5, 4, 3, 2, 1]
        );
        let oldest = sequences("/api/v1/audit?order=oldest", limit).await;
        assert_eq!(oldest, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(
            sequences("/api/v1/audit?actor=token:admin", limit).await,
            [8, 7, 6]
        );
    }
    assert_eq!(sequences("/api/v1/audit?action=token.", 3).await.len(), 8);
    assert!(
        sequences("/api/v1/audit?action=plugin.", 3)
            .await
            .is_empty()
    );
    // To follow it.
    let path = "/api/v1/audit?order=oldest&after=7";
    let page = bench.get(Role::Operator, path).await.expect(200);
    assert_eq!(page["items"][0]["sequence"], 8);
    assert_eq!(page["items"][0]["stage"], "event");
}

#[tokio::test]
async fn the_chain_is_checked_from_where_it_is_known() {
    let bench = with_rows(3).await;
    let whole = bench.get(Role::Operator, VERIFY).await.expect(200);
    assert_eq!(whole["intact"], true, "{whole}");
    assert_eq!(whole["complete"], true);
    assert_eq!((&whole["rows"], &whole["sequence"]), (&json!(8), &json!(8)));
    let kept = whole["hash"].as_str().expect("a hash");
    let from = async |after: u64, hash: &str| {
        let path = format!("{VERIFY}?after={after}&hash={}", encoded(hash));
        bench.get(Role::Operator, &path).await.expect(200)
    };
    let nothing_new = from(8, kept).await;
    assert_eq!(
        (&nothing_new["intact"], &nothing_new["rows"]),
        (&json!(true), &json!(0))
    );

    let body = json!({"name": "later", "purpose": "ingest"});
    bench
        .with_json(Method::POST, Role::Admin, "/api/v1/tokens", &body)
        .await
        .expect(201);
    let one_more = from(8, kept).await;
    assert_eq!(
        (&one_more["intact"], &one_more["rows"]),
        (&json!(true), &json!(1))
    );

    // Rows that were rewritten, and an end that was cut off, show to whom kept
    // a hash.
    let rewritten = from(7, kept).await;
    assert_eq!(rewritten["intact"], false);
    assert_eq!(rewritten["broken"]["sequence"], 8);
    let last_rewritten = from(9, kept).await;
    assert_eq!(last_rewritten["broken"]["sequence"], 9);
    let cut_off = from(20, kept).await;
    assert_eq!(
        (&cut_off["intact"], &cut_off["complete"]),
        (&json!(false), &json!(false))
    );
    let reason = cut_off["broken"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("ends at row 9"), "{reason}");
}

#[tokio::test]
async fn rows_that_are_gone_as_far_as_one_request_goes_are_a_break() {
    let bench = Bench::with_audit_after(200_000).await;
    // As somebody leaves it who would have it that nothing was there before.
    let base = format!("0 {GENESIS}");
    let written = bench.store.setting_put("audit.base", &base).await;
    written.expect("writes");
    let verdict = bench.get(Role::Operator, VERIFY).await.expect(200);
    assert_eq!(verdict["intact"], false, "{verdict}");
    assert_eq!(verdict["broken"]["sequence"], 200_001, "{verdict}");
}
