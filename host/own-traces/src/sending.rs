//! Requests that plugins send, through the host.

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanBuilder, SpanKind};

use crate::work::Work;

/// Methods by name; a guest can write anything.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// A request, from the first check to the last byte, redirects included, as a
/// part of the call that it is sent in. Where it goes is on the audit log: the
/// URL is the guest's.
pub fn sending(method: &str) -> Work {
    let known = METHODS.into_iter().find(|known| *known == method);
    let method = known.unwrap_or("_OTHER");
    Work::inside(|| {
        SpanBuilder::from_name(format!("send {method}"))
            .with_kind(SpanKind::Client)
            .with_attributes([KeyValue::new("http.request.method", method)])
    })
}

impl Work {
    /// A request was answered, or came to nothing with this code.
    pub fn sent(self, outcome: Result<u16, &str>) {
        match outcome {
            Ok(status) => self.say("http.response.status_code", i64::from(status)),
            Err(code) => self.failed(code.to_owned()),
        }
    }
}
