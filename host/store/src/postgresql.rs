//! A PostgreSQL database: one that several processes may work with.
//!
//! The journal and the tables are two schemas of it, each with the migrations
//! that SQLite's files have. What SQLite calls a blob is a domain over `bytea`
//! here, and texts are put in the order of their bytes, as SQLite does: plugins
//! are asked in the order of their names, which must not depend on a language.

use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection as _, Executor as _};

use crate::database::Database;
use crate::error::StoreError;
use crate::kept_out::kept_out;
use crate::location::{Connections, PostgresqlUrl};
use crate::schema;

/// The schemas that the two migrations are for.
const JOURNAL_SCHEMA: &str = "faultline_journal";
const STATE_SCHEMA: &str = "faultline_state";

/// The oldest server that will do, as `server_version_num` says it.
const SERVER_VERSION_MIN: i64 = 140_000;

/// Held while a schema is brought up to date; any number that others hardly
/// use.
const SCHEMA_LOCK: i64 = 0x6661_756c_746c;

/// Held while somebody changes plugins.
const TURN_LOCK: i64 = SCHEMA_LOCK + 1;

/// How long to wait for a connection: to become free, or to be made anew while
/// the server is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Appends are gathered, so that few happen at the same time.
const JOURNAL_WRITERS: u32 = 2;

/// Connections are made anew from time to time, so that they find a server that
/// took over from another one.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(30 * 60);
const CONNECTION_IDLE: Duration = Duration::from_secs(10 * 60);

/// What each connection sets for itself. A process that is gone must not hold
/// up others: without these, a server notices after hours that a machine it
/// waits for has lost its power. A server that acknowledges commits before they
/// are on disk is told not to: what we acknowledge is durable.
const SESSION: &str = "set search_path to faultline_journal, faultline_state; \
     set lock_timeout = '20s'; \
     set idle_in_transaction_session_timeout = '20s'; \
     set tcp_keepalives_idle = 10; \
     set tcp_keepalives_interval = 5; \
     set tcp_keepalives_count = 3; \
     set tcp_user_timeout = '25s'; \
     select set_config('synchronous_commit', 'on', false) \
       where current_setting('synchronous_commit') = 'off';";

/// Opens a database and brings it to the current schema: that of the journal,
/// and that of the tables.
pub(crate) async fn open(
    url: &PostgresqlUrl,
    connections: Connections,
    journal: &Migrator,
    state: &Migrator,
) -> Result<(Database, Database), StoreError> {
    sqlx::any::install_default_drivers();
    url.check_files()?;
    let options = url.options()?;
    bring_up_to_date(url, &options, journal, state)
        .await
        .map_err(kept_out)?;
    Ok(databases(url, connections, &options))
}

/// Opens a database whose schema is current, and changes nothing.
pub(crate) async fn open_as_it_is(
    url: &PostgresqlUrl,
    connections: Connections,
    journal: &Migrator,
    state: &Migrator,
) -> Result<(Database, Database), StoreError> {
    sqlx::any::install_default_drivers();
    url.check_files()?;
    let options = url.options()?;
    check_schemas(url, &options, journal, state)
        .await
        .map_err(kept_out)?;
    Ok(databases(url, connections, &options))
}

/// The journal and the tables.
fn databases(
    url: &PostgresqlUrl,
    connections: Connections,
    options: &AnyConnectOptions,
) -> (Database, Database) {
    let readers = pool(connections.readers, options);
    let database = |writers: u32| {
        Database::on_server(url.to_string(), pool(writers, options), readers.clone())
    };
    (database(JOURNAL_WRITERS), database(connections.writers))
}

/// Refuses schemas that are not current.
async fn check_schemas(
    url: &PostgresqlUrl,
    options: &AnyConnectOptions,
    journal: &Migrator,
    state: &Migrator,
) -> Result<(), StoreError> {
    let session = session(options).await?;
    for (name, migrations) in [(JOURNAL_SCHEMA, journal), (STATE_SCHEMA, state)] {
        let (tables,): (i64,) = sqlx::query_as(
            "select count(*) from pg_catalog.pg_tables where schemaname = $1 and tablename = $2",
        )
        .bind(name)
        .bind(schema::APPLIED)
        .fetch_one(&session)
        .await?;
        let table = (tables > 0).then(|| format!("{name}.{}", schema::APPLIED));
        schema::check(format!("{url} ({name})"), &session, table, migrations).await?;
    }
    session.close().await;
    Ok(())
}

/// One session with a server that we can work with.
async fn session(options: &AnyConnectOptions) -> Result<AnyPool, StoreError> {
    // By itself first: a pool tries again and again, and in the end says only
    // that it did.
    AnyConnection::connect_with(options).await?.close().await?;
    let session = AnyPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(CONNECT_TIMEOUT)
        .connect_with(options.clone())
        .await?;
    check_server(&session).await?;
    Ok(session)
}

