//! A request and its redirects, from the first check to the last row.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use faultline_domain::attach::Place;
use faultline_domain::fault::{Fault, Retry};
use faultline_domain::grant::{Effective, Permit};
use faultline_domain::network::canonical;
use faultline_domain::plugin::Limit;
use faultline_domain::rule::{Destination, Host, Method, Scheme};
use faultline_domain::secret::{Secret, SecretRef};
use faultline_domain::time::Timestamp;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde_json::{Value, json};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::allowance::{Allowance, Reached};
use crate::body::{self, Body, BodyError};
use crate::connection;
use crate::headers;
use crate::network::{Network, Pending};
use crate::policy::{Policy, Trust};
use crate::scrub::Scrub;

/// The most redirects that are followed.
const REDIRECTS_MAX: u32 = 5;

/// The most addresses of a name that are looked at.
const ADDRESSES_MAX: usize = 16;

/// The most addresses of a name that are tried.
const TRIES_MAX: usize = 3;

/// How long a request may take, all redirects together, if it says nothing.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A request, as a guest made it. Nothing of it is trusted.
pub struct Outgoing {
    /// In capitals.
    pub method: String,
    /// Absolute.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Empty if there is none.
    pub body: Vec<u8>,
    /// The id of a capability.
    pub secret: Option<String>,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

/// What came back, as the guest gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// From 200 on.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Unpacked.
    pub body: Vec<u8>,
    /// Whether the body was longer than the cap, and is cut.
    pub truncated: bool,
}

/// What a request needs of whoever sends it.
pub trait Surroundings: Send + Sync {
    /// The time.
    fn now(&self) -> Timestamp;

    /// Records what is about to be done; gives the number of the row. If this
    /// fails it is not done.
    fn intent(&self, detail: Value) -> Pending<'_, Result<u64, String>>;

    /// Records how it ended.
    fn outcome(&self, intent: u64, result: String, detail: Value) -> Pending<'_, ()>;

    /// Records that it was refused.
    fn denied(&self, detail: Value) -> Pending<'_, ()>;

    /// Fetches a secret.
    fn secret<'a>(&'a self, reference: &'a SecretRef) -> Pending<'a, Result<Secret, String>>;

    /// Ends when nothing may be under way any more; with why.
    fn cut_off(&self) -> Pending<'_, &'static str>;
}

/// The way out of this host.
#[derive(Clone)]
pub struct Egress {
    network: Arc<dyn Network>,
    trust: Trust,
    policy: Arc<Policy>,
}

/// What is sent at one hop.
struct Hop {
    number: u32,
    destination: Destination,
    headers: HeaderMap,
    body: Bytes,
    secret: Option<String>,
    deadline: Deadline,
}

/// How a hop ended.
enum Ended {
    Answer(Answer),
    Redirect(Box<Hop>),
}

/// Why a hop gave nothing: what the guest is told, and what the log says
/// beside it.
struct Failed {
    fault: Fault,
    detail: Value,
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        let detail = json!({});
        Self { fault, detail }
    }
}

impl From<Reached> for Fault {
    fn from(reached: Reached) -> Self {
        let Reached { limit, most } = reached;
        let retry = match limit {
            Limit::HttpMinute | Limit::HttpTime | Limit::HttpConnections => Retry::Later,
            _ => Retry::Never,
        };
        Self {
            code: limit.as_str().to_owned(),
            message: match limit {
                Limit::HttpRequests => format!("{most} requests in one call at most"),
                Limit::HttpSent => format!("{most} bytes go out in one call at most"),
                Limit::HttpReceived => format!("{most} bytes come in in one call at most"),
                Limit::HttpMinute => format!("{most} bytes go out and come in in a minute at most"),
                Limit::HttpRatio => format!("the body unpacks to more than {most} times its size"),
                Limit::HttpRedirects => format!("{most} redirects at most"),
                Limit::HttpConnections => {
                    format!("{most} connections at a time at most, and none became free in time")
                }
                _ => format!("{most} at most"),
            },
            retry,
        }
    }
}

