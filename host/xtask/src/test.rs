//! `cargo xtask test`: all that must hold before a change is taken in.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::installation::{self, READY};
use crate::progress::{say, target, workspace};
use crate::{api, bundles, dependencies, install};

/// The packages of Debian that tests run against, or that bring what they run
/// against.
const PACKAGES: [&str; 4] = [
    "postgresql",
    "prometheus",
    "prometheus-alertmanager",
    "python3-venv",
];

/// Checks everything that a change must pass.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// These steps only, in this order, such as `--only clippy,tests`
    #[arg(long, value_delimiter = ',', value_name = "STEP")]
    only: Vec<Step>,
}

/// A step, in the order in which they are done: what fails soon comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// The sources are formatted
    Format,
    /// The dependencies have licences that we accept, come from where they
    /// should, and have no known vulnerabilities
    Dependencies,
    /// The programs that tests run against are installed: PostgreSQL,
    /// Prometheus, Alertmanager, Python packages such as OpenTelemetry's SDK
    /// and Schemathesis
    Peers,
    /// The plugins build
    Plugins,
    /// The examples in other languages build
    Examples,
    /// No warnings
    Clippy,
    /// The tests pass
    Tests,
    /// The API is what its description says, whatever is asked of it
    Api,
}

impl Step {
    fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Does it. What is left to say at the end, if anything, is given back.
    fn take(self) -> Result<Option<String>> {
        let all = ["--workspace", "--all-targets", "--locked"];
        match self {
            Step::Format => cargo(&["fmt", "--all", "--check"], None),
            Step::Dependencies => return dependencies::check(),
            Step::Peers => peers(),
            Step::Plugins => bundles::build_all(),
            Step::Examples => bundles::build_examples(),
            Step::Clippy => cargo(
                &[&["clippy"], &all[..], &["--", "-D", "warnings"]].concat(),
                None,
            ),
            Step::Tests => tests(),
            Step::Api => api(),
        }
        .map(|()| None)
    }
}

/// Does the steps, and says how long each took.
///
/// # Errors
/// At the first step that fails, with the command that repeats it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let steps = if args.only.is_empty() {
        Step::value_variants()
    } else {
        &args.only
    };
    let (mut summary, mut complete) = (String::new(), true);
    for (number, step) in (1..).zip(steps) {
        let name = step.name();
        say(format_args!("test {number}/{}: {name}", steps.len()));
        let began = Instant::now();
        let left = step.take().with_context(|| {
            format!("{name} failed; to repeat only this: cargo xtask test --only {name}")
        })?;
        let seconds = began.elapsed().as_secs();
        // Writing to a string does not fail.
        let _ = write!(summary, "\n    {name:<12} {seconds:>5} s");
        if let Some(left) = left {
            complete = false;
            let _ = write!(summary, "   {left}");
        }
    }
    let verdict = if complete {
        "all passed"
    } else {
        "what was checked passed, but not everything was checked"
    };
    say(format_args!("test: {verdict}{summary}"));
    Ok(())
}

/// Installs what tests run against, where they look for it.
fn peers() -> Result<()> {
    install::debian_packages(&PACKAGES)?;
    let requirements = workspace().join("tests/e2e/requirements.txt");
    install::python_venv(&target().join("tools/e2e-venv"), &requirements)?;
    api::schemathesis().map(drop)
}

/// Builds and runs all tests. Benches are checked by clippy; running them is
/// `cargo xtask bench`, which wants optimised code.
fn tests() -> Result<()> {
    let binary = build()?;
    cargo(&["test", "--workspace", "--locked"], Some(&binary))
}

/// Holds a server against the description of its API.
fn api() -> Result<()> {
    let program = match installation::ready()? {
        Some(ready) => ready,
        None => build()?,
    };
    api::check(program)
}

/// Builds what is tested, and gives the path of the binary.
fn build() -> Result<PathBuf> {
    // The binary that is tested from outside is built together with the tests:
    // by itself it would have other features of what it depends on, and nearly
    // all would be built twice.
    cargo(
        &["build", "--workspace", "--bins", "--tests", "--locked"],
        None,
    )?;
    Ok(target().join("debug/faultline"))
}

/// Runs a Cargo whose output is shown as it comes, telling it which binary is
/// tested.
fn cargo(arguments: &[&str], tested: Option<&Path>) -> Result<()> {
    let line = arguments.join(" ");
    say(format_args!("  cargo {line}"));
    let mut command = install::cargo();
    command.current_dir(workspace()).args(arguments);
    if let Some(binary) = tested {
        command.env(READY, binary);
    }
    install::run_shown(&mut command)
}
