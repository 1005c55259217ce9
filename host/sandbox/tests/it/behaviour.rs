//! Each way to misbehave ends at its limit, by name, in the answer, in the
//! counts and on the audit log; and the neighbour is served.

use std::sync::Arc;
use std::time::{Duration, Instant};

use faultline_domain::decode::{Decoded, Decoder};
use faultline_domain::fault::Fault;
use faultline_domain::plugin::Limits;
use faultline_domain::signal::Signal;
use faultline_sandbox::{Loaded, WasmConnector};

use crate::{Bench, envelope};

fn connector(loaded: &Loaded) -> Arc<WasmConnector> {
    match loaded {
        Loaded::Connector(connector) => Arc::clone(connector),
        _ => panic!("not a connector"),
    }
}

fn limits() -> Limits {
    Limits {
        cpu_per_call: Duration::from_millis(200),
        items: 1_000,
        ..Limits::default()
    }
}

/// As the stages do it: together, and one by one where that fails.
fn decode(loaded: &Loaded, bodies: &[&str]) -> Vec<Result<Decoded, Fault>> {
    let envelopes: Vec<_> = bodies.iter().map(|body| envelope(body)).collect();
    let envelopes: Vec<_> = envelopes.iter().collect();
    match connector(loaded).decode(&envelopes) {
        Ok(answers) => answers,
        Err(failure) if envelopes.len() == 1 => vec![Err(failure.to_fault())],
        Err(_) => bodies
            .iter()
            .map(|body| decode(loaded, &[body]).remove(0))
            .collect(),
    }
}

/// The code of the fault that a behaviour ends in.
fn code_of(bench: &Bench, behaviour: &str) -> String {
    let config = format!(r#"{{"behaviour": "{behaviour}"}}"#);
    let loaded = bench.load("hostile", &config, limits()).expect("loads");
    let began = Instant::now();
    let fault = decode(&loaded, &["x"]).remove(0).expect_err(behaviour);
    assert!(began.elapsed() < Duration::from_secs(5), "{behaviour}");
    let failures = loaded.usage().failures;
    assert_eq!(
        failures.get(fault.code.as_str()),
        Some(&1),
        "{behaviour}: {failures:?}"
    );
    let recorded = bench.services.recorded();
    let expected = format!("event {}", fault.code);
    assert!(recorded.contains(&expected), "{behaviour}: {recorded:?}");
    fault.code
}

#[test]
fn every_limit_has_a_name() {
    let bench = Bench::new();
    for (behaviour, code) in [
        ("loop", "limit.cpu"),
        ("grow", "limit.memory"),
        ("hoard", "limit.memory"),
        ("trap", "trap"),
        ("recurse", "limit.stack"),
        ("huge", "limit.output"),
        ("many", "limit.items"),
        ("chatter", "limit.host-calls"),
    ] {
        assert_eq!(code_of(&bench, behaviour), code, "{behaviour}");
    }
}

#[test]
fn the_neighbour_is_served_meanwhile() {
    let bench = Bench::new();
    let looping = bench
        .load("hostile", r#"{"behaviour": "loop"}"#, limits())
        .expect("loads");
    let good = bench.load("hostile", "{}", limits()).expect("loads");
    std::thread::scope(|scope| {
        let hostile = scope.spawn(|| decode(&looping, &["x"]));
        while !hostile.is_finished() {
            assert!(decode(&good, &["x"])[0].is_ok());
        }
    });
    assert!(good.usage().calls > 10);
    assert!(good.usage().failures.is_empty());
}

#[test]
fn one_bad_envelope_costs_only_itself() {
    let bench = Bench::new();
    let loaded = bench.load("hostile", "{}", limits()).expect("loads");
    let answers = decode(&loaded, &["behave", "trap", "behave", "loop", "behave"]);
    let codes: Vec<&str> = answers
        .iter()
        .map(|answer| {
            answer
                .as_ref()
                .map_or_else(|fault| fault.code.as_str(), |_| "ok")
        })
        .collect();
    assert_eq!(codes, ["ok", "trap", "ok", "limit.cpu", "ok"]);
    let Ok(decoded) = &answers[0] else {
        panic!("should be an answer")
    };
    assert!(matches!(&decoded.signals[0], Signal::Alert(alert) if alert.title == "it behaves"));
}

#[test]
fn memory_of_one_call_is_not_seen_by_the_next() {
    let bench = Bench::new();
    let loaded = bench.load("hostile", "{}", limits()).expect("loads");
    for _ in 0..50 {
        assert!(decode(&loaded, &["behave"])[0].is_ok());
    }
    let usage = loaded.usage();
    assert_eq!(usage.calls, 50);
    assert!(usage.memory_peak_bytes < 4 << 20, "{usage:?}");
    assert!(usage.cpu > Duration::ZERO);
}

#[test]
fn more_memory_than_the_limit_is_a_matter_of_the_limit() {
    let bench = Bench::new();
    let generous = Limits {
        memory_bytes: 600 << 20,
        cpu_per_call: Duration::from_secs(20),
        wall_per_call: Duration::from_secs(20),
        ..Limits::default()
    };
    let loaded = bench
        .load("hostile", r#"{"behaviour": "hoard"}"#, generous)
        .expect("loads");
    let answer = decode(&loaded, &["x"]).remove(0).expect("enough memory");
    assert!(matches!(&answer.signals[0], Signal::Alert(alert) if alert.title == "536870912 bytes"));
    assert!(loaded.usage().memory_peak_bytes > 512 << 20);
}

#[test]
fn lines_over_the_budget_are_dropped_and_counted() {
    let bench = Bench::new();
    let patient = Limits {
        host_calls: 2_000_000,
        cpu_per_call: Duration::from_secs(30),
        wall_per_call: Duration::from_secs(60),
        log_bytes_per_minute: 1_000,
        ..Limits::default()
    };
    let loaded = bench
        .load("hostile", r#"{"behaviour": "chatter"}"#, patient)
        .expect("loads");
    assert!(decode(&loaded, &["x"])[0].is_ok());
    let usage = loaded.usage();
    // The call that reads the configuration, and those that write.
    assert_eq!(usage.host_calls, 100_001);
    assert!(usage.log_lines_dropped > 99_900, "{usage:?}");
}

#[test]
fn failures_that_repeat_are_counted_but_not_recorded_each() {
    let bench = Bench::new();
    let loaded = bench
        .load("hostile", r#"{"behaviour": "trap"}"#, limits())
        .expect("loads");
    for _ in 0..20 {
        assert!(decode(&loaded, &["x"])[0].is_err());
    }
    assert_eq!(loaded.usage().failures.get("trap"), Some(&20));
    assert_eq!(bench.services.recorded(), ["event trap"]);
}
