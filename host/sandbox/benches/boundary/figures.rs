//! What benches find, as lines of JSON: each figure with one number a round,
//! each curve with one a size. `cargo xtask bench` sums them up.

use serde_json::{Value, json};

/// Set if it is to be quick.
const QUICK: &str = "FAULTLINE_BENCH_QUICK";

/// What a figure should be.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// Anything.
    None,
    /// So much or less.
    AtMost(f64),
    /// So much or more.
    AtLeast(f64),
}

/// Prints a figure.
#[expect(clippy::print_stdout, reason = "this is what the bench is for")]
pub(crate) fn report(name: &str, unit: &str, goal: Goal, rounds: &[f64]) {
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
pub(crate) fn report_growth(name: &str, along: &str, unit: &str, points: &[(u64, f64)]) {
    let curve = json!({ "name": name, "along": along, "unit": unit, "points": points });
    println!("{curve}");
}

/// So many, or fewer if it is to be quick.
pub(crate) fn rounds(full: usize) -> usize {
    if std::env::var_os(QUICK).is_some() {
        full.div_ceil(10)
    } else {
        full
    }
}
