//! Whether the API is what its description says: Schemathesis makes requests of
//! the description, sensible ones and others, and holds the answers against it.
//!
//! Against a real server with some of everything in it. The seed is fixed, so
//! that the requests are the same each time, as far as the data is.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::Client;
use crate::installation::{Installation, Server, Token};
use crate::progress::{now, say, target, workspace};
use crate::{install, processes};

/// What requests are drawn with.
const SEED: &str = "1";

/// Requests for each operation and sort of request.
const EXAMPLES: &str = "10";

/// Where a request takes longer, something hangs.
const REQUEST_SECONDS_MAX: &str = "20";

/// How long what was sent may take to become an incident.
const FILL_SECONDS_MAX: u64 = 60;

/// What is not asked for with a token, and why: it is a stream, which goes on
/// for an hour. That it refuses is asked without one; what it sends is tested
/// by `tests/e2e/tests/it/live.rs`.
const STREAM: &str = "event_stream";

/// Holds the API against its description.
///
/// # Errors
/// If it is not what the description says, or the server does not survive it.
pub(crate) fn check(program: PathBuf) -> Result<()> {
    let requirements = workspace().join("tests/api/requirements.txt");
    let python = install::python_venv(&target().join("tools/api-venv"), &requirements)?;
    let folder = target().join("api-test");
    let installation = Installation::of(program, &folder, "")?;
    let mut server = installation.serve(processes::interruption()?)?;
    fill(&installation, &mut server)?;
    let schemathesis = python.with_file_name("schemathesis");
    let run = |token: Option<&str>| -> Result<()> {
        let mut command = Command::new(&schemathesis);
        command
            .current_dir(&folder)
            .env("SCHEMATHESIS_HOOKS", "hooks")
            .env("PYTHONPATH", workspace().join("tests/api"))
            .env_remove("FAULTLINE_API_TOKEN")
            .arg("--config-file")
            .arg(workspace().join("tests/api/schemathesis.toml"))
            .arg("run")
            .arg(format!("{}/api/v1/openapi.json", server.addresses().api))
            .args(["--seed", SEED, "--max-examples", EXAMPLES])
            .args(["--request-timeout", REQUEST_SECONDS_MAX])
            .args(["--generation-database", "none", "--no-color"])
            .args(["--checks", "all"]);
        match token {
            Some(token) => command
                .env("FAULTLINE_API_TOKEN", token)
                .args(["--header", &format!("Authorization: Bearer {token}")])
                .args(["--exclude-operation-id", STREAM]),
            None => command.args(["--phases", "examples,coverage,fuzzing"]),
        };
        let status = command.status().context("starting schemathesis")?;
        if !status.success() {
            bail!("the API is not what its description says: see above");
        }
        Ok(())
    };
    say("api: as an administrator");
    run(Some(&server.addresses().token))?;
    say("api: as nobody");
    run(None)?;
    // It was good to the end, so that the requests were what they seem.
    let _: Listing = installation.ask(&["incident", "list"])?;
    server.processes().check()?;
    let ready = format!("{}/readyz", server.addresses().api);
    Client::new()
        .get(&ready)
        .context("it is not ready any more")?;
    Ok(())
}

/// A listing as `--json` gives it.
#[derive(Debug, Deserialize)]
struct Listing {
    items: Vec<Value>,
}

/// Sends some of everything: alerts, a change, samples, lines, spans, and what
/// cannot be read; and waits until there is an incident.
fn fill(installation: &Installation, server: &mut Server) -> Result<()> {
    let token: Token = installation.ask(&["token", "create", "some-sender", "--ingest"])?;
    let now = now();
    let nanos = (now.as_micros() * 1_000).to_string();
    let resource = |service: &str| json!({"attributes": [{"key": "service.name", "value": {"stringValue": service}}]});
    let span = |id: &str, parent: &str, kind: u8, name: &str| {
        json!({
            "traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": id, "parentSpanId": parent,
            "name": name, "kind": kind, "startTimeUnixNano": nanos, "endTimeUnixNano": nanos,
        })
    };
    let alert = |name: &str, service: &str| {
        json!({
            "labels": {"alertname": name, "service": service, "severity": "critical"},
            "annotations": {"summary": format!("{name} of {service}")},
            "startsAt": now.to_string(),
            "generatorURL": "http://prometheus.example/graph",
        })
    };
    let json = "application/json";
    let payloads = [
        (
            "/v1/traces",
            json,
            json!({"resourceSpans": [
                {"resource": resource("shop"), "scopeSpans": [{"spans": [
                    span("0000000000000001", "", 3, "GET /orders"),
                ]}]},
                {"resource": resource("orders"), "scopeSpans": [{"spans": [
                    span("0000000000000002", "0000000000000001", 2, "GET /orders"),
                ]}]},
            ]})
            .to_string(),
        ),
        (
            "/v1/metrics",
            json,
            json!({"resourceMetrics": [{"resource": resource("shop"), "scopeMetrics": [
                {"metrics": [{"name": "queue_length", "gauge": {"dataPoints": [
                    {"timeUnixNano": nanos, "asDouble": 17.0},
                ]}}]},
            ]}]})
            .to_string(),
        ),
        (
            "/v1/logs",
            json,
            json!({"resourceLogs": [{"resource": resource("shop"), "scopeLogs": [
                {"logRecords": [{"timeUnixNano": nanos, "body": {"stringValue": "no"}}]},
            ]}]})
            .to_string(),
        ),
        (
            "/hooks/cloudevents",
            "application/cloudevents+json",
            json!({
                "specversion": "1.0", "id": "change-1", "source": "/deployments",
                "type": "dev.faultline.change",
                "data": {"title": "orders 2 to production", "entities": ["service/orders"]},
            })
            .to_string(),
        ),
        ("/hooks/alertmanager", json, "nothing like JSON".to_owned()),
        (
            "/api/v2/alerts",
            json,
            json!([alert("Slow", "shop"), alert("Down", "orders")]).to_string(),
        ),
    ];
    let client = Client::new();
    for (path, media_type, body) in payloads {
        let url = format!("{}{path}", server.addresses().intake);
        client.post(&url, &token.token, media_type, &body)?;
    }
    server
        .processes()
        .wait_at_most(FILL_SECONDS_MAX, "an incident", || {
            let incidents: Listing = installation.ask(&["incident", "list"])?;
            if incidents.items.is_empty() {
                bail!("there is none yet");
            }
            Ok(())
        })
}
