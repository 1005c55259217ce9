//! The API, put together.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::middleware::from_fn_with_state;
use faultline_domain::plugin::Limits;
use faultline_domain::time::Timestamp;
use faultline_store::{Journal, Store};
use tokio::sync::watch;

use crate::access::Operations;
use crate::audit::Denials;
use crate::control::Control;
use crate::gate::{gate, not_found};
use crate::limits::ApiLimits;
use crate::metrics::Metrics;
use crate::openapi;
use crate::scrapers::Scrapers;
use crate::shared::{Rooms, Shared};

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Fills bytes with what nobody can guess, or says why it cannot.
pub type Randomness = Arc<dyn Fn(&mut [u8]) -> std::io::Result<()> + Send + Sync>;

/// Edges that were not seen for so long are not shown, unless said otherwise:
/// as the stages forget them.
const EDGE_LIFETIME_DEFAULT: Duration = Duration::from_secs(7 * 86_400);

/// What the API is made of.
pub struct Parts {
    /// What there is.
    pub store: Store,
    /// Where acts of people go, and which scope all of this is about.
    pub journal: Journal,
    /// Tells the time: for tokens, the audit log, and acts of people.
    pub clock: Clock,
    /// For new tokens.
    pub randomness: Randomness,
    /// The running machinery.
    pub control: Arc<dyn Control>,
    /// Notified whenever a stage has committed something, here or in another
    /// process. What is seen of it is only that: those who wait look for
    /// themselves. When the sender is
    /// gone, the process is about to stop, and streams of events end.
    pub committed: watch::Receiver<()>,
    /// The version of this build.
    pub version: String,
    /// The id of this installation.
    pub install: String,
    /// What this process is called among those that share the database.
    pub node: String,
}

/// The API: parts, limits, and a router made of them.
pub struct Api {
    parts: Parts,
    limits: ApiLimits,
    limits_ceiling: Limits,
    edge_lifetime: Duration,
}

impl Api {
    /// An API with the default limits.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            limits: ApiLimits::default(),
            limits_ceiling: Limits::default_ceiling(),
            edge_lifetime: EDGE_LIFETIME_DEFAULT,
        }
    }

    /// Other limits on requests.
    #[must_use]
    pub const fn limits(mut self, limits: ApiLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Another ceiling for what instances may use, as the sandbox has it.
    #[must_use]
    pub const fn limits_ceiling(mut self, ceiling: Limits) -> Self {
        self.limits_ceiling = ceiling;
        self
    }

    /// Another time after which edges of the topology are forgotten, as the
    /// stages have it.
    #[must_use]
    pub const fn edge_lifetime(mut self, lifetime: Duration) -> Self {
        self.edge_lifetime = lifetime;
        self
    }

    /// The service. It can be called directly, without a socket: a
    /// [`Principal`](faultline_domain::access::Principal) among the extensions
    /// of a request is believed. Whoever puts one there vouches that the request
    /// did not come from a network, since anybody who can reach a listener can
    /// make a browser reach it.
    pub fn router(self) -> Router {
        let (router, mut document) = openapi::routes().split_for_parts();
        let operations = Operations::of(&mut document);
        openapi::complete(&mut document);
        // Our own structures, with keys that are texts.
        let text = serde_json::to_vec(&document).unwrap_or_default();
        let Parts {
            store,
            journal,
            clock,
            randomness,
            control,
            committed,
            version,
            install,
            node,
        } = self.parts;
        let shared = Arc::new(Shared {
            store,
            journal,
            clock,
            randomness,
            control,
            committed,
            version,
            install,
            node,
            limits: self.limits,
            limits_ceiling: self.limits_ceiling,
            edge_lifetime: self.edge_lifetime,
            operations,
            metrics: Metrics::default(),
            denials: Denials::default(),
            scrapers: Scrapers::default(),
            document: Bytes::from(text),
            rooms: Rooms::new(&self.limits),
            plugins: tokio::sync::Mutex::default(),
        });
        router
            .fallback(not_found)
            .layer(from_fn_with_state(Arc::clone(&shared), gate))
            .with_state(shared)
    }
}
