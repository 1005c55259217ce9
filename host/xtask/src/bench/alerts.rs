//! Alerts that are accepted at `/api/v2/alerts`, beside Alertmanager.
//!
//! Both get the same bodies on the same number of connections, by turns. The
//! rate is that of answers; Faultline answers once an alert is durable, and is
//! given the time to work on it before the other one has its turn.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use crate::bench::Size;
use crate::bench::figure::{Figure, Goal};
use crate::bench::peers::Peers;
use crate::bench::senders::Lane;
use crate::bench::sink::{CONFIG, Sink, Until, WITHOUT_PLUGINS};
use crate::installation::{Installation, Profile};
use crate::progress::{now, say, target};

/// Where both take alerts.
pub(crate) const PATH: &str = "/api/v2/alerts";
/// What both want to be told.
pub(crate) const HEADERS: &[(&str, &str)] = &[("content-type", "application/json")];

/// Connections at a time.
const SENDERS: usize = 4;
/// Measured turns of each, after one that is not.
const ROUNDS: usize = 7;
/// Alerts of a request, and of a turn.
const REQUEST_ALERTS: usize = 50;
const ROUND_ALERTS: usize = 2_000;
/// Services that alerts are of.
pub(crate) const SERVICES: usize = 100;

/// Measures what is accepted, and what becomes incidents.
pub(crate) fn measure(size: Size, interrupted: &Arc<AtomicBool>) -> Result<Vec<Figure>> {
    say("bench: alerts by /api/v2/alerts, beside Alertmanager");
    let folder = target().join("bench/alerts");
    let mut peers = Peers::new(&folder.join("peers"), interrupted)?;
    let alertmanager = peers.alertmanager()?;
    let with = Installation::make(Profile::Release, &folder.join("with"), CONFIG)?;
    let config = format!("{CONFIG}{WITHOUT_PLUGINS}");
    let without = Installation::make(Profile::Release, &folder.join("without"), &config)?;
    let mut with = Sink::open(&with, interrupted)?;
    let mut without = Sink::open(&without, interrupted)?;

    let (mut ours, mut theirs, mut ahead) = (Vec::new(), Vec::new(), Vec::new());
    let (mut correlated, mut observed) = (Vec::new(), Vec::new());
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let count = ROUND_ALERTS as f64;
    for round in 0..=size.pick(ROUNDS, 2) {
        let lanes = lanes(&format!("Round{round}"));
        let began = Instant::now();
        let our = count / with.alerts().post_all(&lanes)?.as_secs_f64();
        with.settle(Until::Correlated)?;
        let whole = count / began.elapsed().as_secs_f64();
        let their = count / alertmanager.post_all(&lanes)?.as_secs_f64();
        let began = Instant::now();
        without.alerts().post_all(&lanes)?;
        without.settle(Until::Observed)?;
        let bare = count / began.elapsed().as_secs_f64();
        if round > 0 {
            ours.push(our);
            theirs.push(their);
            ahead.push(our / their);
            correlated.push(whole);
            observed.push(bare);
        }
    }
    let unit = "alerts/s";
    Ok(vec![
        Figure::new("alerts accepted, durably: Faultline", unit, ours),
        Figure::new("alerts accepted: Alertmanager", unit, theirs),
        Figure::new("alerts accepted: Faultline / Alertmanager", "ratio", ahead)
            .with_goal(Goal::AtLeast(1.0)),
        Figure::new(
            "new alerts, from the socket to incidents: all bundled plugins",
            unit,
            correlated,
        ),
        Figure::new(
            "new alerts, from the socket to committed: without plugins",
            unit,
            observed,
        ),
    ])
}

/// A turn's alerts, none heard of before.
fn lanes(name: &str) -> Vec<Lane> {
    let bodies = bodies(name, 0..ROUND_ALERTS, REQUEST_ALERTS);
    let each = bodies.len().div_ceil(SENDERS);
    bodies.chunks(each).map(<[Vec<u8>]>::to_vec).collect()
}

/// Alerts of this name, one a number, in bodies of so many.
pub(crate) fn bodies(
    name: &str,
    numbers: impl IntoIterator<Item = usize>,
    each: usize,
) -> Vec<Vec<u8>> {
    let starts = now().to_string();
    let numbers: Vec<usize> = numbers.into_iter().collect();
    numbers
        .chunks(each)
        .map(|numbers| body(name, numbers, &starts, None))
        .collect()
}

/// A list of alerts. Those that have ended say when.
pub(crate) fn body(name: &str, numbers: &[usize], starts: &str, ends: Option<&str>) -> Vec<u8> {
    let alerts: Vec<_> = numbers
        .iter()
        .map(|number| {
            let mut alert = json!({
                "labels": {
                    "alertname": name,
                    "severity": "warning",
                    "service": format!("checkout-{}", number % SERVICES),
                    "pod": pod(name, *number),
                },
                "annotations": { "summary": format!("alert {number} of {name}") },
                "startsAt": starts,
                "generatorURL": "http://prometheus.example/graph",
            });
            if let Some(ends) = ends {
                alert["endsAt"] = json!(ends);
            }
            alert
        })
        .collect();
    json!(alerts).to_string().into_bytes()
}

/// What only this alert concerns, beside its service.
pub(crate) fn pod(name: &str, number: usize) -> String {
    format!("{name}-{number}")
}
