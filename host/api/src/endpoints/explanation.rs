//! What happened to an alert, and why.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use faultline_domain::alert::{Alert, Origin};
use faultline_domain::conventions;
use faultline_domain::entity::Entity;
use faultline_domain::envelope::Position;
use faultline_domain::id::{AlertId, IncidentId};
use faultline_domain::incident::{Edge, Happening};
use faultline_domain::incident_summary::IncidentSummary;
use faultline_domain::labels::Labels;
use faultline_store::DeadLetter;

use super::alerts::find;
use super::{Answered, App};
use crate::extract::{NoQuery, Path};
use crate::known::{Known, Wanted};
use crate::problem::Problem;
use crate::shared::Shared;
use crate::views::{
    AlertSource, Because, EntityReason, Explanation, Identification, Membership, Step, StepStage,
    Transition,
};

/// The most steps of an alert's history that are shown.
const TRANSITIONS_SHOWN_MAX: u32 = 100;

/// The most incidents of an alert that are shown.
const INCIDENTS_SHOWN_MAX: usize = 50;

/// The most events of an incident that are searched for why an alert that is no
/// member any more had joined it.
const EVENTS_SEARCHED_MAX: u64 = 10_000;

/// Events that are read from the store at once.
const EVENTS_PER_READ: u32 = 500;

/// The most sources of an alert whose envelopes are looked up.
const SOURCES_LOOKED_UP_MAX: usize = 50;

/// What happened to an alert, and why: from the payloads that spoke of it to
/// the incidents that it belongs to.
#[utoipa::path(
    get, path = "/alerts/{id}/explanation", tag = "alerts",
    params(("id" = String, Path, description = "The id, or the first digits of it.",
            pattern = "^(alr_)?[0-9a-fA-F]{4,32}$")),
    responses((status = 200, description = "What happened to it.", body = Explanation))
)]
pub(crate) async fn alert_explain(
    State(shared): App,
    Path(id): Path<String>,
    _: NoQuery,
) -> Answered<Explanation> {
    let alert = find(&shared, &id).await?;
    let (store, scope) = (&shared.store, shared.scope());
    let transitions = store
        .transition_list(scope, alert.id, TRANSITIONS_SHOWN_MAX)
        .await?;
    let mut positions: BTreeSet<Position> = transitions.iter().map(|t| t.position).collect();
    positions.extend(positions_of(&alert));
    let positions: Vec<Position> = positions.into_iter().collect();
    let dead_letters = store.dead_letters_among(scope, &positions).await?;
    let decoded_by = readers(&shared, &alert).await?;
    let incidents = memberships(&shared, &alert).await?;
    let entities: Vec<EntityReason> = alert
        .entities
        .iter()
        .map(|entity| entity_reason(entity, &alert))
        .collect();
    let identified = identification(&alert);
    let chain = chain(&alert, &decoded_by, &dead_letters, &incidents);
    Ok(Json(Explanation {
        alert: (&alert).into(),
        chain,
        received: AlertSource::all(&alert),
        decoded_by,
        dead_letters: dead_letters.into_iter().map(Into::into).collect(),
        identified,
        entities,
        transitions: transitions.into_iter().map(Transition::from).collect(),
        suppressed_by: Vec::new(),
        incidents,
    }))
}

/// The first and the last envelope of each source.
fn positions_of(alert: &Alert) -> Vec<Position> {
    let sources = alert.sources.values().take(SOURCES_LOOKED_UP_MAX);
    sources.flat_map(|view| [view.first, view.last]).collect()
}

/// Who read the envelopes that spoke of an alert, each once.
async fn readers(shared: &Shared, alert: &Alert) -> Result<Vec<String>, Problem> {
    let mut readers = BTreeSet::new();
    for position in positions_of(alert) {
        let found = shared
            .store
            .envelope_fetch(shared.scope(), position)
            .await?;
        if let Some(envelope) = found {
            readers.insert(envelope.arrival.format.to_string());
        }
    }
    Ok(readers.into_iter().collect())
}

/// The incidents that the alert is or was a member of, and why it joined.
async fn memberships(shared: &Shared, alert: &Alert) -> Result<Vec<Membership>, Problem> {
    let (store, scope) = (&shared.store, shared.scope());
    let mut incidents = store.incidents_of_alert(scope, alert.id).await?;
    incidents.truncate(INCIDENTS_SHOWN_MAX);
    let mut all: Vec<(IncidentSummary, bool, Option<Edge>)> = Vec::with_capacity(incidents.len());
    let mut wanted = Wanted::default();
    for (incident, member) in incidents {
        let is_member = member.is_some();
        let edge = match member {
            Some(member) => Some(member.edge),
            None => edge_of_old(shared, incident.id, alert.id).await?,
        };
        if let Some(edge) = &edge {
            wanted.because(&edge.because);
        }
        all.push((incident, is_member, edge));
    }
    let known = Known::load(store, scope, wanted).await?;
    Ok(all
        .into_iter()
        .map(|(incident, is_member, edge)| Membership {
            incident: incident.id.to_string(),
            title: incident.title.clone(),
            phase: incident.phase.into(),
            member: is_member,
            joined: edge.as_ref().map(|edge| edge.at.into()),
            because: edge.as_ref().map(|edge| Because::of(&edge.because, &known)),
            by: edge.as_ref().map(|edge| (&edge.author).into()),
        })
        .collect())
}

