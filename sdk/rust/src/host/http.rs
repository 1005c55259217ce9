//! The only way out: requests that the host checks, sends and records.
//!
//! Needs a capability `http` for the destination. Secrets are named, never
//! seen: the host adds the header.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::call;
use crate::Fault;

pub use crate::bindings::host::faultline::plugin::http::{Header, Request, Response};

impl Request {
    /// A request without headers and body. The method is in capitals, the URL
    /// absolute.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            secret: None,
            timeout_ms: None,
        }
    }

    /// `GET`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// `POST`.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// With this header. Those that the host sets itself are refused: see the
    /// interface `http`.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push(Header {
            name: name.into(),
            value: value.into(),
        });
        self
    }

    /// With this body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// With a JSON body, and the header that says so.
    ///
    /// # Errors
    /// `malformed`, if the value cannot be written as JSON.
    pub fn with_json(self, body: &impl Serialize) -> Result<Self, Fault> {
        let body = serde_json::to_vec(body).map_err(|error| {
            Fault::malformed(format!(
                "the request's body cannot be written as JSON: {error}"
            ))
        })?;
        Ok(self
            .with_header("content-type", "application/json")
            .with_body(body))
    }

    /// With the header of this `secret` capability of the manifest.
    #[must_use]
    pub fn with_secret(mut self, id: impl Into<String>) -> Self {
        self.secret = Some(id.into());
        self
    }

    /// Given up after this time.
    #[must_use]
    pub fn with_timeout_ms(mut self, milliseconds: u32) -> Self {
        self.timeout_ms = Some(milliseconds);
        self
    }
}

impl Response {
    /// A response, as a fake host gives it.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            truncated: false,
        }
    }

    /// With this header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push(Header {
            name: name.into(),
            value: value.into(),
        });
        self
    }

    /// The first header of this name that is text; names differ not by case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))
            .and_then(|header| std::str::from_utf8(&header.value).ok())
    }

    /// This response if its status is 2xx.
    ///
    /// # Errors
    /// `http.<status>` otherwise; worth another attempt if it is 429 or 5xx,
    /// after `Retry-After` (RFC 9110, section 10.2.3) if that is in seconds.
    pub fn ok(self) -> Result<Self, Fault> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let status = self.status;
        let fault = Fault::new(
            format!("http.{status}"),
            format!("the server answered with status {status}"),
        );
        if status != 429 && status < 500 {
            return Err(fault);
        }
        let after = self
            .header("retry-after")
            .and_then(|value| value.trim().parse::<u64>().ok());
        Err(match after {
            Some(seconds) => fault.retry_after_ms(seconds.saturating_mul(1000)),
            None => fault.retry_later(),
        })
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// `malformed`, naming the field, if it does not have the shape that the
    /// type asks for, or was cut.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        if self.truncated {
            return Err(Fault::malformed(
                "the response is longer than the host's limit and was cut: ask for less at a time",
            ));
        }
        crate::json::parse(&self.body)
            .map_err(|error| Fault::malformed(format!("the response: {error}")))
    }
}

/// Sends one request. A status of 400 or more is a response, not a fault: see
/// [`Response::ok`].
///
/// # Errors
/// Those of the host: `denied` with the reason, or why it did not arrive.
pub fn send(request: Request) -> Result<Response, Fault> {
    send_all(&[request])
        .pop()
        .unwrap_or_else(|| Err(Fault::new("internal", "the host gave no answer")))
}

/// Sends several requests at once. One answer for each, in order.
pub fn send_all(requests: &[Request]) -> Vec<Result<Response, Fault>> {
    call!(
        crate::bindings::host::faultline::plugin::http::send(requests),
        |fake| fake.http_send(requests)
    )
}
