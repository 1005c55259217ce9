//! What the boundary costs: the same work in a sandbox and without one, how
//! long a fresh guest takes, and what idle ones take.
//!
//! Sides that are compared take turns, in rounds of some milliseconds, so that
//! whatever else the machine does slows down both, and what is measured is the
//! time that the thread was on a processor. Each figure is printed as a
//! line of JSON with one number a round, each curve with one a size; `cargo
//! xtask bench` sums them up. The guests are those of `cargo xtask plugins`.

mod cached;
mod connector;
mod detector;
mod idle;
mod lines;
mod logs;
mod surroundings;

use std::error::Error;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// Set if it is to be quick.
const QUICK: &str = "FAULTLINE_BENCH_QUICK";

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

/// What a figure should be.
#[derive(Clone, Copy)]
enum Goal {
    None,
    AtMost(f64),
    AtLeast(f64),
}

/// Prints a figure.
#[expect(clippy::print_stdout, reason = "this is what the bench is for")]
fn report(name: &str, unit: &str, goal: Goal, rounds: &[f64]) {
    let goal = match goal {
        Goal::None => Value::Null,
        Goal::AtMost(most) => json!({ "at-most": most }),
        Goal::AtLeast(least) => json!({ "at-least": least }),
    };
    let figure = json!({ "name": name, "unit": unit, "goal": goal, "rounds": rounds });
    println!("{figure}");
}

/// Prints what a piece of work costs where there is ever more of something.
#[expect(clippy::print_stdout, reason = "this is what the bench is for")]
fn report_growth(name: &str, along: &str, unit: &str, points: &[(u64, f64)]) {
    let curve = json!({ "name": name, "along": along, "unit": unit, "points": points });
    println!("{curve}");
}

/// So many, or fewer if it is to be quick.
fn rounds(full: usize) -> usize {
    if std::env::var_os(QUICK).is_some() {
        full.div_ceil(10)
    } else {
        full
    }
}

/// The middle one.
fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
