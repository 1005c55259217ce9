//! From the acknowledgement of an alert to the moment at which an incident with
//! it can be seen, at a steady rate.
//!
//! An incident is seen where people see it: in the live updates of the API. An
//! alert counts as seen when the event arrives that says that it joined an
//! incident.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::bench::Size;
use crate::bench::alerts::{body, pod};
use crate::bench::figure::{Figure, Goal, quantile};
use crate::bench::senders::agent;
use crate::bench::sink::{CONFIG, Sink, Until};
use crate::installation::{Installation, Profile};
use crate::progress::{now, say, target};

/// Measured turns, after one that is not.
const ROUNDS: usize = 3;
/// Alerts a second, in requests of so many.
const RATE: usize = 1_000;
const REQUEST_ALERTS: usize = 10;
/// How long a turn lasts.
const ROUND_SECONDS: usize = 8;
const CONNECTIONS: usize = 8;
/// How long after the last acknowledgement everything must be seen.
const SEEN_MAX: Duration = Duration::from_secs(120);

/// What share of the alerts is new, and not a word repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mix {
    /// Every tenth: senders repeat what holds.
    OneInTen,
    /// All of them.
    AllNew,
}

/// Measures both mixes.
pub(crate) fn measure(size: Size, interrupted: &Arc<AtomicBool>) -> Result<Vec<Figure>> {
    say("bench: from acknowledgement to a visible incident");
    let folder = target().join("bench/latency");
    let mut figures = Vec::new();
    for (mix, name) in [(Mix::OneInTen, "one in ten new"), (Mix::AllNew, "all new")] {
        let installation = Installation::make(Profile::Release, &folder, CONFIG)?;
        let mut sink = Sink::open(&installation, interrupted)?;
        let seen = Seen::listen(&sink)?;
        let (mut middle, mut late) = (Vec::new(), Vec::new());
        for round in 0..=size.pick(ROUNDS, 1) {
            let millis = turn(&mut sink, &seen, mix, &format!("Turn{round}"), size)?;
            if round > 0 {
                middle.push(quantile(&millis, 0.5));
                late.push(quantile(&millis, 0.99));
            }
        }
        let what = format!("acknowledged to visible, {RATE} alerts/s, {name}");
        figures.push(Figure::new(&format!("{what}: p50"), "ms", middle));
        figures
            .push(Figure::new(&format!("{what}: p99"), "ms", late).with_goal(Goal::AtMost(500.0)));
    }
    Ok(figures)
}

/// Sends for some seconds; gives how long each new alert took, in milliseconds.
fn turn(sink: &mut Sink, seen: &Seen, mix: Mix, name: &str, size: Size) -> Result<Vec<f64>> {
    let seconds = size.pick(ROUND_SECONDS, 3);
    let (known, fresh) = match mix {
        Mix::OneInTen => (REQUEST_ALERTS - 1, 1),
        Mix::AllNew => (0, REQUEST_ALERTS),
    };
    let (repeated, starts) = (format!("{name}Known"), now().to_string());
    let requests = RATE * seconds / REQUEST_ALERTS;
    let pool = RATE * known / REQUEST_ALERTS;
    let mut bodies = Vec::with_capacity(requests);
    for request in 0..requests {
        let new: Vec<usize> = (request * fresh..(request + 1) * fresh).collect();
        let mut text = body(name, &new, &starts, None);
        if known > 0 {
            let old: Vec<usize> = (request * known..(request + 1) * known)
                .map(|number| number % pool)
                .collect();
            // Two lists made one.
            text.pop();
            text.push(b',');
            text.extend_from_slice(&body(&repeated, &old, &starts, None)[1..]);
        }
        bodies.push(text);
    }
    let every = Duration::from_secs(1) / u32::try_from(RATE / REQUEST_ALERTS)?;
    let answered = sink.alerts().post_paced(&bodies, every, CONNECTIONS)?;
    sink.settle(Until::Correlated)?;
    let deadline = Instant::now() + SEEN_MAX;
    let mut millis = Vec::new();
    for (request, acknowledged) in answered.into_iter().enumerate() {
        for number in request * fresh..(request + 1) * fresh {
            let at = seen.wait(&pod(name, number), deadline)?;
            let took = at.saturating_duration_since(acknowledged);
            millis.push(took.as_secs_f64() * 1e3);
        }
    }
    Ok(millis)
}

/// When the alert of each pod was seen in an incident.
struct Seen(Arc<Mutex<HashMap<String, Instant>>>);

/// What is read of an event.
#[derive(Deserialize)]
struct Event {
    kind: String,
    facts: Option<Facts>,
}

#[derive(Deserialize)]
struct Facts {
    entities: Vec<String>,
}

impl Seen {
    /// Listens to a server's live updates for as long as it runs.
    fn listen(sink: &Sink) -> Result<Self> {
        let url = sink.url("/events");
        let stream = agent(None)
            .get(&url)
            .header("authorization", sink.authorization())
            .call()
            .with_context(|| format!("asking {url}"))?
            .into_body()
            .into_reader();
        let seen = Arc::new(Mutex::new(HashMap::new()));
        let notes = Arc::clone(&seen);
        thread::spawn(move || {
            // Ends with the server.
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if let Some(data) = line.strip_prefix("data:")
                    && let Ok(event) = serde_json::from_str::<Event>(data)
                    && event.kind == "joined"
                {
                    let at = Instant::now();
                    let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
                    for entity in event.facts.map(|facts| facts.entities).unwrap_or_default() {
                        if let Some(pod) = entity.strip_prefix("pod/") {
                            notes.entry(pod.to_owned()).or_insert(at);
                        }
                    }
                }
            }
        });
        Ok(Self(seen))
    }

    /// When the alert of this pod was seen, waiting for it if need be.
    fn wait(&self, pod: &str, deadline: Instant) -> Result<Instant> {
        loop {
            let found = {
                let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                notes.get(pod).copied()
            };
            if let Some(at) = found {
                return Ok(at);
            }
            if Instant::now() > deadline {
                bail!("the alert of {pod} was not seen in any incident");
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}
