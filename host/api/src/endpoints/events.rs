//! What happens to incidents, as it happens: server-sent events (HTML Living
//! Standard, section 9.2).
//!
//! A stream holds nothing but the number of the last event that it sent, and
//! reads what comes after it from the store. So a client that was away, or is
//! slow, misses nothing: it names the last event that it has seen.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::Event;
use faultline_domain::id::Digest;
use futures_util::Stream;
use prometheus_client::metrics::gauge::Gauge;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::App;
use crate::access::{Caller, bearer, token_digest};
use crate::extract::Query;
use crate::known::{Known, Wanted};
use crate::listing::AfterNumber;
use crate::problem::Problem;
use crate::shared::Shared;
use crate::views::{IncidentEvent, Place};

/// What the events are called.
const EVENT: &str = "incident";

/// The header with which a client goes on where it was cut off.
const LAST_EVENT_ID: &str = "last-event-id";

/// How long a client should wait before it connects again.
const RETRY: Duration = Duration::from_secs(3);

/// Events that are read from the store at once.
const EVENTS_PER_READ: u32 = 100;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventStreamQuery {
    /// Begin after the event with this `sequence`: 0 for all there are. Left
    /// out: with what happens from now on, unless the header `Last-Event-ID`
    /// says otherwise.
    #[param(value_type = Option<u64>)]
    after: Option<AfterNumber>,
}

/// What happens to incidents, as it happens.
///
/// Each event has its `sequence` as id, the name `incident`, and an
/// `IncidentEvent` as data. A stream ends after an hour, and when its token is
/// no longer good; connect again with the last id.
#[utoipa::path(
    get, path = "/events", tag = "incidents",
    params(
        EventStreamQuery,
        (
            "Last-Event-ID" = Option<u64>, Header,
            description = "The last event that the client has seen; counts more than `after`."
        ),
    ),
    responses((
        status = 200, description = "The events.", body = IncidentEvent,
        content_type = "text/event-stream"
    ))
)]
pub(crate) async fn event_stream(
    State(shared): App,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<EventStreamQuery>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>, Problem> {
    let place = shared.rooms.streams.enter()?;
    let after = match last_seen(&headers)?.or(query.after.map(|AfterNumber(n)| n)) {
        Some(after) => after,
        None => shared.store.incident_event_last(shared.scope()).await?,
    };
    let token = match caller.token {
        // Whom the process itself vouches for has none.
        None => None,
        Some(_) => Some(token_digest(&headers)?),
    };
    let feed = Feed::new(Arc::clone(&shared), after, token, place);
    Ok(Sse::new(futures_util::stream::unfold(feed, Feed::next)))
}

fn last_seen(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else {
        return Ok(None);
    };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| {
        let detail = "must be the id of an event of this stream, which is a number";
        Problem::malformed(Place::Header, LAST_EVENT_ID, detail)
    })
}

/// Where a stream stands.
struct Feed {
    shared: Arc<Shared>,
    committed: watch::Receiver<()>,
    /// The last event that was read from the store.
    after: u64,
    /// Read, and not yet sent.
    unsent: VecDeque<Event>,
    /// Whether the greeting was sent.
    greeted: bool,
    /// Looked up now and then; none for whom the process itself vouches.
    token: Option<Digest>,
    next_heartbeat: Instant,
    end: Instant,
    /// Told whenever the client has taken what it was sent. Closed once it took
    /// nothing for too long.
    taken: watch::Sender<()>,
    _place: Arc<Mutex<Option<Open>>>,
}

/// Takes the place of a stream away once its client has taken nothing for so
/// long that it will not: others wait for the place.
async fn watch_over(
    place: Weak<Mutex<Option<Open>>>,
    mut taken: watch::Receiver<()>,
    stall_max: Duration,
) {
    while let Ok(changed) = tokio::time::timeout(stall_max, taken.changed()).await {
        if changed.is_err() {
            return;
        }
    }
    if let Some(place) = place.upgrade() {
        tracing::warn!(
            "a reader of events has taken nothing for {stall_max:?} and loses its place"
        );
        place.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Counts a stream, and keeps its place, for as long as it lives.
struct Open {
    streams: Gauge,
    _place: OwnedSemaphorePermit,
}

impl Open {
    fn new(streams: &Gauge, place: OwnedSemaphorePermit) -> Self {
        streams.inc();
        Self {
            streams: streams.clone(),
            _place: place,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.streams.dec();
    }
}

impl Feed {
    fn new(
        shared: Arc<Shared>,
        after: u64,
        token: Option<Digest>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let now = Instant::now();
        let limits = shared.limits;
        let (asked, kept) = watch::channel(());
        let place = Arc::new(Mutex::new(Some(Open::new(&shared.metrics.streams, place))));
        let watched = Arc::downgrade(&place);
        tokio::spawn(watch_over(watched, kept, limits.stream_stall_max));
        Self {
            committed: shared.committed.clone(),
            after,
            unsent: VecDeque::new(),
            greeted: false,
            token,
            next_heartbeat: now + limits.stream_heartbeat,
            end: now + limits.stream_time_max,
            taken: asked,
            _place: place,
            shared,
        }
    }

    /// The next thing to be sent; none to end the stream.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        // Being asked for more means that what there was is on its way.
        if self.taken.send(()).is_err() {
            return None;
        }
        if !self.greeted {
            // Something at once: proxies and clients see that it works.
            self.greeted = true;
            let greeting = Event::default().retry(RETRY).comment("listening");
            return Some((Ok(greeting), self));
        }
        loop {
            if Instant::now() >= self.end {
                return None;
            }
            if let Some(event) = self.unsent.pop_front() {
                return Some((Ok(event), self));
            }
            // From here on, a commit wakes us: none falls between looking and
            // waiting.
            self.committed.mark_unchanged();
            if self.read().await.is_err() {
                // The reason is in the log; the client comes again.
                return None;
            }
            if !self.unsent.is_empty() {
                continue;
            }
            if Instant::now() >= self.next_heartbeat {
                if !self.is_still_good().await {
                    return None;
                }
                self.next_heartbeat = Instant::now() + self.shared.limits.stream_heartbeat;
                return Some((Ok(Event::default().comment("alive")), self));
            }
            let look_again = Instant::now() + self.shared.limits.stream_poll;
            let look_again = look_again.min(self.next_heartbeat).min(self.end);
            tokio::select! {
                // Nothing commits any more: the process is about to stop.
                changed = self.committed.changed() => if changed.is_err() {
                    return None;
                },
                () = tokio::time::sleep_until(look_again) => {}
            }
        }
    }

    async fn read(&mut self) -> Result<(), Problem> {
        let (store, scope) = (&self.shared.store, self.shared.scope());
        let events = store
            .incident_event_since(scope, self.after, EVENTS_PER_READ)
            .await?;
        let Some(last) = events.last() else {
            return Ok(());
        };
        self.after = last.sequence;
        let mut wanted = Wanted::default();
        for stored in &events {
            wanted.event(&stored.event);
        }
        let known = Known::load(store, scope, wanted).await?;
        for stored in &events {
            let data = serde_json::to_string(&IncidentEvent::of(stored, &known))
                .map_err(|error| Problem::internal(&error))?;
            let event = Event::default()
                .id(stored.sequence.to_string())
                .event(EVENT)
                .data(data);
            self.unsent.push_back(event);
        }
        Ok(())
    }

    async fn is_still_good(&self) -> bool {
        match self.token {
            None => true,
            Some(token) => matches!(bearer(&self.shared, token).await, Ok(Some(_))),
        }
    }
}
