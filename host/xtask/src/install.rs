//! Installs what tasks need from the outside: Debian packages, Python virtual
//! environments, tools written in Rust.
//!
//! All only do what is missing, so that a task can call them each time.
//! Packages are installed by root alone: nothing here calls `sudo`; without
//! root the error names the command to run. Services that a package would
//! start are kept from starting, as tasks run the programs themselves.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::progress::{say, target};

/// How many of the last lines a failed command printed are shown.
const FAILURE_LINES_MAX: usize = 25;
/// Debian asks this script whether a package may start its services
/// (invoke-rc.d(8)).
const SERVICE_POLICY: &str = "/usr/sbin/policy-rc.d";
/// 101: "action forbidden by policy".
const SERVICE_POLICY_REFUSES: &str = "#!/bin/sh\n\
    # Written by `cargo xtask` while it installs packages; remove it if found.\n\
    exit 101\n";

/// Installs those of the packages that are missing.
///
/// # Errors
/// If this is no Debian or a relative of it, if packages are missing and the
/// user is not root, or if `apt-get` fails; each time with what to do.
pub(crate) fn debian_packages(packages: &[&str]) -> Result<()> {
    let missing = missing_packages(packages)?;
    if missing.is_empty() {
        say(format_args!(
            "packages: all {} are installed",
            packages.len()
        ));
        return Ok(());
    }
    let list = missing.join(" ");
    if !rustix::process::geteuid().is_root() {
        bail!(
            "packages are missing, and only root can install them; run\n\n    \
             sudo apt-get update && sudo apt-get install -y --no-install-recommends {list}\n\n\
             and then this again"
        );
    }
    say(format_args!("packages: installing {list}"));
    let began = Instant::now();
    let _refusal = ServiceRefusal::begin(Path::new(SERVICE_POLICY))?;
    // Without this the lists may be older than what the mirror still has.
    run(apt_get().arg("update"))?;
    run(apt_get()
        .args(["install", "-y", "--no-install-recommends"])
        .args(&missing))?;
    say(format_args!(
        "packages: installed {} in {} s",
        missing.len(),
        began.elapsed().as_secs()
    ));
    Ok(())
}

/// Makes a virtual environment with exactly what a requirements file lists,
/// unless it is there already. Gives back its Python.
///
/// An environment that was made from another list is made anew, since pip
/// does not remove what is no longer asked for.
///
/// # Errors
/// If the file cannot be read, or `venv` or `pip` fail.
pub(crate) fn python_venv(folder: &Path, requirements: &Path) -> Result<PathBuf> {
    let wanted = fs::read_to_string(requirements)
        .with_context(|| format!("reading {}", requirements.display()))?;
    let python = folder.join("bin/python");
    // Written last, so that its presence says that all went well.
    let made_from = folder.join("made-from-requirements.txt");
    if fs::read_to_string(&made_from).is_ok_and(|made| made == wanted) && python.exists() {
        say(format_args!(
            "python: environment {} is up to date",
            folder.display()
        ));
        return Ok(python);
    }
    say(format_args!("python: making {}", folder.display()));
    let began = Instant::now();
    run(Command::new(system_python())
        .args(["-m", "venv", "--clear"])
        .arg(folder))
    .context("making a Python environment; on Debian it takes the package python3-venv")?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--no-input"])
        .args(["--disable-pip-version-check", "--requirement"])
        .arg(requirements))
    .with_context(|| {
        format!(
            "installing {} from the configured package index",
            requirements.display()
        )
    })?;
    fs::write(&made_from, &wanted).with_context(|| format!("writing {}", made_from.display()))?;
    say(format_args!(
        "python: made in {} s",
        began.elapsed().as_secs()
    ));
    Ok(python)
}

/// Builds a program from crates.io into `target/tools`, unless this release of
/// it is there already. Gives back its path.
///
/// # Errors
/// If it does not build.
pub(crate) fn cargo_tool(name: &str, version: &str) -> Result<PathBuf> {
    let root = target().join("tools");
    let program = root.join("bin").join(name);
    let there = Command::new(&program).arg("--version").output();
    if there.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout)
            .split_whitespace()
            .any(|word| word == version)
    }) {
        say(format_args!("  {name} {version} is there"));
        return Ok(program);
    }
    say(format_args!(
        "  building {name} {version}, once (some minutes)"
    ));
    let began = Instant::now();
    run(cargo()
        .args(["install", name, "--version", version, "--locked", "--root"])
        .arg(&root)
        // The checkout's own settings are not for other people's programs.
        .current_dir("/"))?;
    say(format_args!(
        "  built {name} in {} s",
        began.elapsed().as_secs()
    ));
    Ok(program)
}

/// What Cargo tells the program that it runs about that program.
const OF_THIS_PROGRAM: [&str; 4] = [
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_BIN_",
    "CARGO_CRATE_",
];

