//! One installed component with one configuration: what all guests that are
//! started for it have in common.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use faultline_domain::audit::{Entry, Stage};
use faultline_domain::grant::Effective;
use faultline_domain::id::{Digest, InstanceName};
use faultline_domain::plugin::{Failure, Limits, Reuse};
use faultline_domain::time::Timestamp;
use faultline_egress::{Egress, Quota};
use faultline_own_traces::Callee;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::guest::Call;
use crate::repeats::Repeats;
use crate::services::{Pending, ServiceError, Services, Unanswered};
use crate::stats::Stats;

/// The most rows about denials of one sort in ten seconds. What a plugin tries now
/// and then is recorded each time.
const DENIAL_ROWS_MAX: u32 = 20;

/// How long to wait for a row of the audit log to be written.
pub(crate) const AUDIT_WAIT_MAX: Duration = Duration::from_secs(10);

/// What an instance is made of.
#[derive(Debug, Clone)]
pub struct InstanceSpec {
    /// Its name.
    pub name: InstanceName,
    /// `namespace/name` of the plugin.
    pub plugin: String,
    /// The plugin's version.
    pub version: String,
    /// The configuration: JSON, checked, with defaults.
    pub config: String,
    /// How much it may use.
    pub limits: Limits,
    /// What it may do.
    pub grants: Effective,
    /// Whether guests that decode or correlate serve more than one call.
    pub reuse: Reuse,
    /// Whether its manifest says that the component imports WASI.
    pub wasi: bool,
}

/// The instance, as its guests and host functions see it.
pub(crate) struct Instance {
    pub(crate) spec: InstanceSpec,
    /// The component's digest.
    pub(crate) digest: Digest,
    pub(crate) stats: Stats,
    pub(crate) log: LogBudget,
    /// Where requests go out; none if this host has no way out.
    pub(crate) egress: Option<Egress>,
    /// What all its guests may send and receive.
    pub(crate) quota: Arc<Quota>,
    pub(crate) services: Arc<dyn Services>,
    pub(crate) runtime: Handle,
    clock: Clock,
    revoked: watch::Sender<bool>,
    /// What was put on the audit log of failures, and of denials: apart, as it is
    /// the guest that says how many sorts there are of the latter.
    failures: Repeats,
    denials: Repeats,
    /// Set once its guests may not run any more.
    stopped: watch::Sender<bool>,
}

/// Where audit rows take their time from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

impl Instance {
    pub(crate) fn new(
        spec: InstanceSpec,
        digest: Digest,
        services: Arc<dyn Services>,
        egress: Option<Egress>,
        runtime: Handle,
        clock: Clock,
    ) -> Self {
        Self {
            log: LogBudget::new(spec.limits.log_bytes_per_minute),
            quota: Arc::new(Quota::new(&spec.limits)),
            egress,
            revoked: watch::Sender::new(false),
            spec,
            digest,
            stats: Stats::default(),
            services,
            runtime,
            clock,
            failures: Repeats::new(1),
            denials: Repeats::new(DENIAL_ROWS_MAX),
            stopped: watch::Sender::new(false),
        }
    }

