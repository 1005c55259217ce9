//! The command line: each command, for people and for programs, with a server
//! at work and without one.

use std::fs;

use serde_json::{Value, json};

use crate::support::alerts::{firing, webhook};
use crate::support::bundles::{asking_for_state, built, with_manifest};
use crate::support::commands::Commands;
use crate::support::remote_write;
use crate::support::server::{Server, Site};
use crate::support::telemetry::{gauge, gzip, logs, now_micros};
use crate::support::wait::eventually;

/// A site where something has happened: the ids of the incident and its alert.
fn something_happened(site: &Site, server: &Server) -> (String, String) {
    server.post_json("/hooks/alertmanager", &webhook("Down", "shop", "firing"));
    let incident = eventually("there is an incident", || {
        let incidents = server.list("/incidents");
        incidents.first().cloned().ok_or_else(|| "none".to_owned())
    });
    let alerts = server.list("/alerts");
    let text = |value: &Value| value["id"].as_str().expect("an id").to_owned();
    let ids = (text(&incident), text(&alerts[0]));
    assert!(site.data().join("run.json").exists());
    ids
}

/// Everything that only looks, for people and for programs.
fn look(commands: &Commands, incident: &str, alert: &str) {
    look_at_incidents(commands, incident, alert);
    look_at_alerts(commands, alert);
    look_at_plugins(commands);
    look_at_tokens_and_audit(commands);
    look_at_the_rest(commands);
}

fn look_at_incidents(commands: &Commands, incident: &str, alert: &str) {
    let prefix = &incident[..12];

    let list = commands.json(&["incident", "list"]);
    assert_eq!(list["items"][0]["id"], incident);
    let text = commands.text(&["incident", "list"]);
    assert!(text.contains(prefix), "{text}");
    assert_eq!(
        commands.json(&["incident", "list", "--phase", "closed"])["items"],
        json!([])
    );
    assert_eq!(
        commands.json(&["incident", "list", "--entity", "service/shop"])["items"][0]["id"],
        incident
    );
    let shown = commands.json(&["incident", "show", prefix, "--events"]);
    assert_eq!(shown["members"][0]["alert"], alert);
    assert_eq!(shown["events"][0]["kind"], "opened");
    let text = commands.text(&["incident", "show", prefix, "--events"]);
    for part in [incident, "service/shop", "joined"] {
        assert!(text.contains(part), "`{part}` is missing: {text}");
    }
}

fn look_at_alerts(commands: &Commands, alert: &str) {
    let list = commands.json(&["alert", "list", "--origin", "prometheus"]);
    assert_eq!(list["items"][0]["id"], alert);
    let text = commands.text(&["alert", "list", "--severity-min", "high"]);
    assert!(text.contains("Down at shop"), "{text}");
    let explained = commands.json(&["alert", "explain", alert]);
    assert_eq!(explained["identified"]["identity"]["alertname"], "Down");
    let text = commands.text(&["alert", "explain", &alert[..12]]);
    for part in ["alertname=Down", "service/shop", "alertmanager"] {
        assert!(text.contains(part), "`{part}` is missing: {text}");
    }
}

fn look_at_plugins(commands: &Commands) {
    let list = commands.json(&["plugin", "list"]);
    for name in [
        "alertmanager",
        "cloudevents",
        "baseline",
        "log-patterns",
        "topology",
    ] {
        let instances = list["instances"].as_array().expect("a list");
        assert!(
            instances.iter().any(|instance| instance["name"] == name),
            "{name}: {list}"
        );
    }
    let text = commands.text(&["plugin", "list"]);
    assert!(text.contains("faultline/alertmanager"), "{text}");
    let inspected = commands.json(&["plugin", "inspect", "alertmanager"]);
    assert_eq!(inspected["kind"], "connector");
    let text = commands.text(&["plugin", "inspect", "faultline/alertmanager"]);
    assert!(text.contains("severity-label"), "{text}");
    let folder = built("keeper").display().to_string();
    let inspected = commands.json(&["plugin", "inspect", &folder]);
    assert_eq!(inspected["components"][0]["capabilities"][0]["use"], "kv");
    let text = commands.text(&["plugin", "inspect", &folder]);
    assert!(text.contains("not installed"), "{text}");
}

