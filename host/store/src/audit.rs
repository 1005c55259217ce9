//! The audit log, appended row by row.

use faultline_domain::audit::{Entry, GENESIS, Row, Stage};
use faultline_domain::id::Digest;
use faultline_domain::time::Timestamp;
use sqlx::{Any, Transaction};

use crate::Store;
use crate::commit::CommitPoint;
use crate::error::StoreError;
use crate::rows::{signed, text, unsigned};
use crate::setting::setting_read;

/// The setting that holds the number and hash of the last row that retention
/// removed: where verification begins.
pub(crate) const AUDIT_BASE: &str = "audit.base";

/// Which rows to list; what is none does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// After this row.
    pub after: u64,
    /// By this actor.
    pub actor: Option<String>,
    /// With an action that begins so, for example `plugin.`.
    pub action: Option<String>,
}

impl Store {
    /// Appends a row and gives its number. It is durable when this returns.
    ///
    /// # Errors
    /// If the database refuses; the act that was to be recorded must not
    /// happen then.
    pub async fn audit_append(&self, entry: Entry) -> Result<u64, StoreError> {
        let mut transaction = self.state.write().await?;
        let sequence = append(&mut transaction, entry).await?;
        transaction.commit(CommitPoint::AuditAppend).await?;
        Ok(sequence)
    }

    /// Rows, oldest first, at most `most`.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn audit_list(
        &self,
        filter: &AuditFilter,
        most: u32,
    ) -> Result<Vec<Row>, StoreError> {
        let rows: Vec<AuditRow> = sqlx::query_as(
            "select * from audit where sequence > $1 and ($2 = '' or actor = $2) \
             and ($3 = '' or substr(action, 1, cast($4 as integer)) = $3) order by sequence limit $5",
        )
        .bind(signed(filter.after))
        .bind(text(filter.actor.as_deref().unwrap_or("")))
        .bind(text(filter.action.as_deref().unwrap_or("")))
        .bind(signed(
            filter.action.as_deref().unwrap_or("").chars().count() as u64,
        ))
        .bind(i64::from(most))
        .fetch_all(self.state.read())
        .await?;
        rows.into_iter().map(AuditRow::into_row).collect()
    }

    /// Rows, latest first, at most `most`: those before a row, or from the last
    /// one on.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn audit_list_latest(
        &self,
        filter: &AuditFilter,
        before: Option<u64>,
        most: u32,
    ) -> Result<Vec<Row>, StoreError> {
        let rows: Vec<AuditRow> = sqlx::query_as(
            "select * from audit where sequence > $1 and sequence < $2 \
             and ($3 = '' or actor = $3) and ($4 = '' or substr(action, 1, cast($5 as integer)) = $4) \
             order by sequence desc limit $6",
        )
        .bind(signed(filter.after))
        .bind(signed(before.unwrap_or(u64::MAX)))
        .bind(text(filter.actor.as_deref().unwrap_or("")))
        .bind(text(filter.action.as_deref().unwrap_or("")))
        .bind(signed(
            filter.action.as_deref().unwrap_or("").chars().count() as u64,
        ))
        .bind(i64::from(most))
        .fetch_all(self.state.read())
        .await?;
        rows.into_iter().map(AuditRow::into_row).collect()
    }

    /// Rows about a subject, latest first, at most `most`.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn audit_list_about(&self, subject: &str, most: u32) -> Result<Vec<Row>, StoreError> {
        let rows: Vec<AuditRow> = sqlx::query_as(
            "select * from audit where subject = $1 order by sequence desc limit $2",
        )
        .bind(subject)
        .bind(i64::from(most))
        .fetch_all(self.state.read())
        .await?;
        rows.into_iter().map(AuditRow::into_row).collect()
    }

    /// The number and hash of the last row; 0 and [`GENESIS`] if there is
    /// none.
    ///
    /// # Errors
    /// If the database refuses, or the row cannot be read.
    pub async fn audit_head(&self) -> Result<(u64, Digest), StoreError> {
        let row: Option<(i64, String)> =
            sqlx::query_as("select sequence, hash from audit order by sequence desc limit 1")
                .fetch_optional(self.state.read())
                .await?;
        match row {
            Some((sequence, hash)) => Ok((unsigned(sequence), digest(&hash)?)),
            None => self.audit_base().await,
        }
    }

    /// The number and hash that the oldest row follows from.
    ///
    /// # Errors
    /// If the database refuses, or the setting cannot be read.
    pub async fn audit_base(&self) -> Result<(u64, Digest), StoreError> {
        match self.setting_fetch(AUDIT_BASE).await? {
            Some(text) => parse_base(&text),
            None => Ok((0, GENESIS)),
        }
    }
}

