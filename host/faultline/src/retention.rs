//! Removing what is older than it need be kept, every hour.

use std::time::Duration;

use faultline_domain::lease::Fence;
use faultline_store::{Journal, Retention, Store};
use tokio::sync::watch;

use crate::clock::now;
use crate::faults::{Faults, Part};

/// How often.
const EVERY: Duration = Duration::from_secs(3_600);

/// After the start, when there is other work to do first, and after a failure.
const SOON: Duration = Duration::from_secs(60);

/// Sweeps until it is to stop, while this node has the lease.
pub(crate) async fn sweep_hourly(
    store: Store,
    journal: Journal,
    retention: Retention,
    faults: Faults,
    lease: watch::Receiver<Option<Fence>>,
    mut stop: watch::Receiver<bool>,
) {
    let mut wait = SOON;
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(wait) => {}
        }
        if lease.borrow().is_none() {
            // Another node does it, for all of us, and says how that goes.
            faults.clear(Part::Retention);
            wait = SOON;
            continue;
        }
        wait = EVERY;
        // The journal's time: a clock that is far ahead by mistake must not be
        // the end of everything that is kept.
        let time = journal.time(now());
        let swept = tokio::select! {
            // What is not removed yet is removed after the next start.
            _ = stop.wait_for(|stop| *stop) => return,
            swept = store.sweep(journal.scope(), &retention, time) => swept,
        };
        match swept {
            Ok(swept) => {
                faults.clear(Part::Retention);
                tracing::info!(?swept, "removed what is older than it need be kept");
            }
            Err(error) => {
                faults.set(Part::Retention, &error, now());
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "could not remove what is older than it need be kept; tries again in {SOON:?}"
                );
                wait = SOON;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use faultline_domain::id::ScopeName;

    use super::*;

    #[tokio::test]
    async fn what_another_node_does_is_no_fault_of_ours() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).await.expect("a store");
        let journal = Journal::open(store.clone(), ScopeName::default_scope()).await;
        let faults = Faults::default();
        let lease = watch::Sender::new(Some(Fence(1)));
        let (_stop, stopped) = watch::channel(false);
        let retention = Retention::default();
        let sweeping = sweep_hourly(
            store.clone(),
            journal.expect("a journal"),
            retention,
            faults.clone(),
            lease.subscribe(),
            stopped,
        );
        store.close().await;
        tokio::time::pause();
        tokio::spawn(sweeping);
        let pass = async || {
            for _ in 0..10 {
                tokio::time::advance(SOON / 5).await;
            }
        };
        pass().await;
        assert!(faults.of(Part::Retention).is_some());
        lease.send_replace(None);
        pass().await;
        assert_eq!(faults.of(Part::Retention), None);
    }
}