fn look_at_tokens_and_audit(commands: &Commands) {
    let tokens = commands.json(&["token", "list"]);
    let tokens = tokens["items"].as_array().expect("a list").clone();
    assert!(
        tokens.iter().any(|token| token["name"] == "end-to-end"),
        "{tokens:?}"
    );
    assert!(
        tokens.iter().all(|token| token.get("token").is_none()),
        "{tokens:?}"
    );
    let text = commands.text(&["token", "list"]);
    assert!(text.contains("end-to-end"), "{text}");

    let rows = commands.json(&["audit", "tail", "--action", "token."]);
    assert!(rows["items"][0]["hash"].is_string(), "{rows}");
    let text = commands.text(&["audit", "tail", "-n", "500"]);
    assert!(text.contains("plugin.install"), "{text}");
    let verdict = commands.json(&["audit", "verify"]);
    assert_eq!(verdict["intact"], true);
    assert!(verdict["rows"].as_u64() > Some(5), "{verdict}");
    let text = commands.text(&["audit", "verify"]);
    assert!(text.contains("intact"), "{text}");
}

fn look_at_the_rest(commands: &Commands) {
    let well = commands.json(&["doctor"]);
    assert_eq!(well["well"], true, "{well}");
    let text = commands.text(&["doctor"]);
    assert!(text.contains("the audit log is intact"), "{text}");

    let digest = commands.json(&["history", "digest"])["digest"].clone();
    let text = commands.text(&["history", "digest"]);
    assert_eq!(text.trim_end(), digest.as_str().expect("a text"));

    assert_eq!(commands.json(&["config", "check"])["good"], true);
    assert!(commands.text(&["config", "check"]).contains("good"));
    assert_eq!(
        commands.json(&["config", "show"])["pipeline"]["lateness"],
        "1s"
    );
    assert!(
        commands
            .text(&["config", "show"])
            .contains("lateness = \"1s\"")
    );
    assert!(
        commands
            .text(&["config", "example"])
            .contains("[pipeline.incidents]")
    );
    assert_eq!(
        commands.json(&["openapi"])["openapi"]
            .as_str()
            .map(|v| &v[..3]),
        Some("3.1")
    );
    assert!(
        commands
            .text(&["completions", "bash"])
            .contains("faultline")
    );
}

#[test]
fn what_looks_is_the_same_with_a_server_and_without() {
    let site = Site::new();
    let server = site.serve();
    let commands = site.commands();
    let (incident, alert) = something_happened(&site, &server);
    server.wait_for_instance("topology", "running");
    look(&commands, &incident, &alert);
    server.stop(&site);
    look(&commands, &incident, &alert);
}

#[test]
fn people_act_on_incidents_with_a_server_and_without() {
    let site = Site::new();
    let server = site.serve();
    let commands = site.commands();
    let (incident, _) = something_happened(&site, &server);

    let acked = commands.json(&["incident", "ack", &incident]);
    assert_eq!(acked["outcome"], "done", "{acked}");
    assert_eq!(
        server.get(&format!("/incidents/{incident}"))["phase"],
        "acknowledged"
    );
    server.stop(&site);

    let text = commands.text(&["incident", "resolve", &incident[..12]]);
    assert!(text.contains("resolved"), "{text}");
    let shown = commands.json(&["incident", "show", &incident]);
    assert_eq!(shown["resolved"]["how"], "declared", "{shown}");
    let refusal = commands.refusal(&["incident", "ack", &incident]);
    assert!(refusal.contains("resolved"), "{refusal}");
    let refusal = commands.refusal(&["incident", "show", "inc_00000000"]);
    assert!(refusal.contains("inc_00000000"), "{refusal}");
}

