//! How soon a server is ready, and how much memory it takes to do nothing.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bench::Size;
use crate::bench::figure::{Figure, Goal};
use crate::bench::sink::{CONFIG, Sink, Until};
use crate::installation::{Installation, Profile};
use crate::progress::{say, target};

/// Starts that are measured, after the first, which compiles the plugins.
const STARTS: usize = 7;
/// How long it does nothing before its memory is looked at.
const IDLE: Duration = Duration::from_secs(5);

/// Measures both.
pub(crate) fn measure(size: Size, interrupted: &Arc<AtomicBool>) -> Result<Vec<Figure>> {
    say("bench: starting, and doing nothing");
    let folder = target().join("bench/footprint");
    let installation = Installation::make(Profile::Release, &folder, CONFIG)?;
    let (mut first, mut ready, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    for start in 0..=size.pick(STARTS, 2) {
        let began = Instant::now();
        let server = installation.serve(Arc::clone(interrupted))?;
        let took = began.elapsed().as_secs_f64();
        drop(server);
        if start == 0 {
            first.push(took);
        } else {
            ready.push(took);
        }
    }
    let mut sink = Sink::open(&installation, interrupted)?;
    sink.settle(Until::Observed)?;
    std::thread::sleep(IDLE);
    idle.push(sink.memory()?.resident);
    Ok(vec![
        Figure::new("serve, all bundled plugins: ready, first start", "s", first),
        Figure::new(
            "serve, all bundled plugins: ready, later starts",
            "s",
            ready,
        )
        .with_goal(Goal::AtMost(1.0)),
        Figure::new("serve, all bundled plugins: memory when idle", "MB", idle)
            .with_goal(Goal::AtMost(150.0)),
    ])
}
