//! A server on loopback, with TLS and without, that answers what the attack
//! says, and knows no manners.

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use faultline_sandbox::Loaded;
use flate2::Compression;
use flate2::write::GzEncoder;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{SECRET, forms};

/// What is answered.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Answer {
    /// 200 if it is 0.
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    /// The body is what was heard, `raw`; or the secret, if it was heard, in
    /// another form: `base64`, `percent`, `hex`, ….
    echo: Option<String>,
    /// The body is so many bytes.
    size: usize,
    /// The body is so many zeros, packed.
    zeros: usize,
    /// Bytes come one by one, without an end.
    drips: bool,
    /// Nothing comes, ever.
    hangs: bool,
    /// What becomes of the instance before anything comes.
    pub(super) meanwhile: Option<Meanwhile>,
    /// Just these bytes.
    raw: Option<String>,
}

/// What can become of an instance while a server thinks.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Meanwhile {
    Revoked,
    Stopped,
}

/// What was heard during one attack.
type Heard = Arc<Mutex<String>>;

/// What the server does during one attack.
#[derive(Default)]
struct Told {
    answers: Mutex<VecDeque<Answer>>,
    heard: Heard,
    loaded: Weak<Loaded>,
}

pub(super) struct Server {
    pub(super) tls: u16,
    pub(super) plain: u16,
    told: Arc<Mutex<Arc<Told>>>,
}

impl Server {
    pub(super) async fn start() -> Self {
        let told: Arc<Mutex<Arc<Told>>> = Arc::default();
        let certificate =
            CertificateDer::from_pem_slice(include_bytes!("../../attacks/pki/server.pem"));
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../attacks/pki/server.key"));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.expect("PEM")], key.expect("PEM"))
            .expect("a certificate and its key");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let tls = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
        let server = Self {
            tls: port(&tls),
            plain: port(&plain),
            told: Arc::clone(&told),
        };
        let told_plain = Arc::clone(&told);
        tokio::spawn(async move {
            while let Ok((stream, _)) = tls.accept().await {
                let (told, acceptor) = (now(&told), acceptor.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, &told).await;
                    }
                });
            }
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = plain.accept().await {
                let told = now(&told_plain);
                tokio::spawn(async move { serve(stream, &told).await });
            }
        });
        server
    }

    /// Another attack begins. Gives what will have been heard.
    pub(super) fn reset(&self, answers: Vec<Answer>, loaded: &Arc<Loaded>) -> Heard {
        let told = Told {
            answers: Mutex::new(answers.into()),
            heard: Heard::default(),
            loaded: Arc::downgrade(loaded),
        };
        let heard = Arc::clone(&told.heard);
        *self.told.lock().expect("no panic") = Arc::new(told);
        heard
    }
}

/// What holds for a connection that is made now.
fn now(told: &Mutex<Arc<Told>>) -> Arc<Told> {
    Arc::clone(&told.lock().expect("no panic"))
}

/// One request, one answer. That the other side does not listen is its right.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, told: &Told) {
    let Some(request) = hear(&mut stream).await else {
        return;
    };
    told.heard.lock().expect("no panic").push_str(&request);
    let answer = told.answers.lock().expect("no panic").pop_front();
    let answer = answer.unwrap_or_else(|| Answer {
        body: "ok".to_owned(),
        ..Answer::default()
    });
    let loaded = || told.loaded.upgrade().expect("under test");
    match answer.meanwhile {
        Some(Meanwhile::Revoked) => loaded().revoke(),
        Some(Meanwhile::Stopped) => loaded().stop(),
        None => {}
    }
    if answer.hangs || answer.meanwhile.is_some() {
        // Until the other side gives up.
        let _ = stream.read(&mut [0; 1]).await;
        return;
    }
    let bytes = match &answer.raw {
        Some(raw) => raw.clone().into_bytes(),
        None => written(&answer, &request),
    };
    let _ = stream.write_all(&bytes).await;
    if !answer.drips {
        let _ = stream.shutdown().await;
        return;
    }
    // Until the other side has had enough.
    loop {
        let dripped = async {
            stream.write_all(b"x").await?;
            stream.flush().await
        };
        if dripped.await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A request with its body, as it came.
async fn hear(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .to_ascii_lowercase()
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        let mut more = [0; 4096];
        match stream.read(&mut more).await {
            Ok(count) if count > 0 => bytes.extend_from_slice(&more[..count]),
            _ => return None,
        }
    }
}

fn written(answer: &Answer, request: &str) -> Vec<u8> {
    let mut headers = answer.headers.clone();
    let body = if answer.zeros > 0 {
        headers.push(("Content-Encoding".to_owned(), "gzip".to_owned()));
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&vec![0; answer.zeros]).expect("in memory");
        packed.finish().expect("in memory")
    } else if answer.size > 0 {
        vec![b'x'; answer.size]
    } else {
        match answer.echo.as_deref() {
            Some("raw") => request.as_bytes().to_vec(),
            Some(form) => {
                assert!(request.contains(SECRET), "there is nothing to repeat");
                let mut forms = forms().into_iter();
                let found = forms.find(|(name, _)| *name == form);
                let (_, text) = found.unwrap_or_else(|| panic!("no echo `{form}`"));
                text.into_bytes()
            }
            None => answer.body.clone().into_bytes(),
        }
    };
    let status = if answer.status == 0 {
        200
    } else {
        answer.status
    };
    let mut bytes = Vec::new();
    write!(bytes, "HTTP/1.1 {status} x\r\n").expect("in memory");
    for (name, value) in &headers {
        write!(bytes, "{name}: {value}\r\n").expect("in memory");
    }
    if !answer.drips && !headers.iter().any(|(name, _)| name == "Transfer-Encoding") {
        write!(bytes, "Content-Length: {}\r\n", body.len()).expect("in memory");
    }
    bytes.extend(b"\r\n");
    bytes.extend(body);
    bytes
}
