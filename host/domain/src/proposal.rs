//! Proposals: what correlators would have the host do, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::entity::Entity;
use crate::id::{AlertId, ChangeId, IncidentId};

/// Something that a sentence speaks of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reference {
    /// An alert.
    Alert(AlertId),
    /// A change.
    Change(ChangeId),
    /// An entity.
    Entity(Entity),
    /// An edge of the topology.
    Dependency {
        /// Suffers if the provider fails.
        dependent: Entity,
        /// What it depends on.
        provider: Entity,
    },
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Alert(id) => id.fmt(f),
            Reference::Change(id) => id.fmt(f),
            Reference::Entity(entity) => entity.fmt(f),
            Reference::Dependency {
                dependent,
                provider,
            } => write!(f, "{dependent} -> {provider}"),
        }
    }
}

/// One reason, with what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// A sentence for people.
    pub text: String,
    /// What it speaks of.
    pub references: Vec<Reference>,
}

/// A number from 0 to 1: how sure.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Confidence(f64);

impl Confidence {
    /// None for what is not a number from 0 to 1.
    pub fn new(value: f64) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Self(value))
    }

    /// The number.
    pub const fn value(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}%", self.0 * 100.0)
    }
}

/// Why, how sure, and what speaks against it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Because {
    /// One line.
    pub reason: String,
    /// How sure.
    pub confidence: Confidence,
    /// What speaks for it.
    pub evidence: Vec<Evidence>,
    /// What speaks against it.
    pub against: Vec<Evidence>,
}

/// What may have brought an incident about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Something failed by itself.
    Entity(Entity),
    /// Something was changed.
    Change(ChangeId),
    /// The condition that one alert reports.
    Alert(AlertId),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Entity(entity) => entity.fmt(f),
            Cause::Change(id) => id.fmt(f),
            Cause::Alert(id) => id.fmt(f),
        }
    }
}

/// The incident that a proposal means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One that exists.
    Incident(IncidentId),
    /// One that the same verdict opened, by its tag.
    Opening(String),
}

/// What a correlator would have the host do.
#[derive(Debug, Clone, PartialEq)]
pub enum Proposal {
    /// A new incident of these members.
    Open {
        /// Names it within the verdict.
        tag: String,
        /// A line for people.
        title: String,
        /// At least one.
        members: Vec<AlertId>,
        /// Why they belong together.
        because: Because,
    },
    /// These alerts belong to that incident.
    Join {
        /// Which incident.
        target: Target,
        /// At least one.
        members: Vec<AlertId>,
        /// Why they belong to it.
        because: Because,
    },
    /// These incidents are one.
    Merge {
        /// Takes the members of the others.
        keep: IncidentId,
        /// End up empty.
        fold: Vec<IncidentId>,
        /// Why they are one.
        because: Because,
    },
    /// These members are an incident of their own.
    Split {
        /// Loses them.
        incident: IncidentId,
        /// Names the new one within the verdict.
        tag: String,
        /// A line for people.
        title: String,
        /// Some of its members, not all.
        members: Vec<AlertId>,
        /// Why they are not one.
        because: Because,
    },
    /// This may be the cause of that incident. Confidence 0 withdraws it.
    Blame {
        /// Which incident.
        target: Target,
        /// What may have brought it about.
        cause: Cause,
        /// Both sides of the evidence.
        because: Because,
    },
}

impl Proposal {
    /// One word, as stored and shown.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Proposal::Open { .. } => "open",
            Proposal::Join { .. } => "join",
            Proposal::Merge { .. } => "merge",
            Proposal::Split { .. } => "split",
            Proposal::Blame { .. } => "blame",
        }
    }

    /// Why it is proposed.
    pub const fn because(&self) -> &Because {
        match self {
            Proposal::Open { because, .. }
            | Proposal::Join { because, .. }
            | Proposal::Merge { because, .. }
            | Proposal::Split { because, .. }
            | Proposal::Blame { because, .. } => because,
        }
    }
}

/// A named, versioned payload that the host does not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// Says what the bytes are.
    pub media_type: String,
    /// Opaque.
    pub bytes: Vec<u8>,
}

/// All that a correlator answers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verdict {
    /// In the order in which they apply.
    pub proposals: Vec<Proposal>,
    /// To be given back at the next call; none leaves it as it was.
    pub state: Option<Blob>,
}
