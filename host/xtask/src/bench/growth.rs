//! What a piece of work costs where there is 1, 10 and 100 times as much of
//! something: series, sources, plugins, stored alerts.
//!
//! If the work as a whole grows linearly, a piece costs the same everywhere.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::bench::Size;
use crate::bench::alerts::{bodies, body, pod};
use crate::bench::figure::{Curve, quantile};
use crate::bench::samples::{Steps, take};
use crate::bench::sink::{CONFIG, Sink, Until, WITHOUT_PLUGINS};
use crate::installation::{Installation, Profile, Token};
use crate::progress::{now, say, target};

/// Questions of each kind that are asked.
const QUESTIONS: usize = 30;

/// Measures along everything.
pub(crate) fn measure(size: Size, interrupted: &Arc<AtomicBool>) -> Result<Vec<Curve>> {
    let folder = target().join("bench/growth");
    let mut curves = Vec::new();
    for along in [by_series, by_sources, by_plugins, by_alerts] {
        curves.extend(along(&folder, size, interrupted)?);
    }
    Ok(curves)
}

/// 1, 10 and 100 times so much; without the last if it is to be quick.
fn sizes<T: TryFrom<u64>>(size: Size, least: u64) -> Vec<T> {
    let times: &[u64] = size.pick(&[1, 10, 100], &[1, 10]);
    times
        .iter()
        .filter_map(|times| T::try_from(least * times).ok())
        .collect()
}

/// What one of so many took, in microseconds.
fn micros(took: Duration, pieces: f64) -> f64 {
    took.as_secs_f64() * 1e6 / pieces
}

/// Samples of ever more series. Without plugins: how detectors grow is measured
/// where they are called.
fn by_series(folder: &Path, size: Size, interrupted: &Arc<AtomicBool>) -> Result<Vec<Curve>> {
    // As many for each number of series: what is kept of a series is written in
    // pieces, and those cost more than the samples in them.
    const STEPS: u32 = 30;
    let mut new = Curve::new("a new series by remote write", "series", "us");
    let mut known = Curve::new("a sample by remote write", "series", "us");
    for series in sizes::<u32>(size, 1_000) {
        say(format_args!("bench: growth, {series} series"));
        let config = format!("{CONFIG}{WITHOUT_PLUGINS}");
        let installation = Installation::make(Profile::Release, folder, &config)?;
        let mut sink = Sink::open(&installation, interrupted)?;
        let mut steps = Steps::ending_now(STEPS + 10);
        let took = take(&mut sink, &steps.lanes(series, 1)?)?;
        new.points
            .push((series.into(), micros(took, series.into())));
        let lanes = steps.lanes(series, STEPS)?;
        let took = take(&mut sink, &lanes)?;
        let samples = f64::from(series) * f64::from(STEPS);
        known.points.push((series.into(), micros(took, samples)));
    }
    Ok(vec![new, known])
}

/// Alerts from ever more sources.
fn by_sources(folder: &Path, size: Size, interrupted: &Arc<AtomicBool>) -> Result<Vec<Curve>> {
    const REQUESTS: usize = 1_000;
    let mut curve = Curve::new("an alert, from the socket to committed", "sources", "us");
    for sources in sizes::<u32>(size, 1) {
        say(format_args!("bench: growth, {sources} sources"));
        let config = format!("{CONFIG}{WITHOUT_PLUGINS}");
        let installation = Installation::make(Profile::Release, folder, &config)?;
        let mut sink = Sink::open(&installation, interrupted)?;
        let targets = (0..sources)
            .map(|source| {
                let name = format!("source-{source}");
                let source = ["token", "create", &name, "--ingest", "--source", &name];
                let token: Token = installation.ask(&source)?;
                Ok(sink.alerts_of(&token.token))
            })
            .collect::<Result<Vec<_>>>()?;
        let bodies = bodies("Growth", 0..REQUESTS * 2, 2);
        let began = Instant::now();
        for (body, target) in bodies.iter().zip(targets.iter().cycle()) {
            target.post(body)?;
        }
        sink.settle(Until::Observed)?;
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let alerts = 2.0 * REQUESTS as f64;
        curve
            .points
            .push((sources.into(), micros(began.elapsed(), alerts)));
    }
    Ok(vec![curve])
}

