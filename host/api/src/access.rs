//! Who may do what: the one table of what each operation needs, and who a token
//! belongs to.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use faultline_domain::access::{Principal, Role};
use faultline_domain::id::Digest;
use faultline_store::{Purpose, TokenRecord, Trouble};
use tokio::time::timeout;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::SecurityRequirement;

use crate::problem::{Problem, ProblemKind};
use crate::shared::Shared;

/// The name of the security scheme in the description of the API.
pub(crate) const SECURITY_SCHEME: &str = "token";

/// How long to ask the database who reads metrics.
const TOKEN_MAX: Duration = Duration::from_secs(2);

/// Longer than any token.
const TOKEN_BYTES_MAX: usize = 512;

/// What somebody must be to use an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nobody in particular.
    Nothing,
    /// Somebody with this role, or one that includes it.
    Role(Role),
}

const VIEWER: Needs = Needs::Role(Role::Viewer);
const RESPONDER: Needs = Needs::Role(Role::Responder);
const OPERATOR: Needs = Needs::Role(Role::Operator);
const ADMIN: Needs = Needs::Role(Role::Admin);

/// What each operation needs, by its id: the only place that says so. What is
/// not listed is for administrators.
const NEEDS: &[(&str, Needs)] = &[
    // The machine.
    ("health_fetch", Needs::Nothing),
    ("readiness_fetch", Needs::Nothing),
    ("document_fetch", Needs::Nothing),
    ("metrics_fetch", VIEWER),
    ("status_fetch", VIEWER),
    ("caller_fetch", VIEWER),
    ("history_digest_fetch", OPERATOR),
    // Incidents.
    ("incident_list", VIEWER),
    ("incident_fetch", VIEWER),
    ("incident_member_list", VIEWER),
    ("incident_event_list", VIEWER),
    ("incident_acknowledge", RESPONDER),
    ("incident_resolve", RESPONDER),
    ("command_fetch", VIEWER),
    ("event_stream", VIEWER),
    // What they are made of.
    ("alert_list", VIEWER),
    ("alert_fetch", VIEWER),
    ("alert_explain", VIEWER),
    ("change_list", VIEWER),
    ("change_fetch", VIEWER),
    ("edge_list", VIEWER),
    ("series_list", VIEWER),
    ("series_fetch", VIEWER),
    ("sample_list", VIEWER),
    // Where it comes from. Payloads can hold what is nobody's business.
    ("source_list", VIEWER),
    ("dead_letter_list", VIEWER),
    ("refusal_list", VIEWER),
    ("envelope_fetch", OPERATOR),
    // Plugins.
    ("plugin_list", VIEWER),
    ("plugin_fetch", VIEWER),
    ("plugin_install", OPERATOR),
    ("component_cache_fetch", VIEWER),
    ("component_cache_clear", OPERATOR),
    ("instance_list", VIEWER),
    ("instance_fetch", VIEWER),
    ("instance_create", OPERATOR),
    ("instance_config_put", OPERATOR),
    ("instance_settings_put", OPERATOR),
    ("instance_enable", OPERATOR),
    ("instance_disable", OPERATOR),
    ("instance_resume", OPERATOR),
    ("dead_letter_redrive", OPERATOR),
    ("instance_upgrade", OPERATOR),
    ("instance_poll", OPERATOR),
    ("instance_usage", VIEWER),
    ("grant_list", VIEWER),
    ("grant_fetch", VIEWER),
    ("grant_put", ADMIN),
    ("grant_revoke", ADMIN),
    // People and programs.
    ("audit_list", OPERATOR),
    ("audit_verify", OPERATOR),
    ("token_list", ADMIN),
    ("token_create", ADMIN),
    ("token_revoke", ADMIN),
];

/// An operation, as requests are matched with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named {
    /// As in the description of the API, in metrics and in the log.
    pub(crate) id: &'static str,
    pub(crate) needs: Needs,
}

/// All operations, by path template and method.
#[derive(Debug, Default)]
pub(crate) struct Operations(BTreeMap<String, BTreeMap<&'static str, Named>>);

impl Operations {
    /// Finds the operations in a description of the API, and puts into it what
    /// each of them needs.
    pub(crate) fn of(document: &mut OpenApi) -> Self {
        let mut operations = Self::default();
        for (path, item) in &mut document.paths.paths {
            let methods = operations.0.entry(path.clone()).or_default();
            for (method, operation) in [
                ("GET", &mut item.get),
                ("PUT", &mut item.put),
                ("POST", &mut item.post),
                ("DELETE", &mut item.delete),
            ] {
                if let Some(operation) = operation {
                    let named = named(operation);
                    operation.security = Some(security(named.needs));
                    methods.insert(method, named);
                }
            }
        }
        operations
    }

    /// The operation that a request means.
    pub(crate) fn find(&self, path: &str, method: &Method) -> Option<Named> {
        // Whoever may get something may ask whether it is there.
        let method = if *method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        self.0.get(path)?.get(method.as_str()).copied()
    }

    /// The methods of a path, for `Allow`.
    pub(crate) fn methods(&self, path: &str) -> Vec<&'static str> {
        let methods = self.0.get(path).into_iter().flat_map(BTreeMap::keys);
        methods.copied().collect()
    }
}

