//! The poll stage: asks one poller, and commits what it fetched together with
//! the cursor after it.
//!
//! It is the one stage that looks at the world instead of the journal, and the
//! one that has a clock: what it makes is what the others read. What a page
//! says is decoded later, from the journal, like anything that was sent.
//!
//! A page and its cursor are one commit, made from the version of the record
//! that the stage began with. So a crash at any point leaves both or neither;
//! and of two processes that believe they are to ask the same poller, one
//! commits and the other finds that it was overtaken.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use faultline_domain::envelope::{Arrival, Format, Position};
use faultline_domain::id::{InstanceName, SourceName};
use faultline_domain::poll::{PAGE_ENVELOPES_MAX, PollState, Poller, Schedule};
use faultline_domain::time::Timestamp;
use faultline_store::{Journal, PollRecord, StoreError};

use crate::observe::blocking;

/// A poller, and how often it is asked.
#[derive(Clone)]
pub struct ScheduledPoller {
    /// Fetches.
    pub poller: Arc<dyn Poller>,
    /// How often.
    pub interval: Duration,
}

impl std::fmt::Debug for ScheduledPoller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScheduledPoller")
            .field("poller", self.poller.instance())
            .field("interval", &self.interval)
            .finish()
    }
}

impl ScheduledPoller {
    /// Whether it is the same poller, asked as often: nothing has changed.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.poller, &other.poller) && self.interval == other.interval
    }
}

/// Where the pollers stand that this process asks.
#[derive(Debug, Default)]
pub struct PollBoard(Mutex<BTreeMap<InstanceName, PollState>>);

impl PollBoard {
    /// All of them, by name.
    pub fn states(&self) -> BTreeMap<InstanceName, PollState> {
        self.board().clone()
    }

    fn note(&self, instance: &InstanceName, state: &PollState) {
        self.board().insert(instance.clone(), state.clone());
    }

    /// This process does not ask it any more.
    pub fn forget(&self, instance: &InstanceName) {
        self.board().remove(instance);
    }

    fn board(&self) -> MutexGuard<'_, BTreeMap<InstanceName, PollState>> {
        // Entries are put in whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a poller begins to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollBegin {
    /// The process has started, or took it over: it is asked when it is due.
    Resumed,
    /// It, or what it may do, was changed: it is asked at once.
    Renewed,
}

/// Where a poll begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollFrom {
    /// Where the last page ended.
    Cursor,
    /// Where the poller began when it was first asked.
    Start,
}

/// How a poll ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// There was a page, and it is durable. The journal ends there, with so many
    /// bytes more; none if the page was empty.
    Page(Option<(Position, u64)>),
    /// There was none: the poller refused, or failed.
    Fault,
    /// What it fetched is not wanted any more, and was thrown away.
    Unwanted,
    /// Another worker has asked it meanwhile. What was fetched was thrown away:
    /// the other one has it.
    Overtaken,
}

/// The stage, for one poller.
pub struct PollStage {
    journal: Journal,
    poller: Arc<dyn Poller>,
    source: SourceName,
    schedule: Schedule,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    board: Arc<PollBoard>,
    record: PollRecord,
}

impl PollStage {
    /// A stage that goes on where the poller was left.
    ///
    /// # Errors
    /// If the database refuses.
    ///
    /// # Panics
    /// Never: sources can have all names that instances can have.
    pub async fn begin(
        journal: Journal,
        scheduled: &ScheduledPoller,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
        board: Arc<PollBoard>,
        begin: PollBegin,
    ) -> Result<Self, StoreError> {
        let instance = scheduled.poller.instance();
        let schedule = Schedule::new(scheduled.interval, instance.as_str().as_bytes());
        let mut record = journal.poll_fetch(instance).await?;
        match begin {
            PollBegin::Resumed => record.state.resumed(&schedule, clock()),
            PollBegin::Renewed => record.state.renewed(),
        }
        board.note(instance, &record.state);
        Ok(Self {
            journal,
            source: SourceName::new(instance.as_str())
                .expect("the shapes are the same, and instances have the shorter names"),
            poller: Arc::clone(&scheduled.poller),
            schedule,
            clock,
            board,
            record,
        })
    }

    /// When to ask next; it may have passed.
    pub fn due(&self) -> Timestamp {
        self.record.state.due((self.clock)())
    }

    /// Where the poller stands.
    pub const fn state(&self) -> &PollState {
        &self.record.state
    }

    /// Asks once, whether it is due or not. `wanted` is looked at between the
    /// answer and the commit: what a poller fetched after it was stopped does
    /// not count.
    ///
    /// # Errors
    /// If the database refuses; then nothing is committed, and what was fetched
    /// is fetched again.
    pub async fn poll(
        &mut self,
        from: PollFrom,
        wanted: &(impl Fn() -> bool + Sync),
    ) -> Result<Polled, StoreError> {
        let poller = Arc::clone(&self.poller);
        let cursor = match from {
            PollFrom::Cursor => self.record.state.cursor.clone(),
            PollFrom::Start => None,
        };
        let answer = blocking(move || poller.poll(cursor.as_deref(), PAGE_ENVELOPES_MAX)).await;
        if !wanted() {
            return Ok(Polled::Unwanted);
        }
        let now = (self.clock)();
        let mut after = self.record.state.clone();
        let (arrivals, failed) = match answer {
            Ok(page) => {
                after.paged(&page, &self.schedule, now);
                let payloads = page.into_payloads().into_iter();
                let arrivals: Vec<Arrival> = payloads
                    .map(|payload| Arrival {
                        source: self.source.clone(),
                        format: Format::Connector(self.poller.instance().clone()),
                        content_type: payload.content_type,
                        headers: payload.headers,
                        body: payload.body,
                        received: now,
                    })
                    .collect();
                (arrivals, false)
            }
            Err(error) => {
                after.failed(&error, &self.schedule, now);
                (Vec::new(), true)
            }
        };
        let bytes: u64 = arrivals
            .iter()
            .map(|arrival| arrival.body.len() as u64)
            .sum();
        let (instance, version) = (self.poller.instance(), self.record.version);
        let committed = self
            .journal
            .poll_commit(instance, version, &after, arrivals)
            .await;
        match committed {
            Ok(end) => {
                self.record = PollRecord {
                    version: version + 1,
                    state: after,
                };
                self.board.note(instance, &self.record.state);
                Ok(if failed {
                    Polled::Fault
                } else {
                    Polled::Page(end.map(|end| (end, bytes)))
                })
            }
            Err(StoreError::Moved { .. }) => {
                self.record = self.journal.poll_fetch(instance).await?;
                self.board.note(instance, &self.record.state);
                Ok(Polled::Overtaken)
            }
            Err(error) => Err(error),
        }
    }
}
