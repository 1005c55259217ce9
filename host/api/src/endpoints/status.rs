//! How the installation fares, who asks, and one number for all of history.

use axum::Json;
use axum::extract::State;
use faultline_domain::envelope::Position;

use super::{Answered, App};
use crate::access::Caller;
use crate::control::Condition;
use crate::extract::NoQuery;
use crate::overview::Overview;
use crate::views::{CallerView, ConditionView, HistoryDigest, Lease, Status, Time};

/// How the installation fares as a whole.
#[utoipa::path(
    get, path = "/status", tag = "status",
    responses((status = 200, description = "How it fares.", body = Status))
)]
pub(crate) async fn status_fetch(State(shared): App, _: NoQuery) -> Answered<Status> {
    let overview = Overview::take(&shared).await?;
    let ready = shared.control.ready().await;
    let conditions = shared.control.conditions().await;
    let head = overview.head;
    let leases = shared.store.lease_list(shared.scope()).await?;
    Ok(Json(Status {
        version: shared.version.clone(),
        install: shared.install.clone(),
        node: shared.node.clone(),
        database: shared.store.kind().as_str().to_owned(),
        scope: shared.scope().to_string(),
        now: shared.now().into(),
        ready: ready.is_ok(),
        unready_reason: ready.err(),
        conditions: conditions.into_iter().map(ConditionView::from).collect(),
        journal_position: head.position.0,
        journal_received: (head.position > Position::START).then_some(Time(head.received)),
        stages: overview.stages,
        leases: leases.into_iter().map(Lease::from).collect(),
        alerts: overview.alerts,
        incidents: overview.incidents,
    }))
}

/// Who asks, and what they may do.
#[utoipa::path(
    get, path = "/whoami", tag = "status",
    responses((status = 200, description = "Who asks.", body = CallerView))
)]
pub(crate) async fn caller_fetch(caller: Caller, _: NoQuery) -> Json<CallerView> {
    Json(CallerView {
        name: caller.principal.name,
        role: caller.principal.role.into(),
    })
}

/// One number for the whole of history: the same journal, components and
/// configuration give the same one. Walks over everything there is.
#[utoipa::path(
    get, path = "/history/digest", tag = "status",
    responses((status = 200, description = "The number.", body = HistoryDigest))
)]
pub(crate) async fn history_digest_fetch(
    State(shared): App,
    _: NoQuery,
) -> Answered<HistoryDigest> {
    let _place = shared.rooms.walks.enter()?;
    let digest = shared.store.history_digest(shared.scope()).await?;
    Ok(Json(HistoryDigest {
        digest: digest.to_string(),
    }))
}

impl From<Condition> for ConditionView {
    fn from(condition: Condition) -> Self {
        Self {
            part: condition.part,
            condition: condition.condition,
            what: condition.what,
            remedy: condition.remedy,
            since: condition.since.into(),
        }
    }
}
