//! Hostile guests: whatever a plugin does, it ends at a limit that has a name,
//! which is then said wherever one would look; the plugin beside it is served
//! meanwhile, and no payload is lost.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::alerts::webhook;
use crate::support::bundles::{built, with_component, with_manifest};
use crate::support::server::{CONFIG, Server, Site};
use crate::support::telemetry::{gauge, now_micros};
use crate::support::wait::eventually;

/// Waits of plugins that fail are over at once.
const IMPATIENT: &str = "[plugins.supervision]\nbackoff-first = \"1us\"\nbackoff-max = \"1us\"\n";

/// A way to misbehave, and how it ends.
const ENDS: [(&str, &str); 6] = [
    ("loop", "limit.cpu"),
    ("grow", "limit.memory"),
    ("trap", "trap"),
    ("recurse", "limit.stack"),
    ("huge", "limit.output"),
    ("chatter", "limit.host-calls"),
];

/// Values that make the hostile detector trap, never come back, and have more
/// state than can be kept.
const TRAP: f64 = 666.0;
const LOOP: f64 = 777.0;
const BLOAT: f64 = 888.0;

/// Installs a bundle as an instance, from the command line.
fn install(site: &Site, bundle: &Path, instance: &str, config: &Value) {
    let file = site.scratch(&format!("{instance}.json"));
    std::fs::write(&file, config.to_string()).expect("a file");
    site.commands().text(&[
        "plugin",
        "install",
        &bundle.display().to_string(),
        "--as",
        instance,
        "--instance-config",
        &file.display().to_string(),
    ]);
}

/// What the audit log has about an instance, the latest first.
fn audit_of(server: &Server, instance: &str) -> Vec<Value> {
    let subject = format!("instance:{instance}");
    let mut rows = server.list("/audit");
    rows.retain(|row| row["subject"] == subject.as_str());
    rows
}

