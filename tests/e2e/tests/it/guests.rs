//! The hostile guests of `tests/hostile`, each with what is to come of it: one
//! after another is brought into a server that runs, and made to misbehave.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::support::alerts::firing;
use crate::support::guests::{HostileGuest, Stopped, files_of, hostile_guests};
use crate::support::http::Answer;
use crate::support::server::{Server, Site};
use crate::support::telemetry::{gauge, now_micros};
use crate::support::wait::eventually;

/// A server that lets nobody compile for long, and does nothing but for these.
const CONFIG: &str = r#"
[api]
listen = "127.0.0.1:0"

[intake]
listen = "127.0.0.1:0"

[plugins]
bundled = false

[plugins.compile]
cpu = "6s"

[pipeline]
lateness = "1s"
idle-after = "2s"
checkpoint-every = "1s"
"#;

/// The connector that has to be served whatever the others do.
const NEIGHBOUR: &str = "neighbour";

#[test]
fn each_hostile_guest_is_stopped_within_its_limit_and_by_its_name() {
    let guests = hostile_guests();
    assert!(guests.len() > 50, "where are they?");
    let site = Site::with_config(CONFIG);
    let mut server = site.serve();
    install(&server, &files_of("hostile")).expect_success();
    let neighbour = json!({"name": NEIGHBOUR, "plugin": "tests/hostile"});
    server.put("POST", "/instances", &neighbour);
    server.wait_for_instance(NEIGHBOUR, "running");

    let mut failures = Vec::new();
    for (number, guest) in (1..).zip(&guests) {
        if let Err(what) = check(&server, guest) {
            failures.push(format!("{}: {what}", guest.name));
        }
        server
            .post("/hooks/neighbour", &[], b"behave")
            .expect_success();
        server.assert_serves();
        let name = &guest.name;
        eventually(&format!("the neighbour is served after {name}"), || {
            let usage = server.get("/instances/neighbour")["usage"].clone();
            let is_served = usage["calls"].as_u64() >= Some(number);
            is_served.then_some(()).ok_or_else(|| usage.to_string())
        });
    }
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        guests.len(),
        failures.join("\n")
    );
    let neighbour = server.get("/instances/neighbour");
    assert_eq!(neighbour["state"], "running");
    assert_eq!(neighbour["usage"]["failures"], json!({}));
    assert_eq!(server.get("/audit/verify")["intact"], true);
}

/// Brings a guest in, makes it misbehave, and looks at what is said about it.
fn check(server: &Server, guest: &HostileGuest) -> Result<(), String> {
    let installed = install(server, &guest.files);
    let expected = &guest.expected;
    if expected.stopped == Stopped::Read {
        let text = installed.text();
        return all([
            (installed.status == 422, format!("not refused: {text}")),
            (text.contains(&expected.message), format!("says {text}")),
        ]);
    }
    if installed.status >= 300 {
        return Err(format!("cannot be installed: {}", installed.text()));
    }
    let metric = format!(
        "faultline_component_refused_total{{code=\"{}\"}}",
        expected.code
    );
    let refused_before = metric_of(server, &metric);
    let made = match &expected.after {
        Some(before) => take_over(server, guest, before),
        None => make(server, guest),
    };
    if expected.stopped == Stopped::Load {
        refused_by_name(server, guest, &made)?;
        let refused = metric_of(server, &metric) - refused_before;
        return all([(refused >= 1.0, format!("not counted as {metric}"))]);
    }
    if made.status >= 300 {
        return Err(format!("cannot be made an instance: {}", made.text()));
    }
    for capability in &expected.grants {
        let path = format!("/instances/{}/grants/{capability}", guest.name);
        server.put(
            "PUT",
            &path,
            &json!({"reason": "to see what it does with it"}),
        );
    }
    if expected.polls {
        // It is asked as soon as it runs, and may have failed by now.
        server.wait_for_instance_in(&guest.name, &["running", "backing-off"]);
    } else {
        server.wait_for_instance(&guest.name, "running");
    }
    provoke(server, guest);
    let stopped = stopped_by_name(server, guest);
    let path = format!("/instances/{}/disable", guest.name);
    server.ask("POST", &path, None).expect_success();
    stopped
}

