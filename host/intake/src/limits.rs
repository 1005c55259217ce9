//! How much senders may do. What a payload may say has limits of its own:
//! [`crate::formats::Limits`].

use std::time::Duration;

/// Limits of a listener. Every one of them refuses with a status, a reason and
/// a counter; see [`crate::metrics::Metrics`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Bytes of a body as it is sent. Over it: 413.
    pub body_bytes_max: usize,
    /// Bytes of a body with its encoding undone. Over it: 413.
    pub decoded_body_bytes_max: usize,
    /// How many times as long as what is sent a body may become. Telemetry
    /// shrinks to a fiftieth at best; what shrinks more is a bomb. Applies to
    /// bodies that become longer than [`RATIO_FREE_BYTES`]. Over it: 413.
    pub decoding_ratio_max: usize,
    /// Bytes of all bodies that are being received or waiting for the journal.
    /// Over it: 503.
    pub bytes_in_flight_max: usize,
    /// Requests that are being answered. Over it: 503.
    pub requests_in_flight_max: usize,
    /// Requests of one sender that are being answered. Over it: 429.
    pub sender_requests_in_flight_max: usize,
    /// Bytes of one sender's bodies that are being received or waiting for the
    /// journal; one body may have more. Over it: 429.
    pub sender_bytes_in_flight_max: usize,
    /// Open connections. Over it, new ones wait to be accepted.
    pub connections_max: usize,
    /// Headers of a request. Over it: 431.
    pub headers_max: usize,
    /// How long the headers of a request may take, and how long a connection
    /// may be idle. Over it, the connection is closed.
    pub header_read_time_max: Duration,
    /// How long the body of a request may take. Over it: 408.
    pub body_read_time_max: Duration,
    /// Requests a second that a sender may make in the long run. Over it: 429.
    pub sender_requests_per_second_max: u32,
    /// Requests that a sender may make at once after it was quiet.
    pub sender_requests_burst_max: u32,
    /// Decoded bytes a second that a sender may send in the long run. Over it:
    /// 429.
    pub sender_bytes_per_second_max: u64,
    /// Decoded bytes that a sender may send at once after it was quiet.
    pub sender_bytes_burst_max: u64,
    /// Senders whose rates are known. Those beyond share one rate.
    pub senders_max: usize,
    /// Envelopes that wait for the journal. Over it: 503.
    pub queue_envelopes_max: usize,
    /// Envelopes that are appended together.
    pub batch_envelopes_max: usize,
    /// Bytes that are appended together (and one envelope, if it has more).
    pub batch_bytes_max: usize,
    /// Envelopes in the journal that nobody has worked on. Over it: 503.
    pub backlog_envelopes_max: u64,
    /// Bytes in the journal that nobody has worked on. Over it: 503.
    pub backlog_bytes_max: u64,
    /// How long requests may take to finish once the listener is to stop.
    pub shutdown_time_max: Duration,
}

/// Bodies up to this length may come from any number of bytes: a short text of
/// one letter shrinks well and harms nobody.
pub const RATIO_FREE_BYTES: usize = 1 << 20;

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 16 << 20,
            decoded_body_bytes_max: 32 << 20,
            decoding_ratio_max: 200,
            bytes_in_flight_max: 256 << 20,
            requests_in_flight_max: 512,
            sender_requests_in_flight_max: 256,
            sender_bytes_in_flight_max: 128 << 20,
            connections_max: 2_048,
            headers_max: 64,
            header_read_time_max: Duration::from_secs(30),
            body_read_time_max: Duration::from_secs(30),
            sender_requests_per_second_max: 1_000,
            sender_requests_burst_max: 5_000,
            sender_bytes_per_second_max: 64 << 20,
            sender_bytes_burst_max: 512 << 20,
            senders_max: 10_000,
            queue_envelopes_max: 1_024,
            batch_envelopes_max: 256,
            batch_bytes_max: 16 << 20,
            backlog_envelopes_max: 200_000,
            backlog_bytes_max: 4 << 30,
            shutdown_time_max: Duration::from_secs(20),
        }
    }
}
