//! A storm: 100,000 alerts over 10,000 fingerprints within a minute, and how
//! soon all is quiet again.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bench::Size;
use crate::bench::alerts::bodies;
use crate::bench::figure::{Figure, Goal};
use crate::bench::sink::{CONFIG, Sink, Until};
use crate::installation::{Installation, Profile};
use crate::progress::{say, target};

const ALERTS: usize = 100_000;
const FINGERPRINTS: usize = 10_000;
const SECONDS: u32 = 60;
const REQUEST_ALERTS: usize = 50;
const CONNECTIONS: usize = 8;

/// Measures one storm.
pub(crate) fn measure(size: Size, interrupted: &Arc<AtomicBool>) -> Result<Vec<Figure>> {
    let (alerts, seconds) = size.pick((ALERTS, SECONDS), (ALERTS / 10, SECONDS / 10));
    say(format_args!(
        "bench: a storm of {alerts} alerts in {seconds} s"
    ));
    let folder = target().join("bench/storm");
    let installation = Installation::make(Profile::Release, &folder, CONFIG)?;
    let mut sink = Sink::open(&installation, interrupted)?;
    let numbers = (0..alerts).map(|number| number % FINGERPRINTS);
    let bodies = bodies("Storm", numbers, REQUEST_ALERTS);
    let every = Duration::from_secs(u64::from(seconds)) / u32::try_from(bodies.len())?;
    let before = sink.memory()?.resident;
    let target = sink.alerts();
    // In two halves: what is bounded does not grow in the second, which says
    // nothing new.
    let (first, second) = bodies.split_at(bodies.len() / 2);
    let began = Instant::now();
    target.post_paced(first, every, CONNECTIONS)?;
    let half = sink.memory()?.resident;
    target.post_paced(second, every, CONNECTIONS)?;
    let ended = Instant::now();
    sink.settle(Until::Correlated)?;
    let lag = ended.elapsed();
    let after = sink.memory()?;
    let figure = |name: &str, unit: &str, number: f64| {
        Figure::new(&format!("storm: {name}"), unit, vec![number])
    };
    let took = (ended - began).as_secs_f64();
    Ok(vec![
        figure("it lasted", "s", took).with_goal(Goal::AtMost(f64::from(seconds) * 1.02)),
        figure(
            "from its end until all is dealt with",
            "s",
            lag.as_secs_f64(),
        )
        .with_goal(Goal::AtMost(10.0)),
        figure("memory before", "MB", before),
        figure("memory after half of it", "MB", half),
        figure("memory after it", "MB", after.resident),
        figure("the most memory", "MB", after.peak),
    ])
}
