//! The way of a request: from its headers to an envelope in the journal, and
//! back to an answer. Everything that can refuse it stands here, in order, from
//! what costs little to what costs much.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Request, Uri};
use axum::response::Response;
use faultline_domain::envelope::{Arrival, Format};
use faultline_domain::id::SourceName;
use faultline_domain::time::Timestamp;
use faultline_own_traces::{Answering, are_made, is_own};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::access::{Access, Credentials, Sender, TokenPlaces};
use crate::answer::{self, Dialect};
use crate::append::{Append, AppendQueue, Writer};
use crate::backlog::Backlog;
use crate::body;
use crate::budget::{Budget, Reservation};
use crate::endpoint::{Endpoint, Media};
use crate::formats::{self, Checked};
use crate::hooks::HookTable;
use crate::kept_headers::KeptHeaders;
use crate::limits::ListenerLimits;
use crate::metrics::Metrics;
use crate::rates::Rates;
use crate::refused::{Reason, Refused};
use crate::shares::{OverShare, Shares};

/// Bodies of at least this length are decoded apart from the threads that
/// serve connections: it takes a millisecond or more.
const BLOCKING_BYTES_MIN: usize = 64 * 1_024;

/// Reads the time of day.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What intake is made of.
pub struct Parts {
    /// How much senders may do.
    pub limits: ListenerLimits,
    /// How much a payload may say.
    pub format_limits: formats::Limits,
    /// Which headers envelopes keep.
    pub kept_headers: KeptHeaders,
    /// Who reads what comes in at `/hooks/{source}`.
    pub hooks: Arc<HookTable>,
    /// How far the work is behind. Whoever moves the observe stage has to tell
    /// it, or intake refuses everything once the limit is reached.
    pub backlog: Arc<Backlog>,
    /// Counters.
    pub metrics: Metrics,
    /// Tells when something arrived.
    pub clock: Clock,
}

/// What all listeners of a process share.
pub struct Intake {
    parts: Parts,
    queue: AppendQueue,
    requests: Semaphore,
    budget: Arc<Budget>,
    shares: Arc<Shares>,
    rates: Rates,
}

impl Intake {
    /// Starts the writer to the journal. It ends when this, and every listener
    /// that has it, is gone, and everything that was accepted is written: wait
    /// for the handle then.
    pub fn start(parts: Parts, journal: impl Append) -> (Arc<Self>, JoinHandle<()>) {
        let limits = parts.limits;
        let (queue, writer) = Writer::start(
            journal,
            limits,
            Arc::clone(&parts.backlog),
            parts.metrics.clone(),
        );
        let intake = Self {
            requests: Semaphore::new(limits.requests_in_flight_max.min(Semaphore::MAX_PERMITS)),
            budget: Budget::new(limits.bytes_in_flight_max),
            shares: Shares::new(&limits),
            rates: Rates::new(&limits),
            queue,
            parts,
        };
        (Arc::new(intake), writer)
    }

    pub(crate) fn limits(&self) -> &ListenerLimits {
        &self.parts.limits
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.parts.metrics
    }

    fn now(&self) -> Timestamp {
        (self.parts.clock)()
    }
}

/// One way in: intake, and who may come this way.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) intake: Arc<Intake>,
    pub(crate) access: Access,
}

/// What a request is, before its body is read.
struct Head {
    endpoint: Endpoint,
    headers: HeaderMap,
    uri: Uri,
    /// Of `/hooks/{source}`.
    hook_name: Option<String>,
    from: Option<SocketAddr>,
}

/// Where the payload of a request goes, once it is known who sends it.
struct Recipient {
    sender: Sender,
    source: SourceName,
    format: Format,
}

