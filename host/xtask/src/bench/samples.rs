//! Samples by remote write, end to end, beside Prometheus' own receiver.
//!
//! All get the same bodies on the same connections, by turns. For Faultline the
//! clock runs until what its detectors make of the last sample is committed,
//! for Prometheus until it has answered.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bench::Size;
use crate::bench::figure::{Figure, Goal};
use crate::bench::peers::Peers;
use crate::bench::remote_write;
use crate::bench::senders::Lane;
use crate::bench::sink::{CONFIG, Sink, Until, WITHOUT_PLUGINS};
use crate::installation::{Installation, Profile};
use crate::progress::{now, say, target};

/// Where both take samples.
pub(crate) const PATH: &str = "/api/v1/write";
/// What both want to be told.
pub(crate) const HEADERS: &[(&str, &str)] = &[
    ("content-type", "application/x-protobuf"),
    ("content-encoding", "snappy"),
    ("x-prometheus-remote-write-version", "0.1.0"),
];

/// Connections at a time, each with series of its own, as Prometheus does it:
/// the samples of a series must stay in order.
const SENDERS: u32 = 4;
/// Measured turns of each, after one that is not.
const ROUNDS: usize = 7;
/// Series, each with one sample in every step.
const SERIES: u32 = 2_000;
/// Steps of a turn.
const ROUND_STEPS: u32 = 100;
/// The most samples of a request, as Prometheus sends them.
const REQUEST_SAMPLES: u32 = 1_000;
/// Between the steps, in event time.
const STEP: Duration = Duration::from_secs(15);

/// Measures all three.
pub(crate) fn measure(size: Size, interrupted: &Arc<AtomicBool>) -> Result<Vec<Figure>> {
    say("bench: samples by remote write, beside Prometheus");
    let folder = target().join("bench/samples");
    let mut peers = Peers::new(&folder.join("peers"), interrupted)?;
    let prometheus = peers.prometheus()?;
    let with = Installation::make(Profile::Release, &folder.join("with"), CONFIG)?;
    let config = format!("{CONFIG}{WITHOUT_PLUGINS}");
    let without = Installation::make(Profile::Release, &folder.join("without"), &config)?;
    let mut with = Sink::open(&with, interrupted)?;
    let mut without = Sink::open(&without, interrupted)?;

    let rounds = size.pick(ROUNDS, 2);
    let mut steps = Steps::ending_now(ROUND_STEPS * (u32::try_from(rounds)? + 2));
    let (mut all, mut bare, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let (mut cost, mut ahead) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let lanes = steps.lanes(SERIES, ROUND_STEPS)?;
        let count = f64::from(SERIES * ROUND_STEPS);
        let one = count / take(&mut with, &lanes)?.as_secs_f64();
        let their = count / prometheus.post_all(&lanes)?.as_secs_f64();
        let other = count / take(&mut without, &lanes)?.as_secs_f64();
        if round > 0 {
            all.push(one);
            bare.push(other);
            theirs.push(their);
            cost.push(other / one);
            ahead.push(one / their);
        }
    }
    let (what, unit) = ("remote write, from the socket to committed", "samples/s");
    Ok(vec![
        Figure::new(&format!("{what}: all bundled plugins"), unit, all)
            .with_goal(Goal::AtLeast(300_000.0)),
        Figure::new(&format!("{what}: without plugins"), unit, bare),
        Figure::new(&format!("{what}: without / with"), "ratio", cost),
        Figure::new("remote write, accepted: Prometheus", unit, theirs),
        Figure::new("remote write: Faultline / Prometheus", "ratio", ahead)
            .with_goal(Goal::AtLeast(1.0)),
    ])
}

/// Sends all and waits until it is committed.
pub(crate) fn take(sink: &mut Sink, lanes: &[Lane]) -> Result<Duration> {
    let began = Instant::now();
    sink.samples().post_all(lanes)?;
    sink.settle(Until::Observed)?;
    Ok(began.elapsed())
}

/// Steps of time, each with a sample of every series.
pub(crate) struct Steps {
    next: u32,
    begin_millis: u64,
}

impl Steps {
    /// The last of so many ends before now.
    pub(crate) fn ending_now(steps: u32) -> Self {
        Self {
            next: 0,
            begin_millis: now().minus(STEP * steps).as_micros() / 1_000,
        }
    }

    /// The next so many, as each sender sends them.
    ///
    /// # Errors
    /// If samples cannot be written down.
    pub(crate) fn lanes(&mut self, series: u32, steps: u32) -> Result<Vec<Lane>> {
        let first_step = self.next;
        self.next += steps;
        let share = series.div_ceil(SENDERS);
        (0..SENDERS)
            .map(|sender| {
                let mine = sender * share..((sender + 1) * share).min(series);
                let mut lane = Vec::new();
                let width = share.min(REQUEST_SAMPLES);
                let together = (REQUEST_SAMPLES / width).max(1);
                for step in (first_step..self.next).step_by(together as usize) {
                    for first in mine.clone().step_by(width as usize) {
                        let some = first..(first + width).min(mine.end);
                        let steps = step..(step + together).min(self.next);
                        lane.push(self.body(some, steps)?);
                    }
                }
                Ok(lane)
            })
            .collect()
    }

    fn body(&self, series: std::ops::Range<u32>, steps: std::ops::Range<u32>) -> Result<Vec<u8>> {
        remote_write::body(series, |series| {
            steps.clone().map(move |step| {
                let at = u64::from(step) * u64::try_from(STEP.as_millis()).unwrap_or(u64::MAX);
                // Noise that is the same in each run.
                let value = f64::from((series * 31 + step * 17) % 101);
                (self.begin_millis + at, value)
            })
        })
    }
}
