//! The one place that reads clocks, and what is said of them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use faultline_api::Condition;
use faultline_domain::arrival_clock::ClockState;
use faultline_domain::time::Timestamp;
use faultline_store::{Clocks, Journal};
use rustix::time::{ClockId, clock_gettime};

/// Now. Before 1970 it is 1970: nothing sensible can be done there, and
/// nothing should break.
pub(crate) fn now() -> Timestamp {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_micros(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX))
}

/// The clocks of this machine: the time of day, and the time since it was
/// started, its sleep included.
pub(crate) fn clocks() -> Clocks {
    Clocks {
        wall: Arc::new(now),
        steady: Arc::new(|| {
            let time = clock_gettime(ClockId::Boottime);
            Duration::new(
                u64::try_from(time.tv_sec).unwrap_or(0),
                u32::try_from(time.tv_nsec).unwrap_or(0),
            )
        }),
    }
}

/// What operators are told of the clock of the machine, if it is not followed.
pub(crate) fn condition(journal: &Journal, now: Timestamp) -> Option<Condition> {
    // Looked at, so that it is as of now.
    journal.time(now);
    let (condition, what, remedy) = match journal.clock_state() {
        ClockState::InStep => return None,
        ClockState::SetBack(by) => (
            "clock-set-back",
            format!(
                "the clock of this machine is {} behind the journal: it was set back, or was \
                 ahead before; until it has caught up, in twice that time, the journal's time \
                 goes at half its speed, and telemetry may count as late",
                humantime::format_duration(whole_seconds(by))
            ),
            "look whether the clock is right now; there is nothing else to do but to wait",
        ),
        ClockState::SetAhead(by) => (
            "clock-set-ahead",
            format!(
                "the clock of this machine has jumped ahead by {}: it is not followed, and time \
                 goes on from before",
                humantime::format_duration(whole_seconds(by))
            ),
            "set the clock right; if it is right, start Faultline again, which then follows it",
        ),
    };
    Some(Condition {
        part: "clock".to_owned(),
        condition: condition.to_owned(),
        what,
        remedy: remedy.to_owned(),
        since: now,
    })
}

const fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}
