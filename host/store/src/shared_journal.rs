//! The journal of one scope, as its writers and readers in one process share
//! it.

use faultline_domain::envelope::{Arrival, Position};
use faultline_domain::id::{InstanceName, ScopeName};
use faultline_domain::poll::PollState;
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
        })
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
        let Appended { first, head } = self.store.envelope_append(&self.scope, arrivals).await?;
        self.tell(head);
        Ok(first)
    }

    /// Where a poller stands; at its beginning if it was never asked.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn poll_fetch(&self, instance: &InstanceName) -> Result<PollRecord, StoreError> {
        self.store.poll_fetch(&self.scope, instance).await
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
        let appended = self
            .store
            .poll_commit(&self.scope, instance, version, state, arrivals)
            .await?;
        Ok(appended.map(|Appended { head, .. }| {
            self.tell(head);
            head.position
        }))
    }

    /// Tells those who wait. Appends can finish in another order than they
    /// began.
    fn tell(&self, head: JournalHead) {
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
