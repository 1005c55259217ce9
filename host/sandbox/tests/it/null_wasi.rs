//! A hostile guest that was written by hand tries all that WASI would let it do.
//! `tests/wasi` has the attempts, and what comes of each.

use std::path::PathBuf;

use faultline_domain::decode::Decoder as _;
use faultline_domain::fault::Fault;
use faultline_domain::plugin::CallError;
use faultline_domain::poll::Poller as _;
use faultline_sandbox::{InstanceSpec, LoadError, Loaded, Role};
use serde::Deserialize;

use crate::made::component;
use crate::{Bench, envelope, spec};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attempts {
    attempt: Vec<Attempt>,
}

/// What is tried, and what is to come of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attempt {
    name: String,
    imports: String,
    does: String,
    world: Option<String>,
    /// Whether it is tried while it fetches, and not while it decodes.
    #[serde(default)]
    polls: bool,
    /// What it sees.
    sees: Option<String>,
    /// It sees something, and the same each time.
    #[serde(default)]
    repeats: bool,
    /// What stops it, and what is said then.
    code: Option<String>,
    message: Option<String>,
    /// Why it is not even loaded.
    refused: Option<String>,
    /// The function that is on record as denied.
    denied: Option<String>,
    /// A limit that costs it only what is over.
    over: Option<String>,
}

fn text_of(name: &str) -> String {
    let home = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/wasi");
    std::fs::read_to_string(home.join(name)).expect(name)
}

fn load(bench: &Bench, wasm: &[u8]) -> Result<Loaded, LoadError> {
    let spec = InstanceSpec {
        wasi: true,
        ..spec()
    };
    let role = Role::Connector {
        family: "test".to_owned(),
    };
    bench.sandbox.load(spec, role, wasm, &[])
}

/// Lets it try, and gives what it sees.
fn make(loaded: &Loaded) -> Result<String, Fault> {
    let seen = match loaded {
        Loaded::Connector(connector) => {
            let envelope = envelope("x");
            let answers = connector.decode(&[&envelope]);
            answers
                .map_err(|failure| failure.to_fault())?
                .remove(0)
                .map(|_| ())
        }
        Loaded::Poller(_, poller) => match poller.poll(None, 1) {
            Ok(_) => Ok(()),
            Err(CallError::Fault(fault)) => Err(fault),
            Err(CallError::Failure(failure)) => return Err(failure.to_fault()),
        },
        _ => panic!("neither decodes nor polls"),
    };
    // What it sees is the message of its fault.
    let fault = seen.expect_err("shows something");
    assert_eq!(fault.code, "", "{fault}");
    Ok(fault.message)
}

impl Attempt {
    fn wasm(&self) -> Vec<u8> {
        let (imports, does, shell) = (&self.imports, &self.does, text_of("shell.wat"));
        let poll = "(func (export \"faultline:plugin/poll@0.1.0#poll\")
            (param i32 i32 i32 i32) (result i32)
            (call $attempt) (i32.const 524288))";
        let (world, poll) = if self.polls {
            ("polling", poll)
        } else {
            ("decoding", "")
        };
        let module = format!("(module {imports} {shell} (func $attempt {does}) {poll})");
        let worlds = self.world.clone().unwrap_or_else(|| text_of("world.wit"));
        component(&module, &worlds, world)
    }

    fn check(&self, bench: &Bench) -> Result<(), String> {
        let wasm = self.wasm();
        let loaded = match (load(bench, &wasm), &self.refused) {
            (Err(error), Some(refused)) if error.to_string().contains(refused) => return Ok(()),
            (Err(error), _) => return Err(format!("refused: {error}")),
            (Ok(_), Some(_)) => return Err("is let in".to_owned()),
            (Ok(loaded), None) => loaded,
        };
        let before = bench.services.recorded().len();
        let came_of_it = make(&loaded);
        let failures = loaded.usage().failures;
        let rows = bench
            .services
            .rows
            .lock()
            .expect("no panic")
            .split_off(before);
        let on_record = |action: &str| rows.iter().any(|row| row.action == action);
        match (&came_of_it, &self.code) {
            (Ok(seen), None) if self.repeats => {
                if seen.len() < 16 || make(&loaded).as_ref() != Ok(seen) {
                    return Err(format!("sees {seen}, and then something else"));
                }
            }
            (Ok(seen), None) if Some(seen) == self.sees.as_ref() => {}
            (Err(fault), Some(code)) => {
                let message = self.message.as_deref().unwrap_or_default();
                if fault.code != *code || !fault.message.starts_with(message) {
                    return Err(format!("ends with {}: {}", fault.code, fault.message));
                }
                // Named the same in metrics and on the audit log.
                if failures.get(code.as_str()) != Some(&1) || !on_record(code) {
                    return Err(format!("counted as {failures:?}, recorded as {rows:?}"));
                }
            }
            _ => return Err(format!("{came_of_it:?}")),
        }
        if let Some(over) = &self.over
            && (failures.get(over.as_str()) != Some(&1) || !on_record(over))
        {
            return Err(format!("counted as {failures:?}, recorded as {rows:?}"));
        }
        let denials = rows.iter().filter(|row| row.action == "wasi");
        let denials: Vec<&str> = denials.map(|row| row.detail.as_str()).collect();
        let denied = loaded.usage().denied_by_use.get("wasi").copied();
        match &self.denied {
            Some(function) => {
                let [row] = denials.as_slice() else {
                    return Err(format!("denied, and recorded: {denials:?}"));
                };
                if !row.contains(&format!("\"{function}\"")) || denied != Some(1) {
                    return Err(format!("denied {denied:?} times, and recorded: {row}"));
                }
            }
            None if denials.is_empty() && denied.is_none() => {}
            None => return Err(format!("denied: {denials:?}")),
        }
        Ok(())
    }
}

#[test]
fn whatever_it_tries_it_finds_nothing_or_is_stopped_by_name() {
    let bench = Bench::new();
    let Attempts { attempt: attempts } =
        toml::from_str(&text_of("attempts.toml")).expect("attempts");
    assert!(attempts.len() > 25, "where are they?");
    let failed: Vec<String> = attempts
        .iter()
        .filter_map(|attempt| {
            let came_of_it = attempt.check(&bench);
            came_of_it
                .err()
                .map(|what| format!("{}: {what}", attempt.name))
        })
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
