//! Removing what is older than it need be kept, every hour.

use std::time::Duration;

use faultline_domain::lease::Fence;
use faultline_store::{Journal, Retention, Store};
use tokio::sync::watch;

use crate::clock::now;
use crate::faults::{Faults, Part};

/// How often.
const EVERY: Duration = Duration::from_secs(3_600);

/// After the start, when there is other work to do first.
const FIRST: Duration = Duration::from_secs(60);

/// Sweeps until it is to stop, while this node has the lease.
pub(crate) async fn sweep_hourly(
    store: Store,
    journal: Journal,
    retention: Retention,
    faults: Faults,
    lease: watch::Receiver<Option<Fence>>,
    mut stop: watch::Receiver<bool>,
) {
    let mut wait = FIRST;
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(wait) => {}
        }
        if lease.borrow().is_none() {
            // Another node does it, for all of us.
            wait = FIRST;
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
                    "could not remove what is older than it need be kept; tries again in an hour"
                );
            }
        }
    }
}
