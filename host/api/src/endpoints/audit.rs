//! The audit log: read, and checked.

use axum::Json;
use axum::extract::State;
use faultline_domain::audit::{Row, Verifier};
use faultline_domain::id::Digest;
use faultline_store::AuditFilter;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Answered, App};
use crate::extract::Query;
use crate::listing::{AfterNumber, Limit};
use crate::problem::Problem;
use crate::shared::Shared;
use crate::views::{AuditBreak, AuditRow, AuditVerdict, Page, Place};

/// The most rows that one request checks.
const ROWS_CHECKED_MAX: u64 = 100_000;

/// Rows that are read at once while they are checked.
const ROWS_PER_READ: u32 = 1_000;

/// Which end to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AuditOrder {
    /// The latest first.
    #[default]
    Latest,
    /// The oldest first: to export it, or to follow it.
    Oldest,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditListQuery {
    /// Which end to begin with. Left out: the latest rows.
    #[param(inline)]
    order: Option<AuditOrder>,
    /// By this actor.
    #[param(example = "token:ci")]
    actor: Option<String>,
    /// With an action that begins so.
    #[param(example = "plugin.")]
    action: Option<String>,
    /// `next` of the page before: the `sequence` of its last row.
    #[param(value_type = Option<u64>)]
    after: Option<AfterNumber>,
    /// How many rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Limit>,
}

/// Rows of the audit log.
#[utoipa::path(
    get, path = "/audit", tag = "audit", params(AuditListQuery),
    responses((status = 200, description = "Some of them.", body = Page<AuditRow>))
)]
pub(crate) async fn audit_list(
    State(shared): App,
    Query(query): Query<AuditListQuery>,
) -> Answered<Page<AuditRow>> {
    let limit = query.limit.unwrap_or_default().rows();
    let place = query.after.map(|AfterNumber(sequence)| sequence);
    let mut filter = AuditFilter {
        after: 0,
        actor: query.actor,
        action: query.action,
    };
    // One more than is shown tells that there are more.
    let mut rows = match query.order.unwrap_or_default() {
        AuditOrder::Latest => {
            shared
                .store
                .audit_list_latest(&filter, place, limit + 1)
                .await?
        }
        AuditOrder::Oldest => {
            filter.after = place.unwrap_or(0);
            shared.store.audit_list(&filter, limit + 1).await?
        }
    };
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let last = rows.last().filter(|_| more);
    Ok(Json(Page {
        next: last.map(|row| row.sequence.to_string()),
        items: rows.into_iter().map(AuditRow::from).collect(),
    }))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditVerifyQuery {
    /// Only rows after this one; with `hash`. Left out: from the oldest row on.
    #[param(value_type = Option<u64>)]
    after: Option<AfterNumber>,
    /// The hash of that row, as it was kept.
    #[param(value_type = Option<String>, pattern = "^sha256:[0-9a-f]{64}$")]
    hash: Option<Digest>,
}

/// Checks the chain of hashes of the audit log, a hundred thousand rows at most.
#[utoipa::path(
    get, path = "/audit/verify", tag = "audit", params(AuditVerifyQuery),
    responses((status = 200, description = "What came of it.", body = AuditVerdict))
)]
pub(crate) async fn audit_verify(
    State(shared): App,
    Query(query): Query<AuditVerifyQuery>,
) -> Answered<AuditVerdict> {
    let _place = shared.rooms.walks.enter()?;
    let (after, hash) = begin(&shared, &query).await?;
    // Rows that are written meanwhile are not waited for.
    let (end, end_hash) = shared.store.audit_head().await?;
    let mut verifier = Verifier::after(after, hash);
    let broken = if after > end {
        Some(AuditBreak {
            sequence: after,
            reason: format!("the log ends at row {end}: what came after it was cut off"),
        })
    } else if after == end && hash != end_hash {
        Some(AuditBreak {
            sequence: after,
            reason: format!("row {after} has another hash than the one given"),
        })
    } else {
        check(&shared, &mut verifier, end).await?
    };
    let (sequence, hash) = verifier.head();
    Ok(Json(AuditVerdict {
        intact: broken.is_none(),
        complete: broken.is_none() && sequence >= end,
        rows: sequence - after,
        after,
        sequence,
        hash: hash.to_string(),
        broken,
    }))
}

/// Where to begin: where the caller says, or after what retention has removed.
async fn begin(shared: &Shared, query: &AuditVerifyQuery) -> Result<(u64, Digest), Problem> {
    let (base, base_hash) = shared.store.audit_base().await?;
    let after = query.after.map(|AfterNumber(sequence)| sequence);
    match (after, query.hash) {
        (None, None) => Ok((base, base_hash)),
        (Some(after), Some(_)) if after < base => Err(Problem::invalid_at(
            Place::Query,
            "after",
            format!("rows up to {base} were removed by retention: begin there, or leave it out"),
        )),
        (Some(after), Some(hash)) => Ok((after, hash)),
        (None, Some(_)) => Err(Problem::invalid_at(
            Place::Query,
            "after",
            "`hash` is the hash of a row: say of which",
        )),
        (Some(_), None) => Err(Problem::invalid_at(
            Place::Query,
            "hash",
            "must be given with `after`: the hash of that row, as it was kept",
        )),
    }
}

/// Checks rows up to `end`, or as many as one request may; gives the first
/// that is not good.
async fn check(
    shared: &Shared,
    verifier: &mut Verifier,
    end: u64,
) -> Result<Option<AuditBreak>, Problem> {
    let (begin, _) = verifier.head();
    let end = end.min(begin.saturating_add(ROWS_CHECKED_MAX));
    loop {
        let (sequence, _) = verifier.head();
        if sequence >= end {
            return Ok(None);
        }
        let filter = AuditFilter {
            after: sequence,
            ..AuditFilter::default()
        };
        let rows: Vec<Row> = shared.store.audit_list(&filter, ROWS_PER_READ).await?;
        if rows.is_empty() {
            return Ok(Some(AuditBreak {
                sequence: sequence + 1,
                reason: format!("rows {} to {end} are not there", sequence + 1),
            }));
        }
        // A row beyond the end that comes too soon is a break, too.
        for row in &rows {
            if verifier.head().0 >= end {
                break;
            }
            if let Err(broken) = verifier.next(row) {
                return Ok(Some(AuditBreak {
                    sequence: row.sequence,
                    reason: broken.to_string(),
                }));
            }
        }
    }
}
