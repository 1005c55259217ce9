//! Payloads as they came.

use axum::Json;
use axum::extract::State;
use faultline_domain::envelope::Position;

use super::{Answered, App};
use crate::extract::{NoQuery, Path};
use crate::problem::Problem;
use crate::views::Envelope;

/// A payload as it lies in the journal.
#[utoipa::path(
    get, path = "/envelopes/{position}", tag = "ingestion",
    params(("position" = u64, Path, description = "Where it lies.")),
    responses((status = 200, description = "The payload.", body = Envelope))
)]
pub(crate) async fn envelope_fetch(
    State(shared): App,
    Path(position): Path<u64>,
    _: NoQuery,
) -> Answered<Envelope> {
    let found = shared
        .store
        .envelope_fetch(shared.scope(), Position(position))
        .await?;
    let envelope = found.ok_or_else(|| {
        Problem::not_found(format!(
            "the journal has nothing at {position}: it was never given away, or retention has \
             removed it"
        ))
    })?;
    Ok(Json(envelope.into()))
}
