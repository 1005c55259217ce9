//! What each source has sent.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::{Answered, App};
use crate::extract::Query;
use crate::listing::{Limit, page_by_key};
use crate::views::{Page, Source};

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SourceListQuery {
    /// `next` of the page before.
    after: Option<String>,
    /// How many rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Limit>,
}

/// All sources that have ever sent anything, by name.
#[utoipa::path(
    get, path = "/sources", tag = "ingestion", params(SourceListQuery),
    responses((status = 200, description = "Some of them.", body = Page<Source>))
)]
pub(crate) async fn source_list(
    State(shared): App,
    Query(query): Query<SourceListQuery>,
) -> Answered<Page<Source>> {
    let sources = shared.store.source_list(shared.scope()).await?;
    let sources: Vec<Source> = sources.into_iter().map(Source::from).collect();
    let limit = query.limit.unwrap_or_default();
    page_by_key(sources, query.after.as_deref(), limit, |source| {
        source.name.clone()
    })
    .map(Json)
}
