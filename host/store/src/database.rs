//! Connections to one database.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::Migrator;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Executor, Transaction};

use crate::commit::{CommitWatch, Write};
use crate::error::StoreError;
use crate::journal_check::chain;
use crate::location::DatabaseKind;
use crate::open_file::OpenFile;
use crate::schema;
use crate::trouble::Trouble;

/// SQLite reads beside its one writer.
const READERS_MAX: u32 = 4;

/// Said, since a role or a database can have another default.
const BEGIN_ON_SERVER: &str = "begin isolation level read committed read write";

/// How long a statement waits for another process to let go of the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait for a connection of ours to become free.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

/// Writers and readers of one database.
#[derive(Clone)]
pub(crate) struct Database {
    name: String,
    kind: DatabaseKind,
    writers: AnyPool,
    readers: AnyPool,
    /// The file that was opened, if it is one.
    file: Option<Arc<OpenFile>>,
    /// Is told of commits; nobody, but in tests.
    watch: Option<CommitWatch>,
}

impl Database {
    /// One on a server, from connections that are ready for use.
    pub(crate) const fn on_server(name: String, writers: AnyPool, readers: AnyPool) -> Self {
        Self {
            name,
            kind: DatabaseKind::Postgresql,
            writers,
            readers,
            file: None,
            watch: None,
        }
    }

    /// Opens a SQLite file, creating it if it is not there.
    pub(crate) async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        Self::open_file(path, "rwc").await
    }

    /// Opens a SQLite file, which must be there.
    pub(crate) async fn open_sqlite_as_it_is(path: &Path) -> Result<Self, StoreError> {
        Self::open_file(path, "rw").await
    }

    async fn open_file(path: &Path, first_mode: &str) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let name = path.display().to_string();
        // Made once: a file that is moved away later must not come back empty.
        let (making, url) = (
            format!("sqlite://{name}?mode={first_mode}"),
            format!("sqlite://{name}?mode=rw"),
        );
        // WAL, so that readers and the writer do not wait for one another.
        // Synchronous FULL, so that what was acknowledged survives a power
        // cut: with NORMAL the last commits would be gone. A writer says it anew
        // for each transaction.
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
        // One writer: SQLite has one at a time anyway, and waiting for a
        // connection is fair where waiting for its lock is not.
        let writers = pool(1)
            .after_release(|connection, _| Box::pin(is_sound(connection)))
            .connect(&url)
            .await?;
        let readers = pool(READERS_MAX).connect_lazy(&url)?;
        Ok(Self {
            name,
            kind: DatabaseKind::Sqlite,
            writers,
            readers,
            file: Some(Arc::new(OpenFile::of(path)?)),
            watch: None,
        })
    }

    pub(crate) async fn migrate(&self, migrations: &Migrator) -> Result<(), StoreError> {
        migrations
            .run(&self.writers)
            .await
            .map_err(|source| StoreError::migration(self.name.clone(), source))
    }

    /// Refuses a SQLite file whose schema is not current.
    pub(crate) async fn check_schema(&self, migrations: &Migrator) -> Result<(), StoreError> {
        let (tables,): (i64,) =
            sqlx::query_as("select count(*) from sqlite_master where type = 'table' and name = $1")
                .bind(schema::APPLIED)
                .fetch_one(&self.readers)
                .await?;
        let table = (tables > 0).then(|| schema::APPLIED.to_owned());
        schema::check(self.name.clone(), &self.readers, table, migrations).await
    }

    /// For statements that only read.
    pub(crate) fn read(&self) -> &AnyPool {
        &self.readers
    }

    /// What sort of database it is.
    pub(crate) const fn kind(&self) -> DatabaseKind {
        self.kind
    }

    /// A connection that is the caller's alone from now on.
    pub(crate) async fn separate(&self) -> Result<AnyConnection, StoreError> {
        Ok(self.writers.acquire().await?.detach())
    }

    /// A transaction that reads: all of its statements see the same moment.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let begin = match self.kind {
            DatabaseKind::Sqlite => "begin",
            DatabaseKind::Postgresql => "begin isolation level repeatable read read only",
        };
        Ok(self.readers.begin_with(begin).await?)
    }

    /// A transaction that writes; it is rolled back unless committed.
    ///
    /// On PostgreSQL others may write at the same time. Whoever reads what it
    /// goes on to write therefore first *updates* the row that stands for it,
    /// and so waits its turn: the head of a journal, the lease and then the
    /// position of a stage, the head of the audit log, the counter of a plugin's
    /// state. That is enough at the level `read committed`, where a statement
    /// that had to wait sees what it waited for. Whoever needs several of them
    /// takes the audit log's first.
    pub(crate) async fn write(&self) -> Result<Write, StoreError> {
        self.begin(match self.kind {
            // Immediate: a transaction that began by reading could not become
            // a writer once another process has written.
            DatabaseKind::Sqlite => "pragma synchronous = full; begin immediate",
            DatabaseKind::Postgresql => BEGIN_ON_SERVER,
        })
        .await
    }

    /// As [`Database::write`], for what is derived from a journal together with
    /// the position that it is derived from. A power cut may take the last of such
    /// commits, but never one before another that stays: then the same is
    /// derived again. So nothing waits for the disk here, and whoever gives
    /// anything away that it is derived from first commits something else by
    /// [`Database::write`], and something that changes what is there: SQLite does
    /// not wait for a commit that writes no page.
    pub(crate) async fn write_derived(&self) -> Result<Write, StoreError> {
        self.begin(match self.kind {
            DatabaseKind::Sqlite => "pragma synchronous = normal; begin immediate",
            // Its other sessions are of other processes, which may live on.
            DatabaseKind::Postgresql => BEGIN_ON_SERVER,
        })
        .await
    }

    async fn begin(&self, begin: &'static str) -> Result<Write, StoreError> {
        let transaction = self.writers.begin_with(begin).await?;
        Write::begun(transaction, self.file.clone(), self.watch.clone())
    }

    /// What the database finds wrong with its own structure, a line each, at
    /// most so many; nothing if it is sound.
    pub(crate) async fn structure(&self, most: u8) -> Result<Vec<String>, StoreError> {
        if self.kind == DatabaseKind::Postgresql {
            // That is for those who look after the server, and its own tools.
            return Ok(Vec::new());
        }
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
        self.writers.close().await;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::CommitPoint;

    #[tokio::test]
    async fn only_what_is_derived_does_not_wait_for_the_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("some.db");
        let database = Database::open_sqlite(&path).await.expect("opens");
        let level = async |mut write: Write| {
            let sql = "pragma synchronous";
            let read = sqlx::query_as(sql).fetch_one(&mut **write).await;
            let (level,): (i64,) = read.expect("reads");
            write.commit(CommitPoint::KvCommit).await.expect("commits");
            level
        };
        let (full, normal) = (2, 1);
        for _ in 0..2 {
            assert_eq!(level(database.write().await.expect("begins")).await, full);
            let derived = database.write_derived().await.expect("begins");
            assert_eq!(level(derived).await, normal);
        }
        database.close().await;
    }
}
