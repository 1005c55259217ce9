//! Polling: what a poller fetches, when it is asked again, and what is
//! remembered of it.
//!
//! A poller is a connector that also fetches. It remembers nothing itself: it is
//! given a cursor, and what it answers is a [`Page`] with the next one. Here is
//! what follows from an answer, as a function of the state before, the answer
//! and the time. Who asks, and where the page goes, is the poll stage's
//! business.
//!
//! Pollers are asked at fixed slots, one every interval, that lie at an offset
//! of their own: many of them do not all ask at the same moment, and a restart
//! moves none of them (Prometheus spreads its scrapes in the same way).

use std::time::Duration;

use crate::fault::{Fault, Retry};
use crate::id::{Digest, InstanceName};
use crate::plugin::{CallError, Failure, Limit};
use crate::time::Timestamp;

/// The most bytes of a cursor. Over it: `limit.cursor`.
pub const CURSOR_BYTES_MAX: usize = 64 << 10;

/// The most envelopes that a poller is asked for at once. Over it:
/// `limit.page`.
pub const PAGE_ENVELOPES_MAX: u32 = 500;

/// How often a poller is asked, unless the operator says otherwise.
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(60);

/// The shortest and the longest interval that can be set.
pub const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// See [`INTERVAL_MIN`].
pub const INTERVAL_MAX: Duration = Duration::from_secs(86_400);

/// A poller that names a time to be asked again is taken at its word within
/// these bounds.
pub const WAIT_MIN: Duration = Duration::from_secs(1);
/// See [`WAIT_MIN`].
pub const WAIT_MAX: Duration = Duration::from_secs(86_400);

/// After faults the wait grows up to this, or to the interval if that is
/// longer.
pub const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// Pages that are fetched one after another because the poller says that there
/// is more; after so many it has to wait [`WAIT_MIN`]. One that always says so
/// would otherwise keep a processor and the API that it asks busy for ever.
pub const PAGES_IN_A_ROW_MAX: u32 = 100;

/// Fetches from an API. Remembers only what it is given back.
pub trait Poller: Send + Sync {
    /// Which instance.
    fn instance(&self) -> &InstanceName;

    /// Fetches at most `budget` payloads after the cursor; none: from the
    /// start.
    ///
    /// # Errors
    /// As all calls of plugins.
    fn poll(&self, cursor: Option<&[u8]>, budget: u32) -> Result<Page, CallError>;
}

/// A payload that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The media type without parameters, lower case; empty if none was given.
    pub content_type: String,
    /// What is worth keeping beside it, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The payload.
    pub body: Vec<u8>,
}

/// What one poll fetched: within its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    payloads: Vec<Fetched>,
    cursor: Vec<u8>,
    more: bool,
    next_poll: Option<Duration>,
}

impl Page {
    /// A page that was fetched with this budget.
    ///
    /// # Errors
    /// If it has more payloads than that, or its cursor is too large: the
    /// poller has failed.
    pub fn new(
        payloads: Vec<Fetched>,
        cursor: Vec<u8>,
        more: bool,
        next_poll: Option<Duration>,
        budget: u32,
    ) -> Result<Self, Failure> {
        if payloads.len() as u64 > u64::from(budget) {
            let got = payloads.len();
            return Err(Failure::Limit {
                limit: Limit::Page,
                message: format!("a page of {got} envelopes; {budget} were asked for at most"),
            });
        }
        if cursor.len() > CURSOR_BYTES_MAX {
            let got = cursor.len();
            return Err(Failure::Limit {
                limit: Limit::Cursor,
                message: format!("a cursor of {got} bytes; {CURSOR_BYTES_MAX} at most"),
            });
        }
        Ok(Self {
            payloads,
            cursor,
            more,
            next_poll,
        })
    }

    /// Where to go on.
    pub fn cursor(&self) -> &[u8] {
        &self.cursor
    }

    /// The payloads, in the order in which they are to be decoded.
    pub fn into_payloads(self) -> Vec<Fetched> {
        self.payloads
    }
}

/// When one poller is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    interval: Duration,
    seed: u64,
}

impl Schedule {
    /// Every interval (within its bounds). The seed decides at which moments,
    /// and should differ from poller to poller.
    pub fn new(interval: Duration, seed: &[u8]) -> Self {
        Self {
            interval: interval.clamp(INTERVAL_MIN, INTERVAL_MAX),
            seed: hash(&[seed]),
        }
    }

    /// How often, if nothing comes between.
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// The next slot. One that comes sooner than half an interval is left out:
    /// whoever was just asked, for whatever reason, is not asked again at once.
    fn slot(&self, now: Timestamp) -> Timestamp {
        let step = u64::try_from(self.interval.as_micros()).unwrap_or(u64::MAX);
        let offset = Duration::from_micros(self.seed % step);
        let earliest = now.plus(self.interval / 2);
        let slot = earliest.minus(offset).floor(self.interval).plus(offset);
        if slot < earliest {
            slot.plus(self.interval)
        } else {
            slot
        }
    }

