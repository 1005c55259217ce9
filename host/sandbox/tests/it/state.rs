//! `kv`: checked, recorded, done; in this order.

use std::sync::Arc;
use std::time::Duration;

use faultline_domain::audit::Stage;
use faultline_domain::decode::Decoder as _;
use faultline_domain::plugin::{CallError, Limits};
use faultline_domain::poll::{Page, Poller as _};
use faultline_sandbox::{Loaded, WasmConnector, WasmPoller};

use crate::{Bench, envelope};

fn keeper(bench: &Bench, config: &str, granted: bool) -> (Arc<WasmConnector>, Arc<WasmPoller>) {
    let limits = Limits {
        kv_bytes: 1_000,
        ..Limits::default()
    };
    match bench.load_granted("keeper", config, limits, granted) {
        Ok(Loaded::Poller(connector, poller)) => (connector, poller),
        Ok(_) => panic!("not a poller"),
        Err(error) => panic!("{error}"),
    }
}

fn fault_code(answer: Result<Page, CallError>) -> String {
    match answer {
        Err(CallError::Fault(fault)) => fault.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_poller_keeps_what_it_may() {
    let bench = Bench::new();
    let (_, poller) = keeper(&bench, r#"{"keys": 3}"#, true);
    let page = poller.poll(None, 2).expect("a page");
    assert_eq!(page.cursor(), b"1");
    let next = poller.poll(Some(page.cursor()), 2).expect("a page");
    assert_eq!(next.cursor(), b"2");
    let bodies: Vec<String> = page
        .into_payloads()
        .into_iter()
        .map(|payload| {
            assert_eq!(payload.content_type, "text/plain");
            String::from_utf8_lossy(&payload.body).into_owned()
        })
        .collect();
    assert_eq!(bodies, ["key/000 at 1", "key/001 at 1"]);
    let expected = [
        "intent kv.commit",
        "outcome kv.commit",
        "intent kv.scan",
        "outcome kv.scan",
    ];
    assert_eq!(bench.services.recorded()[..4], expected);
}

#[test]
fn without_a_grant_it_is_told_so_and_that_is_recorded() {
    let bench = Bench::new();
    let (_, poller) = keeper(&bench, "{}", false);
    assert_eq!(fault_code(poller.poll(None, 1)), "denied");
    assert_eq!(bench.services.recorded(), ["event kv.commit"]);
    assert!(bench.services.items.lock().expect("no panic").is_empty());
}

#[test]
fn there_is_no_state_while_decoding() {
    let bench = Bench::new();
    let (connector, _) = keeper(&bench, r#"{"while_decoding": true}"#, true);
    let envelope = envelope("x");
    let fault = connector
        .decode(&[&envelope])
        .expect("answers")
        .remove(0)
        .expect_err("denied");
    assert_eq!(fault.code, "denied");
    assert!(
        fault.message.contains("during `decode`"),
        "{}",
        fault.message
    );
}

#[test]
fn what_cannot_be_recorded_is_not_done() {
    let bench = Bench::new();
    let (_, poller) = keeper(&bench, "{}", true);
    *bench.services.audit_fails.lock().expect("no panic") = true;
    assert_eq!(fault_code(poller.poll(None, 1)), "unavailable");
    assert!(bench.services.items.lock().expect("no panic").is_empty());
}

#[test]
fn of_a_write_that_nobody_waited_for_it_is_not_known_how_it_ended() {
    let bench = Bench::new();
    let limits = Limits {
        wall_per_call: Duration::from_millis(300),
        ..Limits::default()
    };
    let Ok(Loaded::Poller(_, poller)) = bench.load_granted("keeper", "{}", limits, true) else {
        panic!("not a poller")
    };
    *bench.services.commits_hang.lock().expect("no panic") = true;
    assert!(poller.poll(None, 1).is_err());
    assert!(!bench.services.items.lock().expect("no panic").is_empty());
    let rows = bench.services.rows.lock().expect("no panic");
    let outcome = &rows[1].stage;
    assert!(
        matches!(outcome, Stage::Outcome { result, .. } if result == "unknown"),
        "{outcome:?}"
    );
}

#[test]
fn the_quota_and_the_sizes_hold() {
    let bench = Bench::new();
    let (_, poller) = keeper(&bench, r#"{"keys": 5, "value_bytes": 300}"#, true);
    assert_eq!(fault_code(poller.poll(None, 1)), "limit.kv");
    let (_, poller) = keeper(&bench, r#"{"keys": 1, "value_bytes": 1100000}"#, true);
    assert_eq!(fault_code(poller.poll(None, 1)), "malformed");
    let (_, poller) = keeper(&bench, r#"{"keys": 1001}"#, true);
    assert_eq!(fault_code(poller.poll(None, 1)), "malformed");
}
