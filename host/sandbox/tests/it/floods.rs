//! Guests that do what they may, or may not, over and over: what they do is
//! done at their own expense, and what is said of them stays short.

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use faultline_domain::decode::Decoder as _;
use faultline_domain::grant::Use;
use faultline_domain::plugin::CallError;
use faultline_domain::poll::Poller as _;
use faultline_sandbox::{InstanceSpec, Item, Loaded, Role};

use crate::made::component;
use crate::{Bench, bundle, envelope, grants, spec};

const WORLD: &str = "
    package tests:floods;
    world guest {
        import faultline:plugin/log@0.1.0;
        import faultline:plugin/kv@0.1.0;
        export faultline:plugin/decode@0.1.0;
        export faultline:plugin/poll@0.1.0;
    }
";

/// A guest that does this while it decodes, and while it fetches.
fn load(bench: &Bench, imports: &str, does: &str, granted: bool) -> Loaded {
    let home = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/wasi");
    let shell = std::fs::read_to_string(home.join("shell.wat")).expect("the shell");
    let module = format!(
        "(module {imports} {shell} (func $attempt {does})
            (func (export \"faultline:plugin/poll@0.1.0#poll\")
                (param i32 i32 i32 i32) (result i32)
                (call $attempt) (i32.const 524288)))"
    );
    let wasm = component(&module, WORLD, "guest");
    // What the keeper asks for: `kv`.
    let keeper = bundle("keeper");
    let requested = &keeper.manifest().components[0].capabilities;
    let spec = InstanceSpec {
        grants: grants(requested, granted),
        ..spec()
    };
    let role = Role::Connector {
        family: "test".to_owned(),
    };
    match bench.sandbox.load(spec, role, &wasm, &[Use::Kv]) {
        Ok(loaded) => loaded,
        Err(error) => panic!("{error}"),
    }
}

/// What it shows while it decodes; or how it is stopped.
fn decode(loaded: &Loaded) -> Result<String, (String, String)> {
    let Loaded::Poller(connector, _) = loaded else {
        panic!("not a poller")
    };
    match connector.decode(&[&envelope("x")]) {
        Ok(answers) => Ok(answers[0].clone().expect_err("shows something").message),
        Err(failure) => Err((failure.code().to_owned(), failure.to_string())),
    }
}

/// What it shows while it fetches.
fn fetch(loaded: &Loaded) -> String {
    let Loaded::Poller(_, poller) = loaded else {
        panic!("not a poller")
    };
    match poller.poll(None, 1) {
        Err(CallError::Fault(fault)) => fault.message,
        other => panic!("{other:?}"),
    }
}

fn hex(text: &str) -> String {
    HEXLOWER.encode(text.as_bytes())
}

#[test]
fn what_is_denied_a_thousand_times_is_recorded_twenty_times_and_counted() {
    let bench = Bench::new();
    let loaded = load(
        &bench,
        r#"(import "faultline:plugin/kv@0.1.0" "get" (func $get (param i32 i32 i32)))"#,
        "(local $left i32)
         (local.set $left (i32.const 1000))
         (loop $again
           (call $get (i32.const 0) (i32.const 0) (i32.const 64))
           (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
         ;; The code of the fault.
         (call $show (i32.load (i32.const 72)) (i32.load (i32.const 76)))",
        false,
    );
    assert_eq!(decode(&loaded), Ok(hex("denied")));
    assert_eq!(loaded.usage().denied_by_use.get("kv"), Some(&1_000));
    assert_eq!(bench.services.recorded(), ["event kv.get"; 20]);
    // For another reason it is another denial.
    assert_eq!(fetch(&loaded), hex("denied"));
    assert_eq!(bench.services.recorded().len(), 40);
}

#[test]
fn a_value_is_not_multiplied_by_asking_for_it_often() {
    let bench = Bench::new();
    let item = Item {
        key: "a".to_owned(),
        value: vec![7; 1 << 20],
        version: 1,
    };
    let mut items = bench.services.items.lock().expect("no panic");
    items.insert("a".to_owned(), item);
    drop(items);
    let loaded = load(
        &bench,
        r#"(import "faultline:plugin/kv@0.1.0" "get" (func $get (param i32 i32 i32)))"#,
        "(local $left i32) (local $at i32)
         (i32.store8 (i32.const 128) (i32.const 97))
         (local.set $left (i32.const 1000))
         (local.set $at (i32.const 700000))
         (loop $again
           (i32.store (local.get $at) (i32.const 128))
           (i32.store (i32.add (local.get $at) (i32.const 4)) (i32.const 1))
           (local.set $at (i32.add (local.get $at) (i32.const 8)))
           (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
         (call $get (i32.const 700000) (i32.const 1000) (i32.const 64))
         (call $show (i32.load (i32.const 72)) (i32.load (i32.const 76)))",
        true,
    );
    assert_eq!(fetch(&loaded), hex("limit.memory"));
    assert_eq!(loaded.usage().failures.get("limit.memory"), Some(&1));
    let rows = bench.services.rows.lock().expect("no panic");
    let outcome = &rows.last().expect("recorded").stage;
    assert!(
        format!("{outcome:?}").contains("limit.memory"),
        "{outcome:?}"
    );
}

#[test]
fn megabytes_that_nobody_reads_are_handed_over_at_the_guests_expense() {
    let bench = Bench::new();
    let loaded = load(
        &bench,
        r#"(import "faultline:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#,
        "(drop (memory.grow (i32.const 200)))
         (memory.fill (i32.const 0) (i32.const 120) (i32.const 13000000))
         (loop $again
           (call $log (i32.const 0) (i32.const 0) (i32.const 13000000))
           (br $again))",
        false,
    );
    let (code, text) = decode(&loaded).expect_err("never comes back");
    assert_eq!(code, "limit.cpu", "{text}");
}

#[test]
fn a_trap_is_called_by_its_cause_whatever_functions_are_called() {
    let bench = Bench::new();
    // As the engine calls another failure; and long enough to leave no room.
    let name = "fuel allocated for hostcalls has been exhausted";
    let long = "x".repeat(5_000);
    let functions = format!(r#"(func $"{long}" unreachable) (func $"{name}" (call $"{long}"))"#);
    let loaded = load(&bench, &functions, &format!(r#"(call $"{name}")"#), false);
    let (code, text) = decode(&loaded).expect_err("traps");
    assert_eq!(code, "trap");
    let cause = "trap: wasm trap: wasm `unreachable` instruction executed; ";
    assert!(text.starts_with(cause), "{text}");
    assert!(text.contains("xxx"), "{text}");
    assert!(text.len() <= 1_010, "{}", text.len());
}

#[test]
fn what_is_put_on_the_audit_log_has_an_end_of_its_own() {
    let bench = Bench::new();
    let loaded = load(
        &bench,
        r#"(import "faultline:plugin/kv@0.1.0" "get" (func $get (param i32 i32 i32)))"#,
        "(loop $again
           (call $get (i32.const 0) (i32.const 0) (i32.const 64))
           (br $again))",
        true,
    );
    let Loaded::Poller(_, poller) = &loaded else {
        panic!("not a poller")
    };
    let Err(CallError::Failure(failure)) = poller.poll(None, 1) else {
        panic!("should be stopped")
    };
    assert_eq!(failure.code(), "limit.recorded-calls");
    assert!(failure.to_string().contains("1000 things"), "{failure}");
    assert_eq!(loaded.usage().host_calls, 1_001);
    // Of each what it was about to do, and how that ended; and that it was
    // stopped.
    assert_eq!(bench.services.recorded().len(), 2_001);
}
