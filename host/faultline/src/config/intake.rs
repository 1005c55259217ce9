//! The listener for senders.

use std::net::SocketAddr;
use std::time::Duration;

use bytesize::ByteSize;
use faultline_intake::limits::ListenerLimits;
use serde::{Deserialize, Serialize};

/// `[intake]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct IntakeConfig {
    /// Where senders reach us; the port is OTLP's.
    pub(crate) listen: SocketAddr,
    /// Whether senders need a token. False only for a loopback address.
    pub(crate) require_token: bool,
    /// Headers that are kept beside those that are kept anyway.
    pub(crate) keep_headers: Vec<String>,
    /// How long the word of senders to `/api/v2/alerts` holds unless repeated.
    #[serde(with = "humantime_serde")]
    pub(crate) resolve_timeout: Duration,
    /// `[intake.limits]`
    pub(crate) limits: IntakeLimitsConfig,
}

/// `[intake.limits]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct IntakeLimitsConfig {
    /// Bytes of a body as it is sent.
    pub(crate) body: ByteSize,
    /// Bytes of a body with its encoding undone.
    pub(crate) decoded_body: ByteSize,
    /// How many times as long as what is sent a body may become.
    pub(crate) decoding_ratio: usize,
    /// Requests that are being answered.
    pub(crate) requests_in_flight: usize,
    /// Open connections.
    pub(crate) connections: usize,
    /// Requests a second of one sender, in the long run.
    pub(crate) sender_requests_per_second: u32,
    /// Bytes a second of one sender, in the long run.
    pub(crate) sender_bytes_per_second: ByteSize,
    /// Envelopes that may wait to be worked on.
    pub(crate) backlog_envelopes: u64,
    /// Bytes that may wait to be worked on.
    pub(crate) backlog: ByteSize,
}

impl Default for IntakeConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4318)),
            require_token: true,
            keep_headers: Vec::new(),
            resolve_timeout: Duration::from_secs(300),
            limits: IntakeLimitsConfig::default(),
        }
    }
}

impl Default for IntakeLimitsConfig {
    fn default() -> Self {
        let limits = ListenerLimits::default();
        Self {
            body: ByteSize(limits.body_bytes_max as u64),
            decoded_body: ByteSize(limits.decoded_body_bytes_max as u64),
            decoding_ratio: limits.decoding_ratio_max,
            requests_in_flight: limits.requests_in_flight_max,
            connections: limits.connections_max,
            sender_requests_per_second: limits.sender_requests_per_second_max,
            sender_bytes_per_second: ByteSize(limits.sender_bytes_per_second_max),
            backlog_envelopes: limits.backlog_envelopes_max,
            backlog: ByteSize(limits.backlog_bytes_max),
        }
    }
}

impl IntakeConfig {
    pub(super) fn check(&self) -> Option<String> {
        (!self.require_token && !self.listen.ip().is_loopback()).then(|| {
            format!(
                "[intake] require-token is false, but {} is not a loopback address: anybody \
                 could send; require tokens, or listen on 127.0.0.1",
                self.listen
            )
        })
    }

    /// The limits as the listener takes them.
    pub(crate) fn limits(&self) -> ListenerLimits {
        let size = |size: ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
        let limits = &self.limits;
        let default = ListenerLimits::default();
        ListenerLimits {
            body_bytes_max: size(limits.body),
            decoded_body_bytes_max: size(limits.decoded_body),
            decoding_ratio_max: limits.decoding_ratio,
            requests_in_flight_max: limits.requests_in_flight,
            connections_max: limits.connections,
            sender_requests_per_second_max: limits.sender_requests_per_second,
            // As long a burst as by default, at whatever rate.
            sender_requests_burst_max: limits.sender_requests_per_second.saturating_mul(5),
            sender_bytes_per_second_max: limits.sender_bytes_per_second.as_u64(),
            sender_bytes_burst_max: limits.sender_bytes_per_second.as_u64().saturating_mul(8),
            backlog_envelopes_max: limits.backlog_envelopes,
            backlog_bytes_max: limits.backlog.as_u64(),
            // Half of what there is, so that one sender leaves the other half.
            sender_requests_in_flight_max: (limits.requests_in_flight / 2).max(1),
            ..default
        }
    }
}
