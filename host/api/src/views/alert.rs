//! Alerts.

use std::collections::BTreeMap;

use faultline_domain::alert as domain;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Measurement, Severity, Time, entities, labels};
use crate::known::Known;

/// An alert in a listing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertSummary {
    /// The fingerprint: family and identity, hashed.
    #[schema(pattern = "^alr_[0-9a-f]{32}$")]
    pub id: String,
    /// A line for people.
    pub title: String,
    /// Where it stands.
    pub state: AlertState,
    /// How bad.
    pub severity: Severity,
    /// What it concerns, as `kind/name`.
    pub entities: Vec<String>,
    /// Who said so.
    pub origin: Origin,
    /// When the current episode began.
    pub started: Time,
    /// When the condition last changed: event time.
    pub changed: Time,
    /// When and how the episode ended; none while it fires.
    pub ended: Option<Ended>,
    /// Counts episodes, from 1.
    pub episode: u64,
    /// 0 to 1: how far from normal; 1 for what senders report.
    #[schema(minimum = 0, maximum = 1)]
    pub score: f64,
    /// Where to read more.
    pub link: Option<String>,
}

/// Whether the condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlertState {
    /// It holds.
    Firing,
    /// It does not hold any more.
    Resolved,
}

/// When and how an episode ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ended {
    /// Event time.
    pub at: Time,
    /// The source that said so; none if no source repeated it in time.
    pub reported_by: Option<String>,
}

/// Who said that there is a condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Origin {
    /// A sender, or one of our detectors.
    pub kind: OriginKind,
    /// The family of senders, or the detector's instance.
    #[schema(example = "prometheus")]
    pub name: String,
}

/// Who said that there is a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OriginKind {
    /// A sender of the family.
    Sender,
    /// A detector.
    Detector,
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// As in a listing.
    #[serde(flatten)]
    pub summary: AlertSummary,
    /// Counts transitions, from 1.
    pub version: u64,
    /// The sender's own word for the severity.
    pub severity_word: String,
    /// How the severity moved within this episode: `steady`, `worse` or
    /// `better`.
    #[schema(example = "steady")]
    pub trend: String,
    /// What makes it the same condition.
    pub identity: BTreeMap<String, String>,
    /// Labels of the sender, or attributes of the finding.
    pub labels: BTreeMap<String, String>,
    /// Free text of the sender.
    pub annotations: BTreeMap<String, String>,
    /// From a detector: the number, and the band it was expected in.
    pub measurement: Option<Measurement>,
    /// What each source last said.
    pub sources: Vec<AlertSource>,
    /// The incidents that it is or was a member of, the last first.
    pub incidents: Vec<String>,
}

/// What one source said about an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertSource {
    /// Which source.
    pub source: String,
    /// Whether it holds that the condition holds.
    pub firing: bool,
    /// When its word expires unless it repeats it; none if never.
    pub until: Option<Time>,
    /// All of its reports, ever.
    pub reports: u64,
    /// Reports that said nothing new.
    pub duplicates_full: u64,
    /// Reports that changed texts or labels, but neither state nor severity.
    pub duplicates_partial: u64,
    /// Reports about an episode that was over.
    pub echoes: u64,
    /// The envelope of its first report.
    pub first_position: u64,
    /// The envelope of its last report.
    pub last_position: u64,
    /// When that arrived.
    pub last_received: Time,
}

impl From<&domain::Origin> for Origin {
    fn from(origin: &domain::Origin) -> Self {
        let kind = match origin {
            domain::Origin::Sender { .. } => OriginKind::Sender,
            domain::Origin::Detector { .. } => OriginKind::Detector,
        };
        Self {
            kind,
            name: origin.as_str().to_owned(),
        }
    }
}

impl From<&domain::Alert> for AlertSummary {
    fn from(alert: &domain::Alert) -> Self {
        let (state, ended) = match &alert.state {
            domain::State::Firing => (AlertState::Firing, None),
            domain::State::Resolved { ended, by } => {
                let ended = Ended {
                    at: (*ended).into(),
                    reported_by: match by {
                        domain::End::Reported { source } => Some(source.to_string()),
                        domain::End::TimedOut => None,
                    },
                };
                (AlertState::Resolved, Some(ended))
            }
        };
        Self {
            id: alert.id.to_string(),
            title: alert.title.clone(),
            state,
            severity: alert.severity.grade.into(),
            entities: entities(&alert.entities),
            origin: (&alert.origin).into(),
            started: alert.started.into(),
            changed: alert.changed.into(),
            ended,
            episode: alert.episode,
            score: alert.score,
            link: alert.link.clone(),
        }
    }
}

impl Alert {
    pub(crate) fn of(alert: &domain::Alert, known: &Known, incidents: Vec<String>) -> Self {
        Self {
            summary: alert.into(),
            version: alert.version,
            severity_word: alert.severity.word.clone(),
            trend: match alert.trend {
                domain::Trend::Steady => "steady",
                domain::Trend::Worse => "worse",
                domain::Trend::Better => "better",
            }
            .to_owned(),
            identity: labels(&alert.identity),
            labels: labels(&alert.labels),
            annotations: labels(&alert.annotations),
            measurement: Measurement::of(alert, known),
            sources: AlertSource::all(alert),
            incidents,
        }
    }
}

impl AlertSource {
    /// All sources of an alert, by name.
    pub(crate) fn all(alert: &domain::Alert) -> Vec<Self> {
        let sources = alert.sources.iter();
        sources
            .map(|(source, view)| Self {
                source: source.to_string(),
                firing: view.firing,
                until: view.until.map(Time),
                reports: view.reports,
                duplicates_full: view.duplicates_full,
                duplicates_partial: view.duplicates_partial,
                echoes: view.echoes,
                first_position: view.first.0,
                last_position: view.last.0,
                last_received: view.last_received.into(),
            })
            .collect()
    }
}
