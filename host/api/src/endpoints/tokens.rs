//! Tokens: of people and programs for the API, of senders for intake.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use data_encoding::{Encoding, Specification};
use faultline_domain::id::{Digest, SourceName};
use faultline_domain::time::Timestamp;
use faultline_store::{Purpose, TokenRecord};
use serde::Deserialize;
use serde_json::json;
use std::sync::LazyLock;

use super::{Answered, App};
use crate::access::Caller;
use crate::extract::{JsonBody, NoBody, NoQuery, Path, Query, RequestBody};
use crate::listing::{Limit, page_by_key};
use crate::problem::Problem;
use crate::shared::Shared;
use crate::views::{FieldProblem, NewToken, Page, Place, Time, Token, TokenCreate, TokenPurpose};

/// What all tokens begin with, so that people and scanners know one when they
/// see one.
const TOKEN_PREFIX: &str = "flt";

/// Bytes of randomness that make the id: enough that no two are the same.
const ID_BYTES: usize = 10;

/// The most characters of an id; a token has more.
const ID_CHARS_MAX: usize = 40;

/// Bytes of randomness that make the secret: as many as its hash has.
const SECRET_BYTES: usize = 32;

/// The most characters of a name.
const NAME_CHARS_MAX: usize = 80;

/// Base32 in lower case and without padding (RFC 4648, section 6): a token is
/// one word in every shell, and can be read out.
static BASE32_LOWER: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification
        .symbols
        .push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification.encoding().expect("thirty-two symbols")
});

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TokenListQuery {
    /// `next` of the page before.
    after: Option<String>,
    /// How many rows.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50)]
    limit: Option<Limit>,
}

/// All tokens, also those that are good for nothing any more, oldest first.
#[utoipa::path(
    get, path = "/tokens", tag = "tokens", params(TokenListQuery),
    responses((status = 200, description = "Some of them.", body = Page<Token>))
)]
pub(crate) async fn token_list(
    State(shared): App,
    Query(query): Query<TokenListQuery>,
) -> Answered<Page<Token>> {
    let now = shared.now();
    let tokens = shared.store.token_list().await?;
    let tokens: Vec<Token> = tokens.iter().map(|token| Token::of(token, now)).collect();
    let limit = query.limit.unwrap_or_default();
    page_by_key(tokens, query.after.as_deref(), limit, |token| {
        token.id.clone()
    })
    .map(Json)
}

impl RequestBody for TokenCreate {}

/// Makes a token. This is the only time that it is shown.
#[utoipa::path(
    post, path = "/tokens", tag = "tokens", request_body = TokenCreate,
    responses((status = 201, description = "The token.", body = NewToken))
)]
pub(crate) async fn token_create(
    State(shared): App,
    caller: Caller,
    _: NoQuery,
    JsonBody(body): JsonBody<TokenCreate>,
) -> Result<(StatusCode, Json<NewToken>), Problem> {
    let now = shared.now();
    let purpose = check(&body, now)?;
    let (id, token) = draw(&shared)?;
    let record = TokenRecord {
        id,
        name: body.name,
        purpose,
        hash: Digest::of(token.as_bytes()),
        created: now,
        created_by: caller.principal.name.clone(),
        expires: body.expires.map(|Time(expires)| expires),
        revoked: None,
    };
    let kept = Token::of(&record, now);
    let detail = json!({
        "name": kept.name,
        "purpose": kept.purpose,
        "role": kept.role,
        "source": kept.source,
        "expires": kept.expires,
    });
    let subject = format!("token:{}", record.id);
    let entry = caller.event(now, "token.create", &subject, detail);
    shared.store.token_create(&record, entry).await?;
    if let Err(problem) = shared.tokens_changed().await {
        // It is shown this once, and is good as soon as it can be read.
        tracing::warn!("the token {} was made: {}", kept.id, problem.detail);
    }
    Ok((StatusCode::CREATED, Json(NewToken { token, kept })))
}

/// Revokes a token: from now on it is good for nothing.
#[utoipa::path(
    delete, path = "/tokens/{id}", tag = "tokens",
    params(("id" = String, Path, description = "The id, not the token.",
            pattern = "^[0-9A-Za-z-]{1,40}$")),
    responses((status = 204, description = "It is revoked."))
)]
pub(crate) async fn token_revoke(
    State(shared): App,
    caller: Caller,
    Path(id): Path<String>,
    _: NoQuery,
    _: NoBody,
) -> Result<StatusCode, Problem> {
    if !is_id(&id) {
        // Not repeated: it may be a token.
        let detail = "must be the id of a token, which is its part between the first and the \
                      second `_`";
        return Err(Problem::malformed(Place::Path, "id", detail));
    }
    let now = shared.now();
    let entry = caller.event(now, "token.revoke", &format!("token:{id}"), json!({}));
    if !shared.store.token_revoke(&id, now, entry).await? {
        let detail = format!("there is no token {id}, or it was revoked already");
        return Err(Problem::not_found(detail));
    }
    shared.tokens_changed().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a token is to be good for, if it can be good for that.
fn check(body: &TokenCreate, now: Timestamp) -> Result<Purpose, Problem> {
    let mut problems = Vec::new();
    let mut note = |field: &str, detail: String| {
        problems.push(FieldProblem {
            place: Place::Body,
            field: field.to_owned(),
            detail,
        });
    };
    let length = body.name.chars().count();
    if body.name.trim().is_empty()
        || length > NAME_CHARS_MAX
        || body.name.chars().any(char::is_control)
    {
        note(
            "name",
            format!("must have 1 to {NAME_CHARS_MAX} characters, and no control characters"),
        );
    }
    if body.expires.is_some_and(|Time(expires)| expires <= now) {
        note("expires", format!("must be later than now, which is {now}"));
    }
    let purpose = match body.purpose {
        TokenPurpose::Api => {
            if body.source.is_some() {
                note(
                    "source",
                    "is for senders; this token is for the API".to_owned(),
                );
            }
            if body.role.is_none() {
                note("role", "must say what its bearer may do".to_owned());
            }
            body.role.map(|role| Purpose::Api(role.into()))
        }
        TokenPurpose::Ingest => {
            if body.role.is_some() {
                note(
                    "role",
                    "is for the API; this token is for senders".to_owned(),
                );
            }
            match body.source.clone().map(SourceName::new).transpose() {
                Ok(source) => Some(Purpose::Ingest(source)),
                Err(error) => {
                    note("source", error.to_string());
                    None
                }
            }
        }
    };
    match purpose {
        Some(purpose) if problems.is_empty() => Ok(purpose),
        _ => Err(Problem::invalid_fields(problems)),
    }
}

/// A new token's id, and the token itself.
fn draw(shared: &Shared) -> Result<(String, String), Problem> {
    let mut random = [0; ID_BYTES + SECRET_BYTES];
    (shared.randomness)(&mut random).map_err(|error| Problem::internal(&error))?;
    let (id, secret) = random.split_at(ID_BYTES);
    let id = BASE32_LOWER.encode(id);
    let secret = BASE32_LOWER.encode(secret);
    let token = format!("{TOKEN_PREFIX}_{id}_{secret}");
    Ok((id, token))
}

fn is_id(text: &str) -> bool {
    let is_id_char = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    !text.is_empty() && text.len() <= ID_CHARS_MAX && text.bytes().all(is_id_char)
}
