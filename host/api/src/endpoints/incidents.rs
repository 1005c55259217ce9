//! Incidents: what belongs together, why, and what may have brought it about.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use faultline_domain::entity::Entity;
use faultline_domain::id::{AlertId, ChangeId};
use faultline_domain::incident as domain;
use faultline_domain::proposal::Cause;
use faultline_store::{ChangeRecord, IncidentFilter, StageName};
use serde::Deserialize;

use super::topology::edges_since;
use super::{Answered, App};
use crate::extract::{NoQuery, Path, Query};
use crate::known::{Known, Wanted};
use crate::listing::{After, AfterNumber, Limit, page, page_by_key};
use crate::prefix::{CANDIDATES_MAX, Prefix};
use crate::problem::Problem;
use crate::shared::Shared;
use crate::views::{
    Change, Edge, Hypothesis, Incident, IncidentEvent, IncidentSummary, Member, Page, Phase,
    Severity,
};

/// The most members that are shown with an incident.
const MEMBERS_SHOWN_MAX: usize = 200;

/// The most changes that are shown with an incident, suspects not counted.
const CHANGES_SHOWN_MAX: u32 = 50;

/// The most edges that are shown with an incident.
const DEPENDENCIES_SHOWN_MAX: usize = 500;

/// How long before an incident began a change still is of interest.
const CHANGES_BEFORE: Duration = Duration::from_secs(6 * 3_600);

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct IncidentListQuery {
    /// In this phase.
    phase: Option<Phase>,
    /// Open or acknowledged, or else neither.
    active: Option<bool>,
    /// This bad or worse.
    severity_min: Option<Severity>,
    /// With a member that concerns, or once concerned, this, as `kind/name`.
    #[param(value_type = Option<String>, example = "service/checkout")]
    entity: Option<Entity>,
    /// `next` of the page before.
    #[param(value_type = Option<String>, pattern = r"^[0-9]{1,18}\.[\s\S]+$")]
    after: Option<After>,
    /// How many rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Limit>,
}

/// Incidents, those opened last first.
#[utoipa::path(
    get, path = "/incidents", tag = "incidents", params(IncidentListQuery),
    responses((status = 200, description = "Some of them.", body = Page<IncidentSummary>))
)]
pub(crate) async fn incident_list(
    State(shared): App,
    Query(query): Query<IncidentListQuery>,
) -> Answered<Page<IncidentSummary>> {
    let (store, scope) = (&shared.store, shared.scope());
    let filter = IncidentFilter {
        phase: query.phase.map(Into::into),
        active: query.active,
        severity_min: query.severity_min.map(Into::into),
        entity: query.entity,
    };
    let rows = query.limit.unwrap_or_default().rows();
    let after = After::cursor(query.after);
    let incidents = store.incident_list(scope, &filter, after, rows).await?;
    let mut wanted = Wanted::default();
    for incident in &incidents.items {
        wanted.summary(incident);
    }
    let known = Known::load(store, scope, wanted).await?;
    Ok(Json(page(incidents, |incident| {
        IncidentSummary::of(&incident, &known)
    })))
}

/// All that is known about an incident, on one page.
#[utoipa::path(
    get, path = "/incidents/{id}", tag = "incidents",
    params(("id" = String, Path, description = "The id, or the first digits of it.",
            pattern = "^(inc_)?[0-9a-fA-F]{4,32}$")),
    responses((status = 200, description = "The incident.", body = Incident))
)]
pub(crate) async fn incident_fetch(
    State(shared): App,
    Path(id): Path<String>,
    _: NoQuery,
) -> Answered<Incident> {
    let incident = find(&shared, &id).await?;
    let (store, scope) = (&shared.store, shared.scope());
    let mut members = in_order(&incident);
    members.truncate(MEMBERS_SHOWN_MAX);
    let mut wanted = Wanted::default();
    for hypothesis in &incident.hypotheses {
        wanted.cause(&hypothesis.cause);
        wanted.because(&hypothesis.because);
    }
    for (id, member) in &members {
        wanted.alert(*id);
        wanted.because(&member.edge.because);
    }
    let known = Known::load(store, scope, wanted)
        .await?
        .with_series(store, scope, members.iter().map(|(id, _)| *id))
        .await?;
    Ok(Json(Incident {
        summary: IncidentSummary::of(&(&incident).into(), &known),
        version: incident.version,
        merged_into: incident.merged_into.map(|id| id.to_string()),
        split_from: incident.split_from.map(|id| id.to_string()),
        members: members
            .into_iter()
            .map(|(id, member)| Member::of(id, member, &known))
            .collect(),
        hypotheses: Hypothesis::all(&incident, &known),
        changes: changes(&shared, &incident, &known).await?,
        dependencies: dependencies(&shared, &incident).await?,
    }))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MemberListQuery {
    /// `next` of the page before.
    after: Option<String>,
    /// How many rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Limit>,
}

/// The alerts of an incident, and why each belongs to it: firing ones first,
/// then the worst, then the oldest.
#[utoipa::path(
    get, path = "/incidents/{id}/members", tag = "incidents",
    params(
        ("id" = String, Path, description = "The id, or the first digits of it.",
            pattern = "^(inc_)?[0-9a-fA-F]{4,32}$"),
        MemberListQuery,
    ),
    responses((status = 200, description = "Some of them.", body = Page<Member>))
)]
pub(crate) async fn incident_member_list(
    State(shared): App,
    Path(id): Path<String>,
    Query(query): Query<MemberListQuery>,
) -> Answered<Page<Member>> {
    let incident = find(&shared, &id).await?;
    let (store, scope) = (&shared.store, shared.scope());
    let limit = query.limit.unwrap_or_default();
    let members = in_order(&incident);
    let members = page_by_key(members, query.after.as_deref(), limit, |(id, _)| {
        id.to_string()
    })?;
    let mut wanted = Wanted::default();
    for (id, member) in &members.items {
        wanted.alert(*id);
        wanted.because(&member.edge.because);
    }
    let known = Known::load(store, scope, wanted)
        .await?
        .with_series(store, scope, members.items.iter().map(|(id, _)| *id))
        .await?;
    let items = members.items.into_iter();
    Ok(Json(Page {
        items: items
            .map(|(id, member)| Member::of(id, member, &known))
            .collect(),
        next: members.next,
    }))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct IncidentEventListQuery {
    /// `next` of the page before: the `version` of its last event.
    #[param(value_type = Option<u64>)]
    after: Option<AfterNumber>,
    /// How many rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Limit>,
}

/// The timeline of an incident, oldest first.
#[utoipa::path(
    get, path = "/incidents/{id}/events", tag = "incidents",
    params(
        ("id" = String, Path, description = "The id, or the first digits of it.",
            pattern = "^(inc_)?[0-9a-fA-F]{4,32}$"),
        IncidentEventListQuery,
    ),
    responses((status = 200, description = "Some of it.", body = Page<IncidentEvent>))
)]
pub(crate) async fn incident_event_list(
    State(shared): App,
    Path(id): Path<String>,
    Query(query): Query<IncidentEventListQuery>,
) -> Answered<Page<IncidentEvent>> {
    let incident = find(&shared, &id).await?;
    let (store, scope) = (&shared.store, shared.scope());
    let rows = query.limit.unwrap_or_default().rows();
    let after = query.after.map_or(0, |AfterNumber(version)| version);
    // One more than is shown tells that there are more.
    let mut events = store
        .incident_event_after(scope, incident.id, after, rows + 1)
        .await?;
    let more = events.len() > rows as usize;
    events.truncate(rows as usize);
    let mut wanted = Wanted::default();
    for stored in &events {
        wanted.event(&stored.event);
    }
    let known = Known::load(store, scope, wanted).await?;
    let last = events.last().filter(|_| more);
    Ok(Json(Page {
        next: last.map(|stored| stored.event.version.to_string()),
        items: events
            .iter()
            .map(|stored| IncidentEvent::of(stored, &known))
            .collect(),
    }))
}

