//! The packages that Cargo knows of.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::install;
use crate::progress::workspace;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// A package, and where its sources are.
#[derive(Deserialize)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its `Cargo.toml`.
    pub(crate) manifest_path: PathBuf,
}

/// The workspace's own packages.
///
/// # Errors
/// If Cargo cannot read the workspace.
pub(crate) fn own() -> Result<Vec<Package>> {
    packages("--no-deps")
}

/// The workspace's packages, and all that they depend on.
///
/// # Errors
/// If Cargo cannot read the workspace, or fetch what they depend on.
pub(crate) fn all() -> Result<Vec<Package>> {
    packages("--locked")
}

fn packages(which: &str) -> Result<Vec<Package>> {
    let output = install::run(install::cargo().current_dir(workspace()).args([
        "metadata",
        "--format-version",
        "1",
        which,
    ]))?;
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("reading cargo's metadata")?;
    Ok(metadata.packages)
}
