//! JavaScript, with `QuickJS` in the component.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use super::{Tools, Work, check_program};
use crate::install;
use crate::progress::{say, target, workspace};

/// The component maker.
pub(super) const PACKAGE: &str = "componentize-qjs@0.4.5";

/// Installs the component maker, and gives its program.
pub(super) fn install() -> Result<PathBuf> {
    let folder = target().join("tools/guest-node");
    let program = folder.join("node_modules/.bin/componentize-qjs");
    // Written last, so that its presence says that all went well.
    let made_from = folder.join("made-from.txt");
    if fs::read_to_string(&made_from).is_ok_and(|made| made == PACKAGE) && program.exists() {
        say(format_args!("javascript: {PACKAGE} is there"));
        return Ok(program);
    }
    check_program(
        "npm",
        "install Node.js 18 or later with npm; on Debian `apt-get install npm`",
    )?;
    say(format_args!("javascript: installing {PACKAGE}"));
    let began = Instant::now();
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    install::run(
        Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--no-save"])
            .args(["--no-package-lock", "--ignore-scripts", "--prefix"])
            .arg(&folder)
            .arg(PACKAGE),
    )?;
    fs::write(&made_from, PACKAGE).with_context(|| format!("writing {}", made_from.display()))?;
    say(format_args!(
        "javascript: installed in {} s",
        began.elapsed().as_secs()
    ));
    Ok(program)
}

pub(super) fn build(tools: &Tools, work: &Work, folder: &Path) -> Result<Vec<u8>> {
    let component = folder.join("componentized.wasm");
    install::run(
        Command::new(&tools.javascript)
            // Sources import the kit, which lies elsewhere in the checkout.
            .current_dir(workspace())
            .args(["--wit", "wit", "--world", &work.world, "--module-root", "."])
            .arg("--sync")
            .args(work.stub_wasi())
            .arg("--js")
            .arg(&work.source)
            .arg("--output")
            .arg(&component),
    )?;
    fs::read(&component).context("reading what it made")
}