    /// How long to wait after the n-th fault in a row: longer each time, and
    /// up to a tenth more or less, so that those who failed together do not
    /// come back together.
    fn backoff(&self, faults_in_a_row: u32) -> Duration {
        let doublings = faults_in_a_row.saturating_sub(1).min(16);
        let wait = self
            .interval
            .saturating_mul(1 << doublings)
            .min(self.longest_wait());
        let drawn = hash(&[&self.seed.to_be_bytes(), &faults_in_a_row.to_be_bytes()]) % 201;
        // 0.9 to 1.1, in thousandths.
        wait.saturating_mul(900 + u32::try_from(drawn).unwrap_or(0)) / 1_000
    }

    fn longest_wait(&self) -> Duration {
        self.interval.max(BACKOFF_MAX)
    }
}

fn hash(parts: &[&[u8]]) -> u64 {
    let digest = Digest::of(&parts.concat());
    let mut first = [0; 8];
    first.copy_from_slice(&digest.as_bytes()[..8]);
    u64::from_be_bytes(first)
}

/// Why a poll gave no page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollFault {
    /// When.
    pub at: Timestamp,
    /// Short and stable, for programs.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
}

/// Where one poller stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PollState {
    /// Where to go on; none: from the start.
    pub cursor: Option<Vec<u8>>,
    /// Pages that were fetched, ever.
    pub pages: u64,
    /// Envelopes in them.
    pub envelopes: u64,
    /// Polls that gave no page, ever.
    pub faults: u64,
    /// Pages since it last had to wait.
    pub pages_in_a_row: u32,
    /// Faults since the last page.
    pub faults_in_a_row: u32,
    /// When it last answered, with a page or a fault.
    pub polled: Option<Timestamp>,
    /// When it last said that there is no more: how fresh is what is known.
    pub caught_up: Option<Timestamp>,
    /// When to ask again.
    pub due: Timestamp,
    /// How it last failed, if it ever did.
    pub last_fault: Option<PollFault>,
}

impl PollState {
    /// When to ask again, as seen at `now`: at once if the clock has gone back
    /// behind the last answer, for then all waits are void.
    pub fn due(&self, now: Timestamp) -> Timestamp {
        if self.polled.is_some_and(|polled| polled > now) {
            now
        } else {
            self.due
        }
    }

    /// For how long nothing is known of what is polled, at `now`; none if
    /// nothing ever was.
    pub fn lag(&self, now: Timestamp) -> Option<Duration> {
        self.caught_up.map(|caught_up| now.since(caught_up))
    }

    /// After a restart. A wait that is longer than the schedule has it is not
    /// kept unless a fault asked for it: the interval may have been set anew.
    pub fn resumed(&mut self, schedule: &Schedule, now: Timestamp) {
        if self.faults_in_a_row == 0 {
            self.due = self.due.min(schedule.slot(now));
        }
    }

    /// It is to be asked at once: it, or what it may do, was changed.
    pub fn renewed(&mut self) {
        self.due = Timestamp::ZERO;
    }

    /// It gave a page. What is in the page is then the journal's.
    pub fn paged(&mut self, page: &Page, schedule: &Schedule, now: Timestamp) {
        let moved = self.cursor.as_deref() != Some(page.cursor.as_slice());
        // One that says that there is more, but gives nothing and does not
        // move, would say so again.
        let more = page.more && (moved || !page.payloads.is_empty());
        self.cursor = Some(page.cursor.clone());
        self.pages += 1;
        self.envelopes += page.payloads.len() as u64;
        self.faults_in_a_row = 0;
        self.polled = Some(now);
        self.pages_in_a_row += 1;
        if more && self.pages_in_a_row < PAGES_IN_A_ROW_MAX {
            self.due = now;
            return;
        }
        self.pages_in_a_row = 0;
        if more {
            self.due = now.plus(WAIT_MIN);
            return;
        }
        self.caught_up = Some(now);
        self.due = match page.next_poll {
            Some(wait) => now.plus(wait.clamp(WAIT_MIN, WAIT_MAX)),
            None => schedule.slot(now),
        };
    }

    /// It gave none: refused in words, or failed. The cursor stays.
    pub fn failed(&mut self, error: &CallError, schedule: &Schedule, now: Timestamp) {
        self.faults += 1;
        self.faults_in_a_row = self.faults_in_a_row.saturating_add(1);
        self.pages_in_a_row = 0;
        self.polled = Some(now);
        let (code, message, retry) = match error {
            CallError::Fault(Fault {
                code,
                message,
                retry,
            }) => (code.clone(), message.clone(), *retry),
            CallError::Failure(failure) => {
                (failure.code().to_owned(), failure.to_string(), Retry::Later)
            }
        };
        self.last_fault = Some(PollFault {
            at: now,
            code,
            message,
        });
        let wait = match retry {
            Retry::AfterMs(millis) => Duration::from_millis(millis).clamp(WAIT_MIN, WAIT_MAX),
            Retry::Later => schedule.backoff(self.faults_in_a_row),
            // The same input fails again; but the world may have changed, so
            // that it is asked now and then.
            Retry::Never => schedule.longest_wait(),
        };
        self.due = now.plus(wait);
    }
}

#[cfg(test)]
mod tests;
