//! What servers answer to plugins: bytes of whoever is at the other end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use faultline_domain::attach::Attach;
use faultline_domain::fault::Fault;
use faultline_domain::grant::{Effective, Grant, Request, Use};
use faultline_domain::network::{canonical, special};
use faultline_domain::plugin::Limits;
use faultline_domain::rule::parse_network;
use faultline_domain::secret::{Secret, SecretRef};
use faultline_domain::time::Timestamp;
use faultline_egress::{
    Allowance, Answer, Egress, Network, Outgoing, Pending, Policy, Quota, Surroundings, Trust,
};
use faultline_plugin_prometheus::{Cursor, Prometheus};
use faultline_sdk::http::Response;
use faultline_sdk::testkit::{FakeHost, poll};
use ipnet::IpNet;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::connectors::check;
use crate::parts;

/// The most bytes of a body that a guest gets: few, so that it is reached.
const BODY_BYTES_MAX: u64 = 1_024;

/// The most envelopes of a page that is asked for.
const ENVELOPES_MAX: u32 = 10;

/// What the host keeps of a cursor.
const CURSOR_BYTES_MAX: usize = 64 << 10;

/// Good for both questions.
const NOTHING_ACTIVE: &str = r#"{"status": "success", "data": {"alerts": [], "groups": []}}"#;

/// What must not come back.
const SECRET: &str = "s3cr3t+of-the-fuzzer";

/// Longer than any of it takes; then something hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// Headers that no guest gets.
const DROPPED: [&str; 4] = [
    "connection",
    "content-encoding",
    "set-cookie",
    "transfer-encoding",
];

/// When everything happens.
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// What is written of a case: all but the last are texts.
struct Case<'a> {
    /// What is granted, such as `GET http://*.example.com/**`.
    rule: &'a str,
    /// Networks that are granted and denied, such as `10.0.0.0/8,!10.1.0.0/16`.
    networks: &'a str,
    method: &'a str,
    url: &'a str,
    /// What every name resolves to, such as `1.1.1.1,10.0.0.1`.
    addresses: &'a str,
    /// Sent along, a line each.
    headers: &'a str,
    /// What the server sends back, to each request.
    answer: &'a [u8],
}

impl<'a> Case<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let parts = parts(data, 7);
        let [rule, networks, method, url, addresses, headers, answer] = parts[..] else {
            return None;
        };
        let text = |bytes| std::str::from_utf8(bytes).ok();
        Some(Self {
            rule: text(rule)?,
            networks: text(networks)?,
            method: text(method)?,
            url: text(url)?,
            addresses: text(addresses)?,
            headers: text(headers)?,
            answer,
        })
    }

    /// Networks of this list, those with `!` or those without.
    fn networks(&self, denied: bool) -> Vec<IpNet> {
        self.networks
            .split(',')
            .filter_map(|text| match text.strip_prefix('!') {
                Some(text) if denied => parse_network(text).ok(),
                None if !denied => parse_network(text).ok(),
                _ => None,
            })
            .collect()
    }

    /// The rule and a secret, granted. None if it is no rule.
    fn granted(&self) -> Option<Effective> {
        let request = |id: &str, using| Request {
            id: id.to_owned(),
            using,
            required: true,
            reason: "to be sent".to_owned(),
            rules: Vec::new(),
            attach: None,
        };
        let api = Request {
            rules: vec![self.rule.parse().ok()?],
            ..request("api", Use::Http)
        };
        let to = vec!["api".to_owned()];
        let attach = Attach::new(to, Some("x-key"), Some("Key {}"), None);
        let key = Request {
            attach: Some(attach.expect("a good place")),
            ..request("key", Use::Secret)
        };
        // Nothing is left open, or it is no rule that can be granted here.
        let asked = |request: &Request| request.asked(&|_| None).ok();
        let grant = |id: &str, asked| Grant::whole(id, asked, "fuzz", NOW, "to be tried");
        let mut of_api = grant("api", asked(&api)?);
        of_api.terms.networks = self.networks(false);
        let mut of_key = grant("key", asked(&key)?);
        of_key.terms.secret = Some(SecretRef::Env("KEY".to_owned()));
        let granted = Effective::resolve(&[api, key], &[of_api, of_key], &|_| None, NOW);
        Some(granted.expect("all that is asked for is granted"))
    }
}

/// A network in which all addresses are one server, and what was done in it.
struct Fake {
    resolved: Vec<IpAddr>,
    answer: Vec<u8>,
    connected: Mutex<Vec<IpAddr>>,
}

