//! Conditions, as senders report them and detectors find them.

use axum::Json;
use axum::extract::State;
use faultline_domain::alert::Alert as DomainAlert;
use faultline_domain::entity::Entity;
use faultline_store::AlertFilter;
use serde::Deserialize;

use super::{Answered, App};
use crate::extract::{NoQuery, Path, Query};
use crate::known::{Known, Wanted};
use crate::listing::{After, Limit, page};
use crate::prefix::{CANDIDATES_MAX, Prefix};
use crate::problem::Problem;
use crate::shared::Shared;
use crate::views::{Alert, AlertState, AlertSummary, Page, Severity};

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AlertListQuery {
    /// In this state.
    state: Option<AlertState>,
    /// This bad or worse.
    severity_min: Option<Severity>,
    /// That concern, or once concerned, this, as `kind/name`.
    #[param(value_type = Option<String>, example = "service/checkout")]
    entity: Option<Entity>,
    /// From this family of senders, or this detector.
    #[param(example = "prometheus")]
    origin: Option<String>,
    /// `next` of the page before.
    #[param(value_type = Option<String>, pattern = r"^[0-9]{1,18}\.[\s\S]+$")]
    after: Option<After>,
    /// How many rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Limit>,
}

/// Alerts, those that changed last first.
#[utoipa::path(
    get, path = "/alerts", tag = "alerts", params(AlertListQuery),
    responses((status = 200, description = "Some of them.", body = Page<AlertSummary>))
)]
pub(crate) async fn alert_list(
    State(shared): App,
    Query(query): Query<AlertListQuery>,
) -> Answered<Page<AlertSummary>> {
    let filter = AlertFilter {
        firing: query.state.map(|state| state == AlertState::Firing),
        severity_min: query.severity_min.map(Into::into),
        entity: query.entity,
        origin: query.origin,
    };
    let rows = query.limit.unwrap_or_default().rows();
    let after = After::cursor(query.after);
    let alerts = shared
        .store
        .alert_list(shared.scope(), &filter, after, rows)
        .await?;
    Ok(Json(page(alerts, |alert| AlertSummary::from(&alert))))
}

/// An alert as it stands.
#[utoipa::path(
    get, path = "/alerts/{id}", tag = "alerts",
    params(("id" = String, Path, description = "The id, or the first digits of it.",
            pattern = "^(alr_)?[0-9a-fA-F]{4,32}$")),
    responses((status = 200, description = "The alert.", body = Alert))
)]
pub(crate) async fn alert_fetch(
    State(shared): App,
    Path(id): Path<String>,
    _: NoQuery,
) -> Answered<Alert> {
    let alert = find(&shared, &id).await?;
    let (store, scope) = (&shared.store, shared.scope());
    let mut wanted = Wanted::default();
    wanted.alert(alert.id);
    let known = Known::load(store, scope, wanted)
        .await?
        .with_series(store, scope, [alert.id])
        .await?;
    let incidents = store.incidents_of_alert(scope, alert.id).await?;
    let ids = incidents
        .iter()
        .map(|(incident, _)| incident.id.to_string());
    Ok(Json(Alert::of(&alert, &known, ids.collect())))
}

/// The alert that somebody means by its id, or by the beginning of it.
pub(crate) async fn find(shared: &Shared, typed: &str) -> Result<DomainAlert, Problem> {
    let (store, scope) = (&shared.store, shared.scope());
    let prefix = Prefix::parse("alert", "alr_", typed)?;
    let found = store
        .alert_find(scope, prefix.as_str(), CANDIDATES_MAX + 1)
        .await?;
    let id = prefix.one(&found)?;
    let alert = store.alert_fetch(scope, &[id]).await?.pop();
    // Retention may have been faster.
    alert.ok_or_else(|| Problem::not_found(format!("there is no alert {id} any more")))
}
