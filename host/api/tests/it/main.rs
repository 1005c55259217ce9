//! The API through its router, on a real store and a machinery in memory.

mod access;
mod audit;
mod commands;
mod dead_letters;
mod description;
mod events;
mod grants;
mod instances;
mod machinery;
mod metrics;
mod observed;
mod plugins;
mod reading;
mod requests;
mod tokens;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use faultline_api::{Api, ApiLimits, Parts};
use faultline_domain::access::Role;
use faultline_domain::audit::{Entry, GENESIS, Row, Stage};
use faultline_domain::id::{Digest, ScopeName};
use faultline_domain::time::Timestamp;
use faultline_store::{AuditFilter, Journal, Purpose, Store, TokenRecord};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tower::ServiceExt as _;

use machinery::Machinery;

/// When all tests begin, in seconds.
const NOW: u64 = 1_000_000;

fn scope() -> ScopeName {
    ScopeName::default_scope()
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

/// An API, and everything around it.
struct Bench {
    router: Router,
    store: Store,
    journal: Journal,
    clock: Arc<AtomicU64>,
    machinery: Arc<Machinery>,
    /// None once the process is about to stop.
    committed: Mutex<Option<watch::Sender<()>>>,
    _folder: TempDir,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    /// Checks that it is a problem of this kind, and gives it.
    fn problem(&self, kind: &str) -> Value {
        let media_type = self.headers.get(header::CONTENT_TYPE);
        assert_eq!(
            media_type.and_then(|value| value.to_str().ok()),
            Some("application/problem+json"),
            "{}: {}",
            self.status,
            self.text
        );
        let problem = self.json();
        assert_eq!(
            problem["type"],
            format!("urn:faultline:problem:{kind}"),
            "{problem}"
        );
        assert_eq!(problem["status"], self.status.as_u16());
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|detail| !detail.is_empty())
        );
        problem
    }

    /// Checks that it is a problem of this kind at this place.
    fn problem_at(&self, kind: &str, place: &str, field: &str) -> Value {
        let problem = self.problem(kind);
        assert_eq!(problem["errors"][0]["in"], place, "{problem}");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
        problem
    }

    /// Checks the status, and gives the body.
    fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if self.text.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }
}

impl Bench {
    async fn open() -> Self {
        Self::with(ApiLimits::default()).await
    }

    async fn with(limits: ApiLimits) -> Self {
        Self::made(limits, 0).await
    }

    /// One whose audit log begins after this row.
    async fn with_audit_after(row: u64) -> Self {
        Self::made(ApiLimits::default(), row).await
    }

    async fn made(limits: ApiLimits, audit_after: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).await.expect("a store");
        let base = format!("{audit_after} {GENESIS}");
        let written = store.setting_put("audit.base", &base).await;
        written.expect("writes");
        let journal = Journal::open(store.clone(), scope()).await;
        let journal = journal.expect("a journal");
        let clock = Arc::new(AtomicU64::new(NOW));
        let machinery = Arc::new(Machinery::default());
        let (sender, committed) = watch::channel(());
        let told = Arc::clone(&clock);
        let drawn = AtomicU8::new(0);
        let parts = Parts {
            store: store.clone(),
            journal: journal.clone(),
            clock: Arc::new(move || at(told.load(Ordering::SeqCst))),
            randomness: Arc::new(move |bytes: &mut [u8]| {
                let seed = drawn.fetch_add(1, Ordering::SeqCst);
                for (byte, i) in bytes.iter_mut().zip(0_u8..) {
                    *byte = seed.wrapping_mul(31).wrapping_add(i.wrapping_mul(7));
                }
                Ok(())
            }),
            control: Arc::clone(&machinery) as Arc<_>,
            committed,
            version: "1.2.3".to_owned(),
            install: "test".to_owned(),
            node: "node".to_owned(),
        };
        let bench = Self {
            router: Api::new(parts).limits(limits).router(),
            store,
            journal,
            clock,
            machinery,
            committed: Mutex::new(Some(sender)),
            _folder: folder,
        };
        for role in Role::ALL {
            bench.keep_token(role.as_str(), Purpose::Api(role)).await;
        }
        bench.keep_token("sender", Purpose::Ingest(None)).await;
        bench
    }

    /// A token whose secret is its name.
    async fn keep_token(&self, name: &str, purpose: Purpose) {
        let token = TokenRecord {
            id: format!("id-of-{name}"),
            name: name.to_owned(),
            purpose,
            hash: Digest::of(secret(name).as_bytes()),
            created: at(NOW),
            created_by: "test".to_owned(),
            expires: None,
            revoked: None,
        };
        let entry = Entry {
            at: at(NOW),
            actor: "host".to_owned(),
            action: "token.create".to_owned(),
            subject: format!("token:{}", token.id),
            stage: Stage::Event,
            detail: "{}".to_owned(),
        };
        let created = self.store.token_create(&token, entry).await;
        created.expect("a token");
    }

    /// Tells everybody who waits that a stage has committed something.
    fn tell_committed(&self) {
        let committed = self.committed.lock().expect("no panic");
        if let Some(committed) = committed.as_ref() {
            committed.send_replace(());
        }
    }

    /// As when the process is about to stop.
    fn stop(&self) {
        *self.committed.lock().expect("no panic") = None;
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await;
        let (parts, body) = response.expect("infallible").into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    async fn get(&self, role: Role, path: &str) -> Answer {
        self.send(request(Method::GET, path, role, Body::empty()))
            .await
    }

    /// A request without a body.
    async fn bare(&self, method: Method, role: Role, path: &str) -> Answer {
        self.send(request(method, path, role, Body::empty())).await
    }

    /// A request with a JSON body.
    async fn with_json(&self, method: Method, role: Role, path: &str, body: &Value) -> Answer {
        let mut request = request(method, path, role, Body::from(body.to_string()));
        let json = "application/json".parse().expect("a value");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        self.send(request).await
    }

    /// All rows of the audit log after those about the bench's own tokens.
    async fn audit(&self) -> Vec<Row> {
        let rows = self.store.audit_list(&AuditFilter::default(), 10_000).await;
        let rows = rows.expect("rows").into_iter();
        rows.filter(|row| row.entry.actor != "host").collect()
    }

    /// The actions of these rows, with their stage if it is not an event.
    async fn actions(&self) -> Vec<String> {
        let rows = self.audit().await;
        rows.iter()
            .map(|row| match &row.entry.stage {
                Stage::Event => row.entry.action.clone(),
                Stage::Intent => format!("{} intent", row.entry.action),
                Stage::Outcome { result, .. } => format!("{} {result}", row.entry.action),
            })
            .collect()
    }

    /// Goes through all pages of a listing, so many rows at a time.
    async fn walk(&self, role: Role, path: &str, limit: u32) -> Vec<Value> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let first = format!("{path}{separator}limit={limit}");
        let mut rows = Vec::new();
        let mut next = first.clone();
        loop {
            let page = self.get(role, &next).await.expect(200);
            let items = page["items"].as_array().expect("items");
            assert!(items.len() <= limit as usize, "{next}");
            rows.extend(items.iter().cloned());
            match page["next"].as_str() {
                None => return rows,
                Some(after) => {
                    assert_eq!(items.len(), limit as usize, "{next}");
                    next = format!("{first}&after={}", encoded(after));
                }
            }
        }
    }
}