impl Network for Fake {
    fn resolve<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move { Ok(self.resolved.clone()) })
    }

    fn connect(&self, address: SocketAddr) -> Pending<'_, io::Result<TcpStream>> {
        self.connected.lock().expect("no panic").push(address.ip());
        Box::pin(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let (ours, theirs) = tokio::join!(
                TcpStream::connect(listener.local_addr()?),
                listener.accept()
            );
            let (server, answer) = (theirs?.0, self.answer.clone());
            tokio::spawn(serve(server, answer));
            ours
        })
    }
}

/// What TLS begins with (RFC 8446, section 5.1: handshake).
const HANDSHAKE: u8 = 0x16;

/// Waits for a request, answers, and reads on so that nothing is cut off. Who
/// wants TLS is answered at once, and cannot mean it.
async fn serve(mut stream: TcpStream, answer: Vec<u8>) -> io::Result<()> {
    let (mut head, mut some) = (Vec::new(), [0; 4_096]);
    let is_whole = |head: &[u8]| {
        head.first() == Some(&HANDSHAKE) || head.windows(4).any(|four| four == b"\r\n\r\n")
    };
    while !is_whole(&head) {
        let read = stream.read(&mut some).await?;
        if read == 0 {
            return Ok(());
        }
        head.extend_from_slice(&some[..read]);
    }
    stream.write_all(&answer).await?;
    stream.shutdown().await?;
    while stream.read(&mut some).await? > 0 {}
    Ok(())
}

/// Notes what is put on record.
#[derive(Default)]
struct Record {
    rows: Mutex<Rows>,
}

#[derive(Default)]
struct Rows {
    intents: u64,
    outcomes: u64,
    denials: u64,
    /// All of it.
    text: String,
}

impl Record {
    fn note<'a, T: Send + 'a>(
        &'a self,
        detail: &Value,
        note: impl FnOnce(&mut Rows) -> T,
    ) -> Pending<'a, T> {
        let mut rows = self.rows.lock().expect("no panic");
        rows.text.push_str(&detail.to_string());
        let noted = note(&mut rows);
        Box::pin(async move { noted })
    }
}

impl Surroundings for Record {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn intent(&self, detail: Value) -> Pending<'_, Result<u64, String>> {
        self.note(&detail, |rows| {
            rows.intents += 1;
            Ok(rows.intents)
        })
    }

    fn outcome(&self, _: u64, result: String, detail: Value) -> Pending<'_, ()> {
        self.note(&json!([result, detail]), |rows| rows.outcomes += 1)
    }

    fn denied(&self, detail: Value) -> Pending<'_, ()> {
        self.note(&detail, |rows| rows.denials += 1)
    }

    fn secret<'a>(&'a self, _: &'a SecretRef) -> Pending<'a, Result<Secret, String>> {
        Box::pin(async { Ok(Secret::new(SECRET.into()).expect("a good length")) })
    }

    fn cut_off(&self) -> Pending<'_, &'static str> {
        Box::pin(std::future::pending())
    }
}

/// A request of a guest, from what was granted to the server's answer: see
/// [`Case`]. No connection goes where nothing was granted, nothing is done that
/// is not on record, and the secret does not come back.
pub fn egress_answer(data: &[u8]) {
    thread_local! {
        static RUNTIME: Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
    }
    static TRUST: LazyLock<Trust> =
        LazyLock::new(|| Trust::with_roots(None).expect("the roots that are built in"));
    let Some(case) = Case::read(data) else { return };
    let Some(granted) = case.granted() else {
        return;
    };
    let network = Arc::new(Fake {
        resolved: case
            .addresses
            .split(',')
            .filter_map(|text| text.parse().ok())
            .collect(),
        answer: case.answer.to_vec(),
        connected: Mutex::default(),
    });
    let policy = Policy {
        allow: None,
        deny: case.networks(true),
    };
    let way_out = Arc::clone(&network) as Arc<dyn Network>;
    let egress = Egress::new(way_out, TRUST.clone(), policy);
    let limits = Limits {
        http_body_bytes: BODY_BYTES_MAX,
        ..Limits::default()
    };
    let allowance = Allowance::new(&limits, Arc::new(Quota::new(&limits)));
    let record = Record::default();
    let request = Outgoing {
        method: case.method.to_owned(),
        url: case.url.to_owned(),
        headers: case
            .headers
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
            .collect(),
        body: Vec::new(),
        secret: Some("key".to_owned()),
        timeout: None,
    };
    let answered = RUNTIME.with(|runtime| {
        let until = Instant::now() + PATIENCE;
        runtime.block_on(egress.send(&granted, &allowance, &record, until, request))
    });
    for address in network.connected.lock().expect("no panic").iter() {
        is_granted(&case, *address);
    }
    let rows = record.rows.lock().expect("no panic");
    assert_eq!(rows.intents, rows.outcomes, "what was begun has an end");
    let connected = network.connected.lock().expect("no panic").len();
    assert!(connected == 0 || rows.intents > 0, "it is not on record");
    assert!(!rows.text.contains(SECRET), "{}", rows.text);
    match answered {
        Ok(answer) => is_clean(&answer),
        Err(fault) => is_told(&fault, &rows),
    }
}

