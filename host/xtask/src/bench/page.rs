//! `host/BENCHMARKS.md`.

use std::fmt::Write as _;

use crate::bench::figure::{Figure, readable};
use crate::bench::machine::Machine;

const METHOD: &str = "\
## How

- Built as for use (`--release`), plugins as they are bundled, default limits and configuration.
- What is compared takes turns in one run: a turn of one side, then the same turn of the other. A ratio is made of two \
turns side by side, so it holds where the absolute numbers depend on what else the machine does.
- Each line is the median of its rounds; the spread is the 10th to the 90th percentile of them.
- **Detector**: 1,000 series, 50,000 samples a round, after 400 samples of each series. Native is the same crate called \
directly. Both sides must find the same, or the bench fails. In its sandbox means a call as the pipeline makes it: \
columns copied in, findings checked and copied out, memory, processor and clock limits on.
- **Connector**: every call has a fresh guest from the pool: instantiated, called, its answer checked, thrown away.
- **Ingest**: a server and four senders share the machine. Time runs from the first byte sent until all stages have \
committed what comes of the last request, and includes the senders. Samples: 2,000 series, 1,000 samples a request, \
100,000 a round; without plugins is the same server with none installed, which leaves out detection and correlation. \
Alerts: storms of 1,000 that were not heard of before, of 100 services, 50 a request.

## Where the time goes

Taken apart once, by switching things off; not measured anew by each run.

- **Detector in its sandbox**: at batches of 1,000, one NaN for all processors (without which replays would not agree) \
takes about 0.17 of the ratio, looking at the epoch at each loop and call about as much. What is left, near 1.5, is \
mostly the compiler: Cranelift against LLVM on code that is all floating point. Columns cross the boundary as memory; \
at 100 rows the fixed cost of a call shows. Nearer to the goal would come: a model with fewer branches a row, SIMD in \
guests, epoch checks on loops only.
- **Fresh guest**: the alertmanager connector spends about 16 us of its first call on reading the payload; the rest is \
making, entering, checking and clearing the guest. Where the kernel can tell which pages were written (Linux 6.7), \
clearing costs a third less than without.
- **Ingest**: the two detectors take about a third of the time of samples; new alerts wait for correlation, which is \
asked once a round of 100 ms.

`cargo xtask bench` measures again and replaces this page.
";

/// The page.
pub(crate) fn page(machine: &Machine, figures: &[Figure]) -> String {
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
        let goal = match figure.goal_max {
            Some(goal) if figure.median() <= goal => format!("at most {goal}: met"),
            Some(goal) => format!("at most {goal}: **missed**"),
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
    text.push('\n');
    text.push_str(METHOD);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_whether_goals_are_met() {
        let machine = Machine {
            processor: "a processor".to_owned(),
            cores: 2,
            memory_gib: 24,
            system: "a system".to_owned(),
            compiler: "rustc 1.0".to_owned(),
            day: "2026-01-31".to_owned(),
        };
        let figure = |goal_max| Figure {
            goal_max,
            ..Figure::new("calls", "us", vec![30.0, 31.0, 32.0])
        };
        let text = page(
            &machine,
            &[figure(Some(40.0)), figure(Some(20.0)), figure(None)],
        );
        assert!(text.contains("| calls | 31.0 | 30.0 – 32.0 | us | 3 | at most 40: met |"));
        assert!(text.contains("at most 20: **missed** |"));
        assert!(text.contains("on a processor, 2 cores, 24 GiB, a system, rustc 1.0."));
    }
}
