//! What must not be lost, and the only crate that knows SQL.
//!
//! One SQL text serves SQLite, the embedded default, and PostgreSQL, which
//! several processes may share. With SQLite the journal and the tables are
//! separate files, so that accepting payloads and working on them do not queue
//! for one writer; on PostgreSQL they are two schemas of one database.
//!
//! Methods are grouped by what they deal with, a file each, and are named noun
//! first: [`Store::envelope_append`], [`Store::alert_fetch`]. There are two
//! kinds of writers: stages, which commit results together with their position
//! ([`Store::observe_commit`], [`Store::correlate_commit`]), and people, whose
//! changes to plugins and tokens are single statements beside their audit row.
//!
//! Nothing here decides anything; rules are in `faultline-domain`.

mod alert;
mod audit;
mod change;
mod checkpoint;
mod column;
mod command;
mod commit;
mod database;
mod dead_letter;
mod edition;
mod error;
mod find;
mod history;
mod host_envelope;
mod incident;
mod instance;
mod journal;
mod journal_check;
mod kept_out;
mod kv;
mod lease;
mod location;
mod member;
mod open_file;
mod page;
mod poll;
mod postgresql;
mod retention;
mod rows;
mod salvage;
mod schema;
mod series;
mod setting;
mod shared_journal;
mod source;
mod stage;
mod supervision;
mod tail;
mod token;
mod topology;
mod trouble;
mod turn;
mod waiting;

use std::path::Path;
use std::sync::Arc;

use sqlx::migrate::Migrator;

pub use alert::{AlertFilter, TransitionRecord};
pub use audit::AuditFilter;
pub use change::ChangeRecord;
pub use checkpoint::Checkpoint;
pub use command::{CommandEnvelope, CommandState};
pub use commit::{CommitMoment, CommitPoint, CommitWatch};
pub use dead_letter::{DeadLetter, LetterFilter, LetterKind};
pub use edition::{Edition, Editions};
pub use error::StoreError;
pub use host_envelope::HostEnvelope;
pub use incident::{CommandRecord, IncidentFilter, RefusalRecord, StoredEvent};
pub use instance::{BundleFiles, BundleRecord, GrantRecord, InstanceRecord};
pub use journal::{Appended, ENVELOPES_PER_READ_MAX, JournalHead};
pub use journal_check::{Damage, Extent, JournalCheck, Range};
pub use kv::{KV_ENTRY_BYTES, KvChange, KvCommit, KvEntry};
pub use lease::LeaseRecord;
pub use location::{BadUrl, Connections, DatabaseKind, Location, PostgresqlUrl};
pub use page::{Cursor, Page};
pub use poll::PollRecord;
pub use retention::{Retention, Swept};
pub use salvage::{Salvaged, salvage};
pub use series::{Chunk, LogSourceRecord, SeriesFilter, SeriesRecord};
pub use shared_journal::{Clocks, Journal};
pub use source::SourceRecord;
pub use stage::{CorrelateCommit, News, ObserveCommit, StageName, StagePosition, TransitionWrite};
pub use supervision::Keeper;
pub use tail::{BAND_SERIES, Tail, TailsDone, band};
pub use token::{Purpose, TokenRecord};
pub use topology::DependencyRecord;
pub use trouble::Trouble;
pub use turn::Turn;
pub use waiting::{Queue, WAITING_MAX, Waiting};

use database::Database;

static JOURNAL_MIGRATIONS: Migrator = sqlx::migrate!("migrations/journal");
static STATE_MIGRATIONS: Migrator = sqlx::migrate!("migrations/state");

/// The journal and the tables. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    journal: Database,
    state: Database,
}

/// The two SQLite files of a folder.
const JOURNAL_FILE: &str = "journal.db";
const STATE_FILE: &str = "state.db";

impl Store {
    /// Whether a store was ever opened in this folder.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(JOURNAL_FILE).is_file()
    }

    /// Opens the two SQLite files of a folder, which must exist, or a PostgreSQL
    /// database, and brings them to the current schema.
    ///
    /// # Errors
    /// If there is no such file or database and none can be made, it was
    /// written by a later version, or a migration fails.
    pub async fn open(location: impl Into<Location>) -> Result<Self, StoreError> {
        let (journal, state) = match location.into() {
            Location::Folder(folder) => {
                let journal = Database::open_sqlite(&folder.join(JOURNAL_FILE)).await?;
                let state = Database::open_sqlite(&folder.join(STATE_FILE)).await?;
                journal.migrate(&JOURNAL_MIGRATIONS).await?;
                state.migrate(&STATE_MIGRATIONS).await?;
                (journal, state)
            }
            Location::Postgresql { url, connections } => {
                postgresql::open(&url, connections, &JOURNAL_MIGRATIONS, &STATE_MIGRATIONS).await?
            }
        };
        let store = Self { journal, state };
        store.move_members().await?;
        Ok(store)
    }

    /// As [`Store::open`], for those who only read: nothing is made, and nothing
    /// brought to another schema.
    ///
    /// # Errors
    /// If there is no such file or database, or its schema is not current.
    pub async fn open_as_it_is(location: impl Into<Location>) -> Result<Self, StoreError> {
        let (journal, state) = match location.into() {
            Location::Folder(folder) => {
                let journal = Database::open_sqlite_as_it_is(&folder.join(JOURNAL_FILE)).await?;
                let state = Database::open_sqlite_as_it_is(&folder.join(STATE_FILE)).await?;
                journal.check_schema(&JOURNAL_MIGRATIONS).await?;
                state.check_schema(&STATE_MIGRATIONS).await?;
                (journal, state)
            }
            Location::Postgresql { url, connections } => {
                let (journal, state) = (&JOURNAL_MIGRATIONS, &STATE_MIGRATIONS);
                postgresql::open_as_it_is(&url, connections, journal, state).await?
            }
        };
        Ok(Self { journal, state })
    }

    /// The same store, with somebody who is told of each commit, and can end
    /// the work there. For tests of what is left after a crash.
    #[must_use]
    pub fn watched(self, watch: CommitWatch) -> Self {
        Self {
            journal: self.journal.watched(Arc::clone(&watch)),
            state: self.state.watched(watch),
        }
    }

    /// What sort of database it is in.
    pub const fn kind(&self) -> DatabaseKind {
        self.state.kind()
    }

    /// Waits for running statements and closes all connections.
    pub async fn close(&self) {
        self.journal.close().await;
        self.state.close().await;
    }
}