/// Whether an address may be connected to, said once more in other words.
fn is_granted(case: &Case<'_>, address: IpAddr) {
    let there = canonical(address);
    let is_in = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&there));
    assert!(!is_in(&case.networks(true)), "{address} is denied");
    let by_rule = network_of(case.rule).is_some_and(|network| network.contains(&there));
    assert!(
        special(address).is_none() || is_in(&case.networks(false)) || by_rule,
        "nothing grants {address}"
    );
}

/// The network of a rule that has one: `http://10.0.0.0/8:80/**` and
/// `http://[fd00::/8]/**`.
fn network_of(rule: &str) -> Option<IpNet> {
    let (_, rest) = rule.split_once("://")?;
    if let Some(inner) = rest.strip_prefix('[') {
        return parse_network(inner.split(']').next()?).ok();
    }
    let (address, rest) = rest.split_once('/')?;
    let bits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    parse_network(&format!("{address}/{bits}")).ok()
}

fn is_clean(answer: &Answer) {
    let secret = SECRET.as_bytes();
    let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|part| part == secret);
    assert!(answer.status >= 200, "{}", answer.status);
    assert!(answer.body.len() as u64 <= BODY_BYTES_MAX);
    assert!(!holds(&answer.body), "the secret came back");
    for (name, value) in &answer.headers {
        assert!(!holds(value) && !holds(name.as_bytes()), "{name}");
        assert!(!DROPPED.contains(&name.as_str()), "{name}");
    }
}

fn is_told(fault: &Fault, rows: &Rows) {
    assert!(!fault.code.is_empty() && !fault.message.is_empty());
    assert!(!fault.message.contains(SECRET), "{}", fault.message);
    assert_ne!(fault.code, "limit.http-time", "it hangs");
    assert!(rows.denials + rows.outcomes > 0, "no row says so");
}

/// What a Prometheus answers to its poller: the alerts, the rules, and a cursor
/// of the poll before (or nothing), between NUL bytes. The poller can go on from
/// what comes of it.
pub fn poller_prometheus(data: &[u8]) {
    let [alerts, rules, cursor] = parts(data, 3)[..] else {
        return;
    };
    let cursor: Option<Cursor> = serde_json::from_slice(cursor).ok();
    let config = json!({"url": "http://prometheus:9090"});
    let ask = || {
        let (alerts, rules) = (alerts.to_vec(), rules.to_vec());
        let host = FakeHost::new().with_config(&config).with_http(move |to| {
            let is_rules = to.url.contains("/rules");
            Ok(Response::new(
                200,
                if is_rules {
                    rules.clone()
                } else {
                    alerts.clone()
                },
            ))
        });
        poll::<Prometheus>(&host, cursor.as_ref(), ENVELOPES_MAX)
    };
    let first = ask();
    assert_eq!(format!("{first:?}"), format!("{:?}", ask()), "it remembers");
    let Ok(page) = first else { return };
    assert!(page.envelopes.len() <= ENVELOPES_MAX as usize);
    let kept = serde_json::to_vec(&page.cursor).expect("a cursor can be kept");
    assert!(kept.len() <= CURSOR_BYTES_MAX, "{}", kept.len());
    for envelope in &page.envelopes {
        // Alerts that nobody can read are kept as they came, and refused here.
        check::<Prometheus>(&config, envelope);
    }
    // It goes on from there.
    let host = FakeHost::new()
        .with_config(&config)
        .with_http(|_| Ok(Response::new(200, NOTHING_ACTIVE)));
    let next = poll::<Prometheus>(&host, Some(&page.cursor), ENVELOPES_MAX);
    assert!(next.is_ok(), "it cannot go on: {next:?}");
}
