//! What an instance did beyond itself.

use axum::Json;
use axum::extract::State;

use super::{Answered, App};
use crate::extract::{NoQuery, Path};
use crate::instances::{find, subject};
use crate::usage::{done, narrowed};
use crate::views::WhatItDid;

/// The most rows that are read.
const ROWS_MAX: u32 = 10_000;

/// What an instance did beyond itself, by the latest rows of the audit log, and
/// how much less it could be allowed.
#[utoipa::path(
    get, path = "/instances/{name}/usage", tag = "plugins",
    params(("name" = String, Path, description = "The instance.")),
    responses((status = 200, description = "What it did.", body = WhatItDid))
)]
pub(crate) async fn instance_usage(
    State(shared): App,
    Path(name): Path<String>,
    _: NoQuery,
) -> Answered<WhatItDid> {
    let record = find(&shared, &name).await?;
    let about = subject(&record.name);
    let mut rows = shared.store.audit_list_about(&about, ROWS_MAX + 1).await?;
    let more = rows.len() > ROWS_MAX as usize;
    rows.truncate(ROWS_MAX as usize);
    let grants = shared.store.grant_list(&record.name).await?;
    Ok(Json(WhatItDid {
        rows_read: u32::try_from(rows.len()).unwrap_or(ROWS_MAX),
        more,
        since: rows.last().map(|row| row.entry.at.into()),
        done: done(&rows),
        narrowed: narrowed(&rows, &grants),
    }))
}
