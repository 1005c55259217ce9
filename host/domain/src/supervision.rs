//! Supervision: what becomes of an instance whose calls fail.
//!
//! A state machine without a clock: `running`, `backing-off` until a time,
//! `quarantined` until a person lifts it. Whoever calls plugins tells it how
//! calls ended, and when; it says whether there may be another call. For the
//! stages, "when" is the arrival of the envelope that was dealt with, so that
//! what a supervisor decides depends on the journal and on nothing else: a
//! replay leaves an instance out in the same places.
//!
//! Waits grow exponentially with full jitter: drawn between nothing and a bound
//! that doubles with each attempt (M. Brooker, "Exponential Backoff And Jitter",
//! AWS Architecture Blog, 2015). The random number comes in with the failure;
//! those who call derive it ([`draw`]).
//!
//! A poller can also be *refused*: it works, and says in words that what it asks
//! does not answer. It is left alone for growing times all the same, but is
//! never quarantined for it, however long that lasts; and it is all forgotten as
//! soon as there is an answer. One that the host could not start is left alone in
//! the same way: there was no room for it, whatever it is.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::id::{Digest, InstanceName};
use crate::plugin::{Failure, Limit};
use crate::time::Timestamp;

/// The most bytes of a failure's message that are kept.
const MESSAGE_BYTES_MAX: usize = 500;

/// When an instance is left alone for a while, and when for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupervisionPolicy {
    /// So many failures within the window, and it is quarantined.
    pub failures_max: u32,
    /// So many times over the limit of memory within the window, and it is
    /// quarantined: what grows once grows again, and costs its neighbours.
    pub memory_failures_max: u32,
    /// So many failures in a row on the same input, however long that takes,
    /// and it is quarantined.
    pub same_input_max: u32,
    /// The window.
    pub window: Duration,
    /// The bound of the first wait; it doubles with each further one.
    pub backoff_first: Duration,
    /// The bound of waits that no longer grow.
    pub backoff_max: Duration,
    /// After so long without a failure all is forgotten: the next wait is a
    /// first one again.
    pub healthy_after: Duration,
    /// One that has been failing and waiting for so long is worth an alert.
    pub alert_after: Duration,
}

impl Default for SupervisionPolicy {
    fn default() -> Self {
        Self {
            failures_max: 5,
            memory_failures_max: 3,
            same_input_max: 3,
            window: Duration::from_secs(600),
            backoff_first: Duration::from_secs(1),
            backoff_max: Duration::from_secs(300),
            healthy_after: Duration::from_secs(600),
            alert_after: Duration::from_secs(120),
        }
    }
}

impl SupervisionPolicy {
    /// The most failures that a threshold can ask for: those in the window are
    /// kept.
    pub const FAILURES_MAX: u32 = 1_000;

    /// What cannot be meant, in words.
    pub fn check(&self) -> Option<String> {
        for (name, count) in [
            ("failures", self.failures_max),
            ("memory-failures", self.memory_failures_max),
            ("same-input", self.same_input_max),
        ] {
            let most = Self::FAILURES_MAX;
            if !(1..=most).contains(&count) {
                return Some(format!("{name} is {count}; it can be 1 to {most}"));
            }
        }
        for (name, duration) in [
            ("window", self.window),
            ("backoff-first", self.backoff_first),
            ("healthy-after", self.healthy_after),
        ] {
            if duration.is_zero() {
                return Some(format!("{name} must be longer than nothing"));
            }
        }
        (self.backoff_max < self.backoff_first)
            .then(|| "backoff-max must not be shorter than backoff-first".to_owned())
    }

    /// The bound of the wait after so many failures in a row, at least one.
    fn bound(&self, attempt: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        self.backoff_first
            .saturating_mul(doubled)
            .min(self.backoff_max)
    }
}

/// Where an instance that is loaded stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Standing {
    /// It may be called.
    #[default]
    Running,
    /// It may be called again at a time.
    BackingOff {
        /// When.
        until: Timestamp,
    },
    /// It may not be called until a person says so.
    Quarantined {
        /// Since when.
        since: Timestamp,
        /// Which threshold it reached.
        reason: Reason,
    },
}

impl Standing {
    /// The word that stands for it everywhere.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Standing::Running => "running",
            Standing::BackingOff { .. } => "backing-off",
            Standing::Quarantined { .. } => "quarantined",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which threshold a quarantined instance reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Too many failures within the window.
    Failures,
    /// Too many times over the limit of memory within the window.
    Memory,
    /// The same input made it fail too often.
    SameInput,
}

