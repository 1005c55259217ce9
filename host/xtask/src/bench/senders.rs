//! Senders: threads that post bodies, as fast as they are answered or at a
//! pace.
//!
//! They share the machine with what they measure, and are the same for all
//! that is compared.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use ureq::Agent;

/// For one request from its start to the last byte of its answer.
const REQUEST_MAX: Duration = Duration::from_secs(60);

/// Connections that are kept to one target.
const CONNECTIONS_MAX: usize = 64;

/// What one sender sends, in this order.
pub(crate) type Lane = Vec<Vec<u8>>;

/// Where bodies are posted to.
pub(crate) struct Target {
    url: String,
    headers: Vec<(&'static str, String)>,
    agent: Agent,
}

impl Target {
    /// A path of a server, and the headers of all requests.
    pub(crate) fn new(base: &str, path: &str, headers: &[(&'static str, &str)]) -> Self {
        Self {
            url: format!("{base}{path}"),
            headers: headers
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
            agent: agent(Some(REQUEST_MAX)),
        }
    }

    /// The same with a token.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.headers
            .push(("authorization", format!("Bearer {token}")));
        self
    }

    /// Posts one body and reads the answer to its end.
    ///
    /// # Errors
    /// If the answer is no success.
    pub(crate) fn post(&self, body: &[u8]) -> Result<()> {
        let mut request = self.agent.post(&self.url);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let mut answer = request
            .send(body)
            .with_context(|| format!("sending to {}", self.url))?;
        // To its end, so that the connection can be used again.
        answer
            .body_mut()
            .read_to_vec()
            .with_context(|| format!("reading the answer of {}", self.url))?;
        Ok(())
    }

    /// Posts all lanes side by side, and gives how long that took until the
    /// last answer.
    ///
    /// # Errors
    /// At the first answer that is no success.
    pub(crate) fn post_all(&self, lanes: &[Lane]) -> Result<Duration> {
        let began = Instant::now();
        thread::scope(|scope| {
            let senders: Vec<_> = lanes
                .iter()
                .map(|lane| scope.spawn(|| lane.iter().try_for_each(|body| self.post(body))))
                .collect();
            senders
                .into_iter()
                .try_for_each(|sender| sender.join().map_err(|_| anyhow!("a sender panicked"))?)
        })?;
        Ok(began.elapsed())
    }

    /// Posts a body each time that `every` has passed, on so many connections
    /// in turn, and gives when each was answered.
    ///
    /// # Errors
    /// At the first answer that is no success.
    pub(crate) fn post_paced(
        &self,
        bodies: &[Vec<u8>],
        every: Duration,
        connections: usize,
    ) -> Result<Vec<Instant>> {
        let began = Instant::now();
        let mut answered = vec![began; bodies.len()];
        thread::scope(|scope| {
            let mut lanes: Vec<Vec<(usize, &mut Instant)>> = Vec::new();
            lanes.resize_with(connections, Vec::new);
            for (number, place) in answered.iter_mut().enumerate() {
                lanes[number % connections].push((number, place));
            }
            let senders: Vec<_> = lanes
                .into_iter()
                .map(|lane| {
                    scope.spawn(move || -> Result<()> {
                        for (number, place) in lane {
                            let turn = u32::try_from(number).context("too many bodies")?;
                            let due = began + every * turn;
                            thread::sleep(due.saturating_duration_since(Instant::now()));
                            self.post(&bodies[number])?;
                            *place = Instant::now();
                        }
                        Ok(())
                    })
                })
                .collect();
            senders
                .into_iter()
                .try_for_each(|sender| sender.join().map_err(|_| anyhow!("a sender panicked"))?)
        })?;
        Ok(answered)
    }
}

/// A client that keeps its connections.
pub(crate) fn agent(timeout: Option<Duration>) -> Agent {
    Agent::config_builder()
        .timeout_global(timeout)
        .max_idle_connections(CONNECTIONS_MAX)
        .max_idle_connections_per_host(CONNECTIONS_MAX)
        .proxy(None)
        .build()
        .into()
}