fn named(operation: &Operation) -> Named {
    let id = operation.operation_id.as_deref().unwrap_or("");
    let listed = NEEDS.iter().find(|(listed, _)| *listed == id);
    let (id, needs) = listed.copied().unwrap_or(("unlisted", ADMIN));
    Named { id, needs }
}

fn security(needs: Needs) -> Vec<SecurityRequirement> {
    match needs {
        Needs::Nothing => Vec::new(),
        Needs::Role(role) => vec![SecurityRequirement::new(SECURITY_SCHEME, [role.as_str()])],
    }
}

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    /// The id of their token; none if the process itself vouches for them.
    pub(crate) token: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            let detail = "the operation needs a caller, but is open to everybody";
            Problem::new(ProblemKind::Internal, detail)
        })
    }
}

/// Finds out who makes a request: the principal that the process itself put
/// beside it, or whom the token belongs to.
pub(crate) async fn authenticate(
    shared: &Shared,
    trusted: Option<&Principal>,
    headers: &HeaderMap,
) -> Result<Caller, Problem> {
    if let Some(principal) = trusted {
        return Ok(Caller {
            principal: principal.clone(),
            token: None,
        });
    }
    let digest = token_digest(headers)?;
    // Looked up each time and by its hash: a token that was revoked, also by
    // another process, is refused at once, and how long the search takes says
    // nothing about any token.
    bearer(shared, digest).await?.ok_or_else(unknown)
}

/// The same for who reads metrics: while the database does not answer, a token
/// is good if it was when it was last read with.
pub(crate) async fn authenticate_scraper(
    shared: &Shared,
    trusted: Option<&Principal>,
    headers: &HeaderMap,
) -> Result<Caller, Problem> {
    if trusted.is_some() {
        return authenticate(shared, trusted, headers).await;
    }
    let digest = token_digest(headers)?;
    let found = match timeout(TOKEN_MAX, shared.store.token_find(digest)).await {
        Ok(Ok(found)) => {
            shared.scrapers.note(digest, found.as_ref());
            found
        }
        Ok(Err(error)) if error.trouble() != Some(Trouble::Unreachable) => {
            return Err(error.into());
        }
        Ok(Err(_)) | Err(_) => {
            let remembered = shared.scrapers.recall(&digest);
            Some(remembered.ok_or_else(|| {
                let detail = format!(
                    "the database does not answer ({}), and this token was not seen here before: {}",
                    Trouble::Unreachable,
                    Trouble::Unreachable.remedy()
                );
                Problem::new(ProblemKind::Unavailable, detail)
            })?)
        }
    };
    caller(shared, found).ok_or_else(unknown)
}

/// The digest of the token that a request comes with.
pub(crate) fn token_digest(headers: &HeaderMap) -> Result<Digest, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Err(unauthenticated(
            "send a token: `authorization: Bearer flt_…`; `faultline token create` makes one",
        ));
    };
    let token = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty() && token.len() <= TOKEN_BYTES_MAX)
        .ok_or_else(|| unauthenticated("the scheme is `Bearer`, and the token stands behind it"))?;
    Ok(Digest::of(token.as_bytes()))
}

/// Whom the token with this digest belongs to, if it is good for the API now.
pub(crate) async fn bearer(shared: &Shared, token: Digest) -> Result<Option<Caller>, Problem> {
    let found = shared.store.token_find(token).await?;
    Ok(caller(shared, found))
}

/// Whom a token belongs to, if it is good for the API now.
fn caller(shared: &Shared, found: Option<TokenRecord>) -> Option<Caller> {
    let token = found.filter(|token| token.is_valid(shared.now()))?;
    match token.purpose {
        Purpose::Api(role) => Some(Caller {
            principal: Principal {
                name: format!("token:{}", token.name),
                role,
            },
            token: Some(token.id),
        }),
        Purpose::Ingest(_) => None,
    }
}

fn unknown() -> Problem {
    unauthenticated(
        "the token is not known, was revoked, has expired, or is for senders only; \
         `faultline token create NAME --role ROLE`, where the data is, makes one",
    )
}

fn unauthenticated(detail: &str) -> Problem {
    Problem::new(ProblemKind::Unauthenticated, detail)
}

#[cfg(test)]
mod tests;
