//! Events of incidents: their timeline, and what live updates show.

use faultline_domain::incident as domain;
use faultline_domain::incident::Happening;
use faultline_store::StoredEvent;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Author, Because, Cause, Resolution, Severity, Time, entities};
use crate::known::Known;

/// One step in the life of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IncidentEvent {
    /// Its number among the events of all incidents, in the order in which they
    /// were committed.
    pub sequence: u64,
    /// Whose.
    #[schema(pattern = "^inc_[0-9a-f]{32}$")]
    pub incident: String,
    /// Its number among the events of this incident: 1, 2, 3, …
    pub version: u64,
    /// Event time.
    pub at: Time,
    /// The last envelope that was known when it came about.
    pub position: u64,
    /// Who brought it about.
    pub by: Author,
    /// `opened`, `joined`, `left`, `member-changed`, `blamed`, `acknowledged`,
    /// `resolved`, `reopened`, `closed`, `merged-into` or `absorbed`. There may
    /// be more some day.
    #[schema(example = "joined")]
    pub kind: String,
    /// What happened, in a sentence.
    pub text: String,
    /// The alert that joined, left or changed.
    pub alert: Option<String>,
    /// That alert as it stood.
    pub facts: Option<MemberFacts>,
    /// The other incident: that it was split from, that a member went to, that
    /// it was merged into, that it absorbed.
    pub other: Option<String>,
    /// The suspect.
    pub cause: Option<Cause>,
    /// Why, and how sure. A suspect with confidence 0 is none any more.
    pub because: Option<Because>,
    /// How we know that it is over.
    pub resolution: Option<Resolution>,
}

/// An alert as an incident saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MemberFacts {
    /// Which episode of the alert.
    pub episode: u64,
    /// Whether it fires.
    pub firing: bool,
    /// How bad.
    pub severity: Severity,
    /// When the episode began.
    pub started: Time,
    /// When it last changed.
    pub changed: Time,
    /// What it concerns, as `kind/name`.
    pub entities: Vec<String>,
}

impl From<&domain::Facts> for MemberFacts {
    fn from(facts: &domain::Facts) -> Self {
        Self {
            episode: facts.episode,
            firing: facts.firing,
            severity: facts.severity.into(),
            started: facts.started.into(),
            changed: facts.at.into(),
            entities: entities(&facts.entities),
        }
    }
}

impl IncidentEvent {
    pub(crate) fn of(stored: &StoredEvent, known: &Known) -> Self {
        let event = &stored.event;
        let mut view = Self {
            sequence: stored.sequence,
            incident: event.incident.to_string(),
            version: event.version,
            at: event.at.into(),
            position: event.position.0,
            by: (&event.author).into(),
            kind: event.happening.as_str().to_owned(),
            text: sentence(&event.happening, known),
            alert: None,
            facts: None,
            other: None,
            cause: None,
            because: None,
            resolution: None,
        };
        match &event.happening {
            Happening::Opened { split_from, .. } => {
                view.other = split_from.map(|id| id.to_string());
            }
            Happening::Joined {
                alert,
                facts,
                because,
                ..
            } => {
                view.alert = Some(alert.to_string());
                view.facts = Some(facts.into());
                view.because = Some(Because::of(because, known));
            }
            Happening::Left { alert, to } => {
                view.alert = Some(alert.to_string());
                view.other = to.map(|id| id.to_string());
            }
            Happening::MemberChanged { alert, facts } => {
                view.alert = Some(alert.to_string());
                view.facts = Some(facts.into());
            }
            Happening::Blamed { cause, because } => {
                view.cause = Some(Cause::of(cause, known));
                view.because = Some(Because::of(because, known));
            }
            Happening::Resolved { resolution } => view.resolution = Some((*resolution).into()),
            Happening::MergedInto { incident, because }
            | Happening::Absorbed { incident, because } => {
                view.other = Some(incident.to_string());
                view.because = Some(Because::of(because, known));
            }
            Happening::Acknowledged | Happening::Reopened | Happening::Closed => {}
        }
        view
    }
}

/// What happened, in a sentence without its subject's article: for lists.
fn sentence(happening: &Happening, known: &Known) -> String {
    match happening {
        Happening::Opened {
            title,
            split_from: None,
        } => format!("opened: {title}"),
        Happening::Opened {
            title,
            split_from: Some(from),
        } => format!("split from {from}: {title}"),
        Happening::Joined { alert, because, .. } => format!(
            "{} joined: {} ({})",
            known.alert_title(*alert),
            because.reason,
            because.confidence
        ),
        Happening::Left { alert, to: None } => format!("{} left", known.alert_title(*alert)),
        Happening::Left {
            alert,
            to: Some(other),
        } => format!("{} went to {other}", known.alert_title(*alert)),
        Happening::MemberChanged { alert, facts } => format!(
            "{} {} with severity {}",
            known.alert_title(*alert),
            if facts.firing { "fires" } else { "resolved" },
            facts.severity
        ),
        Happening::Blamed { cause, because } => {
            let suspect = Cause::of(cause, known).title;
            if because.confidence.value() > 0.0 {
                format!(
                    "suspects {suspect}: {} ({})",
                    because.reason, because.confidence
                )
            } else {
                format!("no longer suspects {suspect}: {}", because.reason)
            }
        }
        Happening::Acknowledged => "acknowledged".to_owned(),
        Happening::Resolved {
            resolution: domain::Resolution::MembersResolved,
        } => "resolved: all members did".to_owned(),
        Happening::Resolved {
            resolution: domain::Resolution::Declared,
        } => "declared resolved".to_owned(),
        Happening::Reopened => "reopened: a member fires again".to_owned(),
        Happening::Closed => "closed".to_owned(),
        Happening::MergedInto { incident, because } => {
            format!("merged into {incident}: {}", because.reason)
        }
        Happening::Absorbed { incident, because } => {
            format!("absorbed {incident}: {}", because.reason)
        }
    }
}
