//! A crash at a commit: the work is ended there and never goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use faultline_store::{CommitMoment, CommitPoint, CommitWatch};
use tokio::sync::Notify;

/// Counts the sides of commits that the work comes by, and ends it at one.
pub(crate) struct Crash {
    /// Which one, from 0.
    at: usize,
    /// How many it came by.
    pub(crate) passed: AtomicUsize,
    reached: Notify,
}

impl Crash {
    /// Ends the work at the side of a commit that is reached after so many
    /// others.
    pub(crate) fn after(count: usize) -> Arc<Self> {
        Arc::new(Self {
            at: count,
            passed: AtomicUsize::new(0),
            reached: Notify::new(),
        })
    }

    /// Tells the store to come by here.
    pub(crate) fn watch(self: &Arc<Self>) -> CommitWatch {
        let crash = Arc::clone(self);
        Arc::new(move |_: CommitPoint, _: CommitMoment| {
            let crash = Arc::clone(&crash);
            Box::pin(async move {
                let number = crash.passed.fetch_add(1, Ordering::SeqCst);
                if number >= crash.at {
                    crash.reached.notify_one();
                    std::future::pending::<()>().await;
                }
            })
        })
    }

    /// Lets the work go on until it ends there: none then, and nothing of it
    /// is left but what is committed. What came of it if it never came there.
    pub(crate) async fn cut<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.reached.notified() => None,
            done = work => Some(done),
        }
    }
}
