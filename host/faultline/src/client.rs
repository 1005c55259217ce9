//! A client of the API: of a server's, over HTTP, or of a node in this process,
//! whose router is called directly.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use faultline_api::views::{Page, ProblemDetails};
use faultline_api::{BASE_PATH, Router};
use faultline_domain::access::Principal;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tower_service::Service as _;

/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// How long a server may take to be there, and to answer. The latter is long:
/// some answers walk over everything there is, and some wait for the stages.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(600);

/// Where HTTP is spoken if an address does not say (RFC 9110, section 4.2.1).
const HTTP_PORT: u16 = 80;

/// The most rows of one page.
const PAGE_ROWS_MAX: usize = 500;

/// Who is asked.
pub(crate) enum Client {
    /// A server.
    Remote(Remote),
    /// A node in this process.
    Local {
        /// Its API.
        router: Router,
        /// Who asks.
        principal: Principal,
    },
}

/// An address that speaks HTTP, and what to say to be let in.
#[derive(Clone)]
pub(crate) struct Remote {
    /// As requests name it.
    authority: String,
    /// With a port.
    address: String,
    token: String,
}

/// What a request got.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// When to ask again, if it said so in seconds.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

/// What was asked is refused, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub(crate) struct Refused {
    pub(crate) problem: ProblemDetails,
}

impl Refused {
    fn text(&self) -> String {
        let ProblemDetails {
            title,
            detail,
            errors,
            ..
        } = &self.problem;
        let mut text = if detail.is_empty() {
            title.clone()
        } else {
            detail.clone()
        };
        // A single problem is often all that the detail says.
        for error in errors
            .iter()
            .filter(|error| !detail.contains(&error.detail))
        {
            let _ = write!(text, "\n  {}: {}", error.field, error.detail);
        }
        text
    }
}

impl Remote {
    /// A server at a base such as `http://127.0.0.1:7717`.
    ///
    /// # Errors
    /// If that is no such base.
    pub(crate) fn new(base: &str, token: &str) -> Result<Self> {
        let authority = base
            .strip_prefix("http://")
            .and_then(|rest| rest.trim_end_matches('/').parse::<Authority>().ok())
            .filter(|authority| !authority.host().is_empty());
        match authority {
            Some(authority) => Ok(Self {
                address: match authority.port_u16() {
                    Some(_) => authority.to_string(),
                    None => format!("{}:{HTTP_PORT}", authority.host()),
                },
                authority: authority.to_string(),
                token: token.to_owned(),
            }),
            None if base.starts_with("https://") => bail!(
                "{base}: commands speak plain HTTP; for a server on another machine use a tunnel, \
                 such as `ssh -L 7717:127.0.0.1:7717`"
            ),
            None => bail!("{base} is not the address of a server, such as http://127.0.0.1:7717"),
        }
    }

    /// Sends a request and waits for all of the answer.
    ///
    /// # Errors
    /// If there is nobody, they do not speak HTTP, or do not answer in time.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Answer> {
        let asking = || {
            format!(
                "nothing that is understood comes from http://{}: does `faultline serve` run, and is \
                 this where its API listens (port 7717, where nothing else was set)?",
                self.authority
            )
        };
        let answer = self.exchange(method, path, headers, body);
        let answer = tokio::time::timeout(ANSWER_TIME_MAX, answer).await;
        answer
            .map_err(|_| anyhow!("no answer within {ANSWER_TIME_MAX:?}"))
            .flatten()
            .with_context(asking)
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .body(Full::new(Bytes::from(body)))?;
        *request.headers_mut() = headers;
        let bearer = HeaderValue::try_from(format!("Bearer {}", self.token))
            .context("the token has characters that no token has")?;
        request.headers_mut().insert(AUTHORIZATION, bearer);
        let host = HeaderValue::try_from(&self.authority)?;
        request.headers_mut().insert(HOST, host);
        let stream = TcpStream::connect(&self.address);
        let stream = tokio::time::timeout(CONNECT_TIME_MAX, stream)
            .await
            .with_context(|| format!("nobody is there within {CONNECT_TIME_MAX:?}"))??;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await?;
        let answer = collect(answer).await;
        connection.abort();
        answer
    }
}