fn install(server: &Server, files: &BTreeMap<String, Vec<u8>>) -> Answer {
    let files: BTreeMap<&String, String> = files
        .iter()
        .map(|(name, bytes)| (name, BASE64.encode(bytes)))
        .collect();
    let body = json!({"files": files, "origin": "a test"});
    server.ask("POST", "/plugins", Some(&body))
}

fn make(server: &Server, guest: &HostileGuest) -> Answer {
    let body = json!({
        "name": guest.name,
        "plugin": guest.plugin,
        "config": guest.expected.config,
        "settings": {"limits": guest.expected.limits},
    });
    server.ask("POST", "/instances", Some(&body))
}

/// Makes an instance of another guest, which has something to remember, and then
/// of this one.
fn take_over(server: &Server, guest: &HostileGuest, before: &str) -> Answer {
    install(server, &files_of(before)).expect_success();
    let body = json!({"name": guest.name, "plugin": format!("tests/{before}")});
    server.put("POST", "/instances", &body);
    server.wait_for_instance(&guest.name, "running");
    show(server, guest, 1.0);
    server.wait_until_worked();
    let body = json!({"plugin": guest.plugin, "component": guest.name});
    let path = format!("/instances/{}/upgrade", guest.name);
    server.ask("POST", &path, Some(&body))
}

/// Gives it something to do.
fn provoke(server: &Server, guest: &HostileGuest) {
    match guest.kind.as_str() {
        "connector" if guest.expected.polls => {
            // Whatever comes of it is looked for elsewhere.
            let path = format!("/instances/{}/poll", guest.name);
            server.ask("POST", &path, Some(&json!({})));
        }
        "connector" => {
            let path = format!("/hooks/{}", guest.name);
            server.post(&path, &[], b"whatever").expect_success();
        }
        "correlator" => {
            let alerts = json!([firing("Down", &guest.name)]);
            server.post_json("/api/v2/alerts", &alerts);
        }
        _ => {
            for value in &guest.expected.samples {
                show(server, guest, *value);
            }
        }
    }
}

fn show(server: &Server, guest: &HostileGuest, value: f64) {
    let request = gauge(&guest.name, "load", &[(now_micros(), value)]);
    server.post_json("/v1/metrics", &request);
}

/// The error, the metric and the row of the audit log of a guest that was not
/// let in.
fn refused_by_name(server: &Server, guest: &HostileGuest, made: &Answer) -> Result<(), String> {
    let expected = &guest.expected;
    let said = made.text();
    let rows = audit_of(server, &guest.name);
    let row = rows
        .iter()
        .find(|row| row["action"] == "instance.refused")
        .ok_or_else(|| format!("not on the audit log: {rows:?}"))?;
    let detail = row["detail"].as_str().unwrap_or_default();
    let codes = format!("\"codes\":[\"{}\"]", expected.code);
    let instance = server.ask("GET", &format!("/instances/{}", guest.name), None);
    all([
        (made.status == 422, format!("not refused: {said}")),
        (
            said.contains(&format!(" could not run so: {}: ", expected.code)),
            format!("not called {}: {said}", expected.code),
        ),
        (said.contains(&expected.message), format!("says {said}")),
        (detail.contains(&codes), format!("recorded as {detail}")),
        (
            !said.contains("\\n") && !said.contains("\\u00"),
            format!("draws on terminals: {said}"),
        ),
        (instance.status == 404, "there is an instance".to_owned()),
    ])
}

/// The error, the metric and the row of the audit log of a guest that was stopped
/// in a call.
fn stopped_by_name(server: &Server, guest: &HostileGuest) -> Result<(), String> {
    let (name, expected) = (&guest.name, &guest.expected);
    let code = expected.code.as_str();
    let row = eventually(&format!("{name} is stopped by {code}"), || {
        let rows = audit_of(server, name);
        // What is refused in words is the outcome of what was tried.
        let is_it = |row: &&Value| row["action"] == code || row["result"] == code;
        let row = rows.iter().find(is_it).cloned();
        row.ok_or_else(|| format!("{rows:?}"))
    });
    server.wait_until_worked();
    let detail = row["detail"].as_str().unwrap_or_default();
    let actor = row["actor"].as_str().unwrap_or_default();
    let metric = format!(
        "faultline_plugin_failures_total{{instance=\"{name}\",kind=\"{}\",code=\"{code}\"}}",
        guest.kind
    );
    let usage = server.get(&format!("/instances/{name}"))["usage"].clone();
    all([
        (
            row["result"] == code || detail.contains(&expected.message),
            format!("recorded with {detail}"),
        ),
        (
            actor.starts_with(&format!("plugin:{name}@sha256:")),
            format!("recorded of {actor}"),
        ),
        (
            metric_of(server, &metric) >= 1.0,
            format!("not counted as {metric}"),
        ),
        (
            usage["failures"][code].as_u64() >= Some(1),
            format!("fares {usage}"),
        ),
    ])?;
    match guest.kind.as_str() {
        "connector" if expected.polls => poll_of(server, guest)?,
        "connector" => letters_of(server, guest)?,
        _ => fault_of(server, guest)?,
    }
    if let Some(title) = &expected.finds {
        wait_for_finding(server, guest, title);
    }
    Ok(())
}

