//! The few requests that tasks make themselves, all to this machine.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use ureq::typestate::WithoutBody;
use ureq::{Agent, RequestBuilder};

/// For one request from its start to the last byte of its answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// More than thirty minutes of every alert at five seconds' resolution.
const ANSWER_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// A client that uses no connection twice: during a replacement the next
/// connection may reach another process.
pub(crate) struct Client(Agent);

impl Client {
    /// A client without proxies.
    pub(crate) fn new() -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .max_idle_connections(0)
            .proxy(None)
            .build();
        Self(config.into())
    }

    /// The body of a successful answer.
    pub(crate) fn get(&self, url: &str) -> Result<String> {
        asked(self.0.get(url), url)
    }

    /// The same with a bearer token.
    pub(crate) fn get_with_token(&self, url: &str, token: &str) -> Result<String> {
        let request = self.0.get(url);
        asked(
            request.header("Authorization", format!("Bearer {token}")),
            url,
        )
    }

    /// The same with parameters, as JSON.
    pub(crate) fn get_json(&self, url: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let request = self.0.get(url);
        let text = asked(request.query_pairs(parameters.iter().copied()), url)?;
        serde_json::from_str(&text).with_context(|| format!("parsing the answer of {url}"))
    }

    /// Posts a document with a bearer token; any answer but success is an
    /// error.
    pub(crate) fn post(
        &self,
        url: &str,
        token: &str,
        content_type: &str,
        body: &str,
    ) -> Result<()> {
        self.0
            .post(url)
            .header("Authorization", format!("Bearer {token}"))
            .header("Content-Type", content_type)
            .send(body)
            .with_context(|| format!("posting to {url}"))?;
        Ok(())
    }
}

/// The body of a successful answer to this.
fn asked(request: RequestBuilder<WithoutBody>, url: &str) -> Result<String> {
    let mut answer = request.call().with_context(|| format!("asking {url}"))?;
    answer
        .body_mut()
        .with_config()
        .limit(ANSWER_BYTES_MAX)
        .read_to_string()
        .with_context(|| format!("reading the answer of {url}"))
}
