//! What could not be dealt with.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::{Answered, App};
use crate::extract::Query;
use crate::listing::{After, Limit, page};
use crate::views::{DeadLetter, Page};

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeadLetterListQuery {
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    after: Option<After>,
    /// How many rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Limit>,
}

/// Payloads, or parts of them, that could not be dealt with, the last first.
#[utoipa::path(
    get, path = "/dead-letters", tag = "ingestion", params(DeadLetterListQuery),
    responses((status = 200, description = "Some of them.", body = Page<DeadLetter>))
)]
pub(crate) async fn dead_letter_list(
    State(shared): App,
    Query(query): Query<DeadLetterListQuery>,
) -> Answered<Page<DeadLetter>> {
    let rows = query.limit.unwrap_or_default().rows();
    let letters = shared
        .store
        .dead_letter_list(shared.scope(), After::cursor(query.after), rows)
        .await?;
    Ok(Json(page(letters, DeadLetter::from)))
}
