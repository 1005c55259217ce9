//! What one node takes in: samples and alerts, from the socket to what the
//! stages have committed.
//!
//! Two servers take turns: one as it comes, with all bundled plugins, and one
//! with none, which says what the sandboxed work costs as a part of the whole.
//! The senders run on the same machine and have to share it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use ureq::Agent;

use crate::bench::figure::Figure;
use crate::bench::remote_write;
use crate::installation::{Installation, Profile, Server, Token};
use crate::progress::{now, say, target};

/// Connections that senders use at a time.
const SENDERS: usize = 4;
/// Measured turns of each server, after one that is not.
const ROUNDS: usize = 7;
/// Series, each with one sample in every step.
const SERIES: u32 = 2_000;
/// Samples of a request, as Prometheus sends them.
const REQUEST_SAMPLES: u32 = 1_000;
/// Steps of a turn.
const ROUND_STEPS: u32 = 50;
/// Between the steps, in event time.
const STEP: Duration = Duration::from_secs(15);
/// Alerts of a request, and of a turn: a storm.
const REQUEST_ALERTS: usize = 50;
const ROUND_ALERTS: usize = 1_000;
/// How often a server is asked how far it has come.
const POLL: Duration = Duration::from_millis(20);
/// How long a turn may take.
const ROUND_MAX: Duration = Duration::from_secs(300);
/// For one request.
const REQUEST_MAX: Duration = Duration::from_secs(60);

/// More than a sender should send in earnest; and the turns pretend that hours
/// go by.
const CONFIG: &str = "\
[intake.limits]
sender-requests-per-second = 1000000
sender-bytes-per-second = \"1GiB\"
";
const WITHOUT_PLUGINS: &str = "\n[plugins]\nbundled = false\n";

/// Measures both.
pub(crate) fn measure(interrupted: &Arc<AtomicBool>) -> Result<Vec<Figure>> {
    let folder = target().join("bench");
    let with = Installation::make(Profile::Release, &folder.join("with"), CONFIG)?;
    let config = format!("{CONFIG}{WITHOUT_PLUGINS}");
    let without = Installation::make(Profile::Release, &folder.join("without"), &config)?;
    let mut with = Sink::open(&with, interrupted)?;
    let mut without = Sink::open(&without, interrupted)?;

    say("bench: samples by remote write");
    let mut step = 0;
    let (mut ratio, mut all, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let bodies = samples(&mut step)?;
        let count = f64::from(SERIES * ROUND_STEPS);
        let rate = |sink: &mut Sink| -> Result<f64> {
            Ok(count / sink.take(&SAMPLES, &bodies, Until::Observed)?.as_secs_f64())
        };
        let (one, other) = (rate(&mut with)?, rate(&mut without)?);
        if round > 0 {
            all.push(one);
            bare.push(other);
            ratio.push(other / one);
        }
    }
    let what = "remote write, from the socket to committed";
    let mut figures = vec![
        Figure::new(&format!("{what}: all bundled plugins"), "samples/s", all),
        Figure::new(&format!("{what}: without plugins"), "samples/s", bare),
        Figure::new(&format!("{what}: without / with"), "ratio", ratio),
    ];

    say("bench: alerts by /api/v2/alerts");
    let (mut all, mut bare) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let bodies = alerts(round);
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let rate = |sink: &mut Sink, until| -> Result<f64> {
            Ok(ROUND_ALERTS as f64 / sink.take(&ALERTS, &bodies, until)?.as_secs_f64())
        };
        let one = rate(&mut with, Until::Correlated)?;
        let other = rate(&mut without, Until::Observed)?;
        if round > 0 {
            all.push(one);
            bare.push(other);
        }
    }
    let what = "storm of new alerts, from the socket to";
    figures.push(Figure::new(
        &format!("{what} incidents: all bundled plugins"),
        "alerts/s",
        all,
    ));
    figures.push(Figure::new(
        &format!("{what} committed: without plugins"),
        "alerts/s",
        bare,
    ));
    Ok(figures)
}

/// How far what was sent has to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// Alerts are committed.
    Observed,
    /// Incidents are.
    Correlated,
}

/// Where and how something is sent.
struct Kind {
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
}

const SAMPLES: Kind = Kind {
    path: "/api/v1/write",
    headers: &[
        ("content-type", "application/x-protobuf"),
        ("content-encoding", "snappy"),
        ("x-prometheus-remote-write-version", "0.1.0"),
    ],
};

const ALERTS: Kind = Kind {
    path: "/api/v2/alerts",
    headers: &[("content-type", "application/json")],
};

/// The bodies of a turn. Event time begins long enough ago that all turns end
/// before now.
fn samples(step: &mut u32) -> Result<Vec<Vec<u8>>> {
    let steps = ROUND_STEPS * (u32::try_from(ROUNDS)? + 2);
    let begin = now().minus(STEP * steps);
    let mut bodies = Vec::new();
    for _ in 0..ROUND_STEPS {
        *step += 1;
        let time = begin.plus(STEP * *step).as_i64() / 1_000;
        for first in (0..SERIES).step_by(REQUEST_SAMPLES as usize) {
            // Noise that is the same in each run.
            let value = |series: u32| f64::from((series * 31 + *step * 17) % 101);
            bodies.push(remote_write::body(
                first..first + REQUEST_SAMPLES,
                time,
                value,
            )?);
        }
    }
    Ok(bodies)
}

