//! A Faultline that is measured: sent to, asked how far it has come, and looked
//! at from outside.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::Agent;

use crate::bench::senders::{Target, agent};
use crate::installation::{Installation, Server, Token};

/// More than a sender should send in earnest.
pub(crate) const CONFIG: &str = "\
[intake.limits]
sender-requests-per-second = 1000000
sender-bytes-per-second = \"1GiB\"

[pipeline]
alerts-firing-per-source-max = 100000
";

/// Added to it for a server without plugins.
pub(crate) const WITHOUT_PLUGINS: &str = "\n[plugins]\nbundled = false\n";

/// How often a server is asked how far it has come.
const POLL: Duration = Duration::from_millis(10);
/// How long the stages may take to catch up.
const SETTLE_MAX: Duration = Duration::from_secs(300);
/// For one question.
const QUESTION_MAX: Duration = Duration::from_secs(60);

/// How far what was sent has to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// What observe makes of it is committed.
    Observed,
    /// What correlate makes of that is, too.
    Correlated,
}

/// A server, and what it takes to send to it.
pub(crate) struct Sink {
    server: Server,
    agent: Agent,
    token: String,
}

/// What is read of `GET /api/v1/status`.
#[derive(Debug, Deserialize)]
struct Status {
    journal_position: u64,
    journal_received: Option<Timestamp>,
    stages: Vec<Stage>,
}

#[derive(Debug, Deserialize)]
struct Stage {
    name: String,
    position: u64,
    /// Arrival time up to which all is dealt with.
    clock: Option<Timestamp>,
    fault: Option<String>,
}

impl Status {
    /// Whether the stages have committed what comes of all that was in the
    /// journal when `sent` was asked.
    fn is_past(&self, sent: &Self, until: Until) -> bool {
        let stage = |name: &str| self.stages.iter().find(|stage| stage.name == name);
        stage("observe").is_some_and(|stage| stage.position >= sent.journal_position)
            && (until == Until::Observed
                || stage("correlate").is_some_and(|stage| stage.clock > sent.journal_received))
    }
}

impl Sink {
    /// Starts the server of an installation.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn open(installation: &Installation, interrupted: &Arc<AtomicBool>) -> Result<Self> {
        let server = installation.serve(Arc::clone(interrupted))?;
        let token: Token = installation.ask(&["token", "create", "bench", "--ingest"])?;
        Ok(Self {
            server,
            agent: agent(Some(QUESTION_MAX)),
            token: token.token,
        })
    }

    /// Where samples go.
    pub(crate) fn samples(&self) -> Target {
        self.target(super::samples::PATH, super::samples::HEADERS)
    }

    /// Where alerts go.
    pub(crate) fn alerts(&self) -> Target {
        self.target(super::alerts::PATH, super::alerts::HEADERS)
    }

    /// Where alerts go that another token is to send.
    pub(crate) fn alerts_of(&self, token: &str) -> Target {
        let base = &self.server.addresses().intake;
        Target::new(base, super::alerts::PATH, super::alerts::HEADERS).with_token(token)
    }

    fn target(&self, path: &str, headers: &[(&'static str, &str)]) -> Target {
        let base = &self.server.addresses().intake;
        Target::new(base, path, headers).with_token(&self.token)
    }

    /// Waits until the stages are past what is in the journal now.
    ///
    /// # Errors
    /// If they do not come so far, or something ends that should run.
    pub(crate) fn settle(&mut self, until: Until) -> Result<()> {
        let began = Instant::now();
        let sent: Status = self.ask("/status")?;
        loop {
            self.server.processes().check()?;
            let status: Status = self.ask("/status")?;
            if let Some(fault) = status.stages.iter().find_map(|stage| stage.fault.as_ref()) {
                bail!("a stage does not go on: {fault}");
            }
            if status.is_past(&sent, until) {
                return Ok(());
            }
            if began.elapsed() > SETTLE_MAX {
                bail!("the stages need more than {SETTLE_MAX:?} for what was sent");
            }
            thread::sleep(POLL);
        }
    }

    /// The answer to a question to the API.
    ///
    /// # Errors
    /// If it is no success, or not of this type.
    pub(crate) fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let text = self.text(path)?;
        serde_json::from_str(&text).with_context(|| format!("reading the answer to {path}"))
    }

    /// The same as it comes.
    pub(crate) fn text(&self, path: &str) -> Result<String> {
        let url = self.url(path);
        self.agent
            .get(&url)
            .header("authorization", self.authorization())
            .call()
            .with_context(|| format!("asking {url}"))?
            .body_mut()
            .with_config()
            .limit(u64::MAX)
            .read_to_string()
            .with_context(|| format!("reading the answer of {url}"))
    }

    /// Posts a document to the API.
    ///
    /// # Errors
    /// If the answer is no success.
    pub(crate) fn post(&self, path: &str, document: &serde_json::Value) -> Result<()> {
        let url = self.url(path);
        self.agent
            .post(&url)
            .header("authorization", self.authorization())
            .header("content-type", "application/json")
            .send(document.to_string())
            .with_context(|| format!("posting to {url}"))?
            .body_mut()
            .read_to_vec()
            .with_context(|| format!("reading the answer of {url}"))?;
        Ok(())
    }

    /// Of a path of the API.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.server.addresses().api)
    }

    /// The header that lets in.
    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.server.addresses().token)
    }

    /// Memory that the process has now.
    ///
    /// # Errors
    /// If it does not run.
    pub(crate) fn memory(&mut self) -> Result<Memory> {
        Memory::of(self.server.pid()?)
    }
}

/// Memory of a process, in MB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Memory {
    /// What it has.
    pub(crate) resident: f64,
    /// The most that it had.
    pub(crate) peak: f64,
}

impl Memory {
    /// Reads `/proc/<pid>/status` (`proc_pid_status(5)`).
    fn of(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/status");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let field = |name: &str| -> Result<f64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kibibytes: u32 = line
                .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
                .with_context(|| format!("{path} has no {name}"))?;
            Ok(f64::from(kibibytes) * 1_024.0 / 1e6)
        };
        Ok(Self {
            resident: field("VmRSS:")?,
            peak: field("VmHWM:")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory() {
        let memory = Memory::of(std::process::id()).expect("this process runs");
        assert!(memory.resident > 0.1 && memory.peak >= memory.resident);
        assert!(Memory::of(0).is_err());
    }
}
