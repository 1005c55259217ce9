//! What the boundary costs: the same work in a sandbox and without one, and
//! how long a fresh guest takes.
//!
//! Sides that are compared take turns, in rounds of some milliseconds, so that
//! whatever else the machine does slows down both. Each figure is printed as a
//! line of JSON with one number a round; `cargo xtask bench` sums them up. The
//! guests are those of `cargo xtask plugins`.

mod connector;
mod detector;
mod surroundings;

use std::error::Error;

use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let surroundings = surroundings::Surroundings::new()?;
    detector::run(&surroundings)?;
    connector::run(&surroundings)?;
    Ok(())
}

/// Prints a figure.
#[expect(clippy::print_stdout, reason = "this is what the bench is for")]
fn report(name: &str, unit: &str, goal_max: Option<f64>, rounds: &[f64]) {
    let figure = json!({
        "name": name,
        "unit": unit,
        "goal-max": goal_max,
        "rounds": rounds,
    });
    println!("{figure}");
}
