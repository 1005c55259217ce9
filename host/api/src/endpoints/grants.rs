//! What instances are allowed, each capability by itself.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use faultline_bundle::strict_toml;
use faultline_domain::grant as domain;
use faultline_domain::id::InstanceName;
use faultline_domain::rule::{self, Rule, RuleError};
use faultline_domain::secret::SecretRef;
use faultline_domain::time::Timestamp;
use faultline_store::GrantRecord;
use serde::Deserialize;
use serde_json::json;

use super::{Answered, App};
use crate::access::Caller;
use crate::bundles;
use crate::extract::{JsonBody, NoBody, NoQuery, Path, Query, RequestBody};
use crate::instances::{find, name_of, settings_of, subject};
use crate::listing::{Limit, page_by_key};
use crate::problem::Problem;
use crate::shared::Shared;
use crate::views::{Grant, GrantPut, Page};

/// The most rules and networks of a grant.
const LIST_MAX: usize = 64;

/// The most characters of a reason.
const REASON_CHARS_MAX: usize = 500;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct GrantListQuery {
    /// `next` of the page before.
    after: Option<String>,
    /// How many rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Limit>,
}

/// What was granted to an instance, by capability.
#[utoipa::path(
    get, path = "/instances/{name}/grants", tag = "plugins",
    params(("name" = String, Path, description = "The instance."), GrantListQuery),
    responses((status = 200, description = "Some of it.", body = Page<Grant>))
)]
pub(crate) async fn grant_list(
    State(shared): App,
    Path(name): Path<String>,
    Query(query): Query<GrantListQuery>,
) -> Answered<Page<Grant>> {
    let record = find(&shared, &name).await?;
    let grants = shared.store.grant_list(&record.name).await?;
    let grants: Vec<Grant> = grants.into_iter().map(Grant::from).collect();
    let limit = query.limit.unwrap_or_default();
    page_by_key(grants, query.after.as_deref(), limit, |grant| {
        grant.capability.clone()
    })
    .map(Json)
}

/// The grant of one capability.
#[utoipa::path(
    get, path = "/instances/{name}/grants/{capability}", tag = "plugins",
    params(
        ("name" = String, Path, description = "The instance."),
        ("capability" = String, Path, description = "The id of the capability."),
    ),
    responses((status = 200, description = "The grant.", body = Grant))
)]
pub(crate) async fn grant_fetch(
    State(shared): App,
    Path((name, capability)): Path<(String, String)>,
    _: NoQuery,
) -> Answered<Grant> {
    let record = find(&shared, &name).await?;
    let grants = shared.store.grant_list(&record.name).await?;
    let found = grants
        .into_iter()
        .find(|grant| grant.capability == capability);
    let grant = found.ok_or_else(|| not_granted(&record.name, &capability))?;
    Ok(Json(grant.into()))
}

impl RequestBody for GrantPut {}

/// Grants a capability to an instance, or renews the grant: all that is asked
/// for, or less. What its component does not ask for cannot be granted. The
/// grant holds for what is asked for now: if the configuration or another
/// version makes that more, it has to be granted again.
#[utoipa::path(
    put, path = "/instances/{name}/grants/{capability}", tag = "plugins",
    params(
        ("name" = String, Path, description = "The instance."),
        ("capability" = String, Path, description = "The id of the capability."),
    ),
    request_body = GrantPut,
    responses(
        (status = 200, description = "The grant.", body = Grant),
        (status = 409, description = "This host cannot enforce it."),
        (status = 422, description = "It cannot be granted so, for the reasons given."),
    )
)]
pub(crate) async fn grant_put(
    State(shared): App,
    caller: Caller,
    Path((name, capability)): Path<(String, String)>,
    _: NoQuery,
    JsonBody(body): JsonBody<GrantPut>,
) -> Answered<Grant> {
    let reason = body.reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
        let detail = format!("must have 1 to {REASON_CHARS_MAX} characters");
        return Err(Problem::invalid("reason", detail));
    }
    let _changing = shared.turn().await?;
    let record = find(&shared, &name).await?;
    let request = requested(&shared, &record, &capability).await?;
    let now = shared.now();
    let settings = settings_of(&shared, &record).await?;
    let asked = request.asked(&|key| faultline_bundle::setting(&settings, key));
    let asked = asked.map_err(|error| Problem::conflict(format!("{}: {error}", record.name)))?;
    let by = caller.principal.name.as_str();
    let mut grant = domain::Grant::whole(&request.id, asked, by, now, reason);
    let kept = shared.store.grant_list(&record.name).await?;
    let kept = kept.into_iter().find(|kept| kept.capability == request.id);
    apply(&mut grant, &request, &body, kept, now)?;
    let detail = json!({
        "capability": request.id,
        "use": request.using.as_str(),
        "bundle": record.bundle,
        "reason": grant.reason,
        "rules": grant.terms.rules,
        "networks": grant.terms.networks,
        // Where it is kept, which is no secret.
        "secret": grant.terms.secret,
        "expires": body.expires,
    });
    let entry = caller.event(now, "plugin.grant", &subject(&record.name), detail);
    let row = GrantRecord {
        instance: record.name,
        grant,
    };
    shared.store.grant_put(&row, entry).await?;
    shared.plugins_changed().await?;
    Ok(Json(row.grant.into()))
}

