//! The way to a collector: one request of OTLP over HTTP, and its answer.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use faultline_domain::secret::SecretRef;
use faultline_egress::Trust;
use faultline_own_traces::AGENT;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::{Collector, OwnTracesConfig};
use crate::vault::Vault;

/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The most characters of what a collector says about what it refuses.
const REASON_CHARS_MAX: usize = 200;

/// How to reach a collector.
pub(super) struct Way {
    collector: Collector,
    headers: Vec<(HeaderName, SecretRef)>,
    vault: Vault,
    /// None if it is not asked over TLS.
    trust: Option<Trust>,
    timeout: Duration,
}

/// What a collector made of a request that it took.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Spans that it did not take.
    pub(super) rejected: u64,
    /// Why not.
    pub(super) reason: String,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Way").field(&self.collector).finish()
    }
}

impl Way {
    /// # Errors
    /// If a header's value, or the certificates, cannot be had: better now than
    /// once a batch.
    pub(super) fn new(
        collector: Collector,
        config: &OwnTracesConfig,
        vault: Vault,
    ) -> Result<Self> {
        let headers = config.headers.iter().map(|(name, reference)| {
            let name = HeaderName::try_from(name).context("[own-traces] headers")?;
            Ok((name, reference.clone()))
        });
        let trusting = || trust(config.ca_certificates.as_deref());
        let trust = collector.is_tls.then(trusting).transpose()?;
        let way = Self {
            headers: headers.collect::<Result<_>>()?,
            collector,
            vault,
            trust,
            timeout: config.timeout,
        };
        way.headers()?;
        Ok(way)
    }

    pub(super) const fn collector(&self) -> &Collector {
        &self.collector
    }

    /// The configured headers with their values as they are now.
    ///
    /// # Errors
    /// If one cannot be had. Never with a part of it.
    pub(super) fn headers(&self) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        for (name, reference) in &self.headers {
            let secret = self
                .vault
                .fetch(reference)
                .with_context(|| format!("[own-traces] headers `{name}`"))?;
            let mut value = HeaderValue::from_bytes(secret.expose()).map_err(|_| {
                anyhow!("[own-traces] headers `{name}`: {reference} has bytes that no header has")
            })?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(headers)
    }

    /// Sends a request with spans.
    ///
    /// # Errors
    /// If nobody takes it, or not in time.
    pub(super) async fn send(&self, headers: HeaderMap, body: Vec<u8>) -> Result<Taken> {
        let sending = async {
            let stream = TcpStream::connect(self.collector.address()).await;
            let stream = stream.context("cannot connect")?;
            self.exchange(stream, headers, body).await
        };
        tokio::time::timeout(self.timeout, sending)
            .await
            .map_err(|_| anyhow!("no answer within {:?}", self.timeout))
            .flatten()
    }

    async fn exchange(
        &self,
        stream: TcpStream,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Taken> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&self.collector.path)
            .body(Full::new(Bytes::from(body)))?;
        let all = request.headers_mut();
        *all = headers;
        let host = HeaderValue::try_from(self.collector.authority.as_str())?;
        all.insert(HOST, host);
        all.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        all.insert(CONTENT_TYPE, protobuf);
        match &self.trust {
            None => ask(TokioIo::new(stream), request).await,
            Some(trust) => {
                let name = ServerName::try_from(self.host().to_owned())
                    .context("TLS: the host is no name that a certificate could have")?;
                let connector = TlsConnector::from(trust.client());
                let stream = connector.connect(name, stream).await.context("TLS")?;
                ask(TokioIo::new(stream), request).await
            }
        }
    }

    /// The name or address, without the brackets of one with colons.
    fn host(&self) -> &str {
        let host = self.collector.authority.host();
        host.trim_start_matches('[').trim_end_matches(']')
    }
}

/// Sends a request on a connection of its own.
async fn ask<T>(io: TokioIo<T>, request: Request<Full<Bytes>>) -> Result<Taken>
where
    TokioIo<T>: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(io).await.context("HTTP")?;
    let connection = tokio::spawn(connection);
    let answer = async {
        let answer = sender.send_request(request).await.context("HTTP")?;
        let status = answer.status();
        if !status.is_success() {
            bail!("it answers {status}");
        }
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await;
        let body = body.map_err(|error| anyhow!("reading the answer: {error}"))?;
        Ok(taken(&body.to_bytes()))
    };
    let answer = answer.await;
    connection.abort();
    answer
}

/// What an answer says. One that says nothing that is understood has taken all.
fn taken(body: &[u8]) -> Taken {
    let partial = ExportTraceServiceResponse::decode(body)
        .ok()
        .and_then(|response| response.partial_success);
    partial.map_or_else(Taken::default, |partial| Taken {
        rejected: u64::try_from(partial.rejected_spans).unwrap_or(0),
        reason: partial
            .error_message
            .chars()
            .take(REASON_CHARS_MAX)
            .collect(),
    })
}

