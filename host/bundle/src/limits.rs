//! Limits as a manifest asks for them.

use std::time::Duration;

use bytesize::ByteSize;
use faultline_domain::plugin::Limits;
use serde::Deserialize;

/// What a component asks for beside the defaults. The operator's ceiling
/// clamps it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LimitRequests {
    memory: Option<ByteSize>,
    table_elements: Option<u64>,
    #[serde(with = "humantime_serde")]
    cpu_per_call: Option<Duration>,
    #[serde(with = "humantime_serde")]
    wall_per_call: Option<Duration>,
    output: Option<ByteSize>,
    items: Option<u64>,
    host_calls: Option<u64>,
    log_per_minute: Option<ByteSize>,
    kv: Option<ByteSize>,
    state: Option<ByteSize>,
    http_requests: Option<u64>,
    http_sent: Option<ByteSize>,
    http_received: Option<ByteSize>,
    http_body: Option<ByteSize>,
    http_per_minute: Option<ByteSize>,
    http_connections: Option<u64>,
}

impl LimitRequests {
    /// The defaults with these in their place, at most the ceiling.
    pub fn resolve(&self, ceiling: Limits) -> Limits {
        let default = Limits::default();
        let bytes = |asked: Option<ByteSize>, default| asked.map_or(default, |size| size.as_u64());
        Limits {
            memory_bytes: bytes(self.memory, default.memory_bytes),
            table_elements: self.table_elements.unwrap_or(default.table_elements),
            cpu_per_call: self.cpu_per_call.unwrap_or(default.cpu_per_call),
            wall_per_call: self.wall_per_call.unwrap_or(default.wall_per_call),
            output_bytes: bytes(self.output, default.output_bytes),
            items: self.items.unwrap_or(default.items),
            host_calls: self.host_calls.unwrap_or(default.host_calls),
            log_bytes_per_minute: bytes(self.log_per_minute, default.log_bytes_per_minute),
            kv_bytes: bytes(self.kv, default.kv_bytes),
            state_bytes: bytes(self.state, default.state_bytes),
            http_requests: self.http_requests.unwrap_or(default.http_requests),
            http_sent_bytes: bytes(self.http_sent, default.http_sent_bytes),
            http_received_bytes: bytes(self.http_received, default.http_received_bytes),
            http_body_bytes: bytes(self.http_body, default.http_body_bytes),
            http_bytes_per_minute: bytes(self.http_per_minute, default.http_bytes_per_minute),
            http_connections: self.http_connections.unwrap_or(default.http_connections),
        }
        .clamp_to(ceiling)
    }
}
