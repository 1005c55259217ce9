//! Intake: from senders to the journal.
//!
//! A request becomes an [envelope](faultline_domain::envelope::Arrival) that is
//! durable before the answer leaves. Payloads of the standard formats are read
//! before they are taken, so that a sender learns what is wrong with them;
//! those of hooks are taken unread, and connectors read them later. What they
//! mean is worked out from the journal, not here.
//!
//! In reading order: [`formats`], as pure functions; the way of a request in
//! [`receive`], with what can refuse it ([`access`], [`hooks`], [`limits`],
//! [`backlog`]); [`append`], the group commit; and the [`listener`] with
//! its [`connections`], which the API's listener shares.

pub mod access;
mod answer;
pub mod append;
pub mod backlog;
mod body;
mod budget;
pub mod connections;
pub mod endpoint;
pub mod formats;
pub mod hooks;
pub mod kept_headers;
pub mod limits;
pub mod listener;
pub mod metrics;
mod rates;
pub mod receive;
mod refused;
mod router;
mod shares;
mod transport;
mod watched_body;

#[cfg(test)]
mod tests;
