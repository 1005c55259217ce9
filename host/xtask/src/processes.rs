//! The programs that a task runs: started, watched, and stopped again whatever
//! happens.
//!
//! Each is in a process group of its own, so that a Ctrl-C in the terminal
//! reaches the task alone, which then stops them in order. Should the task
//! itself be killed, Linux tells them (`setpriv --pdeathsig`); that is tied to
//! the thread that started them, so all must be started by the main thread.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::install::last_lines;
use crate::progress::say;

/// How long a program may take to stop before it is killed.
const STOP_SECONDS_MAX: u64 = 12;
/// How long anything may take to come up.
pub(crate) const START_SECONDS_MAX: u64 = 40;
/// What all programs see of the world.
const ENVIRONMENT: [(&str, &str); 2] = [
    ("LANG", "C.UTF-8"),
    (
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ),
];
/// Often, for how soon a program is ready is measured with it.
const POLL: Duration = Duration::from_millis(10);

/// A program to run.
pub(crate) struct Program {
    /// What it is called in messages, and its log file.
    pub(crate) name: String,
    /// The program's path.
    pub(crate) path: PathBuf,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// Its environment, beside what all have.
    pub(crate) environment: Vec<(String, String)>,
    /// The user to become; the task's own if none is named.
    pub(crate) user: Option<&'static str>,
    /// What asks it to stop.
    pub(crate) stop_with: Signal,
}

impl Program {
    /// A program that stops on SIGTERM and runs as the same user.
    pub(crate) fn new(name: &str, path: impl Into<PathBuf>, arguments: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            path: path.into(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            environment: Vec::new(),
            user: None,
            stop_with: Signal::TERM,
        }
    }
}

/// From now on SIGINT, SIGTERM and SIGHUP do not end this process by
/// themselves: they set what is given back.
pub(crate) fn interruption() -> Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        signal_hook::flag::register(signal.as_raw(), Arc::clone(&interrupted))
            .context("setting up signal handling")?;
    }
    Ok(interrupted)
}

/// A command that runs as another user, or as the same one; another one needs
/// Linux. `stop_with` is what the kernel sends it if we die. Of our environment
/// it sees nothing: proxies and settings of whoever records would end up in the
/// recording.
pub(crate) fn command(user: Option<&str>, stop_with: Signal, path: &Path) -> Command {
    if !cfg!(target_os = "linux") {
        let mut command = Command::new(path);
        command.env_clear().envs(ENVIRONMENT);
        return command;
    }
    let mut command = Command::new("setpriv");
    let name = if stop_with == Signal::INT {
        "INT"
    } else {
        "TERM"
    };
    command.args(["--pdeathsig", name]);
    if let Some(user) = user {
        command.args(["--reuid", user, "--regid", user, "--init-groups"]);
    }
    command.arg("--").arg(path);
    command.env_clear().envs(ENVIRONMENT);
    command
}

struct Running {
    name: String,
    child: Child,
    log: PathBuf,
    stop_with: Signal,
}

/// What runs, in the order in which it was started.
pub(crate) struct Processes {
    running: Vec<Running>,
    logs: PathBuf,
    interrupted: Arc<AtomicBool>,
}

impl Processes {
    /// None yet. Their output goes to files in the folder `logs`; once
    /// `interrupted` is set, the next wait fails.
    pub(crate) fn new(logs: &Path, interrupted: Arc<AtomicBool>) -> Result<Self> {
        fs::create_dir_all(logs).with_context(|| format!("making {}", logs.display()))?;
        Ok(Self {
            running: Vec::new(),
            logs: logs.to_owned(),
            interrupted,
        })
    }

    /// Where a program's output goes.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    /// Starts a program.
    pub(crate) fn start(&mut self, program: Program) -> Result<()> {
        let log = self.log(&program.name);
        let output = File::create(&log).with_context(|| format!("making {}", log.display()))?;
        let errors = output.try_clone().context("sharing a log file")?;
        let child = command(program.user, program.stop_with, &program.path)
            .args(&program.arguments)
            .envs(program.environment)
            .stdin(std::process::Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", program.name))?;
        self.running.push(Running {
            name: program.name,
            child,
            log,
            stop_with: program.stop_with,
        });
        Ok(())
    }

    /// Fails if the person had enough, or a program ended that should run.
    pub(crate) fn check(&mut self) -> Result<()> {
        if self.interrupted.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        for running in &mut self.running {
            if let Some(status) = running.child.try_wait().context("watching a program")? {
                return Err(running.ended(status));
            }
        }
        Ok(())
    }

    /// Waits until a moment, or until [`Processes::check`] fails.
    pub(crate) fn wait_until(&mut self, moment: Instant) -> Result<()> {
        loop {
            self.check()?;
            let left = moment.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(POLL));
        }
    }

