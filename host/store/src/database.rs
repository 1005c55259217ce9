//! Connections to one database.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, AnyPool, Connection as _, Executor};

use crate::commit::{CommitWatch, Write};
use crate::error::StoreError;
use crate::journal_check::chain;
use crate::open_file::OpenFile;
use crate::trouble::Trouble;

/// SQLite reads beside its one writer.
const READERS_MAX: u32 = 4;

/// How long a statement waits for another process to let go of the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait for a connection of ours to become free.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

/// One writer and a few readers of one database.
#[derive(Clone)]
pub(crate) struct Database {
    name: String,
    /// One connection: SQLite has one writer at a time anyway, and waiting
    /// for a connection is fair where waiting for its lock is not.
    writer: AnyPool,
    readers: AnyPool,
    /// The file that was opened, if it is one.
    file: Option<Arc<OpenFile>>,
    /// Is told of commits; nobody, but in tests.
    watch: Option<CommitWatch>,
}

impl Database {
    /// Opens a SQLite file, creating it if it is not there.
    pub(crate) async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let name = path.display().to_string();
        // Made once: a file that is moved away later must not come back empty.
        let (making, url) = (
            format!("sqlite://{name}?mode=rwc"),
            format!("sqlite://{name}?mode=rw"),
        );
        // WAL, so that readers and the writer do not wait for one another.
        // Synchronous FULL, so that what was acknowledged survives a power
        // cut: with NORMAL the last commits would be gone.
        let pragmas = format!(
            "pragma journal_mode = wal; pragma synchronous = full; \
             pragma busy_timeout = {}; pragma temp_store = memory; \
             pragma cache_size = -16384; pragma journal_size_limit = 67108864;",
            BUSY_TIMEOUT.as_millis()
        );
        let pool = |connections: u32| {
            let pragmas = pragmas.clone();
            AnyPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
                .after_connect(move |connection, _| {
                    let pragmas = pragmas.clone();
                    Box::pin(async move {
                        connection
                            .execute(sqlx::AssertSqlSafe(pragmas))
                            .await
                            .map(|_| ())
                    })
                })
        };
        // By itself first: a pool tries again and again, and in the end says only
        // that it did.
        let mut first = AnyConnection::connect(&making).await?;
        first.execute(sqlx::AssertSqlSafe(pragmas.clone())).await?;
        first.close().await?;
        let writer = pool(1)
            .after_release(|connection, _| Box::pin(is_sound(connection)))
            .connect(&url)
            .await?;
        let readers = pool(READERS_MAX).connect_lazy(&url)?;
        Ok(Self {
            name,
            writer,
            readers,
            file: Some(Arc::new(OpenFile::of(path)?)),
            watch: None,
        })
    }

    pub(crate) async fn migrate(&self, migrations: &Migrator) -> Result<(), StoreError> {
        migrations
            .run(&self.writer)
            .await
            .map_err(|source| StoreError::Migration {
                database: self.name.clone(),
                source,
            })
    }

    /// For statements that only read.
    pub(crate) fn read(&self) -> &AnyPool {
        &self.readers
    }

    /// A transaction that writes; it is rolled back unless committed.
    pub(crate) async fn write(&self) -> Result<Write, StoreError> {
        // Immediate: a transaction that began by reading could not become a
        // writer once another process has written.
        let transaction = self.writer.begin_with("begin immediate").await?;
        Write::begun(transaction, self.file.clone(), self.watch.clone())
    }

    /// What the database finds wrong with its own structure, a line each, at
    /// most so many; nothing if it is sound.
    pub(crate) async fn structure(&self, most: u8) -> Result<Vec<String>, StoreError> {
        let sql = format!("pragma integrity_check({most})");
        let checked = sqlx::query_as::<_, (String,)>(sqlx::AssertSqlSafe(sql))
            .fetch_all(&self.readers)
            .await
            .map_err(StoreError::from);
        match checked {
            Ok(lines) => Ok(lines
                .into_iter()
                .map(|(line,)| line)
                .filter(|line| line != "ok")
                .collect()),
            Err(error) if error.trouble() == Some(Trouble::Damaged) => Ok(vec![chain(&error)]),
            Err(error) => Err(error),
        }
    }

    /// From now on these are told of commits.
    pub(crate) fn watched(self, watch: CommitWatch) -> Self {
        Self {
            watch: Some(watch),
            ..self
        }
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Whether a connection can be used again. SQLite ends a transaction by itself
/// when the disk is full or refuses, of which the connection does not know: it
/// would take itself to be within that transaction for ever.
async fn is_sound(connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    // Answered when everything before it is dealt with: the end of a
    // transaction that was dropped, too.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.name).finish()
    }
}
