//! What is refused before it runs.

use std::sync::Arc;

use faultline_domain::grant::Use;
use faultline_domain::plugin::{DetectorFactory as _, Inputs, Limits};
use faultline_sandbox::{Loaded, Role, Sandbox};
use tokio::runtime::Runtime;

use crate::{Bench, bundle, spec};

fn connector() -> Role {
    Role::Connector {
        family: "test".to_owned(),
    }
}

fn refusal(bench: &Bench, role: Role, wasm: &[u8], declared: &[Use]) -> String {
    match bench.sandbox.load(spec(), role, wasm, declared) {
        Ok(_) => panic!("should be refused"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn an_import_that_the_manifest_does_not_declare() {
    let bench = Bench::new();
    let keeper = bundle("keeper");
    let wasm = keeper
        .wasm(&keeper.manifest().components[0])
        .expect("a component");
    let message = refusal(&bench, connector(), wasm, &[]);
    assert!(message.contains("imports `kv`"), "{message}");
    assert!(message.contains("declares no capability"), "{message}");
}

#[test]
fn an_import_of_something_else_altogether() {
    let bench = Bench::new();
    let foreign = r#"(component
        (import "wasi:cli/environment@0.2.0" (instance
            (export "get-environment" (func (result (list (tuple string string)))))))
        (core module $m (func (export "decode")))
        (core instance $i (instantiate $m))
        (func $decode (canon lift (core func $i "decode")))
        (instance $exports (export "decode" (func $decode)))
        (export "faultline:plugin/decode@0.1.0" (instance $exports)))"#;
    let wasm = wat::parse_str(foreign).expect("a component");
    let message = refusal(&bench, connector(), &wasm, &[]);
    assert!(message.contains("wasi:cli/environment"), "{message}");
    assert!(message.contains("does not say `wasi = true`"), "{message}");
}

#[test]
fn a_component_of_another_kind_than_declared() {
    let bench = Bench::new();
    let hostile = bundle("hostile");
    let wasm = hostile
        .wasm(&hostile.manifest().components[0])
        .expect("a component");
    let inputs = Inputs {
        samples: true,
        logs: true,
    };
    let message = refusal(&bench, Role::Detector { inputs }, wasm, &[]);
    assert!(
        message.contains("does not export faultline:plugin/detect"),
        "{message}"
    );
}

#[test]
fn an_export_of_another_shape() {
    let bench = Bench::new();
    let misshapen = r#"(component
        (core module $m (func (export "decode")))
        (core instance $i (instantiate $m))
        (func $decode (canon lift (core func $i "decode")))
        (instance $exports (export "decode" (func $decode)))
        (export "faultline:plugin/decode@0.1.0" (instance $exports)))"#;
    let wasm = wat::parse_str(misshapen).expect("a component");
    let message = refusal(&bench, connector(), &wasm, &[]);
    assert!(message.contains("does not fit"), "{message}");
}

#[test]
fn a_component_that_would_use_up_what_guests_share() {
    let bench = Bench::new();
    let with = |tables: usize| {
        let instances = "(core instance (instantiate $m))".repeat(tables);
        let text = format!(
            "(component (core module $m (table 1 funcref)) {instances}
                (core module $d (func (export \"decode\")))
                (core instance $i (instantiate $d))
                (func $decode (canon lift (core func $i \"decode\")))
                (instance $exports (export \"decode\" (func $decode)))
                (export \"faultline:plugin/decode@0.1.0\" (instance $exports)))"
        );
        let wasm = wat::parse_str(text).expect("a component");
        refusal(&bench, connector(), &wasm, &[])
    };
    assert!(with(64).contains("does not fit"), "as many as it may");
    let message = with(65);
    assert!(message.contains("65 tables"), "{message}");
    let message = with(128);
    assert!(message.contains("129 core module instances"), "{message}");
}

#[test]
fn a_component_of_which_many_guests_would_use_it_up() {
    let Bench {
        sandbox,
        services,
        _runtime,
    } = Bench::new();
    let with = |shards: u32, sandbox: Sandbox| Bench {
        sandbox: sandbox.with_detector_shards(shards),
        services: Arc::clone(&services),
        _runtime: Runtime::new().expect("a runtime"),
    };
    let text = format!(
        "(component (core module $m (table 1 funcref)) {}
            (core module $d (func (export \"load\")))
            (core instance $i (instantiate $d))
            (func $load (canon lift (core func $i \"load\")))
            (instance $exports (export \"load\" (func $load)))
            (export \"faultline:plugin/detect@0.1.0\" (instance $exports)))",
        "(core instance (instantiate $m))".repeat(20)
    );
    let wasm = wat::parse_str(text).expect("a component");
    let inputs = Inputs {
        samples: true,
        logs: false,
    };
    let bench = with(64, sandbox);
    let message = refusal(&bench, Role::Detector { inputs }, &wasm, &[]);
    assert!(
        message.contains("64 guests with 21 core instances"),
        "{message}"
    );
    let bench = with(16, bench.sandbox);
    let message = refusal(&bench, Role::Detector { inputs }, &wasm, &[]);
    assert!(message.contains("does not fit"), "{message}");
}

#[test]
fn when_no_room_is_left_that_is_nobodys_failure() {
    let bench = Bench::new();
    let loaded = bench.load("hostile-detector", "{}", Limits::default());
    let Ok(Loaded::Detector(factory)) = loaded else {
        panic!("not a detector")
    };
    let mut guests = Vec::new();
    let failure = loop {
        match factory.start() {
            Ok(guest) => guests.push(guest),
            Err(failure) => break failure,
        }
        assert!(guests.len() < 2_000, "there is always room");
    };
    assert_eq!(failure.code(), "start", "{failure}");
    drop(guests);
    assert!(factory.start().is_ok());
}

#[test]
fn bytes_that_are_no_component() {
    let bench = Bench::new();
    let hostile = bundle("hostile");
    let good = hostile
        .wasm(&hostile.manifest().components[0])
        .expect("a component");
    for wasm in [
        &b""[..],
        b"\0asm\x01\0\0\0",
        b"\x7fELF\x02\x01\x01\0",
        &good[..good.len() / 2],
    ] {
        let message = refusal(&bench, connector(), wasm, &[]);
        assert!(message.contains("cannot be compiled"), "{message}");
    }
    let mut damaged = good.to_vec();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xff);
    assert!(refusal(&bench, connector(), &damaged, &[]).contains("cannot be compiled"));
}

#[test]
fn what_imports_little_loads() {
    let bench = Bench::new();
    assert!(matches!(
        bench.load("hostile", "{}", Limits::default()),
        Ok(Loaded::Connector(_))
    ));
    assert!(matches!(
        bench.load("keeper", "{}", Limits::default()),
        Ok(Loaded::Poller(..))
    ));
}
