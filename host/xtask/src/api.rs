//! Whether the API is what its description says: Schemathesis makes requests of
//! the description, sensible ones and others, and holds the answers against it.
//! And whether Prometheus' own check takes what `/metrics` shows by then, when
//! there is something in all of them.
//!
//! Against a real server with some of everything in it. The seed is fixed, so
//! that the requests are the same each time, as far as the data is.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::Client;
use crate::installation::{Installation, Server, Token};
use crate::progress::{now, say, target, workspace};
use crate::{install, processes};

/// What requests are drawn with.
const SEED: &str = "1";

/// Requests for each operation and sort of request: as many as take about a
/// minute.
const EXAMPLES: &str = "25";

/// Where all of them take longer, something is wrong with the machine, or hangs
/// without a request that does.
const RUN_MAX: Duration = Duration::from_secs(300);

/// How often it is looked whether they are done.
const LOOK: Duration = Duration::from_millis(100);

/// Where a request takes longer, something hangs.
const REQUEST_SECONDS_MAX: &str = "20";

/// How long what was sent may take to become an incident.
const FILL_SECONDS_MAX: u64 = 60;

/// Checks metrics.
const PROMTOOL: &str = "promtool";

/// What is not asked for with a token, and why: it is a stream, which goes on
/// for an hour. That it refuses is asked without one; what it sends is tested
/// by `tests/e2e/tests/it/live.rs`.
const STREAM: &str = "event_stream";

/// Schemathesis, installed if it is not there.
///
/// # Errors
/// If it cannot be installed.
pub(crate) fn schemathesis() -> Result<PathBuf> {
    let requirements = workspace().join("tests/api/requirements.txt");
    let python = install::python_venv(&target().join("tools/api-venv"), &requirements)?;
    Ok(python.with_file_name("schemathesis"))
}

/// Holds the API against its description.
///
/// # Errors
/// If it is not what the description says, or the server does not survive it.
pub(crate) fn check(program: PathBuf) -> Result<()> {
    let schemathesis = schemathesis()?;
    let folder = target().join("api-test");
    let installation = Installation::of(program, &folder, "")?;
    let mut server = installation.serve(processes::interruption()?)?;
    fill(&installation, &mut server)?;
    say(format_args!("api: as an administrator, seed {SEED}"));
    let token = server.addresses().token.clone();
    ask(&schemathesis, &folder, &mut server, Some(&token))?;
    say(format_args!("api: as nobody, seed {SEED}"));
    ask(&schemathesis, &folder, &mut server, None)?;
    check_metrics(&server)?;
    // It was good to the end, so that the requests were what they seem.
    let _: Listing = installation.ask(&["incident", "list"])?;
    server.processes().check()?;
    let ready = format!("{}/readyz", server.addresses().api);
    Client::new()
        .get(&ready)
        .context("it is not ready any more")?;
    Ok(())
}

/// Has Schemathesis ask all that it thinks of, with this token or with none.
fn ask(schemathesis: &Path, folder: &Path, server: &mut Server, token: Option<&str>) -> Result<()> {
    let api = server.addresses().api.clone();
    let mut command = Command::new(schemathesis);
    command
        .current_dir(folder)
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", workspace().join("tests/api"))
        // Nothing is written beside the sources.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("FAULTLINE_API_URL", &api)
        .env_remove("FAULTLINE_API_TOKEN")
        .arg("--config-file")
        .arg(workspace().join("tests/api/schemathesis.toml"))
        .arg("run")
        .arg(format!("{api}/api/v1/openapi.json"))
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
    let mut running = command.spawn().context("starting schemathesis")?;
    let deadline = Instant::now() + RUN_MAX;
    let status = loop {
        if let Some(status) = running.try_wait().context("waiting for schemathesis")? {
            break status;
        }
        let ended = server.processes().check();
        if ended.is_err() || Instant::now() > deadline {
            running.kill().context("ending schemathesis")?;
            running.wait().context("ending schemathesis")?;
            ended?;
            bail!("schemathesis takes longer than {} s", RUN_MAX.as_secs());
        }
        thread::sleep(LOOK);
    };
    if !status.success() {
        bail!("the API is not what its description says: see above");
    }
    Ok(())
}

/// Has Prometheus' own check read the metrics: whether they can be read at all,
/// and whether their names and descriptions are as they should be.
fn check_metrics(server: &Server) -> Result<()> {
    let addresses = server.addresses();
    let url = format!("{}/metrics", addresses.api);
    let text = Client::new().get_with_token(&url, &addresses.token)?;
    let mut check = Command::new(PROMTOOL)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {PROMTOOL}, which Debian's `prometheus` brings"))?;
    let mut input = check.stdin.take().context("promtool reads nothing")?;
    input
        .write_all(text.as_bytes())
        .context("showing the metrics to promtool")?;
    drop(input);
    let output = check.wait_with_output().context("waiting for promtool")?;
    // What is only unusual is said, and the end is as if all were well.
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    if !output.status.success() || !said.trim().is_empty() {
        bail!(
            "promtool does not take {url}:\n{}",
            install::last_lines(&said)
        );
    }
    let metrics = text
        .lines()
        .filter(|line| line.starts_with("# TYPE "))
        .count();
    say(format_args!("api: promtool takes {metrics} metrics"));
    Ok(())
}

/// A listing as `--json` gives it.
#[derive(Debug, Deserialize)]
struct Listing {
    items: Vec<Value>,
}

/// An instance with a capability, so that there is one to ask for. What it is to
/// poll is nowhere, which is nothing to the API.
const POLLER: (&str, &str) = ("poller", "faultline/prometheus");
const POLLED: &str = "http://127.0.0.1:9";

/// Sends some of everything: alerts, a change, samples, lines, spans, and what
/// cannot be read; makes an instance; and waits until there is an incident.
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
    let addresses = server.addresses();
    for (path, media_type, body) in payloads {
        let url = format!("{}{path}", addresses.intake);
        client.post(&url, &token.token, media_type, &body)?;
    }
    let (name, plugin) = POLLER;
    let poller = json!({"name": name, "plugin": plugin, "config": {"url": POLLED}});
    let url = format!("{}/api/v1/instances", addresses.api);
    client.post(&url, &addresses.token, json, &poller.to_string())?;
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
