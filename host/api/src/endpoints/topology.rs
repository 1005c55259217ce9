//! Who depends on whom.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use faultline_domain::entity::Entity;
use faultline_domain::envelope::Position;
use faultline_domain::time::Timestamp;
use faultline_domain::topology::{EdgeKey, Seen, Topology};
use faultline_store::StageName;
use serde::Deserialize;

use super::{Answered, App};
use crate::extract::Query;
use crate::listing::{Limit, page_by_key};
use crate::problem::Problem;
use crate::shared::Shared;
use crate::views::{Edge, Page, Place};

/// The most edges around an entity that are looked for.
const EDGES_AROUND_MAX: usize = 5_000;

/// The farthest from an entity that edges are looked for.
const HOPS_MAX: u32 = 5;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EdgeListQuery {
    /// Around this, as `kind/name`.
    #[param(value_type = Option<String>, example = "service/checkout")]
    entity: Option<Entity>,
    /// How far around it, in edges, whichever way they point.
    #[param(minimum = 1, maximum = 5, default = 1)]
    hops: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
    /// How many rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Limit>,
}

/// The edges of the topology as they are known now, by their ends. Those that
/// were not seen for long are left out.
#[utoipa::path(
    get, path = "/topology", tag = "topology", params(EdgeListQuery),
    responses((status = 200, description = "Some of them.", body = Page<Edge>))
)]
pub(crate) async fn edge_list(
    State(shared): App,
    Query(query): Query<EdgeListQuery>,
) -> Answered<Page<Edge>> {
    let hops = hops(&query)?;
    let mut edges = edges(&shared).await?;
    if let Some(entity) = &query.entity {
        edges = around(edges, entity, hops);
    }
    let edges: Vec<Edge> = edges
        .iter()
        .map(|(key, seen)| Edge::of(key, seen))
        .collect();
    let limit = query.limit.unwrap_or_default();
    page_by_key(edges, query.after.as_deref(), limit, |edge| {
        format!("{} {} {}", edge.dependent, edge.relation, edge.provider)
    })
    .map(Json)
}

fn hops(query: &EdgeListQuery) -> Result<u32, Problem> {
    match query.hops {
        None => Ok(1),
        Some(_) if query.entity.is_none() => Err(Problem::invalid_at(
            Place::Query,
            "hops",
            "says how far around `entity`, which is missing",
        )),
        Some(hops @ 1..=HOPS_MAX) => Ok(hops),
        Some(_) => Err(Problem::malformed(
            Place::Query,
            "hops",
            format!("must be a number from 1 to {HOPS_MAX}"),
        )),
    }
}

/// All edges as they are known now, by key.
async fn edges(shared: &Shared) -> Result<Vec<(EdgeKey, Seen)>, Problem> {
    let (store, scope) = (&shared.store, shared.scope());
    let observed = store.stage_position(scope, StageName::Observe).await?;
    // By arrival, as the stages forget them.
    edges_since(shared, observed.clock.minus(shared.edge_lifetime)).await
}

/// How far ahead of its arrival a sighting may be, at the most that can be
/// configured to good effect.
const AHEAD_MAX: Duration = Duration::from_secs(3_600);

/// All edges that were seen at this time or later, by key.
pub(crate) async fn edges_since(
    shared: &Shared,
    oldest: Timestamp,
) -> Result<Vec<(EdgeKey, Seen)>, Problem> {
    let (store, scope) = (&shared.store, shared.scope());
    let mut edges = store
        .topology_at(scope, Position::from_i64(i64::MAX), oldest.minus(AHEAD_MAX))
        .await?;
    edges.retain(|(_, seen)| seen.last >= oldest);
    Ok(edges)
}

fn around(edges: Vec<(EdgeKey, Seen)>, entity: &Entity, hops: u32) -> Vec<(EdgeKey, Seen)> {
    let mut topology = Topology::default();
    for (key, seen) in &edges {
        topology.restore(key.clone(), *seen);
    }
    let near: BTreeSet<EdgeKey> = topology
        .around(&BTreeSet::from([entity]), hops, EDGES_AROUND_MAX)
        .into_iter()
        .map(|edge| EdgeKey {
            dependent: edge.dependent,
            provider: edge.provider,
            relation: edge.relation,
        })
        .collect();
    let mut edges = edges;
    edges.retain(|(key, _)| near.contains(key));
    edges
}