/// Whom to believe that they are who they say.
fn trust(certificates: Option<&Path>) -> Result<Trust> {
    let Some(path) = certificates else {
        return Trust::with_roots(None).context("setting up TLS");
    };
    let reading = || {
        format!(
            "reading [own-traces] ca-certificates from {}",
            path.display()
        )
    };
    let pem = std::fs::read_to_string(path).with_context(reading)?;
    Trust::with_roots(Some(&pem)).with_context(reading)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;
    use std::sync::Arc;

    use hyper::body::Incoming;
    use hyper::service::service_fn;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;
    use rustls::ServerConfig;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::config::SecretsConfig;

    /// An authority, and a server that it says is `api.test`.
    const PKI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sandbox/tests/attacks/pki");

    fn way(config: &OwnTracesConfig, url: &str) -> Result<Way> {
        let vault = Vault::new(Path::new("/nowhere"), &SecretsConfig::default());
        Way::new(url.parse().expect(url), config, vault)
    }

    /// What a collector answers that refuses three spans.
    fn refusing() -> Vec<u8> {
        let response = ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess {
                rejected_spans: 3,
                error_message: "too old".to_owned(),
            }),
        };
        response.encode_to_vec()
    }

    /// A collector with TLS, until the test ends.
    async fn collector() -> SocketAddr {
        let certificate = CertificateDer::from_pem_file(format!("{PKI}/server.pem"));
        let key = PrivateKeyDer::from_pem_file(format!("{PKI}/server.key"));
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .expect("TLS")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.expect("PEM")], key.expect("PEM"))
            .expect("a certificate and its key");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Who does not believe it hangs up.
                let Ok(stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let answer = service_fn(|_: Request<Incoming>| async {
                    let body = Full::new(Bytes::from(refusing()));
                    Ok::<_, Infallible>(http::Response::new(body))
                });
                let serving = hyper::server::conn::http1::Builder::new();
                let _ = serving.serve_connection(TokioIo::new(stream), answer).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn a_collector_is_asked_over_tls_if_it_is_who_it_says() {
        let address = collector().await;
        let authority = Some(PathBuf::from(format!("{PKI}/authority.pem")));
        let cases = [
            ("https://api.test", authority.clone(), true),
            ("https://elsewhere.test", authority, false),
            ("https://api.test", None, false),
        ];
        for (url, ca_certificates, is_believed) in cases {
            let config = OwnTracesConfig {
                ca_certificates,
                ..OwnTracesConfig::default()
            };
            let way = way(&config, url).expect("a way");
            let stream = TcpStream::connect(address).await.expect("listens");
            let asked = way.exchange(stream, HeaderMap::new(), vec![0]).await;
            match asked {
                Ok(taken) => assert_eq!((taken.rejected, is_believed), (3, true)),
                Err(error) => {
                    assert!(!is_believed, "{error:#}");
                    assert!(error.to_string().contains("TLS"), "{error:#}");
                }
            }
        }
    }

    #[test]
    fn the_values_of_headers_are_fetched_and_never_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        std::fs::write(&file, "Bearer s3cret\n").expect("a file");
        let ours = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&file, ours).expect("a mode");
        let secrets = SecretsConfig {
            folders: vec![folder.path().to_owned()],
        };
        let reference = format!("file:{}", file.display());
        let config = OwnTracesConfig {
            headers: [(
                "authorization".to_owned(),
                reference.parse().expect("a reference"),
            )]
            .into(),
            ..OwnTracesConfig::default()
        };
        let url = "http://127.0.0.1:1";
        let vault = Vault::new(folder.path(), &secrets);
        let made = Way::new(url.parse().expect(url), &config, vault).expect("a way");
        let headers = made.headers().expect("are there");
        assert_eq!(headers["authorization"], "Bearer s3cret");
        assert!(!format!("{headers:?}{made:?}").contains("s3cret"));

        let error = way(&config, url).expect_err("it lies elsewhere");
        let error = format!("{error:#}");
        assert!(
            error.contains("[own-traces] headers `authorization`"),
            "{error}"
        );
        assert!(!error.contains("s3cret"), "{error}");
    }

    #[test]
    fn what_a_collector_refuses_is_read_from_its_answer() {
        let read = taken(&refusing());
        assert_eq!((read.rejected, read.reason.as_str()), (3, "too old"));
        for body in [b"".as_slice(), b"{}", b"\xff\xff"] {
            assert_eq!(taken(body).rejected, 0);
        }
    }
}
