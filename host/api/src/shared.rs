//! What all requests share.

use std::sync::Arc;

use axum::body::Bytes;
use faultline_domain::envelope::{Arrival, Position};
use faultline_domain::id::ScopeName;
use faultline_domain::plugin::Limits;
use faultline_domain::time::Timestamp;
use faultline_own_traces::commit;
use faultline_store::{CommitPoint, Journal, Store, StoreError, Turn};
use tokio::sync::{MutexGuard, OwnedSemaphorePermit, Semaphore, watch};

use crate::access::Operations;
use crate::api::{Clock, Randomness};
use crate::audit::Denials;
use crate::control::Control;
use crate::limits::ApiLimits;
use crate::metrics::Metrics;
use crate::problem::{Problem, ProblemKind};
use crate::scrapers::Scrapers;

/// Made once, when the router is built.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) journal: Journal,
    pub(crate) clock: Clock,
    pub(crate) randomness: Randomness,
    pub(crate) control: Arc<dyn Control>,
    /// Changes whenever a stage has committed something.
    pub(crate) committed: watch::Receiver<()>,
    pub(crate) version: String,
    pub(crate) install: String,
    pub(crate) node: String,
    pub(crate) limits: ApiLimits,
    /// The most that an instance may use of each.
    pub(crate) limits_ceiling: Limits,
    /// Edges of the topology that were not seen for so long are not shown.
    pub(crate) edge_lifetime: std::time::Duration,
    pub(crate) operations: Operations,
    pub(crate) metrics: Metrics,
    pub(crate) denials: Denials,
    pub(crate) scrapers: Scrapers,
    /// The description of the API, as it is sent.
    pub(crate) document: Bytes,
    pub(crate) rooms: Rooms,
    /// Held while plugins, instances or grants are changed; see
    /// [`Shared::turn`].
    pub(crate) plugins: tokio::sync::Mutex<()>,
}

impl Shared {
    pub(crate) fn scope(&self) -> &ScopeName {
        self.journal.scope()
    }

    /// Puts what a person did into the journal. It is durable when this is done.
    pub(crate) async fn append(&self, arrival: Arrival) -> Result<Position, StoreError> {
        let commit = commit(CommitPoint::EnvelopeAppend.as_str(), &[]);
        let appended = commit.around(self.journal.append(vec![arrival])).await;
        if appended.is_err() {
            commit.failed("refused");
        }
        appended
    }

    /// A turn to change plugins, instances or grants: a change is decided by what
    /// is there, which must not change meanwhile, neither here nor by another
    /// process. Whoever waits for it is counted among the requests that are being
    /// answered.
    pub(crate) async fn turn(&self) -> Result<(MutexGuard<'_, ()>, Turn), Problem> {
        // Here first, so that a process waits for others with one connection.
        let here = self.plugins.lock().await;
        Ok((here, self.store.turn().await?))
    }

    /// Has the machinery take over what was just written about plugins.
    pub(crate) async fn plugins_changed(&self) -> Result<(), Problem> {
        let taken = self.control.plugins_changed().await;
        taken.map_err(|why| not_yet(&why))
    }

    /// Has the machinery take over what was just written about tokens.
    pub(crate) async fn tokens_changed(&self) -> Result<(), Problem> {
        let taken = self.control.tokens_changed().await;
        taken.map_err(|why| not_yet(&why))
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// What was written does not hold yet: whoever took something back must know.
fn not_yet(why: &str) -> Problem {
    Problem::new(
        ProblemKind::Unavailable,
        format!("it is written down, but does not hold before it can be read again: {why}"),
    )
}

/// How many of each are let in at once.
pub(crate) struct Rooms {
    pub(crate) requests: Room,
    pub(crate) installs: Room,
    pub(crate) walks: Room,
    pub(crate) streams: Room,
}

impl Rooms {
    pub(crate) fn new(limits: &ApiLimits) -> Self {
        Self {
            requests: Room::new("requests are being answered", limits.requests_in_flight_max),
            installs: Room::new("bundles are being installed", limits.installs_in_flight_max),
            walks: Room::new(
                "walks over everything there is are under way",
                limits.walks_in_flight_max,
            ),
            streams: Room::new("streams of events are open", limits.streams_max),
        }
    }
}

/// A limit on how much of something is done at once. Nobody waits for it: who
/// waits holds a connection and whatever else they have.
pub(crate) struct Room {
    doing: &'static str,
    most: usize,
    places: Arc<Semaphore>,
}

impl Room {
    fn new(doing: &'static str, most: usize) -> Self {
        Self {
            doing,
            most,
            places: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// A place, for as long as what is returned lives.
    pub(crate) fn enter(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            Problem::busy(format!(
                "{} {}, which is the most at once: try again later",
                self.most, self.doing
            ))
        })
    }
}
