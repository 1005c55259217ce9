//! `cargo xtask fuzz`: calls what reads bytes from outside with bytes that a
//! fuzzer thinks of, for a bounded time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::install;
use crate::progress::{say, target, workspace};

/// The tool, and the release that this is written for.
const TOOL: (&str, &str) = ("cargo-fuzz", "0.13.2");

/// The crate of the targets, in the workspace.
const CRATE: &str = "tests/fuzz";

/// What an input may take: more is a finding.
const INPUT_SECONDS_MAX: u32 = 10;
const MEMORY_MEGABYTES_MAX: u32 = 2_048;
const INPUT_BYTES_MAX: u32 = 8_192;

/// Looks for inputs that break what reads bytes from outside. Each that is
/// found is put into tests/fuzz/findings, where the tests take it from.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long each target is tried
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    seconds: u32,
    /// These targets only; all if none is named
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

/// Tries the targets one after the other, all of them even if one breaks.
///
/// # Errors
/// If something was found, or the fuzzer does not build.
pub(crate) fn run(args: &Args) -> Result<()> {
    let all = targets()?;
    if let Some(unknown) = args.targets.iter().find(|name| !all.contains(name)) {
        bail!(
            "there is no target `{unknown}`; there are {}",
            all.join(", ")
        );
    }
    let chosen = if args.targets.is_empty() {
        &all
    } else {
        &args.targets
    };
    let tool = install::cargo_tool(TOOL.0, TOOL.1)?;
    say(
        "fuzz: building all targets with the fuzzer and its checks of memory (the first time half an hour)",
    );
    install::run_shown(&mut cargo_fuzz(&tool, "build")).context("the targets do not build")?;
    let mut broken = Vec::new();
    for name in chosen {
        if let Some(found) = try_target(&tool, name, args.seconds)? {
            broken.push(found);
        }
    }
    if broken.is_empty() {
        say(format_args!("fuzz: {} targets hold", chosen.len()));
        return Ok(());
    }
    bail!(
        "found what breaks:\n    {}\nMend it; the file stays, and `cargo test -p faultline-fuzz` \
         holds it from then on.",
        broken.join("\n    ")
    )
}

/// Tries one target. Gives back where the input is that broke it, if any.
fn try_target(tool: &Path, name: &str, seconds: u32) -> Result<Option<String>> {
    // What the fuzzer learns is worth keeping, but not in the checkout.
    let corpus = target().join("fuzz-corpus").join(name);
    let findings = workspace().join(CRATE).join("findings").join(name);
    for folder in [&corpus, &findings] {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let before = files(&findings)?;
    say(format_args!("fuzz: {name}, for {seconds} s"));
    let began = Instant::now();
    let output = cargo_fuzz(tool, "run")
        .arg(name)
        .arg(&corpus)
        .arg(workspace().join(CRATE).join("seeds").join(name))
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MEGABYTES_MAX}"))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .arg(format!("-artifact_prefix={}/", findings.display()))
        .arg("-print_final_stats=1")
        .output()
        .context("starting cargo-fuzz")?;
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        let runs = text
            .lines()
            .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))
            .map_or("an unknown number of", str::trim);
        say(format_args!(
            "  {runs} inputs in {} s",
            began.elapsed().as_secs()
        ));
        if before.is_empty() {
            // Not empty if something was kept before: then this fails, rightly.
            let _ = fs::remove_dir(&findings);
        }
        return Ok(None);
    }
    let found = files(&findings)?
        .into_iter()
        .find(|file| !before.contains(file));
    let place = found.map_or_else(
        || format!("{name}: no input was kept"),
        |file| file.display().to_string(),
    );
    say(format_args!("{}\n  {place}", install::last_lines(&text)));
    Ok(Some(place))
}

/// cargo-fuzz on our crate. Its flags to the compiler are not stable ones, so the
/// compiler is told that this is meant.
fn cargo_fuzz(tool: &Path, what: &str) -> Command {
    let mut command = install::untold(tool);
    command
        .current_dir(workspace())
        .env("RUSTC_BOOTSTRAP", "1")
        // All of the engine's compiler is built with checks, as one unit each:
        // well optimised that takes longer than trying all targets.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .args(["fuzz", what, "--fuzz-dir", CRATE, "--features", "fuzzer"])
        .arg("--target-dir")
        .arg(target().join("fuzz"));
    command
}

/// The names of the targets.
fn targets() -> Result<Vec<String>> {
    let folder = workspace().join(CRATE).join("targets");
    let mut names: Vec<String> = files(&folder)?
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    fs::read_dir(folder)
        .with_context(|| format!("listing {}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect()
}
