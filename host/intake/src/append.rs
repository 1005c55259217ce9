//! Group commit: the envelopes of concurrent requests are appended together,
//! and each request is answered when they are durable.
//!
//! There is one writer. While it waits for the journal, envelopes gather in a
//! bounded queue, and what has gathered is the next batch: under little load
//! each envelope goes alone and at once, and under much load batches grow by
//! themselves. So there is no time to wait for company, and none to configure.

use std::future::Future;
use std::sync::Arc;

use faultline_domain::envelope::{Arrival, Position};
use faultline_own_traces::{Origin, commit};
use faultline_store::CommitPoint;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::backlog::Backlog;
use crate::budget::Reservation;
use crate::limits::ListenerLimits;
use crate::metrics::Metrics;
use crate::refused::{Reason, Refused};

/// Where envelopes go. Implemented by the journal in a database, and by
/// whatever replaces it when one machine is not enough.
pub trait Append: Send + 'static {
    /// Appends in this order, all or none, and gives the position of the first.
    /// They are durable when this is done.
    fn append(
        &self,
        arrivals: Vec<Arrival>,
    ) -> impl Future<Output = Result<Position, AppendError>> + Send;
}

/// Envelopes were not appended. The senders are told to try again.
#[derive(Debug, Error)]
#[error("the journal does not take envelopes")]
pub struct AppendError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// An envelope that waits, and who waits for it.
struct Pending {
    arrival: Arrival,
    /// What it takes in memory: as long as it is here, even if its sender has
    /// gone.
    reservation: Reservation,
    /// The request that it came in, if that is traced.
    origin: Option<Origin>,
    done: oneshot::Sender<Position>,
}

/// The way to the journal. When all copies are gone, the writer finishes.
#[derive(Clone)]
pub(crate) struct AppendQueue(mpsc::Sender<Pending>);

impl AppendQueue {
    /// Appends an envelope; it is durable when this is done.
    pub(crate) async fn append(
        &self,
        arrival: Arrival,
        reservation: Reservation,
        origin: Option<Origin>,
    ) -> Result<Position, Refused> {
        let (done, answer) = oneshot::channel();
        let pending = Pending {
            arrival,
            reservation,
            origin,
            done,
        };
        self.0.try_send(pending).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refused::new(
                Reason::QueueFull,
                "too many envelopes are waiting for the journal; send it again later",
            ),
            mpsc::error::TrySendError::Closed(_) => unavailable(),
        })?;
        answer.await.map_err(|_| unavailable())
    }
}

fn unavailable() -> Refused {
    Refused::new(
        Reason::Unavailable,
        "the journal does not take envelopes at the moment; send it again later",
    )
}

/// Takes envelopes from the queue to the journal.
pub(crate) struct Writer<A> {
    journal: A,
    queue: mpsc::Receiver<Pending>,
    limits: ListenerLimits,
    backlog: Arc<Backlog>,
    metrics: Metrics,
}

impl<A: Append> Writer<A> {
    pub(crate) fn start(
        journal: A,
        limits: ListenerLimits,
        backlog: Arc<Backlog>,
        metrics: Metrics,
    ) -> (AppendQueue, JoinHandle<()>) {
        let (sender, queue) = mpsc::channel(limits.queue_envelopes_max.max(1));
        let writer = Self {
            journal,
            queue,
            limits,
            backlog,
            metrics,
        };
        (AppendQueue(sender), tokio::spawn(writer.run()))
    }

    /// Until nobody is left who could send.
    async fn run(mut self) {
        // What did not fit into the batch before.
        let mut left_over = None;
        loop {
            let first = match left_over.take() {
                Some(pending) => pending,
                None => match self.queue.recv().await {
                    Some(pending) => pending,
                    None => return,
                },
            };
            let (batch, next) = self.gather(first);
            left_over = next;
            self.write(batch).await;
        }
    }

    /// What is waiting, up to the limits of a batch.
    fn gather(&mut self, first: Pending) -> (Vec<Pending>, Option<Pending>) {
        let mut bytes = first.arrival.body.len();
        let mut batch = vec![first];
        while batch.len() < self.limits.batch_envelopes_max {
            let Ok(pending) = self.queue.try_recv() else {
                break;
            };
            bytes = bytes.saturating_add(pending.arrival.body.len());
            if bytes > self.limits.batch_bytes_max {
                return (batch, Some(pending));
            }
            batch.push(pending);
        }
        (batch, None)
    }

    async fn write(&mut self, batch: Vec<Pending>) {
        let bytes: usize = batch.iter().map(|pending| pending.arrival.body.len()).sum();
        let mut causes = Vec::new();
        let (arrivals, waiting): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|pending| {
                causes.extend(pending.origin);
                (pending.arrival, (pending.done, pending.reservation))
            })
            .unzip();
        let count = waiting.len() as u64;
        let commit = commit(CommitPoint::EnvelopeAppend.as_str(), &causes);
        commit.count("faultline.envelopes", waiting.len());
        match commit.around(self.journal.append(arrivals)).await {
            Ok(first) => {
                let head = Position((first.0 + count).saturating_sub(1));
                self.backlog.appended(head, bytes as u64);
                self.metrics.appended(count, bytes as u64);
                for ((done, _), position) in waiting.into_iter().zip(first.0..) {
                    // Who does not wait any more gets no answer; the envelope
                    // is there nevertheless, and will come again.
                    let _ = done.send(Position(position));
                }
            }
            Err(error) => {
                self.metrics.append_failed();
                commit.failed("refused");
                let cause: &dyn std::error::Error = &error;
                tracing::error!(
                    error = cause,
                    envelopes = count,
                    "could not append {count} envelopes; their senders are told to try again"
                );
                // Dropping `waiting` tells them.
            }
        }
    }
}

#[cfg(test)]
mod tests;
