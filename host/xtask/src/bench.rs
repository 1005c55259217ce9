//! `cargo xtask bench`: what the boundary costs and what one node takes in,
//! written to `host/BENCHMARKS.md`.
//!
//! All is built as it is for use. What is compared takes turns in one run, so
//! that a ratio holds even where the machine is not all ours.

mod figure;
mod ingest;
mod machine;
mod page;
mod remote_write;

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::progress::{say, workspace};
use crate::{bundles, install, processes};
use figure::Figure;

/// Measures what plugins cost and what one node takes in, and writes
/// host/BENCHMARKS.md.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One part only; its figures are shown and not written
    #[arg(long, value_name = "PART")]
    only: Option<Part>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Calls of plugins
    Boundary,
    /// From the socket to the committed result
    Ingest,
}

/// Measures.
///
/// # Errors
/// If something does not build or run. A goal that is not met is not an error:
/// the figures say so.
pub(crate) fn run(args: &Args) -> Result<()> {
    let interrupted = processes::interruption()?;
    let began = Instant::now();
    let mut figures = Vec::new();
    if args.only != Some(Part::Ingest) {
        figures.extend(boundary()?);
    }
    if args.only != Some(Part::Boundary) {
        figures.extend(ingest::measure(&Arc::clone(&interrupted))?);
    }
    for figure in &figures {
        say(figure);
    }
    say(format_args!("measured in {} s", began.elapsed().as_secs()));
    if args.only.is_none() {
        let path = workspace().join("host/BENCHMARKS.md");
        fs::write(&path, page::page(&machine::Machine::look()?, &figures))
            .with_context(|| format!("writing {}", path.display()))?;
        say(format_args!("{} is written", path.display()));
    }
    Ok(())
}

/// Runs the sandbox's own bench, which prints a figure a line.
fn boundary() -> Result<Vec<Figure>> {
    bundles::build_all()?;
    say("bench: calls of plugins (building takes minutes the first time)");
    let output = Command::new(install::cargo())
        .current_dir(workspace())
        // The host is named too, so that both are built with the same features
        // of what they have in common, and that only once.
        .args(["bench", "--locked", "--package", "faultline"])
        .args(["--package", "faultline-sandbox", "--bench", "boundary"])
        .stderr(Stdio::inherit())
        .output()
        .context("starting cargo")?;
    if !output.status.success() {
        bail!("the bench ends with {}", output.status);
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).with_context(|| format!("reading `{line}`")))
        .collect()
}
