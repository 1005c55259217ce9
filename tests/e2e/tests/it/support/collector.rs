//! What takes traces by OTLP, in the test's own process: the test looks at what
//! came, and decides whether there is an answer.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1;
use prost::Message as _;

/// How long a client may take for a request.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// One request, as it came.
#[derive(Clone)]
pub(crate) struct Received {
    /// Its first line and its headers.
    pub(crate) head: String,
    /// Its body.
    pub(crate) body: Vec<u8>,
}

/// A span, with what stands above it.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) resource: Vec<(String, String)>,
    pub(crate) span: v1::Span,
}

/// The collector; it ends when this is dropped.
pub(crate) struct Collector {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    /// Takes requests, and does not answer.
    mute: AtomicBool,
    received: Mutex<Vec<Received>>,
    /// Connections that get no answer.
    held: Mutex<Vec<TcpStream>>,
}

impl Collector {
    /// Listens where nobody does.
    pub(crate) fn open() -> Self {
        Self::open_at(0)
    }

    /// Listens at a port.
    pub(crate) fn open_at(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if seen.stopping.load(Ordering::Relaxed) {
                    return;
                }
                if seen.mute.load(Ordering::Relaxed) {
                    seen.held.lock().expect("no panic").push(stream);
                    continue;
                }
                if let Ok(received) = read(&stream) {
                    seen.received.lock().expect("no panic").push(received);
                    // Who hangs up gets no answer.
                    let _ = answer(&stream);
                }
            }
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// From the next connection on there is no answer.
    pub(crate) fn mute(&self) {
        self.shared.mute.store(true, Ordering::Relaxed);
    }

    /// As a configuration names it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests got no answer so far.
    pub(crate) fn held(&self) -> usize {
        self.shared.held.lock().expect("no panic").len()
    }

    /// All requests so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().expect("no panic").clone()
    }

    /// All spans so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for received in self.received() {
            let request = ExportTraceServiceRequest::decode(received.body.as_slice());
            for of_resource in request.expect("OTLP").resource_spans {
                let resource = of_resource.resource.expect("says who it is");
                let resource = texts(&resource.attributes);
                let of_scopes = of_resource.scope_spans.into_iter();
                spans.extend(of_scopes.flat_map(|scope| scope.spans).map(|span| Span {
                    resource: resource.clone(),
                    span,
                }));
            }
        }
        spans
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        // Wakes it up, so that it sees that.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Span {
    pub(crate) fn name(&self) -> &str {
        &self.span.name
    }

    /// The trace that it is part of.
    pub(crate) fn trace(&self) -> String {
        hex(&self.span.trace_id)
    }

    pub(crate) fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    /// The span that it is part of.
    pub(crate) fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    /// An attribute as a text; empty if there is none.
    pub(crate) fn said(&self, key: &str) -> String {
        found(&texts(&self.span.attributes), key)
    }

    /// An attribute of where it comes from.
    pub(crate) fn of_resource(&self, key: &str) -> String {
        found(&self.resource, key)
    }

    /// Whether it says that it went wrong.
    pub(crate) fn is_error(&self) -> bool {
        let status = self.span.status.as_ref();
        status.is_some_and(|status| status.code == v1::status::StatusCode::Error as i32)
    }
}

fn found(texts: &[(String, String)], key: &str) -> String {
    let found = texts.iter().find(|(known, _)| known == key);
    found.map_or_else(String::new, |(_, value)| value.clone())
}

fn texts(attributes: &[KeyValue]) -> Vec<(String, String)> {
    attributes
        .iter()
        .map(|attribute| {
            let value = attribute.value.as_ref();
            (attribute.key.clone(), value.map_or_else(String::new, text))
        })
        .collect()
}

fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(is)) => is.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads one request.
fn read(stream: &TcpStream) -> std::io::Result<Received> {
    stream.set_read_timeout(Some(REQUEST_TIME_MAX))?;
    stream.set_write_timeout(Some(REQUEST_TIME_MAX))?;
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 {}
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or(std::io::ErrorKind::InvalidData)?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Received { head, body })
}

/// Answers that all of it was taken.
fn answer(mut stream: &TcpStream) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\n\
         content-length: 0\r\nconnection: close\r\n\r\n"
    )
}