/// Alerts that have not been heard of before, of a hundred services.
fn alerts(round: usize) -> Vec<Vec<u8>> {
    let starts = now().to_string();
    (0..ROUND_ALERTS)
        .map(|number| {
            json!({
                "labels": {
                    "alertname": format!("Storm{round}"),
                    "severity": "warning",
                    "service": format!("checkout-{}", number % 100),
                    "instance": format!("pod-{number}"),
                },
                "annotations": { "summary": format!("alert {number} of a storm") },
                "startsAt": starts,
                "generatorURL": "http://prometheus.example/graph",
            })
        })
        .collect::<Vec<_>>()
        .chunks(REQUEST_ALERTS)
        .map(|chunk| json!(chunk).to_string().into_bytes())
        .collect()
}

/// A server, and what it takes to send to it.
struct Sink {
    server: Server,
    agent: Agent,
    token: String,
}

/// What is read of `GET /api/v1/status`.
#[derive(Debug, Deserialize)]
struct Status {
    journal_position: u64,
    journal_received: Option<Timestamp>,
    stages: Vec<Stage>,
}

#[derive(Debug, Deserialize)]
struct Stage {
    name: String,
    position: u64,
    /// Arrival time up to which all is dealt with.
    clock: Option<Timestamp>,
    fault: Option<String>,
}

impl Status {
    /// Whether the stages have committed what comes of all that was in the
    /// journal when `sent` was asked.
    fn is_past(&self, sent: &Self, until: Until) -> bool {
        let stage = |name: &str| self.stages.iter().find(|stage| stage.name == name);
        stage("observe").is_some_and(|stage| stage.position >= sent.journal_position)
            && (until == Until::Observed
                || stage("correlate").is_some_and(|stage| stage.clock > sent.journal_received))
    }
}

impl Sink {
    fn open(installation: &Installation, interrupted: &Arc<AtomicBool>) -> Result<Self> {
        let server = installation.serve(Arc::clone(interrupted))?;
        let token: Token = installation.ask(&["token", "create", "bench", "--ingest"])?;
        let config = Agent::config_builder()
            .timeout_global(Some(REQUEST_MAX))
            .max_idle_connections_per_host(SENDERS)
            .proxy(None)
            .build();
        Ok(Self {
            server,
            agent: config.into(),
            token: token.token,
        })
    }

    /// Sends all and waits until the stages have come past it.
    fn take(&mut self, kind: &Kind, bodies: &[Vec<u8>], until: Until) -> Result<Duration> {
        let began = Instant::now();
        let next = AtomicUsize::new(0);
        let this = &*self;
        thread::scope(|scope| {
            let senders: Vec<_> = (0..SENDERS)
                .map(|_| {
                    scope.spawn(|| -> Result<()> {
                        while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                            this.send(kind, body)?;
                        }
                        Ok(())
                    })
                })
                .collect();
            senders
                .into_iter()
                .try_for_each(|sender| sender.join().map_err(|_| anyhow!("a sender panicked"))?)
        })?;
        let sent = self.status()?;
        loop {
            self.server.processes().check()?;
            let status = self.status()?;
            if let Some(fault) = status.stages.iter().find_map(|stage| stage.fault.as_ref()) {
                bail!("a stage does not go on: {fault}");
            }
            if status.is_past(&sent, until) {
                return Ok(began.elapsed());
            }
            if began.elapsed() > ROUND_MAX {
                bail!("the stages need more than {ROUND_MAX:?} for what was sent");
            }
            thread::sleep(POLL);
        }
    }

    fn send(&self, kind: &Kind, body: &[u8]) -> Result<()> {
        let url = format!("{}{}", self.server.addresses().intake, kind.path);
        let mut request = self
            .agent
            .post(&url)
            .header("authorization", format!("Bearer {}", self.token));
        for (name, value) in kind.headers {
            request = request.header(*name, *value);
        }
        let mut answer = request
            .send(body)
            .with_context(|| format!("sending to {url}"))?;
        // Read to its end, so that the connection can be used again.
        answer
            .body_mut()
            .read_to_vec()
            .with_context(|| format!("reading the answer of {url}"))?;
        Ok(())
    }

    fn status(&self) -> Result<Status> {
        let addresses = self.server.addresses();
        let url = format!("{}/api/v1/status", addresses.api);
        let text = self
            .agent
            .get(&url)
            .header("authorization", format!("Bearer {}", addresses.token))
            .call()
            .with_context(|| format!("asking {url}"))?
            .body_mut()
            .read_to_string()
            .with_context(|| format!("reading the answer of {url}"))?;
        serde_json::from_str(&text).with_context(|| format!("reading the answer of {url}"))
    }
}