impl Reason {
    /// The word that stands for it everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Failures => "failures",
            Reason::Memory => "memory",
            Reason::SameInput => "same-input",
        }
    }
}

/// A call that failed, as a supervisor is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed<'a> {
    /// `trap`, `limit.memory`, …
    pub code: &'a str,
    /// With the particulars.
    pub message: &'a str,
    /// What it was given, under a name that the same input has again: the
    /// position of an envelope, a poller's cursor. None if no input is to
    /// blame.
    pub input: Option<String>,
}

impl<'a> Failed<'a> {
    /// As a [`Failure`] has it; `message` is its text.
    pub const fn of(failure: &Failure, message: &'a str, input: Option<String>) -> Self {
        Self {
            code: failure.code(),
            message,
            input,
        }
    }
}

/// The last failure of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFailure {
    /// When.
    pub at: Timestamp,
    /// `trap`, `limit.memory`, …
    pub code: String,
    /// With the particulars.
    pub message: String,
    /// What it was given: the poison, if it is that.
    pub input: Option<String>,
    /// How often in a row it has failed on that; to be refused is no failure.
    pub times: u32,
}

impl LastFailure {
    fn of(at: Timestamp, failed: &Failed<'_>, times: u32) -> Self {
        Self {
            at,
            code: failed.code.to_owned(),
            message: clip(failed.message),
            input: failed.input.clone(),
            times,
        }
    }
}

/// A failure in the window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Recent {
    at: Timestamp,
    memory: bool,
}

/// Watches over one instance of one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supervisor {
    /// The component. Another one under the same name begins anew.
    digest: Digest,
    standing: Standing,
    /// Failures since it was last healthy: the next wait is the longer for it.
    attempt: u32,
    /// Of these, how often it was refused: nothing that is held against it.
    #[serde(default)]
    refusals: u32,
    /// When the first of them was.
    failing_since: Option<Timestamp>,
    /// Those in the window, oldest first.
    recent: VecDeque<Recent>,
    last: Option<LastFailure>,
    /// Failures in all, and how often a wait was over.
    failures: u64,
    restarts: u64,
}

impl Supervisor {
    /// Of a component that has not failed yet.
    pub const fn new(digest: Digest) -> Self {
        Self {
            digest,
            standing: Standing::Running,
            attempt: 0,
            refusals: 0,
            failing_since: None,
            recent: VecDeque::new(),
            last: None,
            failures: 0,
            restarts: 0,
        }
    }

    /// The component that it watches over.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Where it stands, as of the last that was heard.
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Whether only a person can let it run again.
    pub const fn is_quarantined(&self) -> bool {
        matches!(self.standing, Standing::Quarantined { .. })
    }

    /// Its last failure; none if it never failed since it was resumed.
    pub const fn last_failure(&self) -> Option<&LastFailure> {
        self.last.as_ref()
    }

    /// Failures since the component was first supervised. To be refused is none.
    pub const fn failures(&self) -> u64 {
        self.failures
    }

    /// How often it was tried again after a wait, or resumed.
    pub const fn restarts(&self) -> u64 {
        self.restarts
    }

    /// Failures and refusals in a row, as far as waits go by them.
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether it may be called at this time. A wait that is over is over for
    /// good: time never goes back.
    pub fn may_call(&mut self, now: Timestamp) -> bool {
        match self.standing {
            Standing::Running => true,
            Standing::BackingOff { until } if until <= now => {
                self.retried();
                true
            }
            Standing::BackingOff { .. } | Standing::Quarantined { .. } => false,
        }
    }

    /// It is called although its wait may not be over: a person asks for it, or
    /// the clock that it went by was set back. No way out of quarantine.
    pub const fn retried(&mut self) {
        if matches!(self.standing, Standing::BackingOff { .. }) {
            self.standing = Standing::Running;
            self.restarts += 1;
        }
    }

    /// It waits until then at least, if it waits: there is no use in calling it
    /// sooner.
    pub fn wait_until(&mut self, at_least: Timestamp) {
        if let Standing::BackingOff { until } = &mut self.standing {
            *until = at_least.max(*until);
        }
    }

    /// A call gave an answer; a fault in words is one.
    pub fn succeeded(&mut self, now: Timestamp, policy: &SupervisionPolicy) {
        let Some(last) = &self.last else {
            return;
        };
        if self.attempt > 0 && now.since(last.at) >= policy.healthy_after {
            self.attempt = 0;
            self.refusals = 0;
            self.failing_since = None;
            self.recent.clear();
        }
    }

