//! What can go wrong.

use std::path::PathBuf;

use faultline_domain::envelope::Position;
use faultline_domain::lease::Fence;
use thiserror::Error;

/// Why something was not stored or read.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database refused, or is not there.
    #[error("the database does not answer as it should")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the schema of {database} cannot be brought up to date")]
    Migration {
        /// Which database.
        database: String,
        /// Why.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// The file of a database is not where it was opened.
    #[error("{} is not where it was: {reason}", path.display())]
    Gone {
        /// Where it was.
        path: PathBuf,
        /// What is there instead.
        reason: String,
    },
    /// It took longer than there was time.
    #[error("the database does not answer in time")]
    NoAnswer,
    /// The server, or the database on it, cannot be used.
    #[error("{0}")]
    Unsuitable(String),
    /// Another worker has moved the stage since this one last looked. What was
    /// to be committed is void: read the position again and go on from there.
    #[error("stage {stage} is not at {expected} any more: another worker has moved it")]
    Moved {
        /// Which stage.
        stage: &'static str,
        /// Where it was expected.
        expected: Position,
    },
    /// Another process has taken the lease since. What was to be committed is
    /// void, and nothing more may be done under it.
    #[error("the lease of {lease} is not ours any more (token {fence}): another process has it")]
    Fenced {
        /// Which lease.
        lease: &'static str,
        /// Under which the commit was tried.
        fence: Fence,
    },
    /// A row does not hold what it should.
    #[error("{table} holds a row that cannot be read: {reason}")]
    Corrupt {
        /// Which table.
        table: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Something with this name is there already.
    #[error("{what} `{name}` exists already")]
    Exists {
        /// What sort of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A cursor that this store did not hand out.
    #[error("`{0}` is not a cursor of this listing: begin without one")]
    BadCursor(String),
}

impl StoreError {
    /// For a row that cannot be read.
    pub(crate) fn corrupt(table: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Corrupt {
            table,
            reason: reason.to_string(),
        }
    }

    /// Whether trying again later can help: the database is busy, full, or not
    /// there.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Database(_) | Self::Gone { .. })
    }
}