impl Client {
    /// Asks for one thing.
    ///
    /// # Errors
    /// A [`Refused`] if the API refuses, and whatever else goes wrong.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.ask(Method::GET, path, None::<&()>).await
    }

    /// Asks for all pages of a listing, up to so many rows.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        most: usize,
    ) -> Result<Page<T>> {
        self.list_by(path, most, PAGE_ROWS_MAX).await
    }

    async fn list_by<T: DeserializeOwned>(
        &self,
        path: &str,
        most: usize,
        page_rows: usize,
    ) -> Result<Page<T>> {
        let join = if path.contains('?') { '&' } else { '?' };
        let mut items = Vec::new();
        let mut next: Option<String> = None;
        while items.len() < most {
            let limit = (most - items.len()).min(page_rows);
            let mut path = format!("{path}{join}limit={limit}");
            if let Some(next) = &next {
                let _ = write!(path, "&after={}", escape(next));
            }
            let page: Page<T> = self.get(&path).await?;
            items.extend(page.items);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        Ok(Page { items, next })
    }

    /// Asks for something to be done, and reads what came of it.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T> {
        let answer = self.send(method, path, body).await?;
        // Nothing to read is nothing.
        let text: &[u8] = if answer.body.is_empty() {
            b"null"
        } else {
            &answer.body
        };
        serde_json::from_slice(text).with_context(|| {
            format!("the answer to {path} is not understood: are both of the same version?")
        })
    }

    /// Asks, and gives the answer as it came, if it is no refusal.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Answer> {
        let path = match path {
            "/healthz" | "/readyz" | "/metrics" => path.to_owned(),
            _ => format!("{BASE_PATH}{path}"),
        };
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let body = match body {
            Some(body) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                serde_json::to_vec(body)?
            }
            None => Vec::new(),
        };
        let answer = match self {
            Client::Remote(remote) => remote.send(method, &path, headers, body).await?,
            Client::Local { router, principal } => {
                let mut request = Request::builder()
                    .method(method)
                    .uri(&path)
                    .body(Full::new(Bytes::from(body)))?;
                *request.headers_mut() = headers;
                request.extensions_mut().insert(principal.clone());
                match router.clone().call(request).await {
                    Ok(answer) => collect(answer).await?,
                    Err(never) => match never {},
                }
            }
        };
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(match serde_json::from_slice(&answer.body) {
            Ok(problem) => Refused { problem }.into(),
            Err(_) => anyhow!(
                "the server answered {} without a reason: is this the address of a Faultline's API \
                 (port 7717, where nothing else was set)?",
                answer.status
            ),
        })
    }
}

/// A header from two texts.
///
/// # Errors
/// If they are no header.
pub(crate) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue)> {
    Ok((HeaderName::try_from(name)?, HeaderValue::try_from(value)?))
}

/// A text as it stands in a path or query.
pub(crate) fn escape(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

async fn collect<B>(answer: http::Response<B>) -> Result<Answer>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let status = answer.status();
    let retry_after = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|seconds| seconds.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| anyhow!("reading the answer: {error}"))?;
    Ok(Answer {
        status,
        retry_after,
        body: body.to_bytes().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use faultline_api::views::{InstanceSummary, Token};

    use super::*;
    use crate::node::tests::Opened;

    async fn names(client: &Client, most: usize, page_rows: usize) -> (Vec<String>, bool) {
        let page = client.list_by::<Token>("/tokens", most, page_rows).await;
        let page = page.expect("answers");
        let names = page.items.into_iter().map(|token| token.name).collect();
        (names, page.next.is_some())
    }

    #[tokio::test]
    async fn all_pages_are_asked_for_and_no_more_than_are_wanted() {
        let opened = Opened::fresh().await;
        let client = opened.client();
        for name in ["a", "b", "c", "d", "e"] {
            let body = serde_json::json!({"name": name, "purpose": "ingest"});
            let made = client.ask::<serde_json::Value>(Method::POST, "/tokens", Some(&body));
            made.await.expect("makes one");
        }
        let (all, more) = names(&client, usize::MAX, 2).await;
        assert_eq!((all.len(), more), (5, false));
        for (most, page_rows) in [(3, 2), (4, 2), (3, 500)] {
            let (some, more) = names(&client, most, page_rows).await;
            assert_eq!((some.as_slice(), more), (&all[..most], true));
        }
        assert_eq!(names(&client, 5, 5).await, (all, false));
        assert_eq!(names(&client, 0, 2).await, (Vec::new(), false));
    }

    #[tokio::test]
    async fn what_is_refused_says_why() {
        let opened = Opened::fresh().await;
        let client = opened.client();
        let body = serde_json::json!({"name": "x", "purpose": "api"});
        let made = client.ask::<Token>(Method::POST, "/tokens", Some(&body));
        let error = made.await.expect_err("has no role");
        assert!(error.to_string().contains("role"), "{error}");
        assert!(error.downcast_ref::<Refused>().is_some());
        let found = client.get::<InstanceSummary>("/instances/nobody").await;
        let error = found.expect_err("is not there");
        assert!(error.to_string().contains("nobody"), "{error}");
    }

    #[test]
    fn addresses_of_servers_have_a_port_or_the_usual_one() {
        for (base, address) in [
            ("http://127.0.0.1:7717", "127.0.0.1:7717"),
            ("http://[::1]:7717/", "[::1]:7717"),
            ("http://faultline.internal", "faultline.internal:80"),
            ("http://[::1]", "[::1]:80"),
        ] {
            let remote = Remote::new(base, "token").expect(base);
            assert_eq!(remote.address, address);
        }
        for (base, expected) in [
            ("https://127.0.0.1:7717", "tunnel"),
            ("127.0.0.1:7717", "not the address"),
            ("http://", "not the address"),
            ("http://127.0.0.1:7717/api", "not the address"),
        ] {
            let error = Remote::new(base, "token").map(|_| ()).expect_err(base);
            assert!(error.to_string().contains(expected), "{base}: {error}");
        }
    }
}
