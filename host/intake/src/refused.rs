//! Why a request is not taken: for the sender, who has to know what to do, and
//! for the counter.

use std::time::Duration;

use axum::http::StatusCode;
use faultline_domain::fault::Fault;

/// How long a sender should wait where nothing says better.
pub(crate) const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(5);

/// A reason, as counted. Stable: dashboards name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    Malformed,
    Unauthorised,
    Forbidden,
    UnknownHook,
    MediaType,
    TooLarge,
    TooSlow,
    RateLimited,
    TooManyRequests,
    TooManyBytes,
    SenderRequests,
    SenderBytes,
    QueueFull,
    Behind,
    Unavailable,
    Aborted,
}

impl Reason {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Reason::Malformed => "malformed",
            Reason::Unauthorised => "unauthorised",
            Reason::Forbidden => "forbidden",
            Reason::UnknownHook => "unknown-hook",
            Reason::MediaType => "media-type",
            Reason::TooLarge => "too-large",
            Reason::TooSlow => "too-slow",
            Reason::RateLimited => "rate-limited",
            Reason::TooManyRequests => "requests-in-flight",
            Reason::TooManyBytes => "bytes-in-flight",
            Reason::SenderRequests => "sender-requests-in-flight",
            Reason::SenderBytes => "sender-bytes-in-flight",
            Reason::QueueFull => "queue-full",
            Reason::Behind => "behind",
            Reason::Unavailable => "unavailable",
            Reason::Aborted => "aborted",
        }
    }

    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Reason::Malformed | Reason::Aborted => StatusCode::BAD_REQUEST,
            Reason::Unauthorised => StatusCode::UNAUTHORIZED,
            Reason::Forbidden => StatusCode::FORBIDDEN,
            Reason::UnknownHook => StatusCode::NOT_FOUND,
            Reason::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Reason::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Reason::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Reason::RateLimited | Reason::SenderRequests | Reason::SenderBytes => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Reason::TooManyRequests
            | Reason::TooManyBytes
            | Reason::QueueFull
            | Reason::Behind
            | Reason::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Whether the same request can succeed later, and how it is said: 429 and
    /// 503 come with `Retry-After`.
    const fn is_passing(self) -> bool {
        matches!(
            self.status(),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        )
    }
}

/// A request that is not taken. Nothing of it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) reason: Reason,
    /// What is wrong and what to do about it, in a sentence.
    pub(crate) detail: String,
    /// When to try again; none if that cannot help.
    pub(crate) retry_after: Option<Duration>,
}

impl Refused {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            retry_after: reason.is_passing().then_some(RETRY_AFTER_DEFAULT),
        }
    }

    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

/// A payload that cannot be read: too large if a limit says so, else malformed.
impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        let reason = if fault.code.starts_with("limit.") {
            Reason::TooLarge
        } else {
            Reason::Malformed
        };
        Self::new(reason, fault.to_string())
    }
}
