//! Connections to one database.

use std::path::Path;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::Migrator;
use sqlx::{Any, AnyPool, Executor, Transaction};

use crate::error::StoreError;

/// SQLite reads beside its one writer.
const READERS_MAX: u32 = 4;

/// How long a statement waits for another process to let go of the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait for a connection of ours to become free.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

/// One writer and a few readers of one database.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    name: String,
    /// One connection: SQLite has one writer at a time anyway, and waiting
    /// for a connection is fair where waiting for its lock is not.
    writer: AnyPool,
    readers: AnyPool,
}

impl Database {
    /// Opens a SQLite file, creating it if it is not there.
    pub(crate) async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let name = path.display().to_string();
        let url = format!("sqlite://{name}?mode=rwc");
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
        let writer = pool(1).connect(&url).await?;
        let readers = pool(READERS_MAX).connect_lazy(&url)?;
        Ok(Self {
            name,
            writer,
            readers,
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
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Any>, StoreError> {
        // Immediate: a transaction that began by reading could not become a
        // writer once another process has written.
        Ok(self.writer.begin_with("begin immediate").await?)
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