fn denied(why: impl Into<String>) -> Fault {
    Fault::never("denied", why)
}

fn unavailable(why: impl Into<String>) -> Fault {
    Fault {
        code: "unavailable".to_owned(),
        message: why.into(),
        retry: Retry::Later,
    }
}

impl Egress {
    /// A way out over a network, with TLS and under a ceiling.
    pub fn new(network: Arc<dyn Network>, trust: Trust, policy: Policy) -> Self {
        Self {
            network,
            trust,
            policy: Arc::new(policy),
        }
    }

    /// Sends a request, as far as it is granted and allowed for, and follows
    /// its redirects. It ends at `until` at the latest: requests that are made
    /// together have one end, however many of them wait for the others.
    ///
    /// # Errors
    /// `denied` with the reason, `limit.…`, or `unavailable` if the other side
    /// does not answer as it should.
    pub async fn send(
        &self,
        grants: &Effective,
        allowance: &Allowance,
        around: &dyn Surroundings,
        until: Instant,
        request: Outgoing,
    ) -> Result<Answer, Fault> {
        let now = Instant::now();
        let left = until.saturating_duration_since(now);
        let time = request.timeout.unwrap_or(TIMEOUT).min(left);
        let deadline = Deadline {
            at: now + time,
            most: time,
        };
        let read = match read(request, grants, deadline) {
            Ok(first) => allowance.request().map(|()| first).map_err(Fault::from),
            Err(why) => Err(denied(why)),
        };
        let mut hop = match read {
            Ok(first) => first,
            Err(fault) => {
                let why = json!({"denied": fault.message, "code": fault.code});
                around.denied(why).await;
                return Err(fault);
            }
        };
        loop {
            match self.hop(grants, allowance, around, hop).await? {
                Ended::Answer(answer) => return Ok(answer),
                Ended::Redirect(next) => hop = *next,
            }
        }
    }

    /// One request, without its redirects: check, record, act, record.
    async fn hop(
        &self,
        grants: &Effective,
        allowance: &Allowance,
        around: &dyn Surroundings,
        hop: Hop,
    ) -> Result<Ended, Fault> {
        let permit = match self.check(grants, around.now(), &hop) {
            Ok(permit) => permit,
            Err(why) => {
                let mut detail = whereto(&hop);
                detail["denied"] = json!(why);
                around.denied(detail).await;
                return Err(denied(why));
            }
        };
        let mut detail = whereto(&hop);
        detail["capability"] = json!(permit.capability);
        detail["rule"] = json!(permit.rule.to_string());
        if let Some(secret) = &hop.secret {
            detail["secret"] = json!(secret);
        }
        let intent = around.intent(detail).await.map_err(unavailable)?;
        let began = Instant::now();
        let mut traffic = Traffic::default();
        let acted = {
            let act = self.act(grants, allowance, around, &permit, &hop, &mut traffic);
            tokio::select! {
                biased;
                why = around.cut_off() => Err(denied(why).into()),
                acted = hop.deadline.within(act) => acted,
            }
        };
        let acted = acted.map_err(|failed| {
            // It was out of time because others of the instance were at it.
            if !traffic.waits || failed.fault.code != Limit::HttpTime.as_str() {
                return failed;
            }
            let (limit, most) = (Limit::HttpConnections, allowance.connections_max());
            Fault::from(Reached { limit, most }).into()
        });
        let next = acted.and_then(|(status, answer, location)| {
            let ended = match location {
                Some(location) => redirect(hop, status, &location),
                None => Ok(Ended::Answer(answer)),
            };
            ended.map_err(Failed::from)
        });
        let mut detail = json!({
            "sent": traffic.sent,
            "received": traffic.received,
            "ms": u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        if let Some(status) = traffic.status {
            detail["status"] = json!(status);
        }
        if let Some(address) = traffic.address {
            detail["address"] = json!(address.to_string());
        }
        let result = match &next {
            Ok(Ended::Answer(answer)) => {
                if answer.truncated {
                    detail["cut"] = json!(Limit::HttpBody.as_str());
                }
                "ok".to_owned()
            }
            Ok(Ended::Redirect(_)) => "ok".to_owned(),
            Err(failed) => {
                detail["why"] = json!(failed.fault.message);
                if let (Some(all), Some(more)) = (detail.as_object_mut(), failed.detail.as_object())
                {
                    all.extend(more.clone());
                }
                failed.fault.code.clone()
            }
        };
        around.outcome(intent, result, detail).await;
        next.map_err(|failed| failed.fault)
    }

    /// What allows this hop.
    fn check<'a>(
        &self,
        grants: &'a Effective,
        now: Timestamp,
        hop: &Hop,
    ) -> Result<Permit<'a>, String> {
        let permit = grants.permit(&hop.destination, hop.secret.as_deref(), now)?;
        if !self.policy.allows(&hop.destination) {
            return Err(format!(
                "the operator's ceiling does not allow {}",
                hop.destination
            ));
        }
        if let Some((_, Place::Query { name })) = permit.secret
            && hop.destination.query_names().any(|other| other == *name)
        {
            return Err(format!("the parameter `{name}` belongs to the secret"));
        }
        Ok(permit)
    }

