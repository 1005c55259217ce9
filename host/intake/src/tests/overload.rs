//! More than can be taken: told at once, and with when to come back.

use axum::http::StatusCode;
use faultline_domain::envelope::Position;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

use super::bench::{Answer, Bench, MemoryJournal};
use crate::endpoint::Endpoint;
use crate::limits::ListenerLimits;

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const ALERT: &str = r#"[{"labels":{"alertname":"Down"}}]"#;

async fn alert(bench: &Bench) -> Answer {
    bench.post("/api/v2/alerts", JSON, ALERT).await
}

fn check_refused(bench: &Bench, answer: &Answer, status: u16, outcome: &'static str, wait: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    assert_eq!(answer.header("retry-after"), wait);
    assert!(bench.metrics.requests(Endpoint::Alerts, outcome) > 0);
}

#[tokio::test]
async fn who_sends_too_often_has_to_wait() {
    let limits = ListenerLimits {
        sender_requests_per_second_max: 1,
        sender_requests_burst_max: 2,
        ..ListenerLimits::default()
    };
    let bench = Bench::with(limits, MemoryJournal::default());
    for _ in 0..3 {
        assert_eq!(alert(&bench).await.status, StatusCode::OK);
    }
    check_refused(&bench, &alert(&bench).await, 429, "rate-limited", "1");
    bench.advance_millis(1_000);
    assert_eq!(alert(&bench).await.status, StatusCode::OK);
    assert_eq!(bench.stored().len(), 4);
}

#[tokio::test]
async fn who_sends_too_much_has_to_wait() {
    let limits = ListenerLimits {
        sender_bytes_per_second_max: 10,
        sender_bytes_burst_max: 10,
        ..ListenerLimits::default()
    };
    let bench = Bench::with(limits, MemoryJournal::default());
    assert_eq!(alert(&bench).await.status, StatusCode::OK);
    check_refused(&bench, &alert(&bench).await, 429, "rate-limited", "3");
    bench.advance_millis(2_400);
    assert_eq!(alert(&bench).await.status, StatusCode::OK);
}

#[tokio::test]
async fn senders_wait_while_the_work_is_behind() {
    let limits = ListenerLimits {
        backlog_envelopes_max: 2,
        ..ListenerLimits::default()
    };
    let bench = Bench::with(limits, MemoryJournal::default());
    for _ in 0..3 {
        assert_eq!(alert(&bench).await.status, StatusCode::OK);
    }
    check_refused(&bench, &alert(&bench).await, 503, "behind", "5");
    bench.backlog.worked(Position(1));
    assert_eq!(alert(&bench).await.status, StatusCode::OK);

    let limits = ListenerLimits {
        backlog_bytes_max: 40,
        ..ListenerLimits::default()
    };
    let bench = Bench::with(limits, MemoryJournal::default());
    for _ in 0..2 {
        assert_eq!(alert(&bench).await.status, StatusCode::OK);
    }
    check_refused(&bench, &alert(&bench).await, 503, "behind", "5");
}

#[tokio::test]
async fn a_journal_that_fails_is_no_acknowledgement() {
    let journal = MemoryJournal {
        fails: true,
        ..MemoryJournal::default()
    };
    let bench = Bench::with(ListenerLimits::default(), journal);
    check_refused(&bench, &alert(&bench).await, 503, "unavailable", "5");
    check_refused(&bench, &alert(&bench).await, 503, "unavailable", "5");
    assert_eq!(bench.stored(), []);
}

/// A journal that takes nothing until it is told to.
fn held() -> MemoryJournal {
    MemoryJournal {
        appends: Semaphore::new(0).into(),
        ..MemoryJournal::default()
    }
}

