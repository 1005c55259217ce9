//! The sandbox's own benches, which call plugins in their process and in that
//! of a peer.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::bench::figure::{Curve, Figure};
use crate::bench::{Found, Size, peers};
use crate::progress::{say, workspace};
use crate::{bundles, install};

/// Names a Python that has `drain3`.
const DRAIN3: &str = "FAULTLINE_BENCH_DRAIN3";
/// Set if it is to be quick.
const QUICK: &str = "FAULTLINE_BENCH_QUICK";

/// A line of what it prints.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Figure(Figure),
    Curve(Curve),
}

/// Measures calls of plugins.
pub(crate) fn measure(size: Size) -> Result<Found> {
    let python = peers::drain3()?;
    say("bench: calls of plugins (building takes minutes the first time)");
    run("boundary", size, &[(DRAIN3, &python)])
}

/// Measures calls of a plugin beside one that misbehaves.
pub(crate) fn measure_neighbours(size: Size) -> Result<Found> {
    say("bench: calls of a plugin beside a hostile one");
    run("neighbours", size, &[])
}

/// Runs one of them.
fn run(bench: &str, size: Size, environment: &[(&str, &Path)]) -> Result<Found> {
    bundles::build_all()?;
    let mut command = install::cargo();
    command
        .current_dir(workspace())
        // The host is named too, so that both are built with the same features
        // of what they have in common, and that only once.
        .args(["bench", "--locked", "--package", "faultline"])
        .args(["--package", "faultline-sandbox", "--bench", bench])
        .envs(environment.iter().copied())
        .stderr(Stdio::inherit());
    if size == Size::Quick {
        command.env(QUICK, "1");
    }
    let output = command.output().context("starting cargo")?;
    if !output.status.success() {
        bail!("the bench `{bench}` ends with {}", output.status);
    }
    let mut found = Found::default();
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.lines().filter(|line| line.starts_with('{')) {
        match serde_json::from_str(line).with_context(|| format!("reading `{line}`"))? {
            Line::Figure(figure) => found.figures.push(figure),
            Line::Curve(curve) => found.curves.push(curve),
        }
    }
    Ok(found)
}