#[test]
fn a_connector_is_stopped_at_its_limit_while_its_neighbour_is_served() {
    let site = Site::new();
    let mut server = site.serve();
    for (behaviour, _) in ENDS {
        install(
            &site,
            &built("hostile"),
            behaviour,
            &json!({"behaviour": behaviour}),
        );
        server.wait_for_instance(behaviour, "running");
    }

    // After each hostile payload one for the neighbour.
    for (behaviour, _) in ENDS {
        let body = format!("for {behaviour}");
        server
            .post(&format!("/hooks/{behaviour}"), &[], body.as_bytes())
            .expect_success();
        server.post_json(
            "/hooks/alertmanager",
            &webhook(behaviour, "neighbour", "firing"),
        );
    }

    server.wait_until_worked();
    server.assert_serves();
    let known = server.list("/alerts?entity=service/neighbour");
    assert_eq!(known.len(), ENDS.len(), "{known:?}");
    let dead = server.list("/dead-letters");
    assert_eq!(dead.len(), ENDS.len(), "{dead:?}");
    for (behaviour, code) in ENDS {
        let letter = dead
            .iter()
            .find(|letter| letter["source"] == behaviour)
            .unwrap_or_else(|| panic!("no letter of {behaviour}: {dead:?}"));
        assert_eq!(letter["code"], code, "{letter}");
        let kept = server.get(&format!("/envelopes/{}", letter["position"]));
        assert_eq!(kept["body"]["text"], format!("for {behaviour}"));
        let rows = audit_of(&server, behaviour);
        let row = rows
            .iter()
            .find(|row| row["action"] == code)
            .unwrap_or_else(|| panic!("no row about {behaviour}: {rows:?}"));
        let actor = row["actor"].as_str().expect("a text");
        assert!(
            actor.starts_with(&format!("plugin:{behaviour}@sha256:")),
            "{actor}"
        );
        let instance = server.get(&format!("/instances/{behaviour}"));
        // What comes alone is given once: there is nothing to find out. (One that
        // chatters runs into the limit of its log on the way.)
        assert_eq!(instance["usage"]["calls"], 1, "{instance}");
        assert_eq!(instance["usage"]["failures"][code], 1, "{instance}");
        assert_eq!(instance["supervision"]["failures"], 1, "{instance}");
    }
    let neighbour = server.get("/instances/alertmanager");
    assert_eq!(neighbour["state"], "running");
    assert_eq!(neighbour["usage"]["failures"], json!({}));
    let metrics = server.metrics();
    for (instance, kind) in [
        ("loop", "connector"),
        ("alertmanager", "connector"),
        ("baseline", "detector"),
    ] {
        let line = format!("faultline_plugin_waiting{{instance=\"{instance}\",kind=\"{kind}\"}} 0");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    let verdict = server.get("/audit/verify");
    assert_eq!(verdict["intact"], true, "{verdict}");
}

#[test]
fn a_detector_that_keeps_failing_is_quarantined_until_somebody_lets_it_on() {
    // It does not wait for long between its failures, or what is sent meanwhile
    // would pass it by.
    let site = Site::with_config(&format!("{CONFIG}{IMPATIENT}"));
    let mut server = site.serve();
    install(&site, &built("hostile-detector"), "counting", &json!({}));
    server.wait_for_instance("counting", "running");
    let begin = now_micros();
    let send = |number: u64, value: f64| {
        let request = gauge("victim", "load", &[(begin + number * 1_000, value)]);
        server.post_json("/v1/metrics", &request);
    };

    send(0, 1.0);
    send(1, TRAP);
    send(2, 2.0);
    send(3, LOOP);
    send(4, 3.0);
    server.wait_until_worked();
    let letters = server.list("/dead-letters");
    let codes: Vec<(&str, &str)> = letters
        .iter()
        .map(|letter| {
            let text = |key: &str| letter[key].as_str().expect("a text");
            (text("reader"), text("code"))
        })
        .collect();
    assert_eq!(codes.len(), 2, "{letters:?}");
    for code in ["trap", "limit.cpu"] {
        assert!(codes.contains(&("detector:counting", code)), "{letters:?}");
        let rows = audit_of(&server, "counting");
        assert!(rows.iter().any(|row| row["action"] == code), "{rows:?}");
    }
    // It goes on with what it knew before: all but what it failed on.
    let found = counted(&server);
    assert_eq!(found["title"], "row 3 of 1 series", "{found}");
    assert_eq!(server.get("/instances/counting")["state"], "running");

    for number in 5..8 {
        send(number, TRAP);
    }
    let quarantined = server.wait_for_instance("counting", "quarantined");
    let reason = quarantined["reason"].as_str().expect("a text");
    assert!(reason.contains("trap"), "{reason}");
    send(8, 4.0);
    server.wait_until_worked();
    assert_eq!(counted(&server)["title"], "row 3 of 1 series");
    let neighbour = server.get("/instances/baseline");
    assert_eq!(neighbour["state"], "running");
    let series = server.list("/series?entity=service/victim");
    let [series] = series.as_slice() else {
        panic!("{series:?}");
    };
    let path = format!("/series/{}/samples", series["id"]);
    eventually("all that was sent is kept", || {
        let samples = server.get(&path);
        let is_so = samples["samples"] == 9;
        is_so.then_some(()).ok_or_else(|| samples.to_string())
    });

    server
        .ask("POST", "/instances/counting/resume", None)
        .expect_success();
    server.wait_for_instance("counting", "running");
    send(9, 5.0);
    eventually("it counts again", || {
        let found = counted(&server);
        let title = found["title"].as_str().expect("a text");
        (title != "row 3 of 1 series")
            .then_some(())
            .ok_or_else(|| found.to_string())
    });
    server.assert_serves();
}

#[test]
fn a_detector_whose_state_cannot_be_kept_does_not_hold_up_the_others() {
    let site = Site::with_config(&format!("{CONFIG}{IMPATIENT}"));
    let mut server = site.serve();
    install(&site, &built("hostile-detector"), "counting", &json!({}));
    // Its memory is to hold the state, and the copy that is saved; and it takes a
    // while to copy it, where nothing is optimised.
    let limits = json!({"settings": {"limits": {"memory_bytes": 256 << 20, "output_bytes": 64 << 20, "cpu_per_call_ms": 10_000}}});
    server.put("PUT", "/instances/counting/settings", &limits);
    server.wait_for_instance("counting", "running");

    let at = now_micros();
    server.post_json("/v1/metrics", &gauge("victim", "load", &[(at, BLOAT)]));
    eventually("its failure is on the audit log", || {
        let rows = audit_of(&server, "counting");
        let found = rows.iter().any(|row| row["action"] == "limit.state");
        found.then_some(()).ok_or_else(|| format!("{rows:?}"))
    });

    server.post_json(
        "/v1/metrics",
        &gauge("victim", "load", &[(at + 1_000_000, 1.0)]),
    );
    server.wait_until_worked();
    assert_eq!(server.get("/instances/baseline")["state"], "running");
    server.assert_serves();
}

/// The one alert of the counting detector.
fn counted(server: &Server) -> Value {
    let alerts = server.list("/alerts?origin=counting");
    let [alert] = alerts.as_slice() else {
        panic!("{alerts:?}");
    };
    alert.clone()
}

#[test]
fn what_imports_more_than_it_declares_does_not_get_in() {
    let site = Site::new();
    let mut server = site.serve();
    let commands = site.commands();

    // Imports `kv`, and its manifest does not say so.
    let silent = site.scratch("silent");
    with_manifest("keeper", &silent, |manifest| {
        let declared = manifest
            .find("[[component.capability]]")
            .expect("a capability");
        manifest[..declared].to_owned()
    });
    let refusal = commands.refusal(&["plugin", "install", &silent.display().to_string()]);
    assert!(refusal.contains("`kv`"), "{refusal}");
    assert!(refusal.contains("declares no capability"), "{refusal}");

    // Asks for what no plugin gets.
    let foreign = r#"(component
        (import "wasi:cli/environment@0.2.0" (instance
            (export "get-environment" (func (result (list (tuple string string)))))))
        (core module $m (func (export "decode")))
        (core instance $i (instantiate $m))
        (func $decode (canon lift (core func $i "decode")))
        (instance $exports (export "decode" (func $decode)))
        (export "faultline:plugin/decode@0.1.0" (instance $exports)))"#;
    let foreign = wat::parse_str(foreign).expect("a component");
    let curious = site.scratch("curious");
    with_component("hostile", &curious, &foreign);
    let refusal = commands.refusal(&["plugin", "install", &curious.display().to_string()]);
    assert!(refusal.contains("wasi:cli/environment"), "{refusal}");

    // Is no component at all.
    let broken = site.scratch("broken");
    with_component(
        "hostile",
        &broken,
        b"\0asm and then nothing that makes sense",
    );
    let refusal = commands.refusal(&["plugin", "install", &broken.display().to_string()]);
    assert!(refusal.contains("hostile.wasm"), "{refusal}");
    assert!(refusal.contains("not a WebAssembly component"), "{refusal}");

    // Who tried, and why it was refused, is on the audit log.
    for (instance, reason) in [("keeper", "`kv`"), ("hostile", "wasi:cli/environment")] {
        let rows = audit_of(&server, instance);
        let refused = |row: &&Value| {
            let detail = row["detail"].as_str().expect("a text");
            row["action"] == "instance.refused" && detail.contains(reason)
        };
        assert_eq!(rows.iter().filter(refused).count(), 1, "{rows:?}");
    }
    let instances = server.list("/instances");
    let names: Vec<&Value> = instances.iter().map(|instance| &instance["name"]).collect();
    for name in ["keeper", "hostile"] {
        assert!(!names.contains(&&json!(name)), "{names:?}");
    }
    server.assert_serves();
    server.post_json(
        "/hooks/alertmanager",
        &webhook("Down", "neighbour", "firing"),
    );
    server.wait_until_worked();
    assert_eq!(server.list("/alerts?entity=service/neighbour").len(), 1);
}
