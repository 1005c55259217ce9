//! What others wrote and we build on: licences, origins, known
//! vulnerabilities. Asked of cargo-deny; what is accepted stands in
//! `.config/deny.toml`.

use std::process::Command;

use anyhow::{Context, Result};

use crate::install;
use crate::progress::{say, workspace};

/// The tool, and the release that the configuration is written for.
const TOOL: (&str, &str) = ("cargo-deny", "0.20.2");

const CONFIG: &str = ".config/deny.toml";

/// What needs nothing but the checkout and the crates it names.
const ALWAYS: [&str; 3] = ["bans", "licenses", "sources"];

/// Checks all dependencies. Known vulnerabilities are only looked for if the
/// database of them can be fetched, which lives in a place that not every
/// machine reaches: if it cannot, that is given back, to be said again at the
/// end.
///
/// # Errors
/// If something is wrong with one, or the tool cannot be installed.
pub(crate) fn check() -> Result<Option<String>> {
    let deny = install::cargo_tool(TOOL.0, TOOL.1)?;
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&deny);
        command
            .current_dir(workspace())
            .args(["--config", CONFIG])
            .args(arguments);
        command
    };
    let check = |what: &[&str]| -> Result<()> {
        say(format_args!("  cargo deny check {}", what.join(" ")));
        install::run_shown(run(&["check"]).args(what)).context("cargo-deny objects to a dependency")
    };
    check(&ALWAYS)?;
    say("  cargo deny fetch db");
    if let Err(error) = install::run(&mut run(&["fetch", "db"])) {
        say(format_args!("{error:#}"));
        say("  the database of vulnerabilities cannot be fetched from github.com");
        let left = "VULNERABILITIES NOT CHECKED: their database is out of reach";
        say(format_args!("  {left}"));
        return Ok(Some(left.to_owned()));
    }
    check(&["--disable-fetch", "advisories"])?;
    Ok(None)
}