/// What became of the one payload.
fn letters_of(server: &Server, guest: &HostileGuest) -> Result<(), String> {
    let expected = &guest.expected;
    let mut letters = server.list("/dead-letters");
    letters.retain(|letter| letter["source"] == guest.name.as_str());
    if !expected.loses_payload {
        return all([(letters.is_empty(), format!("lost: {letters:?}"))]);
    }
    let [letter] = letters.as_slice() else {
        return Err(format!("not one payload is kept: {letters:?}"));
    };
    let message = letter["message"].as_str().unwrap_or_default();
    all([
        (
            letter["code"] == expected.code.as_str(),
            format!("kept as {letter}"),
        ),
        (
            message.contains(&expected.message),
            format!("kept with {letter}"),
        ),
    ])
}

/// The error of one that fetches: where it stands.
fn poll_of(server: &Server, guest: &HostileGuest) -> Result<(), String> {
    let (name, expected) = (&guest.name, &guest.expected);
    let instance = server.get(&format!("/instances/{name}"));
    let fault = &instance["poll"]["last_fault"];
    let message = fault["message"].as_str().unwrap_or_default();
    all([
        (
            fault["code"] == expected.code.as_str(),
            format!("shown as {}", instance["poll"]),
        ),
        (
            message.contains(&expected.message),
            format!("shown with {fault}"),
        ),
    ])
}

/// The error of one that is not sent payloads itself: where it stands, and a dead
/// letter of what it was shown, or asked, last. One that fails before that, as it
/// is to take over a state, has no letter.
fn fault_of(server: &Server, guest: &HostileGuest) -> Result<(), String> {
    let (name, expected) = (&guest.name, &guest.expected);
    let is_it = |error: &Value| {
        let message = error["message"].as_str().unwrap_or_default();
        error["code"] == expected.code.as_str() && message.contains(&expected.message)
    };
    let reader = format!("{}:{name}", guest.kind);
    let mut letters = server.list("/dead-letters");
    letters.retain(|letter| letter["reader"] == reader.as_str());
    let instance = server.get(&format!("/instances/{name}"));
    all([
        (
            is_it(&instance["supervision"]["last_failure"]),
            format!("shown as {instance}"),
        ),
        (
            letters.iter().any(is_it) || expected.after.is_some(),
            format!("kept as {letters:?}"),
        ),
    ])
}

/// What a detector knows after all that: nothing that it was shown is lost but
/// what it failed on.
fn wait_for_finding(server: &Server, guest: &HostileGuest, title: &str) {
    eventually(&format!("{} finds {title}", guest.name), || {
        let alerts = server.list(&format!("/alerts?origin={}", guest.name));
        let is_found = alerts.iter().any(|alert| alert["title"] == title);
        is_found.then_some(()).ok_or_else(|| format!("{alerts:?}"))
    });
}

/// What the audit log has about an instance.
fn audit_of(server: &Server, instance: &str) -> Vec<Value> {
    let subject = format!("instance:{instance}");
    let mut rows = server.list("/audit");
    rows.retain(|row| row["subject"] == subject.as_str());
    rows
}

/// The value of a metric; 0 if there is none yet.
fn metric_of(server: &Server, series: &str) -> f64 {
    let text = server.metrics();
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line.map_or(0.0, |value| value.trim().parse().expect("a number"))
}

/// The first of these that does not hold.
fn all<const N: usize>(checks: [(bool, String); N]) -> Result<(), String> {
    match checks.into_iter().find(|(holds, _)| !holds) {
        Some((_, otherwise)) => Err(otherwise),
        None => Ok(()),
    }
}
