//! Intake with a journal in memory and a clock that is moved by hand.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use faultline_domain::envelope::{Arrival, Position};
use faultline_domain::id::{Digest, InstanceName, SourceName};
use faultline_domain::time::Timestamp;
use faultline_store::{Purpose, TokenRecord};
use http_body_util::BodyExt as _;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use crate::access::{Access, TokenTable};
use crate::append::{Append, AppendError};
use crate::backlog::Backlog;
use crate::formats;
use crate::hooks::HookTable;
use crate::kept_headers::KeptHeaders;
use crate::limits::ListenerLimits;
use crate::metrics::Metrics;
use crate::receive::{Door, Intake, Parts};
use crate::router::router;

/// When all tests begin.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_767_225_600);

/// A token that names no source.
pub(crate) const TOKEN: &str = "secret-plain";

/// A token of the source `checkout`.
pub(crate) const TOKEN_OF_CHECKOUT: &str = "secret-checkout";

/// A journal that can be held up, and told to fail.
#[derive(Clone)]
pub(crate) struct MemoryJournal {
    pub(crate) batches: Arc<Mutex<Vec<Vec<Arrival>>>>,
    /// One permit is one append.
    pub(crate) appends: Arc<Semaphore>,
    pub(crate) fails: bool,
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self {
            batches: Arc::default(),
            appends: Arc::new(Semaphore::new(1_000_000)),
            fails: false,
        }
    }
}

/// One in a database, that nobody is told of.
impl Append for faultline_store::Journal {
    async fn append(&self, arrivals: Vec<Arrival>) -> Result<Position, AppendError> {
        let appended = self.append(arrivals).await;
        appended.map_err(|error| AppendError(Box::new(error)))
    }
}

impl Append for MemoryJournal {
    async fn append(&self, arrivals: Vec<Arrival>) -> Result<Position, AppendError> {
        let permit = self.appends.acquire().await;
        permit
            .map_err(|error| AppendError(Box::new(error)))?
            .forget();
        if self.fails {
            return Err(AppendError("the disk is full".into()));
        }
        let mut batches = self.batches.lock().expect("unpoisoned");
        let before: usize = batches.iter().map(Vec::len).sum();
        batches.push(arrivals);
        Ok(Position(before as u64 + 1))
    }
}

/// What a sender gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("text"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Intake as it is tested.
pub(crate) struct Bench {
    pub(crate) intake: Arc<Intake>,
    pub(crate) router: Router,
    pub(crate) journal: MemoryJournal,
    pub(crate) metrics: Metrics,
    pub(crate) backlog: Arc<Backlog>,
    micros: Arc<AtomicU64>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(ListenerLimits::default(), MemoryJournal::default())
    }

    pub(crate) fn with(limits: ListenerLimits, journal: MemoryJournal) -> Self {
        let mut bench = Self::over(limits, journal.clone());
        bench.journal = journal;
        bench
    }

    /// Over another journal, which then has to be asked what it holds.
    pub(crate) fn over(limits: ListenerLimits, journal: impl Append) -> Self {
        let micros = Arc::new(AtomicU64::new(START.as_micros()));
        let clock = Arc::clone(&micros);
        let backlog = Arc::new(Backlog::new(Position(0), Position(0)));
        let metrics = Metrics::default();
        let parts = Parts {
            limits,
            format_limits: formats::Limits::default(),
            kept_headers: KeptHeaders::default(),
            hooks: Arc::new(hooks()),
            backlog: Arc::clone(&backlog),
            metrics: metrics.clone(),
            clock: Arc::new(move || Timestamp::from_micros(clock.load(Ordering::Relaxed))),
        };
        let (intake, _writer) = Intake::start(parts, journal);
        let door = Door {
            intake: Arc::clone(&intake),
            access: access(),
        };
        Self {
            intake,
            router: router(door),
            journal: MemoryJournal::default(),
            metrics,
            backlog,
            micros,
        }
    }

    pub(crate) fn advance_millis(&self, millis: u64) {
        self.micros.fetch_add(millis * 1_000, Ordering::Relaxed);
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await;
        let (head, body) = response.expect("infallible").into_parts();
        let body = body.collect().await.expect("in memory").to_bytes();
        Answer {
            status: head.status,
            headers: head.headers,
            body: body.to_vec(),
        }
    }

    /// A POST with a valid token.
    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        self.send(post(path, headers, body)).await
    }

    /// All envelopes in the journal.
    pub(crate) fn stored(&self) -> Vec<Arrival> {
        let batches = self.journal.batches.lock().expect("unpoisoned");
        batches.iter().flatten().cloned().collect()
    }
}

/// A POST with a valid token.
pub(crate) fn post(path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::builder().method(Method::POST).uri(path);
    let is_authorised = |(name, _): &(&str, &str)| *name == "authorization";
    if !headers.iter().any(is_authorised) {
        request = request.header("authorization", format!("Bearer {TOKEN}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).expect("a request")
}

pub(crate) fn access() -> Access {
    let record = |id: &str, source: Option<&str>| TokenRecord {
        id: id.to_owned(),
        name: id.to_owned(),
        purpose: Purpose::Ingest(source.map(|name| SourceName::new(name).expect("a name"))),
        hash: Digest::of(format!("secret-{id}").as_bytes()),
        created: START,
        created_by: "local:root".to_owned(),
        expires: None,
        revoked: None,
    };
    let tokens = TokenTable::default();
    tokens.replace([record("plain", None), record("checkout", Some("checkout"))]);
    Access::Tokens(Arc::new(tokens))
}

fn hooks() -> HookTable {
    let table = HookTable::default();
    let github = InstanceName::new("github").expect("a name");
    let events = InstanceName::new("events").expect("a name");
    table.replace(
        [
            ("deploys", &github),
            ("checkout", &github),
            ("cloudevents", &events),
        ]
        .map(|(source, reader)| (SourceName::new(source).expect("a name"), reader.clone())),
    );
    table
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

pub(crate) fn snappy(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new()
        .compress_vec(bytes)
        .expect("short")
}
