//! The journal of one scope, as its writers and readers in one process share
//! it. What other processes append is seen when somebody looks.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use faultline_domain::arrival_clock::{ArrivalClock, ClockState};
use faultline_domain::envelope::{Arrival, Position};
use faultline_domain::id::{InstanceName, ScopeName};
use faultline_domain::poll::PollState;
use faultline_domain::time::Timestamp;
use tokio::sync::watch;

use crate::journal::{Appended, JournalHead};
use crate::poll::PollRecord;
use crate::{Store, StoreError};

/// Appends, and tells those who wait that there is something to read. What it
/// tells them is only where the journal ends: they read the rest themselves,
/// so that being woken once too often or too late does no harm.
#[derive(Debug, Clone)]
pub struct Journal {
    store: Store,
    scope: ScopeName,
    head: watch::Sender<JournalHead>,
    pace: Option<Pace>,
}

/// The clocks of a machine.
#[derive(Clone)]
pub struct Clocks {
    /// Tells the time of day, and may be set.
    pub wall: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Tells how much time has passed since some moment, and cannot be set.
    pub steady: Arc<dyn Fn() -> Duration + Send + Sync>,
}

/// The time of the journal, which follows the clock of the machine where that is
/// fit to be followed.
#[derive(Clone)]
struct Pace {
    clocks: Clocks,
    clock: Arc<Mutex<ArrivalClock>>,
}

impl Pace {
    /// What time it was in the journal when the clock of the machine showed
    /// this, a moment ago.
    fn time(&self, said: Timestamp) -> Timestamp {
        let (wall, steady) = ((self.clocks.wall)(), (self.clocks.steady)());
        let now = self.clock().read(wall, steady);
        let shifted = if now >= wall {
            said.plus(now.since(wall))
        } else {
            said.minus(wall.since(now))
        };
        shifted.min(now)
    }

    fn clock(&self) -> MutexGuard<'_, ArrivalClock> {
        // It is changed in one go.
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.clock().fmt(f)
    }
}

impl Journal {
    /// Opens the journal of a scope.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn open(store: Store, scope: ScopeName) -> Result<Self, StoreError> {
        let head = store.journal_head(&scope).await?;
        Ok(Self {
            store,
            scope,
            head: watch::Sender::new(head),
            pace: None,
        })
    }

    /// The same journal, for arrivals that bear the time of this machine's
    /// clock, which may be set. Without this they are taken to have arrived when
    /// they say.
    #[must_use]
    pub fn paced(self, clocks: Clocks) -> Self {
        let head = self.head.borrow().received;
        let clock = Arc::new(Mutex::new(ArrivalClock::new(head)));
        Self {
            pace: Some(Pace { clocks, clock }),
            ..self
        }
    }

    /// What time it is in the journal when the clock of the machine shows this.
    pub fn time(&self, wall: Timestamp) -> Timestamp {
        self.pace.as_ref().map_or(wall, |pace| pace.time(wall))
    }

    /// How the journal's time stood to the clock of the machine when that was
    /// last looked at.
    pub fn clock_state(&self) -> ClockState {
        self.pace
            .as_ref()
            .map_or(ClockState::InStep, |pace| pace.clock().state())
    }

    /// Which scope.
    pub const fn scope(&self) -> &ScopeName {
        &self.scope
    }

    /// Appends envelopes in this order, all or none, and gives the position of
    /// the first. They are durable when this returns.
    ///
    /// # Errors
    /// If the database refuses; nothing is appended then.
    pub async fn append(&self, arrivals: Vec<Arrival>) -> Result<Position, StoreError> {
        let arrivals = self.timed(arrivals);
        let Appended { first, head } = self.store.envelope_append(&self.scope, arrivals).await?;
        self.tell(head);
        Ok(first)
    }

    /// Where a poller stands; at its beginning if it was never asked.
    ///
    /// # Errors
    /// As [`Store::poll_fetch`].
    pub async fn poll_fetch(&self, instance: &InstanceName) -> Result<PollRecord, StoreError> {
        self.store.poll_fetch(&self.scope, instance).await
    }

    /// Where the last act after this position lies that lets an instance run
    /// again: see [`Store::resume_after`].
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn resume_after(
        &self,
        instance: &InstanceName,
        after: Position,
    ) -> Result<Option<Position>, StoreError> {
        self.store.resume_after(&self.scope, instance, after).await
    }

    /// Appends what a poller fetched, and writes where it stands after it: see
    /// [`Store::poll_commit`]. Gives the end of the journal, if that has moved.
    ///
    /// # Errors
    /// As [`Store::poll_commit`].
    pub async fn poll_commit(
        &self,
        instance: &InstanceName,
        version: u64,
        state: &PollState,
        arrivals: Vec<Arrival>,
    ) -> Result<Option<Position>, StoreError> {
        let arrivals = self.timed(arrivals);
        let appended = self
            .store
            .poll_commit(&self.scope, instance, version, state, arrivals)
            .await?;
        Ok(appended.map(|Appended { head, .. }| {
            self.tell(head);
            head.position
        }))
    }

    /// Looks where the journal ends, and tells those who wait if that is further
    /// on than this process knew: another one has appended.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn look(&self) -> Result<JournalHead, StoreError> {
        let head = self.store.journal_head(&self.scope).await?;
        self.tell(head);
        Ok(head)
    }

    /// Arrivals with the time that it was in the journal.
    fn timed(&self, mut arrivals: Vec<Arrival>) -> Vec<Arrival> {
        for arrival in &mut arrivals {
            arrival.received = self.time(arrival.received);
        }
        arrivals
    }

    /// Tells those who wait. Appends can finish in another order than they
    /// began.
    fn tell(&self, head: JournalHead) {
        if let Some(pace) = &self.pace {
            pace.clock().follow(head.received);
        }
        self.head.send_if_modified(|known| {
            let newer = head.position > known.position;
            if newer {
                *known = head;
            }
            newer
        });
    }

    /// Where the journal ends, as far as this process knows, and a way to wait
    /// until it has grown.
    pub fn head(&self) -> watch::Receiver<JournalHead> {
        self.head.subscribe()
    }
}
