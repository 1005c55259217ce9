//! What was changed on purpose.

use axum::Json;
use axum::extract::State;
use faultline_domain::entity::Entity;
use faultline_domain::id::ChangeId;
use serde::Deserialize;

use super::{Answered, App};
use crate::extract::{NoQuery, Path, Query};
use crate::listing::{After, Limit, page};
use crate::problem::Problem;
use crate::views::{Change, Page, Place};

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChangeListQuery {
    /// That concern this, as `kind/name`.
    #[param(value_type = Option<String>, example = "service/checkout")]
    entity: Option<Entity>,
    /// `next` of the page before.
    #[param(value_type = Option<String>, pattern = r"^[0-9]{1,18}\.[\s\S]+$")]
    after: Option<After>,
    /// How many rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Limit>,
}

/// Changes as last reported, the latest first.
#[utoipa::path(
    get, path = "/changes", tag = "changes", params(ChangeListQuery),
    responses((status = 200, description = "Some of them.", body = Page<Change>))
)]
pub(crate) async fn change_list(
    State(shared): App,
    Query(query): Query<ChangeListQuery>,
) -> Answered<Page<Change>> {
    let rows = query.limit.unwrap_or_default().rows();
    let after = After::cursor(query.after);
    let changes = shared
        .store
        .change_list(shared.scope(), query.entity.as_ref(), after, rows)
        .await?;
    Ok(Json(page(changes, Change::from)))
}

/// A change as last reported.
#[utoipa::path(
    get, path = "/changes/{id}", tag = "changes",
    params(("id" = String, Path, description = "`chg_` and 32 hexadecimal digits.",
        pattern = "^chg_[0-9a-f]{32}$")),
    responses((status = 200, description = "The change.", body = Change))
)]
pub(crate) async fn change_fetch(
    State(shared): App,
    Path(id): Path<String>,
    _: NoQuery,
) -> Answered<Change> {
    let id: ChangeId = id
        .parse()
        .map_err(|error| Problem::malformed(Place::Path, "id", format!("{error}")))?;
    let found = shared.store.change_fetch(shared.scope(), id).await?;
    let change = found.ok_or_else(|| Problem::not_found(format!("there is no change {id}")))?;
    Ok(Json(change.into()))
}
