//! How Faultline's own traces are known when they come in as telemetry.
//!
//! If they were traced on their way, each batch would bring about the next, for
//! ever. So they bear a mark that no other telemetry has, and that collectors
//! pass on: whichever way they come, to the Faultline that made them or to
//! another one, neither their request nor what is made of them has spans.

use memchr::memmem;

/// The attribute of the resource that own traces have.
pub const MARK: &str = "faultline.own_traces";

/// What requests with own traces name as their agent, by which they are known
/// even if they are refused before anybody reads them.
pub const AGENT: &str = concat!("faultline-own-traces/", env!("CARGO_PKG_VERSION"));

/// What [`AGENT`] begins with in every version.
pub(crate) const AGENT_BEGINS: &str = "faultline-own-traces/";

/// Whether a request of OTLP, in protobuf or JSON, carries traces that a
/// Faultline made of its own work. The key stands in both as it is.
pub fn is_own(body: &[u8]) -> bool {
    memmem::find(body, MARK.as_bytes()).is_some()
}
