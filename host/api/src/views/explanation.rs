//! What happened to an alert, and why.

use std::collections::BTreeMap;

use faultline_domain::alert::{End, Outcome};
use faultline_store::TransitionRecord;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AlertSource, AlertSummary, Because, DeadLetter, Origin, Phase, Severity, Time};

/// What happened to an alert, and why: from the payloads that spoke of it to the
/// incidents that it belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The alert as it stands.
    pub alert: AlertSummary,
    /// The chain in sentences, in its order.
    pub chain: Vec<Step>,
    /// Received: what each source said, and in which envelopes.
    pub received: Vec<AlertSource>,
    /// Decoded: who read these envelopes, each once; empty if they are no
    /// longer kept.
    pub decoded_by: Vec<String>,
    /// Parts of these envelopes that could not be dealt with.
    pub dead_letters: Vec<DeadLetter>,
    /// Identified: why it is this alert and no other.
    pub identified: Identification,
    /// Why it concerns what it concerns.
    pub entities: Vec<EntityReason>,
    /// Its history: the last hundred steps, oldest first.
    pub transitions: Vec<Transition>,
    /// What keeps it from opening incidents and from being told of. Nothing can
    /// yet.
    pub suppressed_by: Vec<String>,
    /// The incidents that it is or was a member of, the last first.
    pub incidents: Vec<Membership>,
}

/// One step of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// Which.
    pub stage: StepStage,
    /// What happened, in a sentence.
    pub text: String,
}

/// The steps of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepStage {
    /// Sources spoke of it.
    Received,
    /// Somebody read what they said.
    Decoded,
    /// It was told apart from all others.
    Identified,
    /// What said nothing new was counted.
    Deduplicated,
    /// Something keeps it quiet, or nothing does.
    Suppressed,
    /// It became a member of an incident, or of none.
    Joined,
}

/// Why an alert is this one and no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Identification {
    /// Who said so: alerts of one family with one identity are one alert.
    pub origin: Origin,
    /// The identity, which is hashed into the id together with the origin.
    pub identity: BTreeMap<String, String>,
    /// What is hashed, in its order; each part preceded by its length.
    pub hashed: Vec<String>,
}

/// Why an alert concerns an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntityReason {
    /// As `kind/name`.
    pub entity: String,
    /// The labels that name it, by the conventions of OpenTelemetry, Kubernetes
    /// and Prometheus; empty if the sender, its connector or the series says so.
    pub labels: Vec<String>,
    /// The same in a sentence.
    pub text: String,
}

/// A step in the life of an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Transition {
    /// Counts the alert's transitions.
    pub version: u64,
    /// `fired`, `severity-changed`, `entities-changed`, `resolved` or
    /// `resolved-unseen`.
    #[schema(example = "fired")]
    pub outcome: String,
    /// What happened, in a sentence.
    pub text: String,
    /// Event time.
    pub at: Time,
    /// The envelope that brought it about.
    pub position: u64,
    /// When that arrived.
    pub received: Time,
    /// Through which source; none if time did it.
    pub source: Option<String>,
    /// Which episode.
    pub episode: u64,
    /// Whether it fired afterwards.
    pub firing: bool,
    /// How bad it was afterwards.
    pub severity: Severity,
}

impl From<TransitionRecord> for Transition {
    fn from(record: TransitionRecord) -> Self {
        Self {
            version: record.version,
            outcome: record.outcome.as_str().to_owned(),
            text: sentence(&record),
            at: record.at.into(),
            position: record.position.0,
            received: record.received.into(),
            source: record.source.map(|source| source.to_string()),
            episode: record.view.episode,
            firing: record.view.firing,
            severity: record.view.severity.into(),
        }
    }
}

fn sentence(record: &TransitionRecord) -> String {
    let source = match &record.source {
        Some(source) => format!("{source} said so"),
        None => "time did it".to_owned(),
    };
    match &record.outcome {
        Outcome::Fired => format!("episode {} began: {source}", record.view.episode),
        Outcome::SeverityChanged { from } => {
            format!("severity {from} became {}: {source}", record.view.severity)
        }
        Outcome::EntitiesChanged => format!("concerns other entities: {source}"),
        Outcome::Resolved {
            by: End::Reported { source },
        } => format!("episode {} ended: {source} said so", record.view.episode),
        Outcome::Resolved { by: End::TimedOut } => format!(
            "episode {} ended: no source repeated it in time",
            record.view.episode
        ),
        Outcome::ResolvedUnseen => {
            format!("an end without a beginning: {source}; kept, but opens nothing")
        }
        Outcome::DuplicateFull | Outcome::DuplicatePartial | Outcome::Echo => {
            format!("nothing new: {source}")
        }
    }
}

/// An incident that an alert is or was a member of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Membership {
    /// The incident's id.
    #[schema(pattern = "^inc_[0-9a-f]{32}$")]
    pub incident: String,
    /// The incident's title.
    pub title: String,
    /// Where the incident stands.
    pub phase: Phase,
    /// Whether the alert still is a member.
    pub member: bool,
    /// When it last joined; none if that is no longer kept.
    pub joined: Option<Time>,
    /// Why; none if that is no longer kept.
    pub because: Option<Because>,
    /// Who said so; none if that is no longer kept.
    pub by: Option<super::Author>,
}