    /// What it was given was dealt with, and so was what it asked for: it was
    /// refused for the last time, and failures on the same input are not in a
    /// row any more.
    pub fn answered(&mut self, now: Timestamp, policy: &SupervisionPolicy) {
        self.succeeded(now, policy);
        self.attempt = self.attempt.saturating_sub(self.refusals);
        self.refusals = 0;
        if self.attempt == 0 && !self.is_quarantined() {
            self.failing_since = None;
        }
        if let Some(last) = &mut self.last {
            last.times = 0;
        }
    }

    /// It was called, and said in words that it was refused: by a server that is
    /// down, or that does not let it in. It waits for as long as it says, or
    /// else for longer each time. That counts as no failure, so that it is never
    /// quarantined for it.
    pub fn refused(
        &mut self,
        now: Timestamp,
        refused: &Failed<'_>,
        wait: Option<Duration>,
        draw: u64,
        policy: &SupervisionPolicy,
    ) -> &Standing {
        if self.is_quarantined() {
            return &self.standing;
        }
        let times = match &self.last {
            Some(last) if last.input == refused.input => last.times,
            _ => 0,
        };
        self.last = Some(LastFailure::of(now, refused, times));
        self.failing_since.get_or_insert(now);
        self.attempt = self.attempt.saturating_add(1);
        self.refusals = self.refusals.saturating_add(1);
        let wait = wait.unwrap_or_else(|| jitter(policy.bound(self.attempt), draw));
        self.standing = Standing::BackingOff {
            until: now.plus(wait),
        };
        &self.standing
    }

    /// A call failed. `draw` is a random number, and decides how long the wait
    /// is. Says where it stands then. What fails while nothing may be called
    /// was called before, and counts, but makes no wait longer.
    pub fn failed(
        &mut self,
        now: Timestamp,
        failed: &Failed<'_>,
        draw: u64,
        policy: &SupervisionPolicy,
    ) -> &Standing {
        if failed.code == Failure::START {
            return self.refused(now, failed, None, draw, policy);
        }
        // Healthy until now: that was the call that would have said so.
        self.succeeded(now, policy);
        self.failures += 1;
        let times = match &self.last {
            Some(last) if last.input.is_some() && last.input == failed.input => last.times + 1,
            _ => 1,
        };
        self.last = Some(LastFailure::of(now, failed, times));
        self.failing_since.get_or_insert(now);
        self.recent.push_back(Recent {
            at: now,
            memory: failed.code == Limit::Memory.as_str(),
        });
        let most = policy.failures_max.max(policy.memory_failures_max) as usize;
        while self.recent.len() > most
            || self
                .recent
                .front()
                .is_some_and(|first| now.since(first.at) > policy.window)
        {
            self.recent.pop_front();
        }
        if matches!(self.standing, Standing::Quarantined { .. }) {
            return &self.standing;
        }
        if let Some(reason) = self.threshold(times, policy) {
            self.standing = Standing::Quarantined { since: now, reason };
        } else if self.may_call(now) {
            self.attempt = self.attempt.saturating_add(1);
            let wait = jitter(policy.bound(self.attempt), draw);
            self.standing = Standing::BackingOff {
                until: now.plus(wait),
            };
        }
        &self.standing
    }

    /// A person lets it run again, whatever it did. True if that changes
    /// anything.
    pub fn resumed(&mut self) -> bool {
        let changes = self.standing != Standing::Running || self.attempt > 0;
        self.standing = Standing::Running;
        self.attempt = 0;
        self.refusals = 0;
        self.failing_since = None;
        self.recent.clear();
        self.last = None;
        self.restarts += u64::from(changes);
        changes
    }

    /// Since when it is in trouble that people should know of: quarantined, or
    /// failing and waiting for longer than the policy bears in silence.
    pub fn troubled_since(&self, now: Timestamp, policy: &SupervisionPolicy) -> Option<Timestamp> {
        if let Standing::Quarantined { since, .. } = self.standing {
            return Some(since);
        }
        let (since, last) = (self.failing_since?, self.last.as_ref()?);
        // Between two failures it may run for a moment: that is no recovery.
        let waits = matches!(self.standing, Standing::BackingOff { .. });
        let is_over = !waits && now.since(last.at) >= policy.alert_after;
        (now.since(since) >= policy.alert_after && !is_over).then_some(since)
    }