pub(crate) fn parse_base(text: &str) -> Result<(u64, Digest), StoreError> {
    let corrupt = || StoreError::corrupt("setting", "audit.base");
    let (sequence, hash) = text.split_once(' ').ok_or_else(corrupt)?;
    Ok((sequence.parse().map_err(|_| corrupt())?, digest(hash)?))
}

/// Waits until nobody else is appending, and keeps others from it until the
/// transaction ends. Appending does so itself; a transaction that changes
/// something before it appends does so first, so that no two wait for one
/// another.
pub(crate) async fn queue(transaction: &mut Transaction<'_, Any>) -> Result<(), StoreError> {
    sqlx::query("update audit_queue set appended = appended + 1 where id = 1")
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Appends a row within a transaction: the row is there if and only if what it
/// speaks of is.
pub(crate) async fn append(
    transaction: &mut Transaction<'_, Any>,
    mut entry: Entry,
) -> Result<u64, StoreError> {
    queue(transaction).await?;
    // Before the hash is computed, which is over what is read back.
    for field in [
        &mut entry.actor,
        &mut entry.action,
        &mut entry.subject,
        &mut entry.detail,
    ] {
        *field = text(field);
    }
    let last: Option<(i64, String)> =
        sqlx::query_as("select sequence, hash from audit order by sequence desc limit 1")
            .fetch_optional(&mut **transaction)
            .await?;
    let (sequence, hash) = match last {
        Some((sequence, hash)) => (unsigned(sequence), digest(&hash)?),
        None => match setting_read(transaction, AUDIT_BASE).await? {
            Some(text) => parse_base(&text)?,
            None => (0, GENESIS),
        },
    };
    let row = Row::chain(sequence, hash, entry);
    let (intent, result) = match &row.entry.stage {
        Stage::Outcome { intent, result } => (Some(signed(*intent)), Some(result.as_str())),
        Stage::Intent | Stage::Event => (None, None),
    };
    sqlx::query(
        "insert into audit (sequence, at, actor, action, subject, stage, intent, result, \
         detail, previous, hash) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(signed(row.sequence))
    .bind(row.entry.at.as_i64())
    .bind(&row.entry.actor)
    .bind(&row.entry.action)
    .bind(&row.entry.subject)
    .bind(row.entry.stage.as_str())
    .bind(intent)
    .bind(result)
    .bind(&row.entry.detail)
    .bind(row.previous.to_string())
    .bind(row.hash.to_string())
    .execute(&mut **transaction)
    .await?;
    Ok(row.sequence)
}

#[derive(sqlx::FromRow)]
struct AuditRow {
    sequence: i64,
    at: i64,
    actor: String,
    action: String,
    subject: String,
    stage: String,
    intent: Option<i64>,
    result: Option<String>,
    detail: String,
    previous: String,
    hash: String,
}

impl AuditRow {
    fn into_row(self) -> Result<Row, StoreError> {
        let stage = match (self.stage.as_str(), self.intent, self.result) {
            ("intent", None, None) => Stage::Intent,
            ("event", None, None) => Stage::Event,
            ("outcome", Some(intent), Some(result)) => Stage::Outcome {
                intent: unsigned(intent),
                result,
            },
            (other, _, _) => {
                return Err(StoreError::corrupt(
                    "audit",
                    format!("row {}: stage `{other}`", self.sequence),
                ));
            }
        };
        Ok(Row {
            sequence: unsigned(self.sequence),
            entry: Entry {
                at: Timestamp::from_i64(self.at),
                actor: self.actor,
                action: self.action,
                subject: self.subject,
                stage,
                detail: self.detail,
            },
            previous: digest(&self.previous)?,
            hash: digest(&self.hash)?,
        })
    }
}

fn digest(text: &str) -> Result<Digest, StoreError> {
    text.parse()
        .map_err(|error| StoreError::corrupt("audit", error))
}