/// The token of the bench with this name.
fn secret(name: &str) -> String {
    format!("flt_bench_{name}")
}

fn request(method: Method, path: &str, role: Role, body: Body) -> Request<Body> {
    let token = format!("Bearer {}", secret(role.as_str()));
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, token)
        .body(body)
        .expect("a request")
}

/// As it stands in a query or a path.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            use std::fmt::Write as _;
            write!(encoded, "%{byte:02X}").expect("to memory");
        }
    }
    encoded
}

/// One operation of the description.
#[derive(Debug, Clone)]
struct Operation {
    id: String,
    method: Method,
    /// With something in place of its parameters.
    path: String,
    template: String,
    /// None if it is for everybody.
    role: Option<Role>,
    value: Value,
}

/// All operations of the description.
fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(faultline_api::document()).expect("JSON");
    let paths: BTreeMap<String, Value> =
        serde_json::from_value(document["paths"].clone()).expect("paths");
    let mut operations = Vec::new();
    for (template, item) in paths {
        for (method, value) in item.as_object().expect("an item") {
            let role = value["security"][0]["token"][0].as_str();
            operations.push(Operation {
                id: value["operationId"].as_str().expect("an id").to_owned(),
                method: method.to_uppercase().parse().expect("a method"),
                path: filled_in(&template),
                template: template.clone(),
                role: role.map(|role| role.parse().expect("a role")),
                value: value.clone(),
            });
        }
    }
    assert!(operations.len() > 40, "{}", operations.len());
    operations
}

/// A path with something in place of its parameters that could be meant.
fn filled_in(template: &str) -> String {
    let id = if template.contains("/changes/") {
        format!("chg_{}", "0".repeat(32))
    } else if template.contains("/series/") {
        "1".to_owned()
    } else {
        "0000".to_owned()
    };
    template
        .replace("{id}", &id)
        .replace("{name}", "some")
        .replace("{position}", "1")
        .replace("{plugin}", "acme%2Ftest")
        .replace("{capability}", "state")
}

/// The role just below.
fn below(role: Role) -> Option<Role> {
    Role::ALL.into_iter().rev().find(|lower| *lower < role)
}

/// A body that is sent as it is.
fn raw(
    method: Method,
    path: &str,
    media_type: Option<&str>,
    body: impl Into<Body>,
) -> Request<Body> {
    let mut request = request(method, path, Role::Admin, body.into());
    if let Some(media_type) = media_type {
        let value = media_type.parse().expect("a value");
        request.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    request
}

/// A configuration that says nothing.
fn empty() -> Value {
    json!({})
}