    /// Waits until `ready` says so, for at most [`START_SECONDS_MAX`].
    pub(crate) fn wait_for(&mut self, what: &str, ready: impl FnMut() -> Result<()>) -> Result<()> {
        self.wait_at_most(START_SECONDS_MAX, what, ready)
    }

    /// Waits until `ready` says so.
    pub(crate) fn wait_at_most(
        &mut self,
        seconds_max: u64,
        what: &str,
        mut ready: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(seconds_max);
        loop {
            self.check()?;
            match ready() {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() >= deadline => {
                    return Err(error)
                        .with_context(|| format!("{what} is not there after {seconds_max} s"));
                }
                Err(_) => thread::sleep(POLL),
            }
        }
    }

    /// Sends a signal to a program that runs.
    pub(crate) fn signal(&mut self, name: &str, signal: Signal) -> Result<()> {
        let running = self
            .running
            .iter_mut()
            .find(|running| running.name == name)
            .with_context(|| format!("{name} does not run"))?;
        running
            .signal(signal)
            .with_context(|| format!("sending a signal to {name}"))
    }

    /// The id of a process that runs.
    pub(crate) fn pid(&self, name: &str) -> Result<u32> {
        self.running
            .iter()
            .find(|running| running.name == name)
            .map(|running| running.child.id())
            .with_context(|| format!("{name} does not run"))
    }

    /// Stops one program and waits until it is gone.
    pub(crate) fn stop(&mut self, name: &str) -> Result<()> {
        let index = self
            .running
            .iter()
            .position(|running| running.name == name)
            .with_context(|| format!("{name} does not run"))?;
        self.running.remove(index).stop();
        Ok(())
    }

    /// Stops all programs, the last one first.
    pub(crate) fn stop_all(&mut self) {
        while let Some(running) = self.running.pop() {
            running.stop();
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.stop_all();
    }
}

impl Running {
    fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("not a process id"))?;
        Ok(kill_process(pid, signal)?)
    }

    /// Asks, waits, and kills if asking did not help.
    fn stop(mut self) {
        // One that ended already has no process id that is still its own.
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let deadline = Instant::now() + Duration::from_secs(STOP_SECONDS_MAX);
        let asked = self.signal(self.stop_with);
        while asked.is_ok() && Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(POLL),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        say(format_args!("{} does not stop, killing it", self.name));
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            say(format_args!("{} cannot be killed: {error}", self.name));
        }
    }

    fn ended(&self, status: ExitStatus) -> anyhow::Error {
        let said = fs::read(&self.log).unwrap_or_default();
        anyhow::anyhow!(
            "{} ended with {status}; the end of {}:\n{}",
            self.name,
            self.log.display(),
            last_lines(&String::from_utf8_lossy(&said))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(name: &str, script: &str) -> Program {
        Program::new(name, "/bin/sh", &["-c", script])
    }

    fn check(test: impl FnOnce(&mut Processes, &AtomicBool)) {
        let logs = tempfile::tempdir().expect("a folder");
        let interrupted = Arc::new(AtomicBool::new(false));
        let mut processes =
            Processes::new(logs.path(), Arc::clone(&interrupted)).expect("a folder for logs");
        test(&mut processes, &interrupted);
    }

    #[test]
    fn a_program_that_ends_is_missed_with_what_it_said() {
        check(|processes, _| {
            let program = shell("clumsy", "echo tripped >&2; exit 3");
            processes.start(program).expect("it starts");
            let error = processes
                .wait_for("clumsy", || bail!("not yet"))
                .expect_err("it ends")
                .to_string();
            assert!(
                error.contains("clumsy ended with exit status: 3"),
                "{error}"
            );
            assert!(error.contains("    tripped"), "{error}");
        });
    }

    #[test]
    fn stops_what_it_started_and_nothing_twice() {
        check(|processes, _| {
            processes
                .start(shell("idle", "exec sleep 600"))
                .expect("it starts");
            processes.check().expect("it runs");
            processes.stop("idle").expect("it stops");
            let error = processes.stop("idle").expect_err("it is gone").to_string();
            assert_eq!(error, "idle does not run");
            assert!(processes.signal("idle", Signal::HUP).is_err());
        });
    }

    #[test]
    fn an_interruption_ends_the_wait() {
        check(|processes, interrupted| {
            processes
                .wait_until(Instant::now())
                .expect("nothing to wait for");
            interrupted.store(true, Ordering::Relaxed);
            let far = Instant::now() + Duration::from_secs(600);
            let error = processes.wait_until(far).expect_err("it was interrupted");
            assert_eq!(error.to_string(), "interrupted");
        });
    }
}
