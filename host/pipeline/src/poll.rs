//! The poll stage: asks one poller, and commits what it fetched together with
//! the cursor after it.
//!
//! It is the one stage that looks at the world instead of the journal, and the
//! one that has a clock: what it makes is what the others read. What a page
//! says is decoded later, from the journal, like anything that was sent.
//!
//! Pollers that fail are supervised as all plugins are, by a supervisor that is
//! kept with the cursor: what they did is in no journal from which it could be
//! computed again. An act of a person that lets one run again is in the journal,
//! where the observe stage reads it, and is looked for by whoever asks the poller.
//!
//! A page and its cursor are one commit, made from the version of the record
//! that the stage began with. So a crash at any point leaves both or neither;
//! and of two processes that believe they are to ask the same poller, one
//! commits and the other finds that it was overtaken.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use faultline_domain::envelope::{Arrival, Format, Position};
use faultline_domain::id::{Digest, InstanceName, SourceName};
use faultline_domain::plugin::{CallError, Failure};
use faultline_domain::poll::{PAGE_ENVELOPES_MAX, PollState, Poller, Schedule};
use faultline_domain::supervision::SupervisionPolicy;
use faultline_domain::time::Timestamp;
use faultline_own_traces::{Work, poll_round};
use faultline_store::{CommitPoint, Journal, PollRecord, StoreError};

use crate::committed::committed;
use crate::observe::blocking;

/// A poller, and how often it is asked.
#[derive(Clone)]
pub struct ScheduledPoller {
    /// Fetches.
    pub poller: Arc<dyn Poller>,
    /// Its component.
    pub digest: Digest,
    /// How often.
    pub interval: Duration,
}

impl std::fmt::Debug for ScheduledPoller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScheduledPoller")
            .field("poller", self.poller.instance())
            .field("digest", &self.digest)
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
    /// It was not asked: it is quarantined.
    Quarantined,
    /// What it fetched is not wanted any more, and was thrown away.
    Unwanted,
    /// Another worker has asked it meanwhile. What was fetched was thrown away:
    /// the other one has it.
    Overtaken,
}

/// What became of a commit.
enum Written {
    /// All of it is durable. The journal ends there, if that has moved.
    Whole(Option<Position>),
    /// Nothing was written, for somebody else has asked the poller meanwhile:
    /// where it stands is as they have left it.
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
        policy: SupervisionPolicy,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
        board: Arc<PollBoard>,
        begin: PollBegin,
    ) -> Result<Self, StoreError> {
        let instance = scheduled.poller.instance();
        let digest = scheduled.digest;
        let schedule = Schedule::new(scheduled.interval, instance.clone(), digest, policy);
        let mut record = journal.poll_fetch(instance).await?;
        match begin {
            PollBegin::Resumed => record.state.resumed(&schedule, clock()),
            PollBegin::Renewed => record.state.renewed(),
        }
        if record.state.made_of(digest) {
            // Nobody need be told any more of how another component fared.
            let (version, state) = (record.version, &record.state);
            journal
                .poll_commit(instance, version, state, Vec::new())
                .await?;
            record.version += 1;
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

    /// When to ask next; it may have passed. Never, while it is quarantined.
    pub fn due(&self) -> Option<Timestamp> {
        self.record.state.due((self.clock)())
    }

    /// Where the poller stands.
    pub const fn state(&self) -> &PollState {
        &self.record.state
    }

    /// Looks whether a person has let it run again since it failed. True if so:
    /// it is due at once then.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn look_for_release(&mut self) -> Result<bool, StoreError> {
        if !self.record.state.is_held() {
            return Ok(false);
        }
        let heard = self.record.state.heard;
        let act = self
            .journal
            .resume_after(self.poller.instance(), heard)
            .await?;
        let Some(act) = act else {
            return Ok(false);
        };
        let mut after = self.record.state.clone();
        after.released(act);
        // Whoever has asked it meanwhile has seen the act, or sees it yet.
        let written = self.commit(after, Vec::new()).await?;
        Ok(matches!(written, Written::Whole(_)))
    }

    /// Writes down again where the poller stands: whether that can be written
    /// shows only when it is, and its API need not be asked for it.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn write_again(&mut self) -> Result<(), StoreError> {
        let state = self.record.state.clone();
        self.commit(state, Vec::new()).await.map(|_| ())
    }

    /// Asks once, whether it is due or not, unless it is quarantined. `wanted` is
    /// looked at between the answer and the commit: what a poller fetched after
    /// it was stopped does not count.
    ///
    /// # Errors
    /// If the database refuses; then nothing is committed, and what was fetched
    /// is fetched again.
    pub async fn poll(
        &mut self,
        from: PollFrom,
        wanted: &(impl Fn() -> bool + Sync),
    ) -> Result<Polled, StoreError> {
        if self.record.state.quarantine().is_some() {
            return Ok(Polled::Quarantined);
        }
        let round = poll_round(self.poller.instance().as_str());
        let asking = self.ask(from, wanted, &round);
        round.around(asking).await
    }

    async fn ask(
        &mut self,
        from: PollFrom,
        wanted: &(impl Fn() -> bool + Sync),
        round: &Work,
    ) -> Result<Polled, StoreError> {
        let poller = Arc::clone(&self.poller);
        let cursor = match from {
            PollFrom::Cursor => self.record.state.cursor.clone(),
            PollFrom::Start => None,
        };
        let given = cursor.clone();
        let answer = blocking(move || poller.poll(cursor.as_deref(), PAGE_ENVELOPES_MAX)).await;
        // One that the host stopped has not failed: somebody else asks it, or
        // nobody.
        let was_stopped = matches!(answer, Err(CallError::Failure(Failure::Stopped)));
        if was_stopped || !wanted() {
            return Ok(Polled::Unwanted);
        }
        let now = (self.clock)();
        let mut after = self.record.state.clone();
        after.asked();
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
                round.failed(match &error {
                    CallError::Fault(_) => "fault",
                    CallError::Failure(failure) => failure.code(),
                });
                let heard = self.journal.head().borrow().position;
                after.failed(&error, given.as_deref(), &self.schedule, heard, now);
                (Vec::new(), true)
            }
        };
        let bytes: u64 = arrivals
            .iter()
            .map(|arrival| arrival.body.len() as u64)
            .sum();
        round.count("faultline.envelopes", arrivals.len());
        Ok(match self.commit(after, arrivals).await? {
            Written::Overtaken => Polled::Overtaken,
            Written::Whole(_) if failed => Polled::Fault,
            Written::Whole(end) => Polled::Page(end.map(|end| (end, bytes))),
        })
    }

    /// Commits what was fetched, and where the poller stands after it.
    async fn commit(
        &mut self,
        after: PollState,
        arrivals: Vec<Arrival>,
    ) -> Result<Written, StoreError> {
        let (instance, version) = (self.poller.instance(), self.record.version);
        let committing = self
            .journal
            .poll_commit(instance, version, &after, arrivals);
        let written = match committed(CommitPoint::PollCommit, committing).await {
            Ok(end) => {
                self.record = PollRecord {
                    version: version + 1,
                    state: after,
                };
                Written::Whole(end)
            }
            Err(StoreError::Moved { .. }) => {
                self.record = self.journal.poll_fetch(instance).await?;
                Written::Overtaken
            }
            Err(error) => return Err(error),
        };
        self.board.note(instance, &self.record.state);
        Ok(written)
    }
}
