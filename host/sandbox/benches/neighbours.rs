//! What a plugin feels of a hostile one beside it: the 99th percentile of its
//! calls while the other misbehaves as hard as it can, over that of its calls
//! alone.
//!
//! Both take turns in one run, in rounds of a third of a second. The guests are
//! those of `cargo xtask plugins`.

#[path = "boundary/event.rs"]
mod event;
#[path = "boundary/figures.rs"]
#[expect(
    dead_code,
    reason = "the other bench finds curves, and has other goals"
)]
mod figures;
#[path = "boundary/surroundings.rs"]
#[expect(dead_code, reason = "the other bench needs more of them")]
mod surroundings;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use faultline_domain::decode::Decoder as _;
use faultline_domain::envelope::{Arrival, Envelope, Format, Position};
use faultline_domain::id::{InstanceName, SourceName};
use faultline_domain::time::Timestamp;
use faultline_sandbox::{Loaded, WasmConnector};
use serde_json::json;

use event::EVENT;
use figures::{Goal, report, rounds};
use surroundings::Surroundings;

/// Turns of both sides, for each way to misbehave; fewer if it is to be quick.
const ROUNDS: usize = 12;
/// How long a turn is.
const ROUND: Duration = Duration::from_millis(300);
/// A neighbour's calls may take so many times as long.
const GOAL_MAX: f64 = 2.0;

/// What the hostile connector can do.
const BEHAVIOURS: [&str; 7] = ["loop", "grow", "trap", "recurse", "huge", "many", "chatter"];

fn main() -> Result<(), Box<dyn Error>> {
    let surroundings = Surroundings::new()?;
    let neighbour = connector(surroundings.load("cloudevents")?)?;
    let payload = envelope("cloudevents", EVENT)?;
    p99(&neighbour, &payload)?;
    let mut alone = Vec::new();
    for behaviour in BEHAVIOURS {
        let config = json!({ "behaviour": behaviour }).to_string();
        let hostile = connector(surroundings.load_from("other-bundles", "hostile", &config)?)?;
        let (mut beside, mut ratios) = (Vec::new(), Vec::new());
        for _ in 0..rounds(ROUNDS) {
            let quiet = p99(&neighbour, &payload)?;
            let busy = beside_of(&hostile, || p99(&neighbour, &payload))?;
            ratios.push(busy / quiet);
            alone.push(quiet);
            beside.push(busy);
        }
        let name = format!("a neighbour's calls, p99: beside `{behaviour}`");
        report(&name, "us", Goal::None, &beside);
        let goal = Goal::AtMost(GOAL_MAX);
        report(&format!("{name} / alone"), "ratio", goal, &ratios);
    }
    report("a neighbour's calls, p99: alone", "us", Goal::None, &alone);
    Ok(())
}

/// Does something while a hostile connector is called again and again.
fn beside_of<T>(
    hostile: &WasmConnector,
    act: impl FnOnce() -> Result<T, Box<dyn Error>>,
) -> Result<T, Box<dyn Error>> {
    let envelope = envelope("hostile", "whatever")?;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (begun, has_begun) = mpsc::channel();
        let (envelope, is_over) = (&envelope, &is_over);
        scope.spawn(move || {
            // Whoever waits for it does not go before it has come.
            let _ = begun.send(());
            while !is_over.load(Ordering::Relaxed) {
                // It fails, which is what it is for.
                let _ = hostile.decode(&[envelope]);
            }
        });
        let done = has_begun.recv().map_err(Into::into).and_then(|()| act());
        is_over.store(true, Ordering::Relaxed);
        done
    })
}

/// The 99th percentile of how long calls take, in microseconds.
fn p99(connector: &WasmConnector, envelope: &Envelope) -> Result<f64, Box<dyn Error>> {
    let mut micros = Vec::new();
    let began = Instant::now();
    while began.elapsed() < ROUND {
        let call = Instant::now();
        for answer in connector.decode(&[envelope])? {
            answer.map_err(|fault| fault.to_string())?;
        }
        micros.push(call.elapsed().as_secs_f64() * 1e6);
    }
    micros.sort_by(f64::total_cmp);
    let at = (micros.len() * 99 / 100).min(micros.len().saturating_sub(1));
    micros.get(at).copied().ok_or_else(|| "no call".into())
}

fn connector(loaded: Loaded) -> Result<Arc<WasmConnector>, Box<dyn Error>> {
    match loaded {
        Loaded::Connector(connector) => Ok(connector),
        _ => Err("it is no connector".into()),
    }
}

fn envelope(source: &str, body: &str) -> Result<Envelope, Box<dyn Error>> {
    Ok(Envelope {
        position: Position(1),
        arrival: Arrival {
            source: SourceName::new(source)?,
            format: Format::Connector(InstanceName::new(source)?),
            content_type: "application/cloudevents+json".to_owned(),
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
            received: Timestamp::from_secs(1_772_366_400),
        },
    })
}
