//! What pollers answer.

use std::time::Duration;

use faultline_domain::plugin::Failure;
use faultline_domain::poll::{Fetched, Page};

use super::words::clip;
use crate::bindings::exports::faultline::plugin::poll as wit;
use crate::bindings::faultline::plugin::signals;

/// The most bytes of a media type; what is longer is none.
const CONTENT_TYPE_BYTES_MAX: usize = 128;

/// As of what senders send: the most headers that are kept, and the most bytes
/// of one's name and value. What is beyond is dropped.
const HEADERS_MAX: usize = 32;
const HEADER_NAME_BYTES_MAX: usize = 128;
const HEADER_VALUE_BYTES_MAX: usize = 1_024;

/// A page, if it is within its limits.
pub(crate) fn page_of(raw: wit::Page, budget: u32) -> Result<Page, Failure> {
    Page::new(
        raw.envelopes.into_iter().map(fetched_of).collect(),
        raw.cursor,
        raw.more,
        raw.next_poll_ms.map(Duration::from_millis),
        budget,
    )
}

/// The time is the host's, whatever the guest says: it knows none.
fn fetched_of(raw: signals::Envelope) -> Fetched {
    Fetched {
        content_type: media_type(&raw.content_type),
        headers: raw
            .headers
            .into_iter()
            .filter(|header| !header.key.is_empty())
            .filter(|header| header.value.len() <= HEADER_VALUE_BYTES_MAX)
            .take(HEADERS_MAX)
            .map(|header| {
                let name = header.key.to_ascii_lowercase();
                (clip(name, HEADER_NAME_BYTES_MAX), header.value)
            })
            .collect(),
        body: raw.body,
    }
}

/// Without parameters, lower case.
fn media_type(raw: &str) -> String {
    let essence = raw.split(';').next().unwrap_or_default().trim();
    if essence.len() > CONTENT_TYPE_BYTES_MAX || essence.contains(char::is_control) {
        return String::new();
    }
    essence.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::faultline::plugin::types::Attribute;

    #[test]
    fn what_is_fetched_looks_like_what_is_sent() {
        let header = |key: &str, value: &str| Attribute {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let fetched = fetched_of(signals::Envelope {
            content_type: "Application/JSON; charset=utf-8".to_owned(),
            headers: vec![
                header("X-Page", "1"),
                header("", "2"),
                header("x-long", &"3".repeat(2_000)),
            ],
            body: b"{}".to_vec(),
            received: 7,
        });
        assert_eq!(fetched.content_type, "application/json");
        assert_eq!(fetched.headers, [("x-page".to_owned(), "1".to_owned())]);
        assert_eq!(media_type("a\nb"), "");
    }
}