impl Door {
    /// Answers a request.
    pub(crate) async fn receive(
        &self,
        endpoint: Endpoint,
        hook_name: Option<String>,
        request: Request<Body>,
    ) -> Response {
        let metrics = self.intake.metrics();
        let _counted = metrics.request_begins();
        let began = self.intake.now();
        let (head, body) = request.into_parts();
        let from = head.extensions.get::<SocketAddr>().copied();
        let head = Head {
            endpoint,
            headers: head.headers,
            uri: head.uri,
            hook_name,
            from,
        };
        let dialect = Dialect::of(endpoint, &head.headers);
        // Only POST gets here.
        let route = Some(endpoint.route().into());
        let mut answering = Answering::new("POST", route, &head.headers);
        let (outcome, response) = match self.take(&head, body, &mut answering).await {
            Ok(checked) => {
                let is_partial = checked.as_ref().is_some_and(|it| it.rejected_count > 0);
                let outcome = if is_partial { "partial" } else { "accepted" };
                let response = answer::accepted(endpoint, dialect, checked.as_ref());
                (outcome, response)
            }
            Err(refused) => {
                tracing::debug!(
                    intake.endpoint = endpoint.as_str(),
                    intake.reason = refused.reason.as_str(),
                    "refused a request: {}",
                    refused.detail
                );
                let response = answer::refused(endpoint, dialect, &refused);
                (refused.reason.as_str(), response)
            }
        };
        let seconds = self.intake.now().since(began).as_secs_f64();
        metrics.answered(endpoint, outcome, seconds);
        answering.answered(response.status().as_u16(), Some(outcome));
        response
    }

    /// Takes a request: when this is done, its envelope is durable.
    async fn take(
        &self,
        head: &Head,
        body: Body,
        answering: &mut Answering,
    ) -> Result<Option<Checked>, Refused> {
        let intake = &*self.intake;
        let limits = &intake.parts.limits;
        let recipient = self.identify(head)?;
        let _permit = intake.requests.try_acquire().map_err(|_| {
            Refused::new(
                Reason::TooManyRequests,
                "too many requests are being answered at the moment; send it again later",
            )
        })?;
        let rate_key = &recipient.sender.rate_key;
        let seat = intake.shares.enter(rate_key).map_err(|OverShare| {
            Refused::new(
                Reason::SenderRequests,
                "too many requests of this sender are being answered at the moment; send one \
                 batch after the other",
            )
        })?;
        intake.check_backlog()?;
        intake.rates.admit(rate_key, intake.now()).map_err(|wait| {
            Refused::new(
                Reason::RateLimited,
                "this sender sends more than it may; send less often, or in smaller batches",
            )
            .retry_after(wait)
        })?;
        let media = head.endpoint.media(&head.headers)?;
        let mut reservation = intake.budget.reservation_of(seat);
        let body = body::read(&head.headers, body, limits, &mut reservation).await?;
        // What is refused from here on has cost something too.
        let sent_bytes = body.len();
        intake.rates.charge(rate_key, sent_bytes, intake.now());
        let payload = Payload {
            media,
            recipient,
            headers: intake.parts.kept_headers.of(&head.headers),
            received: intake.now(),
            body,
            reservation,
        };
        let prepared = intake.prepare(payload).await?;
        let bytes = prepared.arrival.body.len();
        let unpaid = bytes.saturating_sub(sent_bytes);
        intake
            .rates
            .charge(&prepared.rate_key, unpaid, intake.now());
        let checked = prepared.checked;
        if prepared.is_own {
            answering.leave_out();
        } else {
            answering.begin();
        }
        let is_void = checked.as_ref().is_some_and(Checked::is_void);
        if !is_void {
            let (reservation, origin) = (prepared.reservation, answering.origin());
            let appending = intake.queue.append(prepared.arrival, reservation, origin);
            appending.await?;
        }
        let (items, rejected) = checked
            .as_ref()
            .map_or((0, 0), |it| (it.items, it.rejected_count));
        intake
            .metrics()
            .received(head.endpoint, bytes, items, rejected);
        Ok(checked)
    }

    /// Who sends it, and who reads it.
    fn identify(&self, head: &Head) -> Result<Recipient, Refused> {
        let Some(format) = head.endpoint.format() else {
            return self.identify_hook(head, head.hook_name.as_deref().unwrap_or_default());
        };
        let credentials = Credentials::of(&head.headers, &head.uri, TokenPlaces::Headers);
        let sender = self.admit(head, &credentials)?;
        let source = match &sender.source {
            Some(source) => source.clone(),
            None => source_name(head.endpoint.default_source())?,
        };
        Ok(Recipient {
            sender,
            source,
            format,
        })
    }

