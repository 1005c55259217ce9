//! Faultline's vocabulary and rules.
//!
//! What an alert is and how it lives, how incidents come about and end, what a
//! grant allows, how the audit log is chained: decided here, by functions from
//! data to data. There is no IO here, no clock, no randomness and nothing
//! asynchronous; time and ids come in with the data, so that the same journal
//! always gives the same history.
//!
//! In reading order: what comes in ([`envelope`], [`arrival_clock`], [`poll`],
//! [`decode`], [`signal`], [`telemetry`]), what becomes of it ([`finding`], [`alert`], [`topology`]),
//! what it adds up to ([`situation`], [`proposal`], [`incident`], [`members`],
//! [`incident_summary`], [`incidents`]), and who may do what ([`plugin`], [`supervision`], [`grant`],
//! [`access`], [`audit`], [`lease`]).
//!
//! Types that are part of a stored event derive `serde`: their serialised form
//! is the history, and therefore a promise.

pub mod access;
pub mod alert;
pub mod arrival_clock;
pub mod attach;
pub mod audit;
pub mod conventions;
pub mod decode;
pub mod entity;
pub mod envelope;
pub mod fault;
pub mod finding;
pub mod grant;
pub mod id;
pub mod incident;
pub mod incident_summary;
pub mod incidents;
pub mod labels;
pub mod lease;
pub mod members;
pub mod network;
pub mod plugin;
pub mod poll;
pub mod proposal;
pub mod rule;
pub mod secret;
pub mod severity;
pub mod signal;
pub mod situation;
pub mod supervision;
pub mod telemetry;
pub mod text;
pub mod time;
pub mod topology;
