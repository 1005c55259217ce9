//! Where traces of Faultline's own work go.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use faultline_domain::secret::SecretRef;
use http::uri::Authority;
use http::{HeaderName, Uri, header};
use serde::{Deserialize, Serialize};

/// Where OTLP expects traces if an endpoint does not say.
const PATH: &str = "/v1/traces";

/// The longest that may be waited for a collector: what comes meanwhile has to
/// fit into the queue.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// The most spans that may wait to be sent: some hundred megabytes.
const QUEUE_MAX: usize = 100_000;

/// `[own-traces]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct OwnTracesConfig {
    /// Where they go, by OTLP over HTTP; nowhere if it is empty.
    pub(crate) endpoint: Endpoint,
    /// Headers to send with them, and where the value of each is kept.
    pub(crate) headers: BTreeMap<String, SecretRef>,
    /// Of the traces that begin here, which part is made.
    pub(crate) sample_ratio: f64,
    /// How long the collector may take for a batch.
    #[serde(with = "humantime_serde")]
    pub(crate) timeout: Duration,
    /// The most spans that wait to be sent.
    pub(crate) queue_max: usize,
    /// A file with certificates that are trusted beside the usual ones.
    pub(crate) ca_certificates: Option<PathBuf>,
}

impl Default for OwnTracesConfig {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::default(),
            headers: BTreeMap::new(),
            sample_ratio: 1.0,
            timeout: Duration::from_secs(10),
            queue_max: 8_192,
            ca_certificates: None,
        }
    }
}

impl OwnTracesConfig {
    pub(super) fn check(&self) -> Option<String> {
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            let ratio = self.sample_ratio;
            return Some(format!(
                "[own-traces] sample-ratio is {ratio}; it can be 0 to 1"
            ));
        }
        if self.timeout.is_zero() || self.timeout > TIMEOUT_MAX {
            return Some(format!(
                "[own-traces] timeout is {}; it can be up to {}",
                humantime::format_duration(self.timeout),
                humantime::format_duration(TIMEOUT_MAX),
            ));
        }
        if !(1..=QUEUE_MAX).contains(&self.queue_max) {
            return Some(format!(
                "[own-traces] queue-max is {}; it can be 1 to {QUEUE_MAX}",
                self.queue_max
            ));
        }
        self.headers.keys().find_map(|name| problem_of(name))
    }
}

/// What is wrong with the name of a header.
fn problem_of(name: &str) -> Option<String> {
    /// What each request has by itself.
    const OURS: [HeaderName; 6] = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::HOST,
        header::TRANSFER_ENCODING,
        header::USER_AGENT,
    ];
    match HeaderName::from_bytes(name.as_bytes()) {
        Err(_) => Some(format!(
            "[own-traces] headers has `{name}`, which is no name of a header"
        )),
        Ok(known) if OURS.contains(&known) => Some(format!(
            "[own-traces] headers has `{name}`, which every request has by itself"
        )),
        Ok(_) => None,
    }
}

/// Where traces go, or nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Endpoint(pub(crate) Option<Collector>);

impl TryFrom<String> for Endpoint {
    type Error = BadEndpoint;

    fn try_from(text: String) -> Result<Self, BadEndpoint> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        text.parse().map(|collector| Self(Some(collector)))
    }
}

impl Serialize for Endpoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(collector) => serializer.collect_str(collector),
            None => serializer.serialize_str(""),
        }
    }
}

/// What takes traces, by its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Collector {
    pub(crate) is_tls: bool,
    pub(crate) authority: Authority,
    pub(crate) path: String,
}

/// Why a text is no endpoint. Without the text: there may be a password in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadEndpoint {
    #[error("the endpoint is no URL such as http://127.0.0.1:4318")]
    NoUrl,
    #[error("the endpoint has a user or a password in it: say in `headers` where they are kept")]
    Credentials,
    #[error(
        "the endpoint has a query, where people put keys: say in `headers` where they are kept"
    )]
    Query,
}

impl FromStr for Collector {
    type Err = BadEndpoint;

    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        let url: Uri = text.parse().map_err(|_| BadEndpoint::NoUrl)?;
        let is_tls = match url.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(BadEndpoint::NoUrl),
        };
        let authority = url.authority().cloned().ok_or(BadEndpoint::NoUrl)?;
        if authority.as_str().contains('@') {
            return Err(BadEndpoint::Credentials);
        }
        if authority.host().is_empty() {
            return Err(BadEndpoint::NoUrl);
        }
        if url.query().is_some() {
            return Err(BadEndpoint::Query);
        }
        let path = match url.path() {
            "" | "/" => PATH,
            path => path,
        };
        Ok(Self {
            is_tls,
            authority,
            path: path.to_owned(),
        })
    }
}

impl Collector {
    /// Host and port, as connections name them.
    pub(crate) fn address(&self) -> String {
        match self.authority.port() {
            Some(_) => self.authority.to_string(),
            None if self.is_tls => format!("{}:443", self.authority),
            None => format!("{}:80", self.authority),
        }
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_have_a_port_and_a_path() {
        for (text, shown, address) in [
            (
                "http://127.0.0.1:4318",
                "http://127.0.0.1:4318/v1/traces",
                "127.0.0.1:4318",
            ),
            (
                "https://collector.example/",
                "https://collector.example/v1/traces",
                "collector.example:443",
            ),
            ("http://[::1]/otlp/x", "http://[::1]/otlp/x", "[::1]:80"),
        ] {
            let collector: Collector = text.parse().expect(text);
            assert_eq!(collector.to_string(), shown);
            assert_eq!(collector.address(), address);
        }
        for text in ["collector:4318", "grpc://x", "/v1/traces", "http://", "x y"] {
            assert!(text.parse::<Collector>().is_err(), "{text}");
        }
    }
}