/// Ever more instances of a detector, all watching the same samples.
fn by_plugins(folder: &Path, size: Size, interrupted: &Arc<AtomicBool>) -> Result<Vec<Curve>> {
    const SERIES: u32 = 500;
    const STEPS: u32 = 40;
    let mut making = Curve::new("making an instance", "instances", "ms");
    let mut start = Curve::new("starting with an instance", "instances", "ms");
    let mut memory = Curve::new("memory for an instance", "instances", "MB");
    let mut watching = Curve::new("a sample in a detector", "instances", "us");
    for instances in sizes::<u32>(size, 1) {
        say(format_args!("bench: growth, {instances} instances"));
        let installation = Installation::make(Profile::Release, folder, CONFIG)?;
        let mut sink = Sink::open(&installation, interrupted)?;
        let bare = sink.memory()?.resident;
        let began = Instant::now();
        for number in 0..instances {
            let instance = json!({
                "name": format!("watcher-{number}"),
                "plugin": "faultline/baseline",
            });
            sink.post("/instances", &instance)?;
        }
        let each = f64::from(instances);
        making
            .points
            .push((instances.into(), micros(began.elapsed(), each) / 1e3));
        memory
            .points
            .push((instances.into(), (sink.memory()?.resident - bare) / each));
        let mut steps = Steps::ending_now(2 * STEPS + 10);
        take(&mut sink, &steps.lanes(SERIES, STEPS)?)?;
        let took = take(&mut sink, &steps.lanes(SERIES, STEPS)?)?;
        // With the one that is bundled.
        let samples = f64::from(SERIES * STEPS) * (each + 1.0);
        watching
            .points
            .push((instances.into(), micros(took, samples)));
        drop(sink);
        let began = Instant::now();
        drop(installation.serve(Arc::clone(interrupted))?);
        start
            .points
            .push((instances.into(), micros(began.elapsed(), each + 1.0) / 1e3));
    }
    Ok(vec![making, start, memory, watching])
}

/// Ever more alerts in the store, of the past.
fn by_alerts(folder: &Path, size: Size, interrupted: &Arc<AtomicBool>) -> Result<Vec<Curve>> {
    const NEW: usize = 500;
    let installation = Installation::make(Profile::Release, folder, CONFIG)?;
    let mut sink = Sink::open(&installation, interrupted)?;
    let along = "stored alerts";
    let mut storing = Curve::new("an alert of the past", along, "us");
    let mut new = Curve::new("a new alert, from the socket to incidents", along, "us");
    let mut stored = 0;
    let questions = [
        ("listing alerts", "/alerts?limit=50"),
        ("listing alerts that fire", "/alerts?state=firing&limit=50"),
        (
            "listing alerts of a service",
            "/alerts?entity=service/checkout-7&limit=50",
        ),
        ("listing incidents", "/incidents?limit=50"),
        ("status", "/status"),
    ];
    let mut answers = questions.map(|(name, _)| Curve::new(name, along, "ms"));
    for alerts in sizes::<usize>(size, 1_000) {
        say(format_args!("bench: growth, {alerts} stored alerts"));
        let (starts, ends) = (
            now().minus(Duration::from_secs(600)).to_string(),
            now().minus(Duration::from_secs(60)).to_string(),
        );
        let numbers: Vec<usize> = (stored..alerts).collect();
        let lanes: Vec<_> = numbers
            .chunks(numbers.len().div_ceil(4))
            .map(|mine| {
                mine.chunks(100)
                    .map(|some| body("Past", some, &starts, Some(&ends)))
                    .collect()
            })
            .collect();
        let began = Instant::now();
        sink.alerts().post_all(&lanes)?;
        sink.settle(Until::Correlated)?;
        let size = alerts as u64;
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let (added, news) = (numbers.len() as f64, NEW as f64);
        storing.points.push((size, micros(began.elapsed(), added)));
        stored = alerts;
        let name = format!("Growth{alerts}");
        let began = Instant::now();
        sink.alerts().post_all(&[bodies(&name, 0..NEW, 50)])?;
        sink.settle(Until::Correlated)?;
        new.points.push((size, micros(began.elapsed(), news)));
        anyhow::ensure!(
            !listed(
                &sink,
                &format!("/alerts?entity=pod/{}", pod(&name, NEW - 1))
            )?
            .is_empty(),
            "the last alert that was sent is not listed"
        );
        for ((_, path), curve) in questions.iter().zip(&mut answers) {
            let mut took = Vec::new();
            for _ in 0..QUESTIONS {
                let began = Instant::now();
                sink.text(path)?;
                took.push(began.elapsed().as_secs_f64() * 1e3);
            }
            curve.points.push((size, quantile(&took, 0.5)));
        }
    }
    Ok([storing, new].into_iter().chain(answers).collect())
}

/// The rows of a listing.
fn listed(sink: &Sink, path: &str) -> Result<Vec<Value>> {
    let mut page: Value = sink.ask(path)?;
    let items = page["items"].take();
    serde_json::from_value(items).with_context(|| format!("reading the answer to {path}"))
}