#[test]
fn a_revoked_token_is_good_for_nothing_at_once() {
    let site = Site::new();
    let server = site.serve();
    let commands = site.commands();

    let sender = commands.json(&["token", "create", "prometheus", "--ingest"]);
    let viewer = commands.json(&["token", "create", "wall", "--role", "viewer"]);
    let operator = commands.text(&["token", "create", "ci", "--role", "operator"]);
    let operator = operator.trim_end();
    assert!(
        operator.starts_with("flt_"),
        "alone on its line: {operator}"
    );
    let text = |value: &Value, key: &str| value[key].as_str().expect("a text").to_owned();

    let alerts = json!([firing("Down", "shop")]).to_string();
    let send = || {
        let bearer = format!("Bearer {}", text(&sender, "token"));
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let body = Some(alerts.as_bytes());
        server
            .intake
            .send("POST", "/api/v2/alerts", &headers, body)
            .status
    };
    let view = |path: &str| {
        server
            .ask_as(&text(&viewer, "token"), "GET", path, None)
            .status
    };
    assert_eq!(
        (send(), view("/incidents"), view("/tokens")),
        (200, 200, 403)
    );
    let whoami = server.ask_as(operator, "GET", "/whoami", None).json();
    assert_eq!(whoami["role"], "operator");

    commands.text(&["token", "revoke", &text(&sender, "id")]);
    assert_eq!((send(), view("/incidents")), (401, 200));
    let revoked = commands.json(&["token", "revoke", &text(&viewer, "id")]);
    assert_eq!(revoked["revoked"], viewer["id"]);
    assert_eq!(view("/incidents"), 401);
    let refusal = commands.refusal(&["token", "revoke", "nobody"]);
    assert!(refusal.contains("nobody"), "{refusal}");

    // One that is revoked while nobody runs stays so.
    server.stop(&site);
    let made = commands.json(&["token", "create", "later", "--role", "viewer"]);
    let list = commands.json(&["token", "list"]);
    let ci = list["items"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|t| t["name"] == "ci");
    commands.text(&["token", "revoke", &text(ci.expect("it was made"), "id")]);
    let server = site.serve();
    assert_eq!(server.ask_as(operator, "GET", "/whoami", None).status, 401);
    let later = text(&made, "token");
    assert_eq!(
        server.ask_as(&later, "GET", "/whoami", None).json()["role"],
        "viewer"
    );
}

#[test]
fn plugins_are_managed_with_a_server() {
    let site = Site::new();
    let server = site.serve();
    manage_plugins(&site, true);
    manage_grants(&site, true);
    server.stop(&site);
}

#[test]
fn plugins_are_managed_without_a_server() {
    let site = Site::new();
    manage_plugins(&site, false);
    manage_grants(&site, false);
}

