//! Requests through the real router in, answers and envelopes out.

mod alerts;
pub(crate) mod bench;
mod every_endpoint;
mod hooks;
mod otlp;
mod overload;
mod remote_write;
mod sockets;