/// Takes a grant back. When the answer comes, it is of no use any more.
#[utoipa::path(
    delete, path = "/instances/{name}/grants/{capability}", tag = "plugins",
    params(
        ("name" = String, Path, description = "The instance."),
        ("capability" = String, Path, description = "The id of the capability."),
    ),
    responses((status = 204, description = "It is not granted any more."))
)]
pub(crate) async fn grant_revoke(
    State(shared): App,
    caller: Caller,
    Path((name, capability)): Path<(String, String)>,
    _: NoQuery,
    _: NoBody,
) -> Result<StatusCode, Problem> {
    let _changing = shared.turn().await?;
    // Also where the instance's bundle cannot be read any more: what was
    // granted can always be taken back.
    let name = name_of(&name)?;
    let detail = json!({ "capability": capability });
    let entry = caller.event(shared.now(), "plugin.revoke", &subject(&name), detail);
    if !shared.store.grant_revoke(&name, &capability, entry).await? {
        return Err(not_granted(&name, &capability));
    }
    shared.plugins_changed().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Narrows a grant of all that is asked for to what the body says. A renewed
/// grant keeps its secret unless another one is named.
fn apply(
    grant: &mut domain::Grant,
    request: &domain::Request,
    body: &GrantPut,
    kept: Option<domain::Grant>,
    now: Timestamp,
) -> Result<(), Problem> {
    let using = request.using;
    let is_http = using == domain::Use::Http;
    let takes_secret = matches!(using, domain::Use::Secret | domain::Use::SecretReveal);
    for (field, given, goes) in [
        ("allow", !body.allow.is_empty(), is_http),
        ("networks", !body.networks.is_empty(), is_http),
        ("secret", body.secret.is_some(), takes_secret),
    ] {
        if given && !goes {
            let detail = format!("does not go with `{}`, whose use is `{using}`", request.id);
            return Err(Problem::invalid(field, detail));
        }
    }
    for (field, count) in [
        ("allow", body.allow.len()),
        ("networks", body.networks.len()),
    ] {
        if count > LIST_MAX {
            return Err(Problem::invalid(
                field,
                format!("has {count}; {LIST_MAX} at most"),
            ));
        }
    }
    if !body.allow.is_empty() {
        grant.terms.rules = allowed(&body.allow, &grant.terms.asked.rules)?;
    }
    for (index, network) in body.networks.iter().enumerate() {
        let parsed = rule::parse_network(network);
        let parsed = parsed
            .map_err(|error| Problem::invalid(&format!("networks[{index}]"), error.to_string()))?;
        grant.terms.networks.push(parsed);
    }
    if takes_secret {
        grant.terms.secret = match (&body.secret, kept) {
            (Some(text), _) => {
                let parsed = text.parse::<SecretRef>();
                Some(parsed.map_err(|error| Problem::invalid("secret", error.to_string()))?)
            }
            (None, Some(kept)) => kept.terms.secret,
            (None, None) => None,
        };
        if grant.terms.secret.is_none() {
            let detail = "must say where it is kept: env:NAME or file:/path";
            return Err(Problem::invalid("secret", detail));
        }
    }
    if let Some(expires) = body.expires {
        if expires.0 <= now {
            return Err(Problem::invalid("expires", "is in the past"));
        }
        grant.expires = Some(expires.0);
    }
    Ok(())
}

/// Rules, each of which one that is asked for includes.
fn allowed(texts: &[String], asked: &[Rule]) -> Result<Vec<Rule>, Problem> {
    let mut rules: Vec<Rule> = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let field = format!("allow[{index}]");
        let rule: Rule = text.parse().map_err(|error: RuleError| {
            Problem::invalid(&field, strict_toml::with_suggestion(&error.to_string()))
        })?;
        if !asked.iter().any(|asked| asked.includes(&rule)) {
            let asked: Vec<String> = asked.iter().map(|asked| format!("`{asked}`")).collect();
            let detail = format!(
                "`{rule}` goes beyond what is asked for: {}",
                asked.join(", ")
            );
            return Err(Problem::invalid(&field, detail));
        }
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    Ok(rules)
}

/// The capability as the manifest asks for it.
async fn requested(
    shared: &Shared,
    record: &faultline_store::InstanceRecord,
    capability: &str,
) -> Result<domain::Request, Problem> {
    let manifest = bundles::manifest(&shared.store, record.bundle)
        .await?
        .map_err(Problem::conflict)?;
    let capabilities = manifest
        .component(&record.component)
        .map(|component| component.capabilities.as_slice())
        .unwrap_or_default();
    let Some(request) = capabilities.iter().find(|asked| asked.id == capability) else {
        let shown: String = capability.chars().take(120).collect();
        let asked: Vec<&str> = capabilities.iter().map(|asked| asked.id.as_str()).collect();
        let asked = if asked.is_empty() {
            "nothing".to_owned()
        } else {
            asked.join(", ")
        };
        return Err(Problem::not_found(format!(
            "{} does not ask for `{shown}`: it asks for {asked}",
            record.name
        )));
    };
    if !request.using.is_enforced() {
        let error = domain::GrantError::NotEnforced {
            id: request.id.clone(),
            using: request.using,
        };
        return Err(Problem::conflict(format!("{} {error}", record.name)));
    }
    Ok(request.clone())
}

fn not_granted(name: &InstanceName, capability: &str) -> Problem {
    let shown: String = capability.chars().take(120).collect();
    Problem::not_found(format!("`{shown}` is not granted to {name}"))
}
