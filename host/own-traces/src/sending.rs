//! Requests that plugins send, through the host.

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanBuilder, SpanKind};

use crate::method;
use crate::work::Work;

/// A request, from the first check to the last byte, redirects included, as a
/// part of the call that it is sent in. Where it goes is on the audit log: the
/// URL is the guest's.
pub fn sending(method: &str) -> Work {
    Work::inside(|| {
        let method = method::known(method).unwrap_or(method::OTHER);
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
