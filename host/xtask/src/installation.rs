//! A Faultline that a task uses: built, with a configuration and a data folder
//! of its own, on free ports.
//!
//! Tasks use it as people do: through its command line, and through what it
//! answers on its ports. How it works inside is none of their business.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::http::Client;
use crate::processes::{Processes, Program};
use crate::progress::{say, target, workspace};
use crate::{bundles, install};

/// Names a program that is built already and is to be used as it is.
pub(crate) const READY: &str = "FAULTLINE_BIN";
/// What the server is called in messages.
const SERVER: &str = "faultline";
/// How long the first start may take, which compiles all plugins.
const START_SECONDS_MAX: u64 = 180;
/// Listens wherever there is room.
const FREE_PORTS: &str = "[api]\nlisten = \"127.0.0.1:0\"\n\n[intake]\nlisten = \"127.0.0.1:0\"\n";

/// How the host is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As for tests: sooner ready.
    Dev,
    /// As for use: faster.
    Release,
}

/// A program with its data.
pub(crate) struct Installation {
    program: PathBuf,
    /// Holds all that follows.
    folder: PathBuf,
    _lock: File,
}

/// A new token.
#[derive(Debug, Deserialize)]
pub(crate) struct Token {
    /// What is sent with requests.
    pub(crate) token: String,
}

impl Installation {
    /// Builds the plugins and the host, and prepares an empty installation in
    /// a folder, in the place of whatever is there. `config` is added to its
    /// configuration.
    ///
    /// # Errors
    /// If something does not build, or another task uses the folder.
    pub(crate) fn make(profile: Profile, folder: &Path, config: &str) -> Result<Self> {
        Self::of(build(profile)?, folder, config)
    }

    /// The same with a program that is built already.
    ///
    /// # Errors
    /// If another task uses the folder.
    pub(crate) fn of(program: PathBuf, folder: &Path, config: &str) -> Result<Self> {
        let lock = lock(folder)?;
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
        }
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let made = Self {
            program,
            folder: folder.to_owned(),
            _lock: lock,
        };
        fs::write(made.config(), format!("{FREE_PORTS}\n{config}"))
            .with_context(|| format!("writing {}", made.config().display()))?;
        Ok(made)
    }

    fn config(&self) -> PathBuf {
        self.folder.join("faultline.toml")
    }

    /// Where the data is.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Where the program is.
    pub(crate) fn program_folder(&self) -> &Path {
        self.program.parent().unwrap_or(&self.program)
    }

    fn arguments(&self) -> [String; 4] {
        [
            "--config".to_owned(),
            self.config().display().to_string(),
            "--data-dir".to_owned(),
            self.data().display().to_string(),
        ]
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(self.arguments()).args(arguments);
        // What people have set for themselves is not for this one.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FAULTLINE_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Lets a command speak for itself.
    ///
    /// # Errors
    /// If it fails; it has said why.
    pub(crate) fn show(&self, arguments: &[&str]) -> Result<()> {
        install::run_shown(&mut self.command(arguments))
    }

    /// What a command answers to programs.
    ///
    /// # Errors
    /// If it fails, or answers something else.
    pub(crate) fn ask<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T> {
        let output = install::run(self.command(arguments).arg("--json"))?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!(
                "reading what `faultline {} --json` says",
                arguments.join(" ")
            )
        })
    }

    /// Starts the server and waits until it is ready.
    ///
    /// # Errors
    /// If it ends, is not ready in time, or the person interrupts.
    pub(crate) fn serve(&self, interrupted: Arc<AtomicBool>) -> Result<Server> {
        let mut processes = Processes::new(&self.folder, interrupted)?;
        let mut program = Program::new(SERVER, &self.program, &["serve"]);
        program.arguments.extend(self.arguments());
        processes.start(program)?;
        let run_file = self.data().join("run.json");
        let client = Client::new();
        let mut addresses = None;
        processes.wait_at_most(START_SECONDS_MAX, "Faultline", || {
            let text = fs::read_to_string(&run_file)
                .with_context(|| format!("reading {}", run_file.display()))?;
            let read: Addresses = serde_json::from_str(&text)
                .with_context(|| format!("reading {}", run_file.display()))?;
            client.get(&format!("{}/readyz", read.api))?;
            addresses = Some(read);
            Ok(())
        })?;
        let addresses = addresses.context("waiting ended without addresses")?;
        Ok(Server {
            processes,
            addresses,
        })
    }
}

/// Where a server listens: `run.json` in its data folder.
#[derive(Debug, Deserialize)]
pub(crate) struct Addresses {
    /// For people and programs.
    pub(crate) api: String,
    /// For senders.
    pub(crate) intake: String,
    /// Lets in who can read this file.
    pub(crate) token: String,
}

/// One that runs, until this is dropped.
pub(crate) struct Server {
    processes: Processes,
    addresses: Addresses,
}

impl Server {
    /// Where it listens.
    pub(crate) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The id of its process.
    ///
    /// # Errors
    /// If it does not run any more.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.processes.pid(SERVER)
    }

    /// It, and nothing else.
    pub(crate) fn processes(&mut self) -> &mut Processes {
        &mut self.processes
    }
}

/// Locks a folder that may not exist, by a file beside it: two tasks would
/// clear each other's.
///
/// # Errors
/// If another task holds it.
pub(crate) fn lock(folder: &Path) -> Result<File> {
    let path = folder.with_extension("lock");
    let parent = path.parent().unwrap_or(folder);
    fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    let lock = File::create(&path).with_context(|| format!("making {}", path.display()))?;
    if lock.try_lock().is_err() {
        bail!(
            "another task works in {}; end that one first",
            folder.display()
        );
    }
    Ok(lock)
}

/// The program that is named as built already, if one is.
///
/// # Errors
/// If there is no telling where it is.
pub(crate) fn ready() -> Result<Option<PathBuf>> {
    let Some(ready) = std::env::var_os(READY) else {
        return Ok(None);
    };
    say(format_args!(
        "using {}, which {READY} names",
        ready.display()
    ));
    let ready = std::path::absolute(ready).context("finding it")?;
    Ok(Some(ready))
}

/// Builds plugins and host, unless a program is named that is built already.
/// Gives its path.
///
/// # Errors
/// If something does not build.
pub(crate) fn build(profile: Profile) -> Result<PathBuf> {
    if let Some(ready) = ready()? {
        return Ok(ready);
    }
    bundles::build_all()?;
    let (arguments, folder): (&[&str], _) = match profile {
        Profile::Dev => (&[], "debug"),
        // Together with the bench of calls: by itself it would have other
        // features of what both depend on, and nearly all would be built twice.
        Profile::Release => (
            &[
                "--release",
                "--package",
                "faultline-sandbox",
                "--bin",
                "faultline",
                "--bench",
                "boundary",
            ],
            "release",
        ),
    };
    say(format_args!(
        "building the host ({folder}; minutes the first time, seconds after that)"
    ));
    let began = Instant::now();
    install::run_shown(
        install::cargo()
            .current_dir(workspace())
            .args(["build", "--locked", "--package", "faultline"])
            .args(arguments),
    )
    .context("the host does not build")?;
    say(format_args!("built in {} s", began.elapsed().as_secs()));
    Ok(target().join(folder).join("faultline"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_tasks_at_a_time() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("demo");
        let held = lock(&folder).expect("nobody holds it");
        let error = lock(&folder).expect_err("it is held").to_string();
        assert!(error.starts_with("another task works in "), "{error}");
        drop(held);
        lock(&folder).expect("it is free again");
    }
}