/// Makes of a database one that this version works with, while nobody else does
/// the same.
async fn bring_up_to_date(
    url: &PostgresqlUrl,
    options: &AnyConnectOptions,
    journal: &Migrator,
    state: &Migrator,
) -> Result<(), StoreError> {
    let session = session(options).await?;
    // That a table is there already is no news.
    session.execute("set client_min_messages = warning").await?;
    // Let go of when the session ends, however that happens.
    sqlx::query("select pg_advisory_lock($1)")
        .bind(SCHEMA_LOCK)
        .execute(&session)
        .await?;
    for (schema, migrations) in [(JOURNAL_SCHEMA, journal), (STATE_SCHEMA, state)] {
        migrate(&session, url, schema, migrations).await?;
    }
    session.close().await;
    Ok(())
}

/// A session that holds the lock of whoever changes plugins.
pub(crate) async fn turn(state: &Database) -> Result<AnyConnection, StoreError> {
    // Not a lock of a transaction: one that does nothing meanwhile would be
    // taken for that of a process that is gone.
    let mut connection = state.separate().await?;
    sqlx::query("select pg_advisory_lock($1)")
        .bind(TURN_LOCK)
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

fn pool(connections: u32, options: &AnyConnectOptions) -> AnyPool {
    AnyPoolOptions::new()
        .max_connections(connections.max(1))
        .acquire_timeout(CONNECT_TIMEOUT)
        .idle_timeout(CONNECTION_IDLE)
        .max_lifetime(CONNECTION_LIFETIME)
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute(SESSION).await.map(|_| ()) })
        })
        .connect_lazy_with(options.clone())
}

/// Refuses a server that we cannot work with.
async fn check_server(session: &AnyPool) -> Result<(), StoreError> {
    let (version, shown, encoding, is_standby): (i64, String, String, bool) = sqlx::query_as(
        "select cast(current_setting('server_version_num') as bigint), \
         current_setting('server_version'), current_setting('server_encoding'), \
         pg_is_in_recovery()",
    )
    .fetch_one(session)
    .await?;
    if version < SERVER_VERSION_MIN {
        return Err(StoreError::Unsuitable(format!(
            "the server is PostgreSQL {shown}; it must be {} or later",
            SERVER_VERSION_MIN / 10_000
        )));
    }
    if is_standby {
        return Err(StoreError::Unsuitable(
            "the server is a standby, which can only be read: name the primary".to_owned(),
        ));
    }
    if encoding != "UTF8" {
        return Err(StoreError::Unsuitable(format!(
            "the encoding of the database is {encoding}: make one with `create database … \
             encoding 'UTF8' template template0`"
        )));
    }
    Ok(())
}

/// Makes a schema if it is not there, and runs what of its migrations has not
/// been run.
async fn migrate(
    session: &AnyPool,
    url: &PostgresqlUrl,
    schema: &'static str,
    migrations: &Migrator,
) -> Result<(), StoreError> {
    // Looked for first: whoever may not make one may still use it.
    let (schemas,): (i64,) =
        sqlx::query_as("select count(*) from pg_catalog.pg_namespace where nspname = $1")
            .bind(schema)
            .fetch_one(session)
            .await?;
    if schemas == 0 {
        let create = format!("create schema {schema}");
        session.execute(AssertSqlSafe(create)).await?;
    }
    let path = format!("set search_path to {schema}");
    session.execute(AssertSqlSafe(path)).await?;
    let (domains,): (i64,) = sqlx::query_as(
        "select count(*) from pg_catalog.pg_type where typname = 'blob' \
         and typnamespace = cast(cast($1 as text) as regnamespace)",
    )
    .bind(schema)
    .fetch_one(session)
    .await?;
    if domains == 0 {
        session.execute("create domain blob as bytea").await?;
    }
    migrations
        .run(session)
        .await
        .map_err(|source| StoreError::migration(format!("{url} ({schema})"), source))?;
    session.execute(ORDER_BY_BYTES).await?;
    Ok(())
}

/// Gives the columns that a migration has made the order of bytes. Those that
/// have it stay as they are.
const ORDER_BY_BYTES: &str = "do $$ declare it record; begin \
     for it in select table_name, column_name from information_schema.columns \
       where table_schema = current_schema() and data_type = 'text' \
       and collation_name is distinct from 'C' and table_name <> '_sqlx_migrations' \
     loop execute format('alter table %I alter column %I type text collate \"C\"', \
       it.table_name, it.column_name); \
     end loop; end $$";