    /// What goes over the network. Gives the status, the answer, and where a
    /// redirect leads to.
    async fn act(
        &self,
        grants: &Effective,
        allowance: &Allowance,
        around: &dyn Surroundings,
        permit: &Permit<'_>,
        hop: &Hop,
        traffic: &mut Traffic,
    ) -> Result<(u16, Answer, Option<String>), Failed> {
        traffic.waits = true;
        let turn = allowance.quota.connections.acquire().await;
        let _turn = turn.map_err(|_| unavailable("the way out is closed"))?;
        traffic.waits = false;
        let addresses = self.addresses(grants, around.now(), permit, hop).await?;
        let (request, scrub) = prepare(around, permit, hop).await?;
        let sent = hop.destination.path_and_query().len()
            + hop.body.len()
            + request
                .headers()
                .iter()
                .map(|(name, value)| name.as_str().len() + value.len())
                .sum::<usize>();
        allowance.send(sent, around.now()).map_err(Fault::from)?;
        traffic.sent = sent;
        let (network, destination) = (&*self.network, &hop.destination);
        let opened = connection::open(
            network,
            &self.trust,
            destination,
            &addresses,
            hop.deadline.at,
        );
        let (mut connection, address) = opened.await.map_err(unavailable)?;
        traffic.address = Some(address);
        let response = connection.sender.send_request(request).await;
        let response = response.map_err(|error| unavailable(format!("HTTP: {error}")))?;
        let status = response.status().as_u16();
        traffic.status = Some(status);
        if status < 200 {
            return Err(unavailable("the server wants another protocol").into());
        }
        let (head, incoming) = response.into_parts();
        let now = || around.now();
        let body = body::read(
            &head.headers,
            incoming,
            allowance,
            &now,
            &mut traffic.received,
        );
        let body = body.await.map_err(|error| fault_of(&error))?;
        let location = location(&head.headers, status, scrub.as_ref())?;
        Ok((
            status,
            answer(status, &head.headers, body, scrub.as_ref()),
            location,
        ))
    }

