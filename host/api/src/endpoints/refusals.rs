//! What correlators proposed in vain.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::{Answered, App};
use crate::extract::Query;
use crate::listing::{AfterOrdinal, Limit, page};
use crate::views::{Page, Refusal};

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RefusalListQuery {
    /// `next` of the page before.
    #[param(value_type = Option<String>, pattern = r"^[0-9]{1,18}\.[0-9]{1,9}$")]
    after: Option<AfterOrdinal>,
    /// How many rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Limit>,
}

/// What correlators proposed and the host refused, the last first.
#[utoipa::path(
    get, path = "/refusals", tag = "incidents", params(RefusalListQuery),
    responses((status = 200, description = "Some of them.", body = Page<Refusal>))
)]
pub(crate) async fn refusal_list(
    State(shared): App,
    Query(query): Query<RefusalListQuery>,
) -> Answered<Page<Refusal>> {
    let rows = query.limit.unwrap_or_default().rows();
    let refusals = shared
        .store
        .refusal_list(shared.scope(), AfterOrdinal::cursor(query.after), rows)
        .await?;
    Ok(Json(page(refusals, Refusal::from)))
}
