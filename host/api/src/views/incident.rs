//! Incidents.

use data_encoding::BASE64;
use faultline_domain::alert as domain_alert;
use faultline_domain::id::AlertId;
use faultline_domain::incident as domain;
use faultline_domain::incident_summary as domain_summary;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Act, Author, Because, Cause, CauseKind, Change, Edge, Origin, Phase, Series, Severity, Time,
    entities,
};
use crate::known::Known;

/// An incident in a listing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IncidentSummary {
    /// Derived from what founded it.
    #[schema(pattern = "^inc_[0-9a-f]{32}$")]
    pub id: String,
    /// A line for people.
    pub title: String,
    /// Where it stands.
    pub phase: Phase,
    /// The worst of its firing members; of all members when none fires.
    pub severity: Severity,
    /// Whether any member fires.
    pub firing: bool,
    /// When the first of its members began.
    pub began: Time,
    /// When it was opened.
    pub opened: Time,
    /// When a member last joined or changed.
    pub last: Time,
    /// Who looks after it, since when; none if nobody does.
    pub acknowledged: Option<Act>,
    /// Since when it is over, and how we know; none if it is not.
    pub resolved: Option<Resolved>,
    /// How many alerts belong to it.
    pub members_total: u64,
    /// How many of them fire.
    pub members_firing: u64,
    /// What its members concern, as `kind/name`: the twenty that most of them do.
    pub entities: Vec<String>,
    /// How many entities there are.
    pub entities_total: u64,
    /// The likeliest cause; none if nothing is suspected.
    pub suspect: Option<Suspect>,
}

/// The likeliest cause of an incident, in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Suspect {
    /// What sort of thing.
    pub kind: CauseKind,
    /// Its id; of an entity its text.
    pub id: String,
    /// What people call it.
    pub title: String,
    /// How sure: 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    pub confidence: f64,
}

/// That an incident is over, and how we know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Resolved {
    /// Event time.
    pub at: Time,
    /// Who said so.
    pub by: Author,
    /// How we know.
    pub how: Resolution,
}

/// How we know that an incident is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Resolution {
    /// All of its members resolved, and stayed so for the resolve delay.
    MembersResolved,
    /// A person said so.
    Declared,
}

/// All that is known about an incident, on one page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Incident {
    /// As in a listing.
    #[serde(flatten)]
    pub summary: IncidentSummary,
    /// Counts its events.
    pub version: u64,
    /// The incident that has its members now; none if it was not merged.
    pub merged_into: Option<String>,
    /// The incident that it was split from.
    pub split_from: Option<String>,
    /// Its alerts: firing ones first, then the worst, then the oldest. If there
    /// are more than two hundred, the others are at `/incidents/{id}/members`.
    pub members: Vec<Member>,
    /// Suspected causes, the likeliest first.
    pub hypotheses: Vec<Hypothesis>,
    /// What was lately changed about the members' entities, and about suspects,
    /// the latest first.
    pub changes: Vec<Change>,
    /// The topology between the members' entities, and suspects.
    pub dependencies: Vec<Edge>,
}

/// An alert in an incident, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// The alert's id.
    #[schema(pattern = "^alr_[0-9a-f]{32}$")]
    pub alert: String,
    /// The alert's title as it stands; its id if it is no longer kept.
    pub title: String,
    /// Whether it fires, as the incident last saw it.
    pub firing: bool,
    /// How bad.
    pub severity: Severity,
    /// When the episode began.
    pub started: Time,
    /// When it last changed.
    pub changed: Time,
    /// Which episode of the alert.
    pub episode: u64,
    /// What it concerns, as `kind/name`.
    pub entities: Vec<String>,
    /// Who said so; none if the alert is no longer kept.
    pub origin: Option<Origin>,
    /// Where to read more.
    pub link: Option<String>,
    /// From a detector: the number, and the band it was expected in.
    pub measurement: Option<Measurement>,
    /// Why it is a member.
    pub because: Because,
    /// Who said so.
    pub by: Author,
    /// When they did.
    pub joined: Time,
}

/// A number beside what was expected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Measurement {
    /// The series it was seen on; none if it was none.
    pub series: Option<Series>,
    /// What was seen.
    pub value: Option<f64>,
    /// What was expected.
    pub expected: Option<Band>,
    /// 0 to 1: how far from normal.
    #[schema(minimum = 0, maximum = 1)]
    pub score: f64,
    /// What the detector said in a shape of its own.
    pub extra: Option<Extra>,
}