    /// The addresses that may be connected to, of which there is at least one.
    async fn addresses(
        &self,
        grants: &Effective,
        now: Timestamp,
        permit: &Permit<'_>,
        hop: &Hop,
    ) -> Result<Vec<IpAddr>, Failed> {
        let resolved = match hop.destination.host() {
            Host::Address(address) => vec![*address],
            Host::Name(name) => {
                let resolved = self.network.resolve(name).await;
                resolved.map_err(|_| unavailable("the name of the host cannot be resolved"))?
            }
        };
        let mut good = Vec::new();
        let mut refused = Vec::new();
        for address in resolved.into_iter().take(ADDRESSES_MAX).map(canonical) {
            let admitted = if self.policy.denies(address) {
                Err("out of bounds: the operator denies its network")
            } else {
                grants.admit(&hop.destination, permit, address, now)
            };
            match admitted {
                Ok(()) => good.push(address),
                Err(why) => refused.push((address, why)),
            }
        }
        good.truncate(TRIES_MAX);
        match refused.first() {
            _ if !good.is_empty() => Ok(good),
            None => Err(unavailable("the name of the host has no address").into()),
            // The guest learns what sort of address it is, and not which: that
            // would be a map of what is inside.
            Some((_, why)) => Err(Failed {
                fault: denied(format!(
                    "{} has an address that is {why}, and no network was granted for it",
                    hop.destination.host()
                )),
                detail: json!({
                    "refused": refused
                        .iter()
                        .map(|(address, _)| address.to_string())
                        .collect::<Vec<_>>(),
                }),
            }),
        }
    }
}

/// When a request ends, whether it is done or not: with all of its hops.
#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    most: Duration,
}

impl Deadline {
    async fn within<T>(&self, act: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
        match tokio::time::timeout_at(self.at, act).await {
            Ok(acted) => acted,
            Err(_) => Err(Fault {
                code: Limit::HttpTime.as_str().to_owned(),
                message: format!("no answer within {:?}", self.most),
                retry: Retry::Later,
            }
            .into()),
        }
    }
}

/// What went over the wire, for the row of the outcome.
#[derive(Default)]
struct Traffic {
    sent: usize,
    received: usize,
    status: Option<u16>,
    address: Option<IpAddr>,
    /// Whether it is not its turn yet.
    waits: bool,
}

/// The first hop of a request, or what is wrong with it.
fn read(request: Outgoing, grants: &Effective, deadline: Deadline) -> Result<Hop, String> {
    let destination = Destination::parse(&request.method, &request.url);
    let destination = destination.map_err(|error| error.to_string())?;
    let has_no_body = matches!(destination.method(), Method::Get | Method::Head);
    if has_no_body && !request.body.is_empty() {
        return Err("a request with this method has no body".to_owned());
    }
    Ok(Hop {
        number: 0,
        destination,
        headers: headers::checked(&request.headers, grants)?,
        body: Bytes::from(request.body),
        secret: request.secret,
        deadline,
    })
}

/// Where it goes, as the log says it: nothing of the path, the query, the
/// headers or the body.
fn whereto(hop: &Hop) -> Value {
    let mut detail = json!({
        "method": hop.destination.method().as_str(),
        "scheme": hop.destination.scheme().as_str(),
        "host": hop.destination.host().to_string(),
        "port": hop.destination.port(),
    });
    if hop.number > 0 {
        detail["redirect"] = json!(hop.number);
    }
    detail
}

/// The request as it is sent, and what must not come back.
async fn prepare(
    around: &dyn Surroundings,
    permit: &Permit<'_>,
    hop: &Hop,
) -> Result<(hyper::Request<Full<Bytes>>, Option<Scrub>), Failed> {
    let destination = &hop.destination;
    let mut target = Zeroizing::new(destination.path_and_query().to_owned());
    let mut headers = hop.headers.clone();
    let text = |text: &str| HeaderValue::from_str(text).map_err(|_| odd_value());
    headers.insert(header::HOST, text(&destination.authority())?);
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if !headers.contains_key(header::USER_AGENT) {
        headers.insert(header::USER_AGENT, HeaderValue::from_static("faultline"));
    }
    let mut scrub = None;
    if let Some((reference, place)) = permit.secret {
        let secret = around.secret(reference).await.map_err(unavailable)?;
        let value = place.fill(&secret);
        match place {
            Place::Header { name, .. } => {
                let name = header::HeaderName::from_bytes(name.as_bytes());
                let name = name.map_err(|_| odd_value())?;
                let mut value = HeaderValue::from_bytes(&value).map_err(|_| odd_value())?;
                value.set_sensitive(true);
                headers.insert(name, value);
            }
            Place::Query { name } => {
                let separator = if target.contains('?') { '&' } else { '?' };
                target.push(separator);
                target.push_str(name);
                target.push('=');
                target.extend(percent_encode(&value, NON_ALPHANUMERIC));
            }
        }
        scrub = Some(Scrub::new(&secret, place));
    }
    let method = hyper::Method::from_bytes(destination.method().as_str().as_bytes());
    let mut request = hyper::Request::new(Full::new(hop.body.clone()));
    *request.method_mut() = method.map_err(|_| odd_value())?;
    *request.uri_mut() = target
        .parse()
        .map_err(|_| denied("the URL cannot be sent as it is"))?;
    *request.headers_mut() = headers;
    Ok((request, scrub))
}

