//! What could not be dealt with.

use axum::Json;
use axum::extract::State;
use faultline_domain::audit::Stage;
use faultline_domain::envelope::{Format, Position};
use faultline_store::{LetterFilter, LetterKind};
use serde::Deserialize;
use serde_json::json;

use super::{Answered, App};
use crate::access::Caller;
use crate::extract::{NoBody, NoQuery, Path, Query};
use crate::listing::{After, Limit, page};
use crate::problem::Problem;
use crate::views::{DeadLetter, DeadLetterKind, Page, Redriven};

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeadLetterListQuery {
    /// `next` of the page before.
    #[param(value_type = Option<String>, pattern = r"^[0-9]{1,18}\.[\s\S]+$")]
    after: Option<After>,
    /// How many rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Limit>,
    /// Only those that are dead for this reason.
    kind: Option<DeadLetterKind>,
    /// Only those of this reader, such as `connector:json`.
    reader: Option<String>,
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
    let filter = LetterFilter {
        kind: query.kind.map(LetterKind::from),
        reader: query.reader,
    };
    let letters = shared
        .store
        .dead_letter_list(shared.scope(), &filter, After::cursor(query.after), rows)
        .await?;
    Ok(Json(page(letters, DeadLetter::from)))
}

/// Gives a payload to its reader once more, after what kept it from being read
/// was mended: a copy of it is put at the end of the journal, and dealt with in
/// its turn. What of it was understood the first time is then a duplicate, and
/// counts as one.
#[utoipa::path(
    post, path = "/dead-letters/{position}/redrive", tag = "ingestion",
    params(("position" = u64, Path, description = "The envelope.")),
    responses(
        (status = 200, description = "Where the copy lies.", body = Redriven),
        (status = 404, description = "There is no dead letter there, or the journal does not reach back so far."),
        (status = 409, description = "No payload is to blame, or it was read, and a detector or correlator failed on it."),
    )
)]
pub(crate) async fn dead_letter_redrive(
    State(shared): App,
    caller: Caller,
    Path(position): Path<u64>,
    _: NoQuery,
    _: NoBody,
) -> Answered<Redriven> {
    let position = Position(position);
    let (store, scope) = (&shared.store, shared.scope());
    let letters = store.dead_letters_at(scope, position).await?;
    if letters.is_empty() {
        return Err(Problem::not_found(format!(
            "nothing at {position} is a dead letter"
        )));
    }
    let unread = letters.iter().find(|letter| {
        Format::try_from(letter.reader.clone()).is_ok_and(|format| !format.is_own())
    });
    if unread.is_none() {
        let readers: Vec<&str> = letters.iter().map(|it| it.reader.as_str()).collect();
        return Err(Problem::conflict(format!(
            "the payload at {position} was read; {} failed on what it says, and is not shown \
             again what is past: resume it, and it goes on with what comes",
            readers.join(", ")
        )));
    }
    let envelope = store
        .envelope_fetch(scope, position)
        .await?
        .ok_or_else(|| {
            Problem::not_found(format!(
                "the payload at {position} is older than what the journal keeps"
            ))
        })?;
    let subject = format!("envelope:{position}");
    let entry =
        |stage, detail| caller.entry(shared.now(), "envelope.redrive", &subject, stage, detail);
    let intent = store.audit_append(entry(Stage::Intent, json!({}))).await?;
    let arrival = envelope.redriven(shared.now());
    let appended = shared.append(arrival).await;
    let (result, detail) = match &appended {
        Ok(copy) => ("ok", json!({ "position": copy.0 })),
        Err(error) => ("failed", json!({ "reason": error.to_string() })),
    };
    let result = result.to_owned();
    store
        .audit_append(entry(Stage::Outcome { intent, result }, detail))
        .await?;
    Ok(Json(Redriven {
        from: position.0,
        position: appended?.0,
    }))
}
