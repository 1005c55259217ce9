//! `cargo xtask bench`: what the boundary costs, what one node takes in beside
//! its peers, and how cost grows; written to `host/BENCHMARKS.md`.
//!
//! All is built as it is for use. What is compared takes turns in one run, so
//! that a ratio holds even where the machine is not all ours.

mod alerts;
mod boundary;
mod figure;
mod footprint;
mod growth;
mod latency;
mod machine;
mod page;
mod peers;
mod plot;
mod remote_write;
mod samples;
mod senders;
mod sink;
mod storm;

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::processes;
use crate::progress::{say, workspace};
use figure::{Curve, Figure};

/// Measures what plugins cost, what one node takes in beside its peers, and how
/// cost grows, and writes host/BENCHMARKS.md.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// These parts only, such as `--only samples,storm`; what they find is
    /// shown and not written
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    only: Vec<Part>,
    /// Fewer rounds and smaller sizes, to see that it works; what is found is
    /// shown and not written
    #[arg(long)]
    quick: bool,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Calls of plugins: detectors beside native code, log patterns beside
    /// drain3, fresh guests, loading, idle guests
    Boundary,
    /// Calls of a plugin beside one that does its worst
    Neighbours,
    /// Samples by remote write, beside Prometheus
    Samples,
    /// Alerts, beside Alertmanager
    Alerts,
    /// From an acknowledgement to a visible incident
    Latency,
    /// 100,000 alerts in a minute
    Storm,
    /// Starting, and memory when idle
    Footprint,
    /// Cost at 1, 10 and 100 times the series, sources, plugins and alerts
    Growth,
}

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// As much as a figure takes that can be relied on.
    Full,
    /// As much as it takes to see that it works.
    Quick,
}

impl Size {
    /// The one or the other.
    pub(crate) fn pick<T>(self, full: T, quick: T) -> T {
        match self {
            Size::Full => full,
            Size::Quick => quick,
        }
    }
}

/// Measures.
///
/// # Errors
/// If something does not build or run. A goal that is not met is not an error:
/// the figures say so.
pub(crate) fn run(args: &Args) -> Result<()> {
    let interrupted = processes::interruption()?;
    let size = if args.quick { Size::Quick } else { Size::Full };
    let parts = if args.only.is_empty() {
        Part::value_variants()
    } else {
        &args.only
    };
    peers::install()?;
    let began = Instant::now();
    let mut found = Found::default();
    for part in parts {
        let some = match part {
            Part::Boundary => boundary::measure(size)?,
            Part::Neighbours => boundary::measure_neighbours(size)?,
            Part::Samples => samples::measure(size, &interrupted)?.into(),
            Part::Alerts => alerts::measure(size, &interrupted)?.into(),
            Part::Latency => latency::measure(size, &interrupted)?.into(),
            Part::Storm => storm::measure(size, &interrupted)?.into(),
            Part::Footprint => footprint::measure(size, &interrupted)?.into(),
            Part::Growth => growth::measure(size, &interrupted)?.into(),
        };
        some.show();
        found.figures.extend(some.figures);
        found.curves.extend(some.curves);
    }
    say(format_args!("measured in {} s", began.elapsed().as_secs()));
    if args.only.is_empty() && size == Size::Full {
        write(&found)?;
    }
    Ok(())
}

/// What was found.
#[derive(Debug, Default)]
struct Found {
    figures: Vec<Figure>,
    curves: Vec<Curve>,
}

impl From<Vec<Figure>> for Found {
    fn from(figures: Vec<Figure>) -> Self {
        Self {
            figures,
            ..Self::default()
        }
    }
}

impl From<Vec<Curve>> for Found {
    fn from(curves: Vec<Curve>) -> Self {
        Self {
            curves,
            ..Self::default()
        }
    }
}

impl Found {
    fn show(&self) {
        self.figures.iter().for_each(say);
        self.curves.iter().for_each(say);
    }
}

/// Replaces the page and its picture.
fn write(found: &Found) -> Result<()> {
    let folder = workspace().join("host");
    let page = page::page(&machine::Machine::look()?, &found.figures, &found.curves);
    for (name, text) in [
        ("BENCHMARKS.md", page),
        (page::PICTURE, plot::svg(&found.curves)),
    ] {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        say(format_args!("{} is written", path.display()));
    }
    Ok(())
}
