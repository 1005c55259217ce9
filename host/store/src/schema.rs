//! Whether a schema is the one that this version works with, for those who read
//! a database and change nothing of it.

use sqlx::AnyPool;
use sqlx::migrate::Migrator;

use crate::error::StoreError;

/// Where the migrations that were run are noted.
pub(crate) const APPLIED: &str = "_sqlx_migrations";

/// Refuses a schema that is not current. `database` says of which database;
/// `table` is where its migrations are noted, if it has any.
///
/// # Errors
/// [`StoreError::Earlier`] or [`StoreError::Later`], or if the database refuses.
pub(crate) async fn check(
    database: String,
    pool: &AnyPool,
    table: Option<String>,
    migrations: &Migrator,
) -> Result<(), StoreError> {
    let applied: Vec<(i64,)> = match table {
        Some(table) => {
            let sql = format!("select version from {table} order by version");
            sqlx::query_as(sqlx::AssertSqlSafe(sql))
                .fetch_all(pool)
                .await?
        }
        None => Vec::new(),
    };
    let is_known = |version: i64| migrations.iter().any(|known| known.version == version);
    if let Some((migration,)) = applied.iter().find(|(version,)| !is_known(*version)) {
        return Err(StoreError::Later {
            database,
            migration: *migration,
        });
    }
    let missing = migrations
        .iter()
        .find(|known| !applied.contains(&(known.version,)));
    match missing {
        Some(missing) => Err(StoreError::Earlier {
            database,
            migration: missing.version,
        }),
        None => Ok(()),
    }
}
