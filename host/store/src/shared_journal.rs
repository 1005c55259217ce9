//! The journal of one scope, as its writers and readers in one process share
//! it.

use faultline_domain::envelope::{Arrival, Position};
use faultline_domain::id::ScopeName;
use tokio::sync::watch;

use crate::journal::{Appended, JournalHead};
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
        // Appends can finish in another order than they began.
        self.head.send_if_modified(|known| {
            let newer = head.position > known.position;
            if newer {
                *known = head;
            }
            newer
        });
        Ok(first)
    }

    /// Where the journal ends, as far as this process knows, and a way to wait
    /// until it has grown.
    pub fn head(&self) -> watch::Receiver<JournalHead> {
        self.head.subscribe()
    }
}
