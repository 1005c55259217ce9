//! What other processes do that work with the same database: they append to the
//! journal, move the stages, and change plugins and tokens. Nobody tells us; we
//! look, several times a second, at a few rows.

use std::sync::Arc;
use std::time::Duration;

use faultline_api::Control as _;
use faultline_domain::id::ScopeName;
use faultline_intake::backlog::Backlog;
use faultline_store::{Editions, Journal, StageName, StagePosition, Store, StoreError};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::control::NodeControl;

/// How often to look. What is taken back through one node is gone from another
/// after this long, and as long as the answers take.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// After a failure.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Those who want to know.
pub(crate) struct Others {
    pub(crate) store: Store,
    pub(crate) journal: Journal,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) control: Arc<NodeControl>,
    /// Told when the observe stage was moved.
    pub(crate) observed: watch::Sender<()>,
    /// Told when any stage was moved.
    pub(crate) committed: watch::Sender<()>,
    /// What operators had changed when this process read it.
    pub(crate) editions: Editions,
}

impl Others {
    /// Looks until it is to stop.
    pub(crate) async fn watch(mut self, mut stop: watch::Receiver<bool>) {
        // Loading plugins takes long, and what comes in is not to wait for it.
        let plugins = watch::Sender::new(self.editions.plugins);
        let reloading = tokio::spawn(reload(Arc::clone(&self.control), plugins.subscribe()));
        let mut seen = Seen::default();
        let mut wait = LOOK_EVERY;
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                () = sleep(wait) => {}
            }
            wait = match self.look(&mut seen, &plugins).await {
                Ok(()) => LOOK_EVERY,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "could not see what other nodes do"
                    );
                    LOOK_AGAIN
                }
            };
        }
        drop(plugins);
        crate::serve::finish(reloading).await;
    }

    async fn look(
        &mut self,
        seen: &mut Seen,
        plugins: &watch::Sender<u64>,
    ) -> Result<(), StoreError> {
        let editions = self.store.edition_fetch().await?;
        plugins.send_if_modified(|known| {
            let is_other = *known != editions.plugins;
            *known = editions.plugins;
            is_other
        });
        if editions.tokens != self.editions.tokens {
            // What cannot be read now is read again by the node itself.
            let _ = self.control.tokens_changed().await;
        }
        self.editions = editions;
        let head = self.journal.look().await?;
        self.backlog.ends_at(head.position);
        let now = Seen::read(&self.store, self.journal.scope()).await?;
        if now.observe != seen.observe {
            self.backlog.worked(now.observe.position);
            self.observed.send_replace(());
        }
        if now != *seen {
            self.committed.send_replace(());
        }
        *seen = now;
        Ok(())
    }
}

/// How far the stages were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Seen {
    observe: StagePosition,
    correlate: StagePosition,
}

impl Seen {
    async fn read(store: &Store, scope: &ScopeName) -> Result<Self, StoreError> {
        Ok(Self {
            observe: store.stage_position(scope, StageName::Observe).await?,
            correlate: store.stage_position(scope, StageName::Correlate).await?,
        })
    }
}

/// Reads the plugins again whenever somebody else has changed them, until
/// nobody looks any more.
async fn reload(control: Arc<NodeControl>, mut plugins: watch::Receiver<u64>) {
    while plugins.changed().await.is_ok() {
        let edition = *plugins.borrow_and_update();
        // What was changed through this node is read already.
        if control.plugins_edition() < edition {
            let _ = control.plugins_changed().await;
        }
    }
}
