//! What can go wrong.

use std::path::PathBuf;

use faultline_domain::envelope::Position;
use faultline_domain::lease::Fence;
use sqlx::migrate::MigrateError;
use thiserror::Error;

use crate::trouble::Trouble;

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
        source: MigrateError,
    },
    /// The schema is of a version that this one does not know.
    #[error(
        "the schema of {database} was made by a later version of Faultline: it has the migration \
         {migration}, which this one does not know; use that version, or a backup from before it"
    )]
    Later {
        /// Which database.
        database: String,
        /// The first migration that is not known.
        migration: i64,
    },
    /// The schema is of an earlier version, and nobody asked for it to be
    /// changed.
    #[error(
        "the schema of {database} was made by an earlier version of Faultline: it lacks the \
         migration {migration}; start a server of this version over it once (`faultline serve`), \
         which brings it up to date, or use the version that it is of"
    )]
    Earlier {
        /// Which database.
        database: String,
        /// The first migration that it lacks.
        migration: i64,
    },
    /// The server does not let us open the database, until somebody has seen to
    /// it.
    #[error("{remedy}")]
    KeptOut {
        /// What to see to.
        remedy: &'static str,
        /// What is the matter, in a word.
        trouble: Trouble,
        /// What the server says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
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

    /// For a schema that could not be brought up to date.
    pub(crate) fn migration(database: String, source: MigrateError) -> Self {
        match source {
            MigrateError::VersionMissing(migration) => Self::Later {
                database,
                migration,
            },
            source => Self::Migration { database, source },
        }
    }

    /// Whether trying again later can help: the database is busy, full, or not
    /// there.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Database(_) | Self::Gone { .. })
    }
}
