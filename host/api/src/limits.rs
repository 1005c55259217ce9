//! How much of the host one caller, or all of them together, may use.

use std::time::Duration;

/// Rows of a page, if the caller does not say.
pub(crate) const PAGE_ROWS_DEFAULT: u32 = 50;

/// The most rows of a page.
pub(crate) const PAGE_ROWS_MAX: u32 = 500;

/// Limits of the API. Every one of them refuses with a status and the remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiLimits {
    /// Bytes of a body. Over it: 413.
    pub body_bytes_max: usize,
    /// Bytes of a body that carries a bundle, in base64. Over it: 413.
    pub bundle_body_bytes_max: usize,
    /// How long a body may take to arrive. Over it: 408.
    pub body_read_time_max: Duration,
    /// Requests that are being answered, streams not counted. Over it: 503.
    pub requests_in_flight_max: usize,
    /// Bundles that are being installed. Over it: 503.
    pub installs_in_flight_max: usize,
    /// Walks over everything there is, such as verifying the audit log. Over
    /// it: 503.
    pub walks_in_flight_max: usize,
    /// Streams of events. Over it: 503.
    pub streams_max: usize,
    /// How often a stream on which nothing happens says that it is alive, and
    /// whether its token is still good is looked up.
    pub stream_heartbeat: Duration,
    /// A stream whose client has taken nothing for so long loses its place. Longer
    /// than the heartbeat: who listens takes that.
    pub stream_stall_max: Duration,
    /// How often a stream looks for events that nobody told it of.
    pub stream_poll: Duration,
    /// How long a stream lives; then the client connects again.
    pub stream_time_max: Duration,
    /// How long an act on an incident is waited for. Over it: 202, and the act
    /// is carried out later.
    pub command_wait_max: Duration,
    /// How often it is looked whether an act was carried out.
    pub command_poll: Duration,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 2 << 20,
            // A bundle has 64 MiB at most; base64 makes four bytes of three.
            bundle_body_bytes_max: 88 << 20,
            body_read_time_max: Duration::from_secs(60),
            requests_in_flight_max: 256,
            installs_in_flight_max: 2,
            walks_in_flight_max: 1,
            streams_max: 64,
            stream_heartbeat: Duration::from_secs(15),
            stream_stall_max: Duration::from_secs(45),
            stream_poll: Duration::from_secs(2),
            stream_time_max: Duration::from_secs(3_600),
            command_wait_max: Duration::from_secs(10),
            command_poll: Duration::from_millis(250),
        }
    }
}
