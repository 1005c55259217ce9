//! What the boundary costs: the same work in a sandbox and without one, how
//! long a fresh guest takes, and what idle ones take.
//!
//! Sides that are compared take turns, in rounds of some milliseconds, so that
//! whatever else the machine does slows down both, and what is measured is the
//! time that the thread was on a processor. The guests are those of `cargo xtask plugins`.

mod cached;
mod connector;
mod detector;
mod event;
mod figures;
mod idle;
mod lines;
mod logs;
mod surroundings;

use std::error::Error;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use figures::{Goal, report, report_growth, rounds};

fn main() -> Result<(), Box<dyn Error>> {
    let surroundings = surroundings::Surroundings::new()?;
    // First, while nothing else has made room that guests could have.
    idle::run(&surroundings)?;
    detector::run(&surroundings)?;
    logs::run(&surroundings)?;
    connector::run(&surroundings)?;
    cached::run()?;
    Ok(())
}

/// Measures how long this thread is on a processor.
#[derive(Clone, Copy)]
struct Stopwatch(Duration);

impl Stopwatch {
    fn start() -> Self {
        Self(thread_time())
    }

    fn elapsed(self) -> Duration {
        thread_time().saturating_sub(self.0)
    }
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The middle one.
fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
