//! The sandbox's own bench, which calls plugins in this process and in that of
//! a peer.

use std::process::{Command, Stdio};

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

/// Runs it.
pub(crate) fn measure(size: Size) -> Result<Found> {
    bundles::build_all()?;
    let python = peers::drain3()?;
    say("bench: calls of plugins (building takes minutes the first time)");
    let mut command = Command::new(install::cargo());
    command
        .current_dir(workspace())
        // The host is named too, so that both are built with the same features
        // of what they have in common, and that only once.
        .args(["bench", "--locked", "--package", "faultline"])
        .args(["--package", "faultline-sandbox", "--bench", "boundary"])
        .env(DRAIN3, python)
        .stderr(Stdio::inherit());
    if size == Size::Quick {
        command.env(QUICK, "1");
    }
    let output = command.output().context("starting cargo")?;
    if !output.status.success() {
        bail!("the bench ends with {}", output.status);
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
