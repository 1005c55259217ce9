//! Acts of people on incidents, on their way.

use faultline_domain::incidents::Command;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What somebody asked for, and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommandStatus {
    /// The envelope that carries it.
    pub position: u64,
    /// What was asked for.
    pub command: CommandKind,
    /// Of which incident, if it is an act on one.
    pub incident: Option<String>,
    /// Of which instance of a plugin, if it is an act on one.
    pub instance: Option<String>,
    /// By whom.
    #[schema(example = "token:dana")]
    pub by: String,
    /// What has become of it.
    pub outcome: CommandOutcome,
    /// Why it was refused, or what to do while it waits.
    pub detail: Option<String>,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CommandKind {
    /// They look after the incident.
    Acknowledge,
    /// It is over.
    Resolve,
    /// The instance is called again.
    Resume,
}

impl CommandKind {
    /// The word that stands for it everywhere.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledge",
            Self::Resolve => "resolve",
            Self::Resume => "resume",
        }
    }
}

impl From<&Command> for CommandKind {
    fn from(command: &Command) -> Self {
        match command {
            Command::Acknowledge { .. } => Self::Acknowledge,
            Command::Resolve { .. } => Self::Resolve,
            Command::Resume { .. } => Self::Resume,
        }
    }
}

/// What has become of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CommandOutcome {
    /// It is in the journal, and will be carried out or refused.
    Pending,
    /// It was carried out.
    Done,
    /// It was not, for a reason.
    Refused,
}