/// The Cargo that started us.
pub(crate) fn cargo() -> Command {
    untold(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A Cargo, or what starts one, that is not told of this program: build scripts
/// that ask for the folder of a package would run anew because they see ours, and
/// then again when somebody calls Cargo by hand.
pub(crate) fn untold(program: impl AsRef<OsStr>) -> Command {
    let mut cargo = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let of_this = |prefix: &&str| name.to_string_lossy().starts_with(*prefix);
        if OF_THIS_PROGRAM.iter().any(of_this) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Debian's own Python if there is one, since that is what its `python3-venv`
/// belongs to; whatever the path has otherwise.
fn system_python() -> &'static Path {
    let debian = Path::new("/usr/bin/python3");
    if debian.exists() {
        debian
    } else {
        Path::new("python3")
    }
}

/// Those of the packages that are not installed.
fn missing_packages<'a>(packages: &[&'a str]) -> Result<Vec<&'a str>> {
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
        .args(packages)
        // Unknown packages are named in a message, which nobody parses.
        .output()
        .with_context(|| {
            format!(
                "asking dpkg for {}: this task needs Debian 12 or a relative of it",
                packages.join(" ")
            )
        })?;
    let known = String::from_utf8_lossy(&output.stdout);
    Ok(packages
        .iter()
        .copied()
        .filter(|package| {
            !known
                .lines()
                .any(|line| line.split_once(' ') == Some((package, "installed")))
        })
        .collect())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    // Another apt may be at work, such as a nightly upgrade.
    command.args(["-qq", "-o", "DPkg::Lock::Timeout=120"]);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Runs a command to its end, showing what it printed only if it fails.
///
/// # Errors
/// If it cannot be started, or fails.
pub(crate) fn run(command: &mut Command) -> Result<Output> {
    let output = command
        .output()
        .with_context(|| format!("starting {}", shown(command)))?;
    if !output.status.success() {
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        bail!(
            "{} failed with {}:\n{}",
            shown(command),
            output.status,
            last_lines(&String::from_utf8_lossy(&text))
        );
    }
    Ok(output)
}

/// Runs a command to its end, showing what it prints as it comes.
///
/// # Errors
/// If it cannot be started, or fails; it has said why.
pub(crate) fn run_shown(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("starting {}", shown(command)))?;
    if !status.success() {
        bail!("{} ends with {status}", shown(command));
    }
    Ok(())
}

/// As one would type it.
fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

/// The end of a long output, indented.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(FAILURE_LINES_MAX);
    lines[from..]
        .iter()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// While this lives, packages do not start services. A policy that somebody
/// else has put there stays as it is: it is the machine's owner's.
struct ServiceRefusal {
    /// The policy, if it is ours.
    written: Option<PathBuf>,
}

impl ServiceRefusal {
    fn begin(policy: &Path) -> Result<Self> {
        // One of ours was left behind if an earlier task was killed.
        let ours = fs::read_to_string(policy).is_ok_and(|text| text == SERVICE_POLICY_REFUSES);
        if policy.exists() && !ours {
            return Ok(Self { written: None });
        }
        fs::write(policy, SERVICE_POLICY_REFUSES)
            .and_then(|()| fs::set_permissions(policy, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("writing {}", policy.display()))?;
        Ok(Self {
            written: Some(policy.to_owned()),
        })
    }
}

impl Drop for ServiceRefusal {
    fn drop(&mut self) {
        if let Some(policy) = &self.written
            && let Err(error) = fs::remove_file(policy)
        {
            say(format_args!(
                "cannot remove {} ({error}); remove it, or packages will not start services",
                policy.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_its_end() {
        let text: String = (0..100).fold(String::new(), |text, n| text + &format!("line {n}\n"));
        let shown = last_lines(&text);
        assert_eq!(shown.lines().count(), FAILURE_LINES_MAX);
        assert!(shown.ends_with("    line 99"));
        assert_eq!(last_lines(""), "");
    }

    #[test]
    fn a_failing_command_names_itself_and_what_it_said() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let message = run(&mut command).expect_err("it fails").to_string();
        assert!(message.starts_with("sh -c "), "{message}");
        assert!(message.contains("exit status: 3"), "{message}");
        assert!(message.contains("    out\n    err"), "{message}");
    }

    #[test]
    fn a_command_that_speaks_for_itself_is_named_if_it_fails() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 3"]);
        let message = run_shown(&mut command).expect_err("it fails").to_string();
        assert_eq!(message, "sh -c exit 3 ends with exit status: 3");
        run_shown(Command::new("sh").args(["-c", "exit 0"])).expect("it does not");
    }

    #[test]
    fn knows_what_is_missing() {
        // dpkg belongs to every Debian; elsewhere there is nothing to test.
        if Path::new("/usr/bin/dpkg-query").exists() {
            let missing = missing_packages(&["dpkg", "no-such-package-anywhere"]);
            assert_eq!(missing.expect("dpkg answers"), ["no-such-package-anywhere"]);
        }
    }

    #[test]
    fn services_are_refused_only_meanwhile() {
        let folder = tempfile::tempdir().expect("a folder");
        let policy = folder.path().join("policy-rc.d");
        // The second time as if an earlier task had been killed.
        for left_behind in [false, true] {
            if left_behind {
                fs::write(&policy, SERVICE_POLICY_REFUSES).expect("a file");
            }
            let refusal = ServiceRefusal::begin(&policy).expect("it can be written");
            let mode = fs::metadata(&policy).expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o755);
            drop(refusal);
            assert!(!policy.exists());
        }
    }

    #[test]
    fn the_owners_policy_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let policy = folder.path().join("policy-rc.d");
        fs::write(&policy, "#!/bin/sh\nexit 0\n").expect("a file");
        drop(ServiceRefusal::begin(&policy).expect("nothing to do"));
        let kept = fs::read_to_string(&policy).expect("a file");
        assert_eq!(kept, "#!/bin/sh\nexit 0\n");
    }
}
