//! What the API shows: its shapes, one noun a file, built from what the domain
//! and the store have. They are promises of their own: what the domain needs can
//! change without them.
//!
//! Times are RFC 3339 in UTC, ids are texts, entities are `kind/name`. A field
//! that has nothing to say is null, not missing.

mod alert;
mod audit;
mod author;
mod change;
mod command;
mod component_cache;
mod dead_letter;
mod envelope;
mod event;
mod evidence;
mod explanation;
mod incident;
mod instance;
mod object;
mod page;
mod plugin;
mod poll;
mod problem;
mod refusal;
mod series;
mod source;
mod status;
mod time;
mod token;
mod topology;
mod usage;
mod whole;
mod words;

pub use alert::{Alert, AlertSource, AlertState, AlertSummary, Ended, Origin, OriginKind};
pub use audit::{AuditBreak, AuditRow, AuditVerdict};
pub use author::{Act, Author, AuthorKind};
pub use change::Change;
pub use command::{CommandKind, CommandOutcome, CommandStatus};
pub use component_cache::{ComponentCache, ComponentCacheCleared, ComponentCacheEntry};
pub use dead_letter::{DeadLetter, DeadLetterKind, Redriven};
pub use envelope::{BodyEncoding, Envelope, EnvelopeBody, EnvelopeHeader};
pub use event::{IncidentEvent, MemberFacts};
pub use evidence::{Because, Cause, CauseKind, Evidence, Reference, ReferenceKind};
pub use explanation::{
    EntityReason, Explanation, Identification, Membership, Step, StepStage, Transition,
};
pub use incident::{
    Band, Extra, Hypothesis, Incident, IncidentSummary, Measurement, Member, Resolution, Resolved,
    Suspect,
};
pub use instance::{
    Capability, FailureView, Grant, GrantPut, Instance, InstanceConfigPut, InstanceCreate,
    InstanceSettingsPut, InstanceStateWord, InstanceSummary, InstanceUpgrade, InstanceUpgradeTo,
    Standing, SupervisionView, UsageView,
};
pub(crate) use object::{Object, object};
pub use page::Page;
pub use plugin::{
    LimitsView, Plugin, PluginComponent, PluginInputs, PluginInstall, PluginSummary, RequestedUse,
};
pub use poll::{LastPollFault, Poll, PollNow};
pub use problem::{FieldProblem, Place, ProblemDetails};
pub use refusal::Refusal;
pub use series::{Reading, Sample, Samples, Series};
pub use source::Source;
pub use status::{
    AlertCounts, CallerView, ConditionView, HistoryDigest, Lease, PhaseCounts, Stage, Status,
};
pub use time::Time;
pub use token::{NewToken, Token, TokenCreate, TokenPurpose};
pub use topology::Edge;
pub use usage::{Done, Narrowed, WhatItDid};
pub(crate) use whole::{whole, whole_16};
pub use words::{Phase, PluginKind, Role, Severity, Use};

use std::collections::BTreeMap;

use faultline_domain::entity::Entity;
use faultline_domain::labels::Labels;

/// Entities as text.
pub(crate) fn entities(entities: &[Entity]) -> Vec<String> {
    entities.iter().map(ToString::to_string).collect()
}

/// Labels as an object.
pub(crate) fn labels(labels: &Labels) -> BTreeMap<String, String> {
    labels
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
