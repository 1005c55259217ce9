//! Reasons, with what they rest on, resolved to what people recognise.

use faultline_domain::proposal as domain;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Time;
use crate::known::Known;

/// Why, how sure, and what speaks against it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Because {
    /// One line.
    #[schema(example = "checkout calls payments, which fails since a minute before")]
    pub reason: String,
    /// How sure: 0 to 1.
    #[schema(minimum = 0, maximum = 1, example = 0.8)]
    pub confidence: f64,
    /// What speaks for it.
    pub evidence: Vec<Evidence>,
    /// What speaks against it.
    pub against: Vec<Evidence>,
}

/// One reason, with what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// A sentence for people.
    pub text: String,
    /// What it speaks of.
    pub references: Vec<Reference>,
}

/// Something that a sentence speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reference {
    /// What sort of thing.
    pub kind: ReferenceKind,
    /// Its id; of an entity its text; of an edge both ends with ` -> ` between
    /// them.
    pub id: String,
    /// What people call it: the title of the alert or change as it stands, or
    /// the same as `id`.
    pub title: String,
}

/// What sort of thing a reference speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReferenceKind {
    /// An alert.
    Alert,
    /// A change.
    Change,
    /// An entity.
    Entity,
    /// An edge of the topology.
    Dependency,
}

/// What may have brought an incident about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cause {
    /// What sort of thing.
    pub kind: CauseKind,
    /// Its id; of an entity its text.
    pub id: String,
    /// What people call it: the title of the alert or change as it stands, or
    /// the entity.
    pub title: String,
    /// Of a change: `deployment`, `configuration`, …
    pub change_kind: Option<String>,
    /// Of a change when it was made, of an alert when it began.
    pub at: Option<Time>,
    /// Where to read more.
    pub link: Option<String>,
}

/// What sort of thing a cause is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CauseKind {
    /// Something failed by itself.
    Entity,
    /// Something was changed.
    Change,
    /// The condition that one alert reports.
    Alert,
}

impl Because {
    pub(crate) fn of(because: &domain::Because, known: &Known) -> Self {
        let all = |evidence: &[domain::Evidence]| {
            evidence
                .iter()
                .map(|evidence| Evidence::of(evidence, known))
                .collect()
        };
        Self {
            reason: because.reason.clone(),
            confidence: because.confidence.value(),
            evidence: all(&because.evidence),
            against: all(&because.against),
        }
    }
}

impl Evidence {
    fn of(evidence: &domain::Evidence, known: &Known) -> Self {
        Self {
            text: evidence.text.clone(),
            references: evidence
                .references
                .iter()
                .map(|reference| Reference::of(reference, known))
                .collect(),
        }
    }
}

impl Reference {
    pub(crate) fn of(reference: &domain::Reference, known: &Known) -> Self {
        let (kind, title) = match reference {
            domain::Reference::Alert(id) => (ReferenceKind::Alert, known.alert_title(*id)),
            domain::Reference::Change(id) => (ReferenceKind::Change, known.change_title(*id)),
            domain::Reference::Entity(entity) => (ReferenceKind::Entity, entity.to_string()),
            domain::Reference::Dependency { .. } => {
                (ReferenceKind::Dependency, reference.to_string())
            }
        };
        Self {
            kind,
            id: reference.to_string(),
            title,
        }
    }
}

impl Cause {
    pub(crate) fn of(cause: &domain::Cause, known: &Known) -> Self {
        let bare = |kind, title| Self {
            kind,
            id: cause.to_string(),
            title,
            change_kind: None,
            at: None,
            link: None,
        };
        match cause {
            domain::Cause::Entity(entity) => bare(CauseKind::Entity, entity.to_string()),
            domain::Cause::Change(id) => {
                let change = known.change(*id).map(|record| &record.change);
                Self {
                    change_kind: change.map(|change| change.kind.clone()),
                    at: change.map(|change| change.at.into()),
                    link: change.and_then(|change| change.link.clone()),
                    ..bare(CauseKind::Change, known.change_title(*id))
                }
            }
            domain::Cause::Alert(id) => {
                let alert = known.alert(*id);
                Self {
                    at: alert.map(|alert| alert.started.into()),
                    link: alert.and_then(|alert| alert.link.clone()),
                    ..bare(CauseKind::Alert, known.alert_title(*id))
                }
            }
        }
    }
}
