//! Tokens, without the token.

use faultline_domain::time::Timestamp;
use faultline_store::{Purpose, TokenRecord};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Role, Time};

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenCreate {
    /// What to call it, here and on the audit log.
    #[schema(min_length = 1, max_length = 80, example = "ci")]
    pub name: String,
    /// What it is to be good for, and nothing else.
    pub purpose: TokenPurpose,
    /// For the API, and needed there: what its bearer may do.
    #[serde(default)]
    pub role: Option<Role>,
    /// For senders: where what they send comes from, unless the address says
    /// otherwise. Left out: only addresses that say so can be sent to.
    #[serde(default)]
    #[schema(example = "prometheus")]
    pub source: Option<String>,
    /// From when on it is good for nothing. Left out: never.
    #[serde(default)]
    pub expires: Option<Time>,
}

/// A token. The token itself is shown once, when it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Names it, here and on the audit log; the first part of the token.
    pub id: String,
    /// What its maker called it.
    pub name: String,
    /// What it is good for, and nothing else.
    pub purpose: TokenPurpose,
    /// For the API: what its bearer may do.
    pub role: Option<Role>,
    /// For senders: where what they send comes from, unless the address says
    /// otherwise.
    pub source: Option<String>,
    /// When it was made.
    pub created: Time,
    /// By whom.
    pub created_by: String,
    /// From when on it is good for nothing; none if never.
    pub expires: Option<Time>,
    /// When it was revoked; none if it was not.
    pub revoked: Option<Time>,
    /// Whether it is good for something now.
    pub valid: bool,
}

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TokenPurpose {
    /// This API.
    Api,
    /// Sending.
    Ingest,
}

/// A token that was just made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    /// The token itself. It is not kept, and cannot be shown again.
    #[schema(example = "flt_4rj2kq7w5m3xz6ab_…")]
    pub token: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub kept: Token,
}

impl std::fmt::Debug for NewToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewToken")
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}

impl Token {
    pub(crate) fn of(record: &TokenRecord, now: Timestamp) -> Self {
        let (purpose, role, source) = match &record.purpose {
            Purpose::Api(role) => (TokenPurpose::Api, Some((*role).into()), None),
            Purpose::Ingest(source) => {
                let source = source.as_ref().map(ToString::to_string);
                (TokenPurpose::Ingest, None, source)
            }
        };
        Self {
            id: record.id.clone(),
            name: record.name.clone(),
            purpose,
            role,
            source,
            created: record.created.into(),
            created_by: record.created_by.clone(),
            expires: record.expires.map(Time),
            revoked: record.revoked.map(Time),
            valid: record.is_valid(now),
        }
    }
}