    fn identify_hook(&self, head: &Head, name: &str) -> Result<Recipient, Refused> {
        let credentials = Credentials::of(&head.headers, &head.uri, TokenPlaces::HeadersAndQuery);
        // Before saying whether there is such a hook.
        let sender = self.admit(head, &credentials)?;
        let source = SourceName::new(name).ok();
        let connector = source
            .as_ref()
            .and_then(|source| self.intake.parts.hooks.find(source));
        let (Some(source), Some(connector)) = (source, connector) else {
            return Err(unknown_hook(name));
        };
        if let Some(other) = sender.source.as_ref().filter(|other| **other != source) {
            return Err(Refused::new(
                Reason::Forbidden,
                format!("this token is for the source `{other}` and cannot send as `{source}`"),
            ));
        }
        Ok(Recipient {
            sender,
            source,
            format: Format::Connector(connector),
        })
    }

    fn admit(&self, head: &Head, credentials: &Credentials) -> Result<Sender, Refused> {
        self.access.admit(credentials, head.from, self.intake.now())
    }
}

fn source_name(name: &str) -> Result<SourceName, Refused> {
    SourceName::new(name).map_err(|error| Refused::new(Reason::Unavailable, error.to_string()))
}

fn unknown_hook(name: &str) -> Refused {
    let name: String = name.chars().take(80).collect();
    Refused::new(
        Reason::UnknownHook,
        format!(
            "no connector reads what is sent to the hook `{name}`: `faultline plugin list` shows the \
             connectors, each with a hook of its name; bind one to it with `faultline plugin install \
             PLUGIN --as {name}`, or correct the last part of the address"
        ),
    )
}

/// A body that was read, and all that is known about it.
struct Payload {
    media: Media,
    recipient: Recipient,
    headers: Vec<(String, String)>,
    received: Timestamp,
    body: Vec<u8>,
    reservation: Reservation,
}

/// A payload that is ready for the journal.
struct Prepared {
    arrival: Arrival,
    /// None if it is not read here.
    checked: Option<Checked>,
    rate_key: String,
    reservation: Reservation,
    /// Whether it carries own traces of a Faultline.
    is_own: bool,
}

impl Intake {
    fn check_backlog(&self) -> Result<(), Refused> {
        let distance = self.parts.backlog.distance();
        if !distance.is_over(&self.parts.limits) {
            return Ok(());
        }
        Err(Refused::new(
            Reason::Behind,
            format!(
                "the work is {} envelopes behind the journal; send it again later",
                distance.envelopes
            ),
        ))
    }

    async fn prepare(&self, payload: Payload) -> Result<Prepared, Refused> {
        let (limits, format_limits) = (self.parts.limits, self.parts.format_limits);
        if payload.body.len() < BLOCKING_BYTES_MIN {
            return prepare(payload, &limits, format_limits);
        }
        let preparing =
            tokio::task::spawn_blocking(move || prepare(payload, &limits, format_limits));
        preparing.await.unwrap_or_else(|error| {
            let cause: &dyn std::error::Error = &error;
            tracing::error!(error = cause, "decoding a payload came to no end");
            Err(Refused::new(
                Reason::Unavailable,
                "the payload could not be decoded because of a fault in this program",
            ))
        })
    }
}

/// Undoes the encoding, and reads what is to be read here.
fn prepare(
    payload: Payload,
    limits: &ListenerLimits,
    format_limits: formats::Limits,
) -> Result<Prepared, Refused> {
    let Payload {
        media,
        recipient,
        headers,
        received,
        body,
        mut reservation,
    } = payload;
    let arrival = Arrival {
        source: recipient.source,
        format: recipient.format,
        content_type: media.content_type,
        headers,
        body: media.encoding.undo(body, limits, &mut reservation)?,
        received,
    };
    let checked = formats::check(&arrival, format_limits).transpose()?;
    let is_own = are_made() && arrival.format == Format::OtlpTraces && is_own(&arrival.body);
    Ok(Prepared {
        is_own,
        arrival,
        checked,
        rate_key: recipient.sender.rate_key,
        reservation,
    })
}