/// Why an alert that is no member of an incident any more last joined it.
async fn edge_of_old(
    shared: &Shared,
    incident: IncidentId,
    alert: AlertId,
) -> Result<Option<Edge>, Problem> {
    let mut found = None;
    let mut version = 0;
    while version < EVENTS_SEARCHED_MAX {
        let events = shared
            .store
            .incident_event_after(shared.scope(), incident, version, EVENTS_PER_READ)
            .await?;
        let Some(last) = events.last() else {
            break;
        };
        version = last.event.version;
        for event in events.into_iter().map(|stored| stored.event) {
            if matches!(event.happening, Happening::Joined { alert: joined, .. } if joined == alert)
            {
                found = event.edge();
            }
        }
    }
    Ok(found)
}

/// What the id is a hash of: as [`faultline_domain::alert::fingerprint`] has
/// it.
fn identification(alert: &Alert) -> Identification {
    let kind = match &alert.origin {
        Origin::Sender { .. } => "sender",
        Origin::Detector { .. } => "detector",
    };
    let identity = alert.identity.iter();
    let pairs = identity.flat_map(|(name, value)| [name.to_owned(), value.to_owned()]);
    Identification {
        origin: (&alert.origin).into(),
        identity: crate::views::labels(&alert.identity),
        hashed: ["alr", kind, alert.origin.as_str()]
            .into_iter()
            .map(ToOwned::to_owned)
            .chain(pairs)
            .collect(),
    }
}

/// The labels without which the conventions would not name the entity.
fn entity_reason(entity: &Entity, alert: &Alert) -> EntityReason {
    let all = &alert.labels;
    let named_by = |labels: &Labels| conventions::entities(labels).contains(entity);
    let labels: Vec<String> = if named_by(all) {
        let names = all.iter().map(|(name, _)| name);
        let without = |name: &str| -> Labels { all.iter().filter(|(n, _)| *n != name).collect() };
        names
            .filter(|name| !named_by(&without(name)))
            .map(ToOwned::to_owned)
            .collect()
    } else {
        Vec::new()
    };
    let text = match (labels.as_slice(), &alert.origin) {
        ([], _) if named_by(all) => format!("several labels name {entity}, each by itself"),
        ([], Origin::Sender { .. }) => format!("its sender or connector says that it is {entity}"),
        ([], Origin::Detector { .. }) => {
            format!("it was found on telemetry of {entity}, or its detector says so")
        }
        (labels, _) => format!("named by {}", labels.join(" and ")),
    };
    EntityReason {
        entity: entity.to_string(),
        labels,
        text,
    }
}

/// The chain in sentences, in its order.
fn chain(
    alert: &Alert,
    decoded_by: &[String],
    dead_letters: &[DeadLetter],
    incidents: &[Membership],
) -> Vec<Step> {
    let step = |stage, text| Step { stage, text };
    vec![
        step(StepStage::Received, received(alert)),
        step(StepStage::Decoded, decoded(alert, decoded_by, dead_letters)),
        step(StepStage::Identified, identified(alert)),
        step(StepStage::Deduplicated, deduplicated(alert)),
        step(
            StepStage::Suppressed,
            "nothing keeps it quiet: silences, inhibition and maintenance are not there yet"
                .to_owned(),
        ),
        step(StepStage::Joined, joined(incidents)),
    ]
}

fn received(alert: &Alert) -> String {
    let told: Vec<String> = alert
        .sources
        .iter()
        .map(|(source, view)| {
            format!(
                "{source} reported it {}, first in envelope {}, last in envelope {} at {}",
                times(view.reports),
                view.first,
                view.last,
                view.last_received
            )
        })
        .collect();
    told.join("; ")
}

fn decoded(alert: &Alert, readers: &[String], dead_letters: &[DeadLetter]) -> String {
    let mut text = match (&alert.origin, readers) {
        (Origin::Detector { instance }, _) => {
            format!("the detector {instance} found it in telemetry")
        }
        (Origin::Sender { .. }, []) => {
            "the envelopes that spoke of it are no longer kept".to_owned()
        }
        (Origin::Sender { .. }, readers) => format!("read by {}", readers.join(" and ")),
    };
    if !dead_letters.is_empty() {
        use std::fmt::Write as _;
        let _ = write!(
            text,
            "; {} of these envelopes could not be dealt with in full: see the dead letters",
            dead_letters.len()
        );
    }
    text
}

fn identified(alert: &Alert) -> String {
    let identity: Vec<String> = alert
        .identity
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!(
        "{} is the hash of `{}` and {}: whatever has the same is the same alert",
        alert.id,
        alert.origin.as_str(),
        identity.join(", ")
    )
}

fn deduplicated(alert: &Alert) -> String {
    let sum = |count: fn(&faultline_domain::alert::SourceView) -> u64| -> u64 {
        alert.sources.values().map(count).sum()
    };
    let reports = sum(|view| view.reports);
    let full = sum(|view| view.duplicates_full);
    let partial = sum(|view| view.duplicates_partial);
    let echoes = sum(|view| view.echoes);
    format!(
        "of {reports} reports, {full} said nothing new, {partial} changed only texts or labels, \
         and {echoes} spoke of an episode that was over"
    )
}

fn joined(incidents: &[Membership]) -> String {
    let told: Vec<String> = incidents
        .iter()
        .map(|membership| {
            let is = if membership.member { "is" } else { "was" };
            let why = match &membership.because {
                Some(because) => format!(": {}", because.reason),
                None => String::new(),
            };
            format!("it {is} a member of {}{why}", membership.incident)
        })
        .collect();
    if told.is_empty() {
        "no correlator has made it a member of an incident".to_owned()
    } else {
        told.join("; ")
    }
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}
