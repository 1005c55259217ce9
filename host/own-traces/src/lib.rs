//! Faultline's own traces: what it does, as spans for whoever operates it.
//!
//! One file for each sort of work that has spans, so that what stands in them
//! can be read through: the names of things, how many there were and how it
//! ended. Never a payload, a header, a label, a message or a secret, and nothing
//! that a sender wrote.
//!
//! Which spans belong together is found out on two ways. Within a piece of work
//! it is OpenTelemetry's current context, which [`carried`] and [`carried_on`]
//! take to other threads and tasks. From one stage to the next it is where the
//! envelopes stand in the journal ([`origins`]): what a stage makes of them is
//! in the trace of what brought them.
//!
//! Where nobody wants traces, [`start`] was not called, and all of this is a
//! look at one word of memory. What makes spans of this, and sends them, is the
//! binary's.

mod answering;
mod call;
mod commit;
mod mark;
mod method;
pub mod origins;
mod round;
mod sending;
mod work;

pub use answering::Answering;
pub use call::{Callee, call, refused};
pub use commit::commit;
pub use mark::{AGENT, MARK, is_own};
pub use origins::Origin;
pub use round::{correlate_round, observe_round, poll_round};
pub use sending::sending;
pub use work::{Work, are_made, carried, carried_on, start};

#[cfg(test)]
mod tests;
