//! Ends and beginnings: a server that is started again, in order or after it
//! was killed, is what it was before.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::support::alerts::webhook;
use crate::support::bundles::asking_for_state;
use crate::support::server::{Server, Site};
use crate::support::wait::eventually;

/// How many payloads are sent before a server is killed.
const PAYLOADS: usize = 40;

/// Everything that an operator or a sender would miss.
fn everything(server: &Server) -> Vec<(&'static str, Value)> {
    let mut all = Vec::new();
    for path in [
        "/alerts",
        "/incidents",
        "/changes",
        "/plugins",
        "/instances",
        "/dead-letters",
    ] {
        let mut items = server.list(path);
        for item in &mut items {
            // Counted since the start.
            item.as_object_mut().expect("an object").remove("usage");
        }
        all.push((path, Value::Array(items)));
    }
    let grants = server.get("/instances/keeper/grants");
    all.push(("grants", grants));
    let config = server.get("/instances/log-patterns")["config"].clone();
    all.push(("config", config));
    all
}

#[test]
fn a_restart_keeps_everything() {
    let site = Site::new();
    let server = site.serve();
    server.post_json("/hooks/alertmanager", &webhook("Down", "shop", "firing"));
    server
        .post("/hooks/alertmanager", &[], b"nothing like JSON")
        .expect_success();
    let incident = eventually("there is an incident", || {
        let incidents = server.list("/incidents");
        let first = incidents.first().cloned();
        first.ok_or_else(|| "none".to_owned())
    });
    let id = incident["id"].as_str().expect("an id");
    server
        .ask("POST", &format!("/incidents/{id}/acknowledge"), None)
        .expect_success();
    eventually("somebody looks after it", || {
        let incident = server.get(&format!("/incidents/{id}"));
        let is_so = incident["phase"] == "acknowledged";
        is_so.then_some(()).ok_or_else(|| incident.to_string())
    });
    let config = json!({"config": {"learn-lines": 5}});
    server.put("PUT", "/instances/log-patterns/config", &config);
    let folder = site.scratch("keeper");
    asking_for_state(&folder);
    let (commands, folder) = (site.commands(), folder.display().to_string());
    commands.text(&["plugin", "install", &folder, "--as", "keeper"]);
    commands.text(&[
        "plugin",
        "grant",
        "keeper",
        "state",
        "--reason",
        "for a test",
    ]);
    server
        .ask("POST", "/instances/baseline/disable", None)
        .expect_success();
    server.wait_for_instance("keeper", "running");
    server.wait_for_instance("log-patterns", "running");
    server.wait_until_worked();
    let before = everything(&server);
    let (admin, sender) = (server.admin_token.clone(), server.ingest_token.clone());
    server.stop(&site);

    let server = site.serve();
    for name in ["keeper", "log-patterns", "alertmanager"] {
        server.wait_for_instance(name, "running");
    }
    for ((what, before), (_, after)) in before.into_iter().zip(everything(&server)) {
        assert_eq!(after, before, "{what}");
    }
    assert_eq!(server.get("/instances/baseline")["state"], "disabled");
    server
        .ask_as(&admin, "GET", "/whoami", None)
        .expect_success();
    let bearer = format!("Bearer {sender}");
    let body = webhook("Down", "shop", "resolved").to_string();
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    server
        .intake
        .send(
            "POST",
            "/hooks/alertmanager",
            &headers,
            Some(body.as_bytes()),
        )
        .expect_success();
    // The end of what began before: the same alert, the same incident.
    eventually("the incident is resolved", || {
        let incident = server.get(&format!("/incidents/{id}"));
        let is_so = incident["phase"] == "resolved";
        is_so.then_some(()).ok_or_else(|| incident.to_string())
    });
    assert_eq!(server.list("/alerts?origin=prometheus").len(), 1);
    assert_eq!(server.get("/audit/verify")["intact"], true);
}

#[test]
fn what_was_acknowledged_survives_a_killed_server() {
    let site = Site::new();
    for round in 0..3 {
        let server = site.serve();
        for number in 0..PAYLOADS {
            let service = format!("service-{round}-{number}");
            server.post_json("/hooks/alertmanager", &webhook("Down", &service, "firing"));
        }
        // The last answer has just come.
        server.kill();
    }
    let mut server = site.serve();
    server.wait_until_worked();
    let alerts = server.list("/alerts?origin=prometheus");
    assert_eq!(alerts.len(), 3 * PAYLOADS);
    let reports: Vec<Value> = alerts
        .iter()
        .map(|alert| server.get(&format!("/alerts/{}", alert["id"].as_str().expect("an id"))))
        .map(|alert| alert["sources"][0]["reports"].clone())
        .collect();
    assert!(
        reports.iter().all(|reports| *reports == 1),
        "once each: {reports:?}"
    );
    assert_eq!(server.get("/audit/verify")["intact"], true);
    server.assert_serves();
}

#[test]
fn one_server_at_a_time_works_with_a_folder() {
    let site = Site::new();
    let mut server = site.serve();
    // What says where it listens holds a key, too.
    let note = std::fs::metadata(site.data().join("run.json")).expect("a file");
    assert_eq!(note.permissions().mode() & 0o777, 0o600);
    let refusal = site.commands().refusal(&["serve"]);
    assert!(refusal.contains("another Faultline"), "{refusal}");
    server.assert_serves();
}
