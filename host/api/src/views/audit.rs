//! The audit log.

use faultline_domain::audit as domain;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Time;

/// A row of the audit log, with everything that its hash is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditRow {
    /// 1, 2, 3, … without gaps.
    pub sequence: u64,
    /// When.
    pub at: Time,
    /// Who.
    #[schema(example = "token:ci")]
    pub actor: String,
    /// What, in dotted words.
    #[schema(example = "plugin.grant")]
    pub action: String,
    /// To what.
    pub subject: String,
    /// `intent` before an act, `outcome` after it, `event` for what had no
    /// intent of its own.
    #[schema(example = "event")]
    pub stage: String,
    /// Of an outcome: the row of its intent.
    pub intent: Option<u64>,
    /// Of an outcome: how it ended.
    pub result: Option<String>,
    /// Whatever else a reader needs: a JSON object as text, hashed as it
    /// stands.
    pub detail: String,
    /// The hash of the row before.
    pub previous: String,
    /// SHA-256 over the sequence number, the previous hash and the rest.
    pub hash: String,
}

impl From<domain::Row> for AuditRow {
    fn from(row: domain::Row) -> Self {
        let stage = row.entry.stage.as_str().to_owned();
        let (intent, result) = match row.entry.stage {
            domain::Stage::Outcome { intent, result } => (Some(intent), Some(result)),
            domain::Stage::Intent | domain::Stage::Event => (None, None),
        };
        Self {
            sequence: row.sequence,
            at: row.entry.at.into(),
            actor: row.entry.actor,
            action: row.entry.action,
            subject: row.entry.subject,
            stage,
            intent,
            result,
            detail: row.entry.detail,
            previous: row.previous.to_string(),
            hash: row.hash.to_string(),
        }
    }
}

/// What came of checking the chain of hashes.
///
/// A chain shows what was changed, removed or put in. That its end was cut off
/// shows only to somebody who kept an earlier `sequence` and `hash`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditVerdict {
    /// Whether all rows that were checked are as they were written.
    pub intact: bool,
    /// Whether these were all rows there are. If not, go on with this
    /// `sequence` as `after`, and with this `hash`.
    pub complete: bool,
    /// How many rows were checked and found good.
    pub rows: u64,
    /// The last row before those that were checked; 0 for the beginning.
    pub after: u64,
    /// The last row that is good.
    pub sequence: u64,
    /// Its hash.
    pub hash: String,
    /// Where and how the chain is broken; none if it is not.
    pub broken: Option<AuditBreak>,
}

/// Where and how the chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditBreak {
    /// The row at which it shows.
    pub sequence: u64,
    /// What is wrong.
    pub reason: String,
}