    /// Why it is not called, for people; none if it is.
    pub fn why(&self) -> Option<String> {
        let last = self.last.as_ref();
        let how = last.map_or_else(String::new, |last| {
            // What it was given is not what it was refused for.
            let on = last.input.as_ref().filter(|_| last.times > 0);
            let on = on.map_or_else(String::new, |input| format!(" on {input}"));
            format!(": {}{on}", last.message)
        });
        match &self.standing {
            Standing::Running => None,
            Standing::BackingOff { until } => {
                let what = match last {
                    Some(last) if last.code == Failure::START => "could not be started",
                    _ if self.refusals == self.attempt => "was refused",
                    _ => "failed",
                };
                let times = self.attempt;
                Some(format!("{what} {times} times and waits until {until}{how}"))
            }
            Standing::Quarantined { reason, .. } => Some(match reason {
                Reason::Failures => format!("failed too often{how}"),
                Reason::Memory => format!("took too much memory too often{how}"),
                Reason::SameInput => format!("failed too often on the same input{how}"),
            }),
        }
    }

    fn threshold(&self, times: u32, policy: &SupervisionPolicy) -> Option<Reason> {
        let count = |memory: bool| {
            let counted = self.recent.iter().filter(|it| !memory || it.memory);
            u32::try_from(counted.count()).unwrap_or(u32::MAX)
        };
        if times >= policy.same_input_max {
            Some(Reason::SameInput)
        } else if count(true) >= policy.memory_failures_max {
            Some(Reason::Memory)
        } else if count(false) >= policy.failures_max {
            Some(Reason::Failures)
        } else {
            None
        }
    }
}

/// Between nothing and the bound, as the draw says.
fn jitter(bound: Duration, draw: u64) -> Duration {
    let micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(match micros.checked_add(1) {
        Some(values) => draw % values,
        None => draw,
    })
}

fn clip(message: &str) -> String {
    let mut end = message.len().min(MESSAGE_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}

/// A number that is as good as random, and the same whenever the journal is
/// read again.
pub fn draw(instance: &InstanceName, digest: Digest, now: Timestamp, attempt: u32) -> u64 {
    let mut hash = Sha256::new();
    hash.update(b"faultline supervision\0");
    hash.update(instance.as_str());
    hash.update([0]);
    hash.update(digest.as_bytes());
    hash.update(now.as_micros().to_be_bytes());
    hash.update(attempt.to_be_bytes());
    let bytes: [u8; 32] = hash.finalize().into();
    let first = bytes.into_iter().take(8);
    first.fold(0, |number, byte| (number << 8) | u64::from(byte))
}

/// The supervisors of one stage, by instance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Supervision(BTreeMap<InstanceName, Supervisor>);

impl Supervision {
    /// As they were kept.
    pub fn restore(kept: impl IntoIterator<Item = (InstanceName, Supervisor)>) -> Self {
        Self(kept.into_iter().collect())
    }

    /// Only these instances are there, each of this component. One that is made
    /// of another than before begins anew.
    pub fn retain(&mut self, instances: &BTreeMap<InstanceName, Digest>) {
        self.0
            .retain(|name, it| instances.get(name) == Some(&it.digest));
    }

    /// All that have failed once, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&InstanceName, &Supervisor)> {
        self.0.iter()
    }

    /// The supervisor of an instance, if that has ever failed.
    pub fn get(&self, instance: &InstanceName) -> Option<&Supervisor> {
        self.0.get(instance)
    }

    /// Whether an instance may be called at this time.
    pub fn may_call(&mut self, instance: &InstanceName, now: Timestamp) -> bool {
        self.0.get_mut(instance).is_none_or(|it| it.may_call(now))
    }

    /// A call of an instance gave an answer.
    pub fn succeeded(
        &mut self,
        instance: &InstanceName,
        now: Timestamp,
        policy: &SupervisionPolicy,
    ) {
        if let Some(it) = self.0.get_mut(instance) {
            it.succeeded(now, policy);
        }
    }

    /// A call of an instance failed, at a time that the journal has: the draw
    /// is derived.
    pub fn failed(
        &mut self,
        instance: &InstanceName,
        digest: Digest,
        now: Timestamp,
        failed: &Failed<'_>,
        policy: &SupervisionPolicy,
    ) -> &Standing {
        let it = self
            .0
            .entry(instance.clone())
            .or_insert_with(|| Supervisor::new(digest));
        if it.digest != digest {
            *it = Supervisor::new(digest);
        }
        let drawn = draw(instance, digest, now, it.attempt);
        it.failed(now, failed, drawn, policy)
    }

    /// A person lets an instance run again. True if that changes anything.
    pub fn resumed(&mut self, instance: &InstanceName) -> bool {
        self.0.get_mut(instance).is_some_and(Supervisor::resumed)
    }
}

#[cfg(test)]
mod tests;
