//! How long a guest runs: on a processor, and by the clock.

use std::time::{Duration, Instant};

use faultline_domain::plugin::Limit;
use rustix::time::{ClockId, clock_gettime};
use wasmtime::CallHook;

use crate::limiter::Hit;

/// Meters one call.
///
/// Time on a processor counts while the guest runs, while values go in and out,
/// and while host functions do something for it: megabytes that it hands over are
/// read at its own expense. Not while a host function works for somebody else,
/// too: writing to databases, sending requests. It is the thread's own, so that a
/// busy machine does not make guests look slow. Asking the system for it takes
/// longer than many a crossing of the boundary, of which there is one for each
/// text that goes in: so it is asked when a call begins and ends, and around host
/// functions of that other sort.
#[derive(Debug)]
pub(crate) struct Meter {
    cpu_max: Duration,
    wall_max: Duration,
    began: Instant,
    cpu_before: Duration,
    /// The thread's time when the guest last began to run; none while a host
    /// function works for others, too.
    running_since: Option<Duration>,
    /// A host function has called back, to make room for its answer.
    called_back: bool,
}

impl Meter {
    /// A meter of a call that begins now.
    pub(crate) fn new(cpu_max: Duration, wall_max: Duration) -> Self {
        Self {
            cpu_max,
            wall_max,
            began: Instant::now(),
            cpu_before: Duration::ZERO,
            running_since: Some(thread_time()),
            called_back: false,
        }
    }

    /// A new call begins.
    pub(crate) fn begin(&mut self) {
        *self = Self::new(self.cpu_max, self.wall_max);
    }

    /// The guest is entered or left, by the host or by itself.
    pub(crate) fn hook(&mut self, hook: CallHook) {
        match hook {
            CallHook::ReturningFromHost if self.running_since.is_none() => {
                self.running_since = Some(thread_time());
            }
            CallHook::CallingWasm if self.running_since.is_none() => {
                self.running_since = Some(thread_time());
                self.called_back = true;
            }
            CallHook::ReturningFromWasm if self.called_back => {
                self.pause();
                self.called_back = false;
            }
            CallHook::CallingHost
            | CallHook::ReturningFromHost
            | CallHook::CallingWasm
            | CallHook::ReturningFromWasm => {}
        }
    }

    /// What the host function does from here on is not all for this guest: no
    /// time counts until it returns.
    pub(crate) fn pause(&mut self) {
        if let Some(since) = self.running_since.take() {
            self.cpu_before += thread_time().saturating_sub(since);
        }
    }

    /// How long the guest has run in this call.
    pub(crate) fn cpu(&self) -> Duration {
        let now = self
            .running_since
            .map_or(Duration::ZERO, |since| thread_time().saturating_sub(since));
        self.cpu_before + now
    }

    /// How long this call has taken by the clock.
    pub(crate) fn wall(&self) -> Duration {
        self.began.elapsed()
    }

    /// What is left of the time on the clock.
    pub(crate) fn wall_left(&self) -> Duration {
        self.wall_max.saturating_sub(self.began.elapsed())
    }

    /// Whether a limit is reached.
    pub(crate) fn check(&self) -> Result<(), Hit> {
        let cpu = self.cpu();
        if cpu > self.cpu_max {
            let message = format!("ran for {cpu:?} in one call; {:?} at most", self.cpu_max);
            return Err(Hit::new(Limit::Cpu, message));
        }
        let wall = self.began.elapsed();
        if wall > self.wall_max {
            let message = format!("took {wall:?} for one call; {:?} at most", self.wall_max);
            return Err(Hit::new(Limit::Wall, message));
        }
        Ok(())
    }
}

/// How long this thread has been on a processor.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let secs = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(secs, u32::try_from(time.tv_nsec).unwrap_or(0))
}