/// Lets everything run that can.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_full_queue_and_too_many_requests_are_told_apart() {
    let limits = ListenerLimits {
        queue_envelopes_max: 2,
        requests_in_flight_max: 5,
        batch_envelopes_max: 2,
        ..ListenerLimits::default()
    };
    let bench = Bench::with(limits, held());
    let first = alert(&bench);
    let more = async {
        settle().await;
        // One is being written, two wait.
        let waiting = futures(&bench, 2);
        let refused = async {
            settle().await;
            check_refused(&bench, &alert(&bench).await, 503, "queue-full", "5");
            bench.journal.appends.add_permits(10);
        };
        let (answers, ()) = tokio::join!(waiting, refused);
        assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    };
    let (first, ()) = tokio::join!(first, more);
    assert_eq!(first.status, StatusCode::OK);
    let sizes: Vec<_> = batch_sizes(&bench);
    assert_eq!(sizes, [1, 2], "what waited was written together");

    let bench = Bench::with(
        ListenerLimits {
            requests_in_flight_max: 1,
            ..limits
        },
        held(),
    );
    let refused = async {
        settle().await;
        check_refused(&bench, &alert(&bench).await, 503, "requests-in-flight", "5");
        bench.journal.appends.add_permits(10);
    };
    let (first, ()) = tokio::join!(alert(&bench), refused);
    assert_eq!(first.status, StatusCode::OK);
}

async fn futures(bench: &Bench, count: usize) -> Vec<Answer> {
    match count {
        2 => {
            let (a, b) = tokio::join!(alert(bench), alert(bench));
            vec![a, b]
        }
        _ => Vec::new(),
    }
}

fn batch_sizes(bench: &Bench) -> Vec<usize> {
    let batches = bench.journal.batches.lock().expect("unpoisoned");
    batches.iter().map(Vec::len).collect()
}

#[tokio::test]
async fn memory_for_bodies_is_bounded_and_comes_back() {
    let limits = ListenerLimits {
        bytes_in_flight_max: 100,
        ..ListenerLimits::default()
    };
    let bench = Bench::with(limits, held());
    let others = async {
        settle().await;
        let long = format!(r#"[{{"labels":{{"alertname":"{}"}}}}]"#, "x".repeat(60));
        let answer = bench.post("/api/v2/alerts", JSON, long.clone()).await;
        check_refused(&bench, &answer, 503, "bytes-in-flight", "5");
        bench.journal.appends.add_permits(10);
        long
    };
    let (first, long) = tokio::join!(alert(&bench), others);
    assert_eq!(first.status, StatusCode::OK);
    let answer = bench.post("/api/v2/alerts", JSON, long).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn everything_is_counted_and_shown() {
    let bench = Bench::new();
    alert(&bench).await;
    bench
        .post("/api/v2/alerts", JSON, r#"[{"labels":{"a":"b"}},{}]"#)
        .await;
    bench.post("/api/v2/alerts", JSON, "no").await;
    let mut registry = Registry::default();
    bench.metrics.register(&mut registry);
    let mut shown = String::new();
    encode(&mut shown, &registry).expect("memory");
    for line in [
        r#"faultline_intake_requests_total{endpoint="alertmanager-alerts",outcome="accepted"} 1"#,
        r#"faultline_intake_requests_total{endpoint="alertmanager-alerts",outcome="partial"} 1"#,
        r#"faultline_intake_requests_total{endpoint="alertmanager-alerts",outcome="malformed"} 1"#,
        r#"faultline_intake_items_total{endpoint="alertmanager-alerts"} 2"#,
        r#"faultline_intake_items_rejected_total{endpoint="alertmanager-alerts"} 1"#,
        r#"faultline_intake_body_bytes_total{endpoint="alertmanager-alerts"} 58"#,
        r#"faultline_intake_request_seconds_count{endpoint="alertmanager-alerts"} 3"#,
        "faultline_intake_requests_in_flight 0",
        "faultline_intake_envelopes_appended_total 2",
        "faultline_intake_appended_bytes_total 58",
        "faultline_intake_appends_total 2",
        "faultline_intake_append_failures_total 0",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
}
