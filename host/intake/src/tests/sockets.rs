//! Over loopback sockets: what only real connections show.

use std::net::SocketAddr;
use std::time::Duration;

use faultline_domain::id::ScopeName;
use faultline_store::{Journal, Store};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use super::bench::{Bench, MemoryJournal, TOKEN, access};
use crate::access::Access;
use crate::limits::ListenerLimits;
use crate::listener::{BindError, Listener};

const ALERT: &str = r#"[{"labels":{"alertname":"Down"}}]"#;

struct Running {
    bench: Bench,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

async fn start(bench: Bench) -> Running {
    let any_port = "127.0.0.1:0".parse().expect("an address");
    let listener = Listener::bind(any_port, bench.intake.clone(), access())
        .await
        .expect("a free port");
    let address = listener.address();
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(listener.serve(async {
        let _ = stopped.await;
    }));
    Running {
        bench,
        address,
        stop,
        served,
    }
}

fn request(body: &str) -> String {
    format!(
        "POST /api/v2/alerts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("accepted")
    }

    /// Writes, and reads until the other side closes.
    async fn exchange(&self, bytes: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_bytes()).await.expect("written");
        let mut answer = String::new();
        // Who is refused while still writing may find the connection reset.
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    async fn finish(self) -> Bench {
        self.stop.send(()).expect("still serving");
        self.served.await.expect("no panic");
        self.bench
    }
}

/// Reads one answer without a body from a connection that stays open.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer"));
    }
    String::from_utf8(head).expect("text")
}

#[tokio::test]
async fn who_is_refused_unread_is_told_that_the_connection_ends() {
    let running = start(Bench::new()).await;
    let refused = request(ALERT).replace(TOKEN, "wrong");
    let answer = running.exchange(&refused).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    // What was read to its end leaves nothing behind, whatever it was.
    let mut stream = running.connect().await;
    for (body, status) in [(ALERT, "200"), ("[7]", "400"), (ALERT, "200")] {
        stream
            .write_all(request(body).as_bytes())
            .await
            .expect("written");
        let head = read_head(&mut stream).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(!head.contains("connection: close"), "{head}");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().expect("a number"));
        let mut rest = vec![0; length];
        stream.read_exact(&mut rest).await.expect("the rest");
    }
    running.finish().await;
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let running = start(Bench::new()).await;
    let mut stream = running.connect().await;
    for _ in 0..3 {
        stream
            .write_all(request(ALERT).as_bytes())
            .await
            .expect("written");
        let head = read_head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    }
    drop(stream);
    assert_eq!(running.finish().await.stored().len(), 3);
}

#[tokio::test]
async fn what_is_not_http_ends_its_connection_only() {
    let running = start(Bench::new()).await;
    let answer = running.exchange("\u{16}\u{3}\u{1}not http\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let many = "X-Many: b\r\n".repeat(100);
    let answer = running
        .exchange(&format!("POST /v1/logs HTTP/1.1\r\nHost: x\r\n{many}\r\n"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let answer = running
        .exchange(&format!(
            "{}\r\n",
            request("[").replace("\r\nHost", "\r\nConnection: close\r\nHost")
        ))
        .await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let mut stream = running.connect().await;
    stream
        .write_all(request(ALERT).as_bytes())
        .await
        .expect("written");
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn who_dawdles_is_cut_off() {
    let limits = ListenerLimits {
        header_read_time_max: Duration::from_millis(50),
        body_read_time_max: Duration::from_millis(50),
        ..ListenerLimits::default()
    };
    let running = start(Bench::with(limits, MemoryJournal::default())).await;
    // Nothing at all; and nothing more after a request.
    assert_eq!(running.exchange("").await, "");
    let answer = running.exchange(&request(ALERT)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // Half of the headers, and then nothing.
    let answer = running.exchange("POST /v1/logs HTTP/1.1\r\nHost:").await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
        "{answer}"
    );
    // Half of the body, and then nothing.
    let whole = request(ALERT);
    let answer = running.exchange(&whole[..whole.len() - 10]).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(running.finish().await.stored().len(), 1);
}

#[tokio::test]
async fn a_body_that_ends_early_is_not_stored() {
    let running = start(Bench::new()).await;
    let whole = request(ALERT);
    let mut stream = running.connect().await;
    stream
        .write_all(&whole.as_bytes()[..whole.len() - 10])
        .await
        .expect("written");
    drop(stream);
    let bench = running.finish().await;
    assert_eq!(bench.stored(), []);
}

#[tokio::test]
async fn stopping_finishes_what_was_begun() {
    let journal = MemoryJournal {
        appends: Semaphore::new(0).into(),
        ..MemoryJournal::default()
    };
    let appends = journal.appends.clone();
    let running = start(Bench::with(ListenerLimits::default(), journal)).await;
    let mut stream = running.connect().await;
    stream
        .write_all(request(ALERT).as_bytes())
        .await
        .expect("written");
    let metrics = running.bench.metrics.clone();
    while metrics.requests_in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    let address = running.address;
    running.stop.send(()).expect("still serving");
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    appends.add_permits(1);
    let head = read_head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    running.served.await.expect("no panic");
    assert_eq!(running.bench.stored().len(), 1);
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let limits = ListenerLimits {
        shutdown_time_max: Duration::from_millis(20),
        ..ListenerLimits::default()
    };
    let running = start(Bench::with(limits, MemoryJournal::default())).await;
    let mut stream = running.connect().await;
    let whole = request(ALERT);
    stream
        .write_all(&whole.as_bytes()[..whole.len() - 1])
        .await
        .expect("written");
    let metrics = running.bench.metrics.clone();
    while metrics.requests_in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(running.finish().await.stored(), []);
}

#[tokio::test]
async fn only_loopback_listeners_may_be_open() {
    let bench = Bench::new();
    let bind = |address: &str| {
        let address = address.parse().expect("an address");
        Listener::bind(address, bench.intake.clone(), Access::Open)
    };
    let refused = bind("0.0.0.0:0").await.err().expect("refused");
    assert!(matches!(refused, BindError::OpenToOthers(_)), "{refused}");
    assert!(bind("127.0.0.1:0").await.is_ok());
    assert!(bind("[::1]:0").await.is_ok());
}

#[tokio::test]
async fn envelopes_reach_the_journal_of_the_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).await.expect("a store");
    let scope = ScopeName::default_scope();
    let journal = Journal::open(store.clone(), scope.clone())
        .await
        .expect("a journal");
    let bench = Bench::over(ListenerLimits::default(), journal);
    let running = start(bench).await;
    let mut stream = running.connect().await;
    for _ in 0..2 {
        stream
            .write_all(request(ALERT).as_bytes())
            .await
            .expect("written");
        assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200"));
    }
    let start = faultline_domain::envelope::Position::START;
    let envelopes = store
        .envelope_list(&scope, start, 10, usize::MAX)
        .await
        .expect("readable");
    let bodies: Vec<_> = envelopes
        .iter()
        .map(|it| it.arrival.body.as_slice())
        .collect();
    assert_eq!(bodies, [ALERT.as_bytes(), ALERT.as_bytes()]);
    store.close().await;
}