    /// No guest runs any more: the next call fails, requests that are on their
    /// way end, and what is running is interrupted as soon as the clockwork
    /// looks at it.
    pub(crate) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// Whether its guests may not run any more.
    pub(crate) fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    /// Who it is, and what is called, in traces.
    pub(crate) fn callee(&self, call: Call) -> Callee<'_> {
        Callee {
            plugin: &self.spec.plugin,
            version: &self.spec.version,
            instance: self.spec.name.as_str(),
            function: call.as_str(),
        }
    }

    /// Who it is, in the audit log.
    pub(crate) fn actor(&self) -> String {
        format!("plugin:{}@{}", self.spec.name, self.digest)
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// What it may do is taken back: requests that are on their way end, and
    /// every call of a host function from now on is denied.
    pub(crate) fn revoke(&self) {
        self.revoked.send_replace(true);
    }

    /// Whether what it may do was taken back.
    pub(crate) fn is_revoked(&self) -> bool {
        *self.revoked.borrow()
    }

    /// Ends when what it may do is taken back, or it is stopped; with which of
    /// these it was.
    pub(crate) async fn until_cut_off(&self) -> &'static str {
        let (mut revoked, mut stopped) = (self.revoked.subscribe(), self.stopped.subscribe());
        // The senders are our own, and outlive this.
        tokio::select! {
            biased;
            _ = revoked.wait_for(|revoked| *revoked) => "what was granted has been taken back",
            _ = stopped.wait_for(|stopped| *stopped) => "it may not run any more",
        }
    }

    /// Writes a row of the audit log.
    pub(crate) fn audit(
        &self,
        action: &str,
        stage: Stage,
        detail: &serde_json::Value,
    ) -> Result<u64, ServiceError> {
        self.runtime.block_on(self.record(action, stage, detail))
    }

    /// As [`Instance::audit`], where waiting is not for threads.
    pub(crate) async fn record(
        &self,
        action: &str,
        stage: Stage,
        detail: &serde_json::Value,
    ) -> Result<u64, ServiceError> {
        let entry = Entry {
            at: self.now(),
            actor: self.actor(),
            action: action.to_owned(),
            subject: format!("instance:{}", self.spec.name),
            stage,
            detail: detail.to_string(),
        };
        let written = within(AUDIT_WAIT_MAX, self.services.audit(entry)).await;
        written.map_err(|error| ServiceError(error.to_string()))
    }

    /// Asks the rest of the host for something and waits for the answer, as
    /// long as the guest's call may take. Guests run on threads of their own,
    /// so that they can wait.
    pub(crate) fn ask<'a, T>(
        &'a self,
        wait_max: Duration,
        ask: impl FnOnce(&'a dyn Services) -> Pending<'a, T>,
    ) -> Result<T, Unanswered> {
        let pending = within(wait_max, ask(&*self.services));
        self.runtime.block_on(pending)
    }

    /// A guest of this instance failed: it is counted, and recorded unless
    /// the same was recorded a moment ago.
    pub(crate) fn note_failure(&self, call: &str, failure: &Failure) {
        // Being stopped is not a failure of the guest's.
        if *failure == Failure::Stopped {
            return;
        }
        self.stats.fail(failure.code());
        let Some(unwritten) = self.failures.row_due(failure.code(), Instant::now()) else {
            return;
        };
        let detail = serde_json::json!({
            "call": call,
            "message": failure.to_string(),
            "plugin": self.spec.plugin,
            "version": self.spec.version,
            "not-recorded-before": unwritten,
        });
        if let Err(error) = self.audit(failure.code(), Stage::Event, &detail) {
            tracing::error!(
                plugin.instance = %self.spec.name,
                "a failure of {} cannot be recorded: {error}",
                self.spec.name
            );
        }
    }

    /// A guest of this instance tried what it may not: it is counted under what
    /// it would have used, and recorded unless the same was recorded often a
    /// moment ago.
    pub(crate) fn note_denial(&self, using: &'static str, action: &str, detail: serde_json::Value) {
        self.stats.deny(using);
        let Some(detail) = self.denial_row(action, detail) else {
            return;
        };
        if let Err(error) = self.audit(action, Stage::Event, &detail) {
            tracing::error!(
                plugin.instance = %self.spec.name,
                "a denial cannot be recorded: {error}"
            );
        }
    }

    /// What to record about a denial; nothing if the same was recorded often a
    /// moment ago.
    pub(crate) fn denial_row(
        &self,
        action: &str,
        mut detail: serde_json::Value,
    ) -> Option<serde_json::Value> {
        let sort = format!("{action}: {detail}");
        let unwritten = self.denials.row_due(&sort, Instant::now())?;
        detail["not-recorded-before"] = unwritten.into();
        Some(detail)
    }
}

async fn within<T>(wait_max: Duration, pending: Pending<'_, T>) -> Result<T, Unanswered> {
    match tokio::time::timeout(wait_max, pending).await {
        Ok(answer) => answer.map_err(Unanswered::from),
        Err(_) => Err(Unanswered::Late(wait_max)),
    }
}

/// Waits for what was asked of the rest of the host, on a thread that may.
pub(crate) fn wait<T>(
    runtime: &Handle,
    wait_max: Duration,
    pending: Pending<'_, T>,
) -> Result<T, Unanswered> {
    runtime.block_on(within(wait_max, pending))
}

/// About as many bytes stand in the log around what a guest writes: the time, the
/// level, the names of instance and plugin.
const LINE_BYTES_AROUND: u64 = 128;

/// Bytes of log lines that an instance may still write in this minute, all of
/// its guests together.
pub(crate) struct LogBudget {
    per_minute: u64,
    minute: Mutex<Minute>,
}

struct Minute {
    began: Instant,
    written: u64,
    dropped: u64,
}

/// Whether a line may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogVerdict {
    /// Yes; and so many lines before it were not.
    Write { dropped_before: u64 },
    /// No; and whether it is the first of this minute.
    Drop { is_first: bool },
}

impl LogBudget {
    fn new(per_minute: u64) -> Self {
        Self {
            per_minute,
            minute: Mutex::new(Minute {
                began: Instant::now(),
                written: 0,
                dropped: 0,
            }),
        }
    }

    /// Whether there is room for a line of so many bytes. What is written around
    /// it counts, too: a line without anything in it is a line.
    pub(crate) fn take(&self, bytes: u64) -> LogVerdict {
        let bytes = bytes.saturating_add(LINE_BYTES_AROUND);
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        let mut dropped_before = 0;
        if minute.began.elapsed() >= Duration::from_secs(60) {
            dropped_before = minute.dropped;
            *minute = Minute {
                began: Instant::now(),
                written: 0,
                dropped: 0,
            };
        }
        if minute.written.saturating_add(bytes) > self.per_minute {
            minute.dropped += 1;
            return LogVerdict::Drop {
                is_first: minute.dropped == 1,
            };
        }
        minute.written = minute.written.saturating_add(bytes);
        LogVerdict::Write { dropped_before }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_nothing_in_them_have_an_end() {
        let budget = LogBudget::new(10 * LINE_BYTES_AROUND);
        let written = (0..1_000).filter(|_| {
            let verdict = budget.take(0);
            matches!(verdict, LogVerdict::Write { .. })
        });
        assert_eq!(written.count(), 10);
        let endless = LogBudget::new(u64::MAX);
        for _ in 0..2 {
            assert_ne!(
                endless.take(u64::MAX - 1),
                LogVerdict::Drop { is_first: false }
            );
        }
    }
}
