//! Tokens: of people and programs for the API, of senders for intake. Only
//! their hashes are kept.

use faultline_domain::access::Role;
use faultline_domain::audit::Entry;
use faultline_domain::id::{Digest, SourceName};
use faultline_domain::time::Timestamp;

use crate::Store;
use crate::audit;
use crate::commit::CommitPoint;
use crate::edition::{self, Edition};
use crate::error::StoreError;
use crate::rows::text;

/// What a token is good for. One that is good for one is good for nothing
/// else: a token that leaks from a sender's configuration cannot read, and one
/// of a person cannot send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// The API, with this role.
    Api(Role),
    /// Intake; what it sends comes from this source unless the endpoint says
    /// otherwise.
    Ingest(Option<SourceName>),
}

impl Purpose {
    /// One word, as stored and shown.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Purpose::Api(_) => "api",
            Purpose::Ingest(_) => "ingest",
        }
    }
}

/// A token, without the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Names it in listings and in the audit log; the first part of the token
    /// itself.
    pub id: String,
    /// What its maker called it.
    pub name: String,
    /// What it is good for.
    pub purpose: Purpose,
    /// SHA-256 of the token.
    pub hash: Digest,
    /// When it was made.
    pub created: Timestamp,
    /// By whom.
    pub created_by: String,
    /// From when on it is good for nothing; none if never.
    pub expires: Option<Timestamp>,
    /// When it was revoked; none if it was not.
    pub revoked: Option<Timestamp>,
}

impl TokenRecord {
    /// Whether it is good for something at this time.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|expires| now < expires)
    }
}

impl Store {
    /// Keeps a token, beside its audit row.
    ///
    /// # Errors
    /// If the database refuses; nothing is written then.
    pub async fn token_create(&self, token: &TokenRecord, entry: Entry) -> Result<(), StoreError> {
        let (role, source) = match &token.purpose {
            Purpose::Api(role) => (Some(role.as_str()), None),
            Purpose::Ingest(source) => (None, source.as_ref().map(SourceName::as_str)),
        };
        let mut transaction = self.state.write().await?;
        audit::append(&mut transaction, entry).await?;
        edition::next(&mut transaction, Edition::Tokens).await?;
        sqlx::query(
            "insert into token (id, name, purpose, role, source, hash, created, created_by, \
             expires, revoked) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(&token.id)
        .bind(text(&token.name))
        .bind(token.purpose.as_str())
        .bind(role)
        .bind(source)
        .bind(token.hash.to_string())
        .bind(token.created.as_i64())
        .bind(text(&token.created_by))
        .bind(token.expires.map(Timestamp::as_i64))
        .bind(token.revoked.map(Timestamp::as_i64))
        .execute(&mut **transaction)
        .await?;
        transaction.commit(CommitPoint::TokenCreate).await?;
        Ok(())
    }

    /// The token with this hash, whether or not it is still valid.
    ///
    /// # Errors
    /// If the database refuses, or the row cannot be read.
    pub async fn token_find(&self, hash: Digest) -> Result<Option<TokenRecord>, StoreError> {
        let row: Option<TokenRow> = sqlx::query_as("select * from token where hash = $1")
            .bind(hash.to_string())
            .fetch_optional(self.state.read())
            .await?;
        row.map(TokenRow::into_record).transpose()
    }

    /// All tokens, oldest first.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn token_list(&self) -> Result<Vec<TokenRecord>, StoreError> {
        let rows: Vec<TokenRow> = sqlx::query_as("select * from token order by created, id")
            .fetch_all(self.state.read())
            .await?;
        rows.into_iter().map(TokenRow::into_record).collect()
    }

    /// Revokes a token, beside its audit row. False, and nothing is written,
    /// if there is none with this id that is not revoked.
    ///
    /// # Errors
    /// If the database refuses; nothing is written then.
    pub async fn token_revoke(
        &self,
        id: &str,
        at: Timestamp,
        entry: Entry,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.state.write().await?;
        audit::queue(&mut transaction).await?;
        let revoked =
            sqlx::query("update token set revoked = $2 where id = $1 and revoked is null")
                .bind(id)
                .bind(at.as_i64())
                .execute(&mut **transaction)
                .await?;
        if revoked.rows_affected() == 0 {
            return Ok(false);
        }
        audit::append(&mut transaction, entry).await?;
        edition::next(&mut transaction, Edition::Tokens).await?;
        transaction.commit(CommitPoint::TokenRevoke).await?;
        Ok(true)
    }
}

#[derive(sqlx::FromRow)]
struct TokenRow {
    id: String,
    name: String,
    purpose: String,
    role: Option<String>,
    source: Option<String>,
    hash: String,
    created: i64,
    created_by: String,
    expires: Option<i64>,
    revoked: Option<i64>,
}

impl TokenRow {
    fn into_record(self) -> Result<TokenRecord, StoreError> {
        let corrupt =
            |reason: String| StoreError::corrupt("token", format!("{}: {reason}", self.id));
        let purpose = match (self.purpose.as_str(), &self.role) {
            ("api", Some(role)) => Purpose::Api(role.parse().map_err(corrupt)?),
            ("ingest", None) => {
                let source = self.source.map(SourceName::new).transpose();
                Purpose::Ingest(source.map_err(|error| corrupt(error.to_string()))?)
            }
            (other, _) => return Err(corrupt(format!("purpose `{other}`"))),
        };
        Ok(TokenRecord {
            purpose,
            hash: self
                .hash
                .parse()
                .map_err(|error| StoreError::corrupt("token", error))?,
            id: self.id,
            name: self.name,
            created: Timestamp::from_i64(self.created),
            created_by: self.created_by,
            expires: self.expires.map(Timestamp::from_i64),
            revoked: self.revoked.map(Timestamp::from_i64),
        })
    }
}