/// The incident that somebody means by its id, or by the beginning of it.
pub(crate) async fn find(shared: &Shared, typed: &str) -> Result<domain::Incident, Problem> {
    let (store, scope) = (&shared.store, shared.scope());
    let prefix = Prefix::parse("incident", "inc_", typed)?;
    let found = store
        .incident_find(scope, prefix.as_str(), CANDIDATES_MAX + 1)
        .await?;
    let id = prefix.one(&found)?;
    let incident = store.incident_fetch(scope, id).await?;
    // Retention may have been faster.
    incident.ok_or_else(|| Problem::not_found(format!("there is no incident {id} any more")))
}

/// Firing ones first, then the worst, then the oldest.
fn in_order(incident: &domain::Incident) -> Vec<(AlertId, &domain::Member)> {
    let mut members: Vec<(AlertId, &domain::Member)> = incident
        .members
        .iter()
        .map(|(id, member)| (*id, member))
        .collect();
    members.sort_by_key(|(id, member)| {
        let facts = &member.facts;
        (!facts.firing, Reverse(facts.severity), facts.started, *id)
    });
    members
}

/// What was lately changed about the members' entities, and changes that are
/// suspected, the latest first.
async fn changes(
    shared: &Shared,
    incident: &domain::Incident,
    known: &Known,
) -> Result<Vec<Change>, Problem> {
    let (store, scope) = (&shared.store, shared.scope());
    let until = if let Some((act, _)) = &incident.resolved {
        act.at
    } else {
        let observed = store.stage_position(scope, StageName::Observe).await?;
        observed.now.max(incident.last)
    };
    let from = incident.began().minus(CHANGES_BEFORE);
    let entities: Vec<Entity> = incident.members.entities().into_iter().cloned().collect();
    let mut changes: Vec<ChangeRecord> = store
        .changes_about(scope, &entities, from, until, CHANGES_SHOWN_MAX)
        .await?;
    let shown: BTreeSet<ChangeId> = changes.iter().map(|record| record.change.id).collect();
    let suspected = incident.hypotheses.iter().filter_map(|hypothesis| {
        let Cause::Change(id) = &hypothesis.cause else {
            return None;
        };
        known.change(*id).filter(|_| !shown.contains(id)).cloned()
    });
    changes.extend(suspected);
    changes.sort_by_key(|record| Reverse((record.change.at, record.change.id)));
    Ok(changes.into_iter().map(Change::from).collect())
}

/// The edges between the members' entities and those that are suspected.
async fn dependencies(shared: &Shared, incident: &domain::Incident) -> Result<Vec<Edge>, Problem> {
    let mut concerned: BTreeSet<Entity> =
        incident.members.entities().into_iter().cloned().collect();
    concerned.extend(
        incident
            .hypotheses
            .iter()
            .filter_map(|hypothesis| match &hypothesis.cause {
                Cause::Entity(entity) => Some(entity.clone()),
                Cause::Change(_) | Cause::Alert(_) => None,
            }),
    );
    // What was known when it began is of interest even if it is long ago.
    let oldest = incident.began().minus(shared.edge_lifetime);
    let edges = edges_since(shared, oldest).await?;
    Ok(edges
        .iter()
        .filter(|(key, _)| concerned.contains(&key.dependent) && concerned.contains(&key.provider))
        .map(|(key, seen)| Edge::of(key, seen))
        .take(DEPENDENCIES_SHOWN_MAX)
        .collect())
}