fn odd_value() -> Fault {
    unavailable("the secret has characters that cannot stand in a header")
}

/// The answer as the guest gets it: unpacked, without cookies, and without the
/// secret if the server repeats it.
fn answer(status: u16, headers: &HeaderMap, body: Body, scrub: Option<&Scrub>) -> Answer {
    let mut headers = headers::cleaned(headers);
    let mut bytes = body.bytes;
    if let Some(scrub) = scrub {
        bytes = scrub.clean(bytes, body.truncated);
        headers.retain(|(name, _)| !scrub.finds(name.as_bytes()));
        for (_, value) in &mut headers {
            *value = scrub.clean(std::mem::take(value), false);
        }
    }
    Answer {
        status,
        headers,
        body: bytes,
        truncated: body.truncated,
    }
}

/// Where a redirect leads to, if this is one (Fetch, section 4.4).
fn location(
    headers: &HeaderMap,
    status: u16,
    scrub: Option<&Scrub>,
) -> Result<Option<String>, Fault> {
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = headers.get(header::LOCATION) else {
        return Ok(None);
    };
    if scrub.is_some_and(|scrub| scrub.finds(location.as_bytes())) {
        return Err(denied("the redirect carries the secret away"));
    }
    let text = location.to_str();
    text.map(|text| Some(text.to_owned()))
        .map_err(|_| denied("the redirect leads to no URL"))
}

/// What is sent next (Fetch, section 4.4: HTTP-redirect fetch).
fn redirect(from: Hop, status: u16, location: &str) -> Result<Ended, Fault> {
    if from.number >= REDIRECTS_MAX {
        let limit = Limit::HttpRedirects;
        let most = u64::from(REDIRECTS_MAX);
        return Err(Reached { limit, most }.into());
    }
    let method = from.destination.method();
    let goes_on_with_get = match status {
        301 | 302 => method == Method::Post,
        303 => !matches!(method, Method::Get | Method::Head),
        _ => false,
    };
    let method = if goes_on_with_get {
        Method::Get
    } else {
        method
    };
    let destination = from
        .destination
        .redirected(location, method)
        .map_err(|error| denied(format!("redirected: {error}")))?;
    if (from.destination.scheme(), destination.scheme()) == (Scheme::Https, Scheme::Http) {
        return Err(denied("redirected from https to http"));
    }
    let stays = from.destination.is_same_origin(&destination);
    let mut next = Hop {
        number: from.number + 1,
        destination,
        ..from
    };
    if !stays {
        next.secret = None;
        headers::leave_origin(&mut next.headers);
    }
    if goes_on_with_get {
        next.body = Bytes::new();
        headers::leave_body(&mut next.headers);
    }
    Ok(Ended::Redirect(Box::new(next)))
}

fn fault_of(error: &BodyError) -> Fault {
    match error {
        BodyError::Reached(reached) => Fault::from(*reached),
        BodyError::Encoding => unavailable("the body is packed in a way that was not asked for"),
        BodyError::Corrupt => unavailable("the body cannot be unpacked"),
        BodyError::Broken(error) => unavailable(format!("HTTP: {error}")),
    }
}