/// From installation to configuration, on and off.
fn manage_plugins(site: &Site, runs: bool) {
    let commands = site.commands();
    let hello = built("hello-rust").display().to_string();
    let config = site.scratch("hello.json");
    fs::write(&config, r#"{"deviations": 9}"#).expect("a file");
    let config = config.display().to_string();

    let installed = commands.json(&[
        "plugin",
        "install",
        &hello,
        "--as",
        "hello",
        "--component",
        "hello-detector",
        "--instance-config",
        &config,
    ]);
    assert_eq!(installed["instances"][0]["name"], "hello", "{installed}");
    let twice = commands.refusal(&[
        "plugin",
        "install",
        &hello,
        "--as",
        "hello",
        "--component",
        "hello-detector",
    ]);
    assert!(twice.contains("hello"), "{twice}");
    let inspected = commands.json(&["plugin", "inspect", "hello"]);
    assert_eq!(inspected["config"]["deviations"], 9);
    assert_eq!(inspected["enabled"], true);

    let text = commands.text(&["plugin", "disable", "hello"]);
    assert!(text.contains("disabled"), "{text}");
    assert_eq!(
        commands.json(&["plugin", "inspect", "hello"])["enabled"],
        false
    );
    assert_eq!(
        commands.json(&["plugin", "enable", "hello"])["enabled"],
        true
    );
    if runs {
        wait_for_state(&commands, "hello", "running");
    }

    fs::write(&config, r#"{"deviations": 3, "warm-up-rows": 10}"#).expect("a file");
    let configured = commands.json(&["plugin", "configure", "hello", &config]);
    assert_eq!(configured["config"]["warm-up-rows"], 10);
    for (config_text, expected) in [
        (r#"{"deviation": 3}"#, "deviation"),
        (r#"{"deviations": "many"}"#, "deviations"),
        ("{", "hello.json"),
    ] {
        fs::write(&config, config_text).expect("a file");
        let refusal = commands.refusal(&["plugin", "configure", "hello", &config]);
        assert!(refusal.contains(expected), "{config_text}: {refusal}");
    }
    let inspected = commands.json(&["plugin", "inspect", "hello"]);
    assert_eq!(inspected["config"]["deviations"], 3, "the good one stays");

    let later = site.scratch("later");
    with_manifest("hello-rust", &later, |manifest| {
        manifest.replacen("version = \"0.1.0\"", "version = \"0.2.0\"", 1)
    });
    let later = later.display().to_string();
    commands.text(&["plugin", "install", &later, "--no-instance"]);
    let upgraded = commands.json(&["plugin", "upgrade", "hello"]);
    assert_eq!(upgraded["from_version"], "0.1.0", "{upgraded}");
    let inspected = commands.json(&["plugin", "inspect", "hello"]);
    assert_eq!(inspected["version"], "0.2.0");
    assert_eq!(inspected["config"]["deviations"], 3);

    make_of_what_is_there(&commands, &config);

    let rows = commands.json(&["audit", "tail", "--action", "instance.", "-n", "500"]);
    let actions: Vec<&Value> = rows["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|row| row["subject"] == "instance:hello")
        .map(|row| &row["action"])
        .collect();
    assert!(actions.len() >= 4, "{actions:?}");
    assert_eq!(commands.json(&["audit", "verify"])["intact"], true);
}

/// An instance of a plugin that is installed, by its name.
fn make_of_what_is_there(commands: &Commands, config: &str) {
    let mapping =
        json!({"mappings": [{"alert": {"identity": {"check": "{$.check}"}, "title": "x"}}]});
    fs::write(config, mapping.to_string()).expect("a file");
    let by_name = |name| {
        [
            "plugin",
            "install",
            name,
            "--as",
            "kuma",
            "--instance-config",
            config,
        ]
    };
    let made = commands.json(&by_name("faultline/json"));
    assert_eq!(made["instances"][0]["name"], "kuma", "{made}");
    for (name, expected) in [
        ("faultline/jsn", "faultline/jsn"),
        ("json", "plugin list"),
        ("./nowhere/json", "there is no folder"),
    ] {
        let refusal = commands.refusal(&by_name(name));
        assert!(refusal.contains(expected), "{name}: {refusal}");
    }
}

fn wait_for_state(commands: &Commands, instance: &str, state: &str) {
    eventually(&format!("{instance} is {state}"), || {
        let inspected = commands.json(&["plugin", "inspect", instance]);
        let is_so = inspected["state"] == state;
        is_so.then_some(()).ok_or_else(|| inspected.to_string())
    });
}

/// What an instance may do, given and taken.
fn manage_grants(site: &Site, runs: bool) {
    let commands = site.commands();
    let folder = site.scratch("keeper");
    asking_for_state(&folder);
    let folder = folder.display().to_string();
    let text = commands.text(&["plugin", "install", &folder, "--as", "keeper"]);
    assert!(
        text.contains("faultline plugin grant keeper state"),
        "{text}"
    );
    if runs {
        wait_for_state(&commands, "keeper", "pending-grant");
    }

    let granted = commands.json(&["plugin", "grant", "keeper", "state", "--reason", "a test"]);
    assert_eq!(granted[0]["reason"], "a test", "{granted}");
    if runs {
        wait_for_state(&commands, "keeper", "running");
    }
    let text = commands.text(&["plugin", "inspect", "keeper"]);
    assert!(text.contains("granted by"), "{text}");

    let text = commands.text(&["plugin", "revoke", "keeper", "state"]);
    assert!(text.contains("not use state any more"), "{text}");
    let inspected = commands.json(&["plugin", "inspect", "keeper"]);
    assert_eq!(inspected["capabilities"][0]["grant"], Value::Null);
    if runs {
        wait_for_state(&commands, "keeper", "pending-grant");
    }
    for act in ["grant", "revoke"] {
        let refusal = commands.refusal(&["plugin", act, "keeper", "everything"]);
        assert!(refusal.contains("everything"), "{refusal}");
    }
    for action in ["plugin.grant", "plugin.revoke"] {
        let rows = commands.json(&["audit", "tail", "--action", action]);
        assert!(rows["items"][0]["hash"].is_string(), "{action}: {rows}");
    }
}

#[test]
fn what_is_asked_where_nothing_is_kept_makes_nothing() {
    let site = Site::new();
    let commands = site.commands();
    let questions: [&[&str]; 7] = [
        &["incident", "list"],
        &["incident", "ack", "inc_00000000"],
        &["alert", "list"],
        &["dead-letter", "list"],
        &["plugin", "list"],
        &["token", "list"],
        &["audit", "tail"],
    ];
    for question in questions {
        let refusal = commands.refusal(question);
        for part in ["no data folder", "--data-dir", "--server"] {
            assert!(refusal.contains(part), "{question:?}: {refusal}");
        }
        assert!(!site.data().exists(), "{question:?}");
    }
    // What can be the first thing that is done, begins one.
    commands.text(&["token", "create", "ci", "--role", "viewer"]);
    assert!(site.data().exists());
    assert_eq!(commands.json(&["incident", "list"])["items"], json!([]));
}

#[test]
fn files_are_taken_in_with_a_server_and_without() {
    let site = Site::new();
    let server = site.serve();
    take_in(&site, "with");
    server.stop(&site);
    take_in(&site, "without");

    let counted = site.commands().json(&["alert", "list", "--limit", "500"]);
    let titles: Vec<&Value> = counted["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|alert| &alert["title"])
        .collect();
    for part in ["with", "without"] {
        for name in ["Found", "Told", "Piped"] {
            let title = json!(format!("{name} at {part}"));
            assert!(titles.contains(&&title), "{title}: {titles:?}");
        }
    }
}

/// One file of each format, by itself or together with others.
fn take_in(site: &Site, service: &str) {
    let commands = site.commands();
    let now = now_micros();
    let file = |name: &str, content: &[u8]| {
        let path = site.scratch(name);
        fs::write(&path, content).expect("a file");
        path.display().to_string()
    };

    // What they are is seen from what is in them.
    let alerts = file(
        "alerts.json",
        json!([firing("Found", service)]).to_string().as_bytes(),
    );
    let metrics = gauge(service, "load", &[(now, 1.0)]).to_string();
    let metrics = file("metrics.json.gz", &gzip(metrics.as_bytes()));
    let log_lines = logs(service, now, 9, &["all is well".to_owned()]).to_string();
    let log_lines = file("logs.json", log_lines.as_bytes());
    let report = commands.json(&["ingest", &alerts, &log_lines, "--source", "files"]);
    assert_eq!(report["accepted"], 2, "{report}");
    let text = commands.text(&["ingest", "--format", "otlp-metrics", &metrics]);
    assert!(text.contains('1'), "{text}");
    let samples = remote_write::request("load", service, &[(now / 1_000, 1.0)]);
    let samples = file("samples.bin", &remote_write::snappy(&samples));
    commands.text(&["ingest", "--format", "remote-write", &samples]);

    // What a connector reads, of which there are several in a file.
    let lines = format!(
        "{}\n\n{}\n",
        webhook("Told", service, "firing"),
        webhook("Told", service, "firing")
    );
    let lines = file("hooks.jsonl", lines.as_bytes());
    let report = commands.json(&["ingest", "--hook", "alertmanager", &lines]);
    assert_eq!(report["accepted"], 2, "{report}");

    let piped = json!([firing("Piped", service)]).to_string();
    commands
        .run_with_input(&["ingest", "-"], piped.as_bytes())
        .expect_success();

    let bad = file("bad.json", b"{\"resourceMetrics\": 7}");
    let outcome = commands.run(&["ingest", &bad, &alerts]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stderr.contains("bad.json"), "{outcome}");
    assert!(
        outcome.stdout.contains('1'),
        "the other one is taken: {outcome}"
    );
    let refusal = commands.refusal(&["ingest", "--hook", "nobody", &alerts]);
    assert!(refusal.contains("nobody"), "{refusal}");
}

#[test]
fn a_journal_goes_to_a_file_and_comes_back_once() {
    let site = Site::new();
    let server = site.serve();
    let commands = site.commands();
    something_happened(&site, &server);
    let plain = site.scratch("plain.jsonl").display().to_string();
    commands.text(&["journal", "export", &plain]);
    let text = fs::read_to_string(&plain).expect("a file");
    assert!(text.contains("alertname"), "{text}");
    let refusal = commands.refusal(&["journal", "export", &plain]);
    assert!(
        refusal.contains("plain.jsonl"),
        "nothing is overwritten: {refusal}"
    );
    let refusal = commands.refusal(&["journal", "import", &plain]);
    assert!(refusal.contains("another Faultline"), "{refusal}");
    server.stop(&site);
    let refusal = commands.refusal(&["journal", "import", &plain]);
    assert!(refusal.contains("not empty"), "{refusal}");

    let other = Site::new();
    let text = other.commands().text(&["journal", "import", &plain]);
    assert!(text.contains("1 alerts, 1 incidents"), "{text}");
    let damaged = site.scratch("damaged.jsonl");
    let text = fs::read_to_string(&plain).expect("a file");
    fs::write(&damaged, &text[..text.len() / 2]).expect("a file");
    let damaged = damaged.display().to_string();
    let refusal = Site::new()
        .commands()
        .refusal(&["journal", "import", &damaged]);
    assert!(refusal.contains("damaged.jsonl"), "{refusal}");
}

#[test]
fn an_audit_log_that_was_tampered_with_is_found_out() {
    let site = Site::new();
    let server = site.serve();
    server.stop(&site);
    let commands = site.commands();
    assert_eq!(commands.json(&["audit", "verify"])["intact"], true);
    let changed = tamper(&site);
    assert!(changed > 0, "no trace of the audit log in any file");
    let outcome = commands.run(&["audit", "verify", "--json"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    let verdict: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(verdict["intact"], false, "{verdict}");
    let outcome = commands.run(&["doctor"]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.stdout.contains("audit log is broken"), "{outcome}");
}

/// Makes somebody else have done what the host has, behind its back: in the
/// bytes of the database, where a name of the same length takes its place.
/// Gives how often.
fn tamper(site: &Site) -> usize {
    let mut changed = 0;
    for entry in fs::read_dir(site.data()).expect("a folder") {
        let path = entry.expect("an entry").path();
        let Ok(mut bytes) = fs::read(&path) else {
            continue;
        };
        let (from, to) = (b"hostinstance.create", b"hustinstance.create");
        let mut at = 0;
        while let Some(found) = bytes[at..].windows(from.len()).position(|w| w == from) {
            at += found;
            bytes[at..at + to.len()].copy_from_slice(to);
            changed += 1;
        }
        if at > 0 {
            fs::write(&path, bytes).expect("a file");
        }
    }
    changed
}
