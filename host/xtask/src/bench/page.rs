//! `host/BENCHMARKS.md`.

use std::fmt::Write as _;

use crate::bench::figure::{Curve, Figure, readable};
use crate::bench::machine::Machine;

/// The picture of how cost grows, beside the page.
pub(crate) const PICTURE: &str = "BENCHMARKS.growth.svg";

/// How it is measured, and where the time goes.
const METHOD: &str = include_str!("method.md");

/// The page.
pub(crate) fn page(machine: &Machine, figures: &[Figure], curves: &[Curve]) -> String {
    let Machine {
        processor,
        cores,
        memory_gib,
        system,
        compiler,
        day,
    } = machine;
    let mut text = format!(
        "# What it costs\n\nMeasured on {day} by `cargo xtask bench` on {processor}, {cores} cores, \
         {memory_gib} GiB, {system}, {compiler}.\n\n\
         | what | median | spread | unit | rounds | goal |\n|---|---:|---:|---|---:|---|\n"
    );
    for figure in figures {
        let goal = match figure.verdict() {
            Some((goal, true)) => format!("{goal}: met"),
            Some((goal, false)) => format!("{goal}: **missed**"),
            None => String::new(),
        };
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} – {} | {} | {} | {goal} |",
            figure.name,
            readable(figure.median()),
            readable(figure.quantile(0.1)),
            readable(figure.quantile(0.9)),
            figure.unit,
            figure.rounds.len(),
        );
    }
    if !curves.is_empty() {
        growth(&mut text, curves);
    }
    text.push('\n');
    text.push_str(METHOD);
    text
}

fn growth(text: &mut String, curves: &[Curve]) {
    let _ = write!(
        text,
        "\n## As work grows\n\nWhat one piece of work costs where there is more of something. \
         The last column is the cost where there is most, in terms of that where there is least: \
         1 is work that grows linearly as a whole, less is a fixed part that spreads.\n\n\
         ![What a piece of work costs, in terms of the first]({PICTURE})\n\n\
         | a piece of work | by | costs | unit | most / least |\n|---|---|---|---|---:|\n"
    );
    for curve in curves {
        let points: Vec<String> = curve
            .points
            .iter()
            .map(|(size, cost)| {
                #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
                let size = *size as f64;
                format!("{}: {}", readable_count(size), readable(*cost))
            })
            .collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {:.2} |",
            curve.name,
            curve.along,
            points.join(", "),
            curve.unit,
            curve.growth(),
        );
    }
}

fn readable_count(count: f64) -> String {
    if count < 1_000.0 {
        format!("{count:.0}")
    } else {
        readable(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figure::Goal;

    #[test]
    fn says_whether_goals_are_met_and_how_cost_grows() {
        let machine = Machine {
            processor: "a processor".to_owned(),
            cores: 2,
            memory_gib: 24,
            system: "a system".to_owned(),
            compiler: "rustc 1.0".to_owned(),
            day: "2026-01-31".to_owned(),
        };
        let figure = |goal| Figure {
            goal,
            ..Figure::new("calls", "us", vec![30.0, 31.0, 32.0])
        };
        let mut curve = Curve::new("a call", "series", "us");
        curve.points = vec![(10, 1.0), (1_000, 2.0)];
        let text = page(
            &machine,
            &[
                figure(Some(Goal::AtMost(40.0))),
                figure(Some(Goal::AtMost(20.0))),
                figure(None),
            ],
            &[curve],
        );
        assert!(text.contains("| calls | 31.0 | 30.0 – 32.0 | us | 3 | at most 40: met |"));
        assert!(text.contains("at most 20: **missed** |"));
        assert!(text.contains("on a processor, 2 cores, 24 GiB, a system, rustc 1.0."));
        assert!(
            text.contains("| a call | series | 10: 1.00, 1,000: 2.00 | us | 2.00 |"),
            "{text}"
        );
    }
}
