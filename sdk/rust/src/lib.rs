#![doc = include_str!("../README.md")]

#[doc(hidden)]
pub mod bindings;

mod entity;
mod fault;
mod severity;

mod decoded;
mod envelope;
mod signal;
mod telemetry;

mod finding;
mod proposal;

mod action;
mod config_check;
mod connector;
mod correlator;
mod detector;
mod poller;

mod host;
pub mod json;
pub mod state;
#[cfg(not(target_family = "wasm"))]
pub mod testkit;
pub mod text;
pub mod time;

pub use bindings::types::faultline::plugin::types::{
    Attribute, Blob, Entity, Fault, Retry, Timestamp,
};
pub use entity::Attributes;
pub use fault::MESSAGE_CHARACTERS_MAX;
pub use severity::Severity;

pub use bindings::signals::faultline::plugin::signals::{
    Alert, Change, Decoded, Dependency, Envelope, LogLines, LogSource, Samples, Series, Signal,
    Ticket,
};
pub use decoded::{DecodedBuilder, LogSourceHandle, REJECTED_LISTED_MAX, SeriesHandle};
pub use telemetry::{LogLine, Sample};

pub use bindings::detect::exports::faultline::plugin::detect::{Finding, Subject};
pub use finding::{Findings, Sighting};

pub use bindings::correlate::exports::faultline::plugin::correlate::{
    AlertView, Because, Blaming, Cause, Evidence, IncidentView, Joining, Merging, Opening,
    Proposal, Reference, Situation, Splitting, Target, Verdict,
};

pub use action::{Outcome, Planned};
pub use bindings::act::exports::faultline::plugin::act::{
    Effect, Health, Operation, Request as OperationRequest, Risk,
};

pub use action::Action;
pub use config_check::ConfigCheck;
pub use connector::Connector;
pub use correlator::Correlator;
pub use detector::Detector;
pub use poller::{Page, Poller};

pub use host::{config, exec, http, kv, log, secrets};

/// What the `export_*!` macros expand to. Not for use by hand.
#[doc(hidden)]
pub mod __guest {
    pub use crate::action::{RawOutcome, RawPlanned, execute, plan, rollback, verify};
    pub use crate::config_check::config_check;
    pub use crate::connector::decode;
    pub use crate::correlator::correlate;
    pub use crate::detector::DetectorGuest;
    pub use crate::poller::{RawPage, poll};
}
