//! Python, with `CPython` in the component.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Tools, Work};
use crate::install;
use crate::progress::workspace;

pub(super) fn build(tools: &Tools, work: &Work, folder: &Path) -> Result<Vec<u8>> {
    // All of a folder of sources goes into the component: so only they are in
    // it.
    let sources = folder.join("sources");
    fs::create_dir_all(&sources).with_context(|| format!("making {}", sources.display()))?;
    let name = work.source.file_stem().unwrap_or_default();
    fs::copy(&work.source, sources.join(name).with_extension("py"))
        .with_context(|| format!("copying {}", work.source.display()))?;
    let component = folder.join("componentized.wasm");
    install::run(
        tools
            .program("componentize-py")
            .current_dir(&sources)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg("--wit-path")
            .arg(workspace().join("wit"))
            .args(["--world", &work.world, "componentize"])
            .arg(name)
            .args(work.stub_wasi())
            .args(["--python-path", ".", "--output"])
            .arg(&component),
    )?;
    fs::read(&component).context("reading what it made")
}
