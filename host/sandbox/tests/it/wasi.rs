//! A component that imports WASI is loaded if its manifest says so, and finds
//! nothing there. The guests are built by `cargo xtask examples`.

use std::sync::Arc;
use std::time::Duration;

use faultline_domain::decode::Decoder as _;
use faultline_domain::fault::Fault;
use faultline_domain::plugin::{Limits, Reuse};
use faultline_domain::signal::Signal;
use faultline_domain::time::Timestamp;
use faultline_sandbox::{InstanceSpec, LoadError, Loaded, WasmConnector};

use crate::{Bench, envelope};

fn load(
    bench: &Bench,
    guest: &str,
    change: impl FnOnce(&mut InstanceSpec),
) -> Result<Arc<WasmConnector>, LoadError> {
    let limits = Limits {
        cpu_per_call: Duration::from_secs(60),
        wall_per_call: Duration::from_secs(240),
        ..Limits::default()
    };
    match bench.load_component(guest, 0, "{}", limits, change)? {
        Loaded::Connector(connector) => Ok(connector),
        _ => panic!("not a connector"),
    }
}

/// What came of an act.
fn act(connector: &WasmConnector, act: &str) -> Result<String, Fault> {
    let mut envelope = envelope(act);
    envelope.arrival.received = Timestamp::from_secs(1_772_366_400);
    let answers = connector.decode(&[&envelope]);
    let answer = answers.map_err(|failure| failure.to_fault())?.remove(0)?;
    match &answer.signals[..] {
        [Signal::Alert(alert)] => Ok(alert.title.clone()),
        other => panic!("{act}: {other:?}"),
    }
}

#[test]
fn it_must_be_declared() {
    let bench = Bench::new();
    let refused = load(&bench, "wasi-javascript", |spec| spec.wasi = false);
    let Err(error) = refused else {
        panic!("should be refused");
    };
    let message = error.to_string();
    assert!(message.contains("imports `wasi:"), "{message}");
    assert!(message.contains("does not say `wasi = true`"), "{message}");
}

#[test]
fn there_is_nothing_in_it() {
    let bench = Bench::new();
    let fresh = |spec: &mut InstanceSpec| spec.reuse = Reuse::Fresh;
    let connector = load(&bench, "wasi-python", fresh).expect("loads");
    // What looks like chance is the same each time.
    for what in ["random", "choice"] {
        let first = act(&connector, what).expect("an answer");
        assert_eq!(act(&connector, what), Ok(first), "{what}");
    }
    for (what, expected) in [
        ("arguments", "[]"),
        ("environment", "{}"),
        ("read", "FileNotFoundError"),
        ("list", "FileNotFoundError"),
        ("write", "FileNotFoundError"),
        ("seconds", "1772366400"),
        ("sleep", "True"),
        ("stdin", "''"),
        ("stdout", "None"),
        ("stderr", "None"),
    ] {
        let answer = act(&connector, what);
        assert_eq!(answer.as_deref(), Ok(expected), "{what}");
    }
    // Which error it is, is the library's own affair.
    for what in ["connect", "listen", "resolve"] {
        let answer = act(&connector, what).expect("an answer");
        assert!(answer.ends_with("rror"), "{what}: {answer}");
    }
    let fault = act(&connector, "exit").expect_err("no answer");
    assert_eq!(fault.code, "trap");
    // However deep in its library it is: the reason stands first.
    let message = &fault.message;
    assert!(message.starts_with("trap: left by `exit"), "{message}");
    assert!(message.contains("` instead of answering"), "{message}");
    // What was refused is counted and on record.
    let usage = Loaded::Connector(Arc::clone(&connector)).usage();
    assert!(usage.denied > 0, "{usage:?}");
    assert!(bench.services.recorded().contains(&"event wasi".to_owned()));
}

#[test]
fn its_clock_is_the_datas_and_its_chance_is_none() {
    let bench = Bench::new();
    let fresh = |spec: &mut InstanceSpec| spec.reuse = Reuse::Fresh;
    let javascript = load(&bench, "wasi-javascript", fresh).expect("loads");
    let random = act(&javascript, "random").expect("an answer");
    assert_eq!(act(&javascript, "random"), Ok(random));
    assert_eq!(act(&javascript, "clock"), Ok("1772366400000".to_owned()));
}

#[test]
fn its_clock_does_not_tell_which_envelopes_came_together() {
    let bench = Bench::new();
    let fresh = |spec: &mut InstanceSpec| spec.reuse = Reuse::Fresh;
    let connector = load(&bench, "wasi-javascript", fresh).expect("loads");
    let received = |what: &str, seconds: u64| {
        let mut envelope = envelope(what);
        envelope.arrival.received = Timestamp::from_secs(1_772_366_400 + seconds);
        envelope
    };
    let envelopes = [
        received("clock", 0),
        received("random", 30),
        received("clock", 60),
    ];
    let all: Vec<_> = envelopes.iter().collect();
    let together = connector.decode(&all).expect("answers");
    let alone = all.iter().map(|envelope| {
        let answers = connector.decode(&[*envelope]);
        answers.expect("answers").remove(0)
    });
    assert_eq!(together, alone.collect::<Vec<_>>());
    assert_ne!(together[0], together[2]);
}

#[test]
fn a_warm_guest_that_remembers_is_found_out() {
    let bench = Bench::new();
    let connector = load(&bench, "wasi-javascript", |_| ()).expect("loads");
    let usage = || Loaded::Connector(Arc::clone(&connector)).usage();
    // It is checked at the first call that a warm guest serves.
    for _ in 0..5 {
        assert_eq!(act(&connector, "count"), Ok("1".to_owned()));
    }
    assert_eq!(usage().failures.get("contract"), Some(&1));
    // Since then there are no warm ones.
    let calls = usage().calls;
    assert_eq!(act(&connector, "count"), Ok("1".to_owned()));
    assert_eq!(usage().calls, calls + 1);
    assert_eq!(usage().failures.get("contract"), Some(&1));
}

#[test]
fn a_warm_guest_that_fails_costs_no_answer() {
    let bench = Bench::new();
    let connector = load(&bench, "wasi-javascript", |_| ()).expect("loads");
    for _ in 0..4 {
        assert_eq!(act(&connector, "count-and-trap"), Ok("1".to_owned()));
    }
    let failures = Loaded::Connector(Arc::clone(&connector)).usage().failures;
    assert_eq!(failures.get("trap"), Some(&3), "{failures:?}");
    assert_eq!(failures.get("contract"), None, "{failures:?}");
}
