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
//!
//! One that gives no page is supervised like every other plugin, by a
//! [`Supervisor`] that is kept with the cursor. What it says in words (the server
//! that it asks is down) is a refusal, and it is asked again when its wait is
//! over, for as long as that takes. If it traps or runs into a limit, that is a
//! failure, and too many of them quarantine it. A wait never has it asked sooner
//! than its schedule would, unless it named one itself.

use std::time::Duration;

use crate::envelope::Position;
use crate::fault::Retry;
use crate::id::{Digest, InstanceName};
use crate::plugin::{CallError, Failure, Limit};
use crate::supervision::{Failed, Standing, SupervisionPolicy, Supervisor, draw};
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

/// When one poller is asked, and what becomes of it if it fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    interval: Duration,
    instance: InstanceName,
    digest: Digest,
    policy: SupervisionPolicy,
}

impl Schedule {
    /// Every interval (within its bounds), at moments that differ from poller to
    /// poller. `digest` is that of its component.
    pub fn new(
        interval: Duration,
        instance: InstanceName,
        digest: Digest,
        policy: SupervisionPolicy,
    ) -> Self {
        Self {
            interval: interval.clamp(INTERVAL_MIN, INTERVAL_MAX),
            instance,
            digest,
            policy,
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
        let offset = Duration::from_micros(hash(self.instance.as_str()) % step);
        let earliest = now.plus(self.interval / 2);
        let slot = earliest.minus(offset).floor(self.interval).plus(offset);
        if slot < earliest {
            slot.plus(self.interval)
        } else {
            slot
        }
    }
}

fn hash(text: &str) -> u64 {
    let digest = Digest::of(text.as_bytes());
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

/// The name of a cursor as a supervisor has it: the same for the same one. What is
/// in it is the plugin's business, and may be nobody else's.
fn input(cursor: Option<&[u8]>) -> String {
    match cursor {
        Some(cursor) => format!("cursor {}", Digest::of(cursor).short()),
        None => "the start".to_owned(),
    }
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
    /// When to ask again, if it may be asked.
    pub due: Timestamp,
    /// How it last failed, if it ever did.
    pub last_fault: Option<PollFault>,
    /// Watches over it; none if its component never failed and was never
    /// refused. What made it fail is the cursor, which stays.
    pub supervisor: Option<Supervisor>,
    /// Acts of people up to here came before it failed, and are none that let it
    /// run again.
    pub heard: Position,
}

impl PollState {
    /// When to ask again, as seen at `now`; never, if it is quarantined. At once
    /// if the clock has gone back behind the last answer, for then all waits are
    /// void.
    pub fn due(&self, now: Timestamp) -> Option<Timestamp> {
        if self.quarantine().is_some() {
            None
        } else if self.polled.is_some_and(|polled| polled > now) {
            Some(now)
        } else {
            Some(self.due)
        }
    }

    /// Why it may not be asked, whoever asks for it; none if it may.
    pub fn quarantine(&self) -> Option<String> {
        let supervisor = self.supervisor.as_ref().filter(|it| it.is_quarantined());
        supervisor.map(|it| it.why().unwrap_or_default())
    }

    /// Whether there is something that a person could lift.
    pub fn is_held(&self) -> bool {
        let supervisor = self.supervisor.as_ref();
        supervisor.is_some_and(|it| *it.standing() != Standing::Running)
    }

    /// A person lets it run again, by the act at this place: it is asked at once,
    /// where it was.
    pub fn released(&mut self, act: Position) {
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.resumed();
        }
        self.heard = act;
        self.due = Timestamp::ZERO;
    }

    /// What is asked is this component. True if another one failed before: this
    /// one begins anew, and is asked at once.
    pub fn made_of(&mut self, digest: Digest) -> bool {
        let is_other = self
            .supervisor
            .as_ref()
            .is_some_and(|it| it.digest() != digest);
        if is_other {
            self.supervisor = None;
            self.due = Timestamp::ZERO;
        }
        is_other
    }

    /// It is about to be asked, due or not: no wait goes on.
    pub fn asked(&mut self) {
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.retried();
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
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.answered(now, &schedule.policy);
        }
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

    /// It was given this cursor and gave no page: refused in words, or failed. The
    /// cursor stays, and so does that of a quarantined one, for whoever wants to
    /// know what it failed on. `heard` is where the journal ends.
    pub fn failed(
        &mut self,
        error: &CallError,
        given: Option<&[u8]>,
        schedule: &Schedule,
        heard: Position,
        now: Timestamp,
    ) {
        self.faults += 1;
        self.faults_in_a_row = self.faults_in_a_row.saturating_add(1);
        self.pages_in_a_row = 0;
        self.polled = Some(now);
        self.heard = self.heard.max(heard);
        let policy = &schedule.policy;
        let supervisor = self
            .supervisor
            .get_or_insert_with(|| Supervisor::new(schedule.digest));
        let drawn = draw(
            &schedule.instance,
            schedule.digest,
            now,
            supervisor.attempt(),
        );
        let slot = schedule.slot(now);
        let (code, message) = match error {
            CallError::Fault(fault) => {
                let text = fault.to_string();
                let refused = Failed {
                    code: &fault.code,
                    message: &text,
                    input: Some(input(given)),
                };
                let (wait, at_least) = match fault.retry {
                    Retry::AfterMs(millis) => {
                        let wait = Duration::from_millis(millis);
                        (Some(wait.clamp(WAIT_MIN, WAIT_MAX)), now)
                    }
                    Retry::Later => (None, slot),
                    // The same input is refused again; but the world may have
                    // changed, so that it is asked now and then.
                    Retry::Never => (Some(policy.backoff_max), slot),
                };
                supervisor.refused(now, &refused, wait, drawn, policy);
                supervisor.wait_until(at_least);
                (fault.code.clone(), fault.message.clone())
            }
            CallError::Failure(failure) => {
                let text = failure.to_string();
                let failed = Failed::of(failure, &text, Some(input(given)));
                supervisor.failed(now, &failed, drawn, policy);
                supervisor.wait_until(slot);
                (failure.code().to_owned(), text)
            }
        };
        self.due = match supervisor.standing() {
            Standing::BackingOff { until } => *until,
            Standing::Running | Standing::Quarantined { .. } => slot,
        };
        self.last_fault = Some(PollFault {
            at: now,
            code,
            message,
        });
    }
}

#[cfg(test)]
mod tests;