/// A payload that nobody but its detector's users reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Extra {
    /// Says what the bytes are.
    pub media_type: String,
    /// In base64 (RFC 4648, section 4).
    pub bytes: String,
}

/// The interval that a value was expected in. A bound that is not a number is
/// none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Band {
    /// The lower bound.
    pub low: Option<f64>,
    /// The upper bound.
    pub high: Option<f64>,
}

/// A suspected cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Hypothesis {
    /// 1 for the likeliest.
    #[schema(minimum = 1)]
    pub rank: u32,
    /// The suspect.
    pub cause: Cause,
    /// Both sides of the evidence, and how sure.
    pub because: Because,
    /// Who suspects it.
    pub by: Author,
    /// When they last said so.
    pub at: Time,
}

impl IncidentSummary {
    pub(crate) fn of(incident: &domain_summary::IncidentSummary, known: &Known) -> Self {
        Self {
            id: incident.id.to_string(),
            title: incident.title.clone(),
            phase: incident.phase.into(),
            severity: incident.severity.into(),
            firing: incident.firing > 0,
            began: incident.began.into(),
            opened: incident.opened.into(),
            last: incident.last.into(),
            acknowledged: incident.acknowledged.as_ref().map(Act::from),
            resolved: incident.resolved.as_ref().map(|(act, how)| Resolved {
                at: act.at.into(),
                by: (&act.author).into(),
                how: (*how).into(),
            }),
            members_total: incident.members,
            members_firing: incident.firing,
            entities: entities(&incident.entities),
            entities_total: incident.entities_total,
            suspect: incident.suspect.as_ref().map(|(cause, confidence)| {
                let cause = Cause::of(cause, known);
                Suspect {
                    kind: cause.kind,
                    id: cause.id,
                    title: cause.title,
                    confidence: confidence.value(),
                }
            }),
        }
    }
}

impl From<domain::Resolution> for Resolution {
    fn from(resolution: domain::Resolution) -> Self {
        match resolution {
            domain::Resolution::MembersResolved => Self::MembersResolved,
            domain::Resolution::Declared => Self::Declared,
        }
    }
}

impl Member {
    pub(crate) fn of(id: AlertId, member: &domain::Member, known: &Known) -> Self {
        let facts = &member.facts;
        let alert = known.alert(id);
        Self {
            alert: id.to_string(),
            title: known.alert_title(id),
            firing: facts.firing,
            severity: facts.severity.into(),
            started: facts.started.into(),
            changed: facts.at.into(),
            episode: facts.episode,
            entities: entities(&facts.entities),
            origin: alert.map(|alert| (&alert.origin).into()),
            link: alert.and_then(|alert| alert.link.clone()),
            measurement: alert.and_then(|alert| Measurement::of(alert, known)),
            because: Because::of(&member.edge.because, known),
            by: (&member.edge.author).into(),
            joined: member.edge.at.into(),
        }
    }
}

impl Hypothesis {
    /// All hypotheses of an incident, which come in the order of their ranks.
    pub(crate) fn all(incident: &domain::Incident, known: &Known) -> Vec<Self> {
        (1..)
            .zip(&incident.hypotheses)
            .map(|(rank, hypothesis)| Self {
                rank,
                cause: Cause::of(&hypothesis.cause, known),
                because: Because::of(&hypothesis.because, known),
                by: (&hypothesis.author).into(),
                at: hypothesis.at.into(),
            })
            .collect()
    }
}

impl Measurement {
    pub(crate) fn of(alert: &domain_alert::Alert, known: &Known) -> Option<Self> {
        let measurement = alert.measurement.as_ref()?;
        let number = |value: f64| value.is_finite().then_some(value);
        let series = measurement.series.and_then(|id| known.series(id));
        Some(Self {
            series: series.cloned().map(Series::from),
            value: measurement.value.and_then(number),
            expected: measurement.expected.map(|band| Band {
                low: number(band.low),
                high: number(band.high),
            }),
            score: alert.score,
            extra: measurement.extra.as_ref().map(|extra| Extra {
                media_type: extra.media_type.clone(),
                bytes: BASE64.encode(&extra.bytes),
            }),
        })
    }
}
