//! Small durable state of plugin instances.

use faultline_domain::id::InstanceName;
use sqlx::{Any, Executor, Transaction};

use crate::Store;
use crate::commit::CommitPoint;
use crate::error::StoreError;
use crate::rows::{parameter_list, signed, unsigned};

/// The most keys of one statement.
const KEYS_PER_STATEMENT: usize = 512;

/// What an entry counts beside its key and value: the row, and the key's place
/// in the index. Without it, a million empty values would count nothing.
pub const KV_ENTRY_BYTES: u64 = 128;

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvEntry {
    /// The name.
    pub key: String,
    /// The bytes.
    pub value: Vec<u8>,
    /// Grows with each write of this key; never 0.
    pub version: u64,
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvChange {
    /// Which key.
    pub key: String,
    /// None deletes it.
    pub value: Option<Vec<u8>>,
    /// Only if it is at this version; 0: only if it is not there.
    pub if_version: Option<u64>,
}

/// How a commit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvCommit {
    /// All was written; the version that the keys have now.
    Written(u64),
    /// A key was not at the version it should be at; nothing was written.
    Conflict,
    /// All entries together would come to so many bytes, more than before;
    /// nothing was written.
    OverQuota(u64),
}

impl Store {
    /// The entries of these keys, in no particular order; those that there are
    /// not are left out.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn kv_fetch(
        &self,
        instance: &InstanceName,
        keys: &[String],
    ) -> Result<Vec<KvEntry>, StoreError> {
        let mut entries = Vec::new();
        for keys in keys.chunks(KEYS_PER_STATEMENT) {
            let length = keys.len().next_power_of_two();
            let sql = format!(
                "select name, value, version from kv where instance = $1 and name in ({})",
                parameter_list(2, length)
            );
            let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(instance.as_str());
            let padding = std::iter::repeat_n("", length - keys.len());
            for key in keys.iter().map(String::as_str).chain(padding) {
                query = query.bind(key);
            }
            let rows: Vec<KvRow> = query.fetch_all(self.state.read()).await?;
            entries.extend(rows.into_iter().map(KvRow::into_entry));
        }
        Ok(entries)
    }

    /// Entries whose key begins so and comes after `after`, by key.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn kv_scan(
        &self,
        instance: &InstanceName,
        prefix: &str,
        after: Option<&str>,
        most: u32,
    ) -> Result<Vec<KvEntry>, StoreError> {
        let rows: Vec<KvRow> = sqlx::query_as(
            "select name, value, version from kv where instance = $1 and name >= $2 \
             and name > $3 and substr(name, 1, cast($4 as integer)) = $2 order by name limit $5",
        )
        .bind(instance.as_str())
        .bind(prefix)
        .bind(after.unwrap_or(""))
        .bind(signed(prefix.chars().count() as u64))
        .bind(i64::from(most))
        .fetch_all(self.state.read())
        .await?;
        Ok(rows.into_iter().map(KvRow::into_entry).collect())
    }

    /// Writes all of the changes or none, if they stay within the quota, or make
    /// less of what is over it. An entry counts its key, its value and
    /// [`KV_ENTRY_BYTES`].
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn kv_commit(
        &self,
        instance: &InstanceName,
        changes: &[KvChange],
        quota_bytes: u64,
    ) -> Result<KvCommit, StoreError> {
        let mut transaction = self.state.write().await?;
        // A counter of its own, since the highest version may be that of a key
        // that was deleted; if it came again, a stale writer would match it.
        let (version,): (i64,) = sqlx::query_as(
            "insert into kv_counter (instance, version) values ($1, 1) \
             on conflict (instance) do update set version = kv_counter.version + 1 \
             returning version",
        )
        .bind(instance.as_str())
        .fetch_one(&mut **transaction)
        .await?;
        for change in changes {
            if !is_expected(&mut transaction, instance, change).await? {
                return Ok(KvCommit::Conflict);
            }
            write(&mut transaction, instance, change, version).await?;
        }
        let bytes = used(&mut **transaction, instance).await?;
        // Nobody else can have changed what is seen from outside meanwhile.
        if bytes > quota_bytes && bytes >= used(self.state.read(), instance).await? {
            return Ok(KvCommit::OverQuota(bytes));
        }
        transaction.commit(CommitPoint::KvCommit).await?;
        Ok(KvCommit::Written(unsigned(version)))
    }
}

/// What all entries of an instance count.
async fn used(
    from: impl Executor<'_, Database = Any>,
    instance: &InstanceName,
) -> Result<u64, StoreError> {
    let (bytes,): (i64,) = sqlx::query_as(
        "select cast(coalesce(sum(length(name) + length(value) + $2), 0) as bigint) \
         from kv where instance = $1",
    )
    .bind(instance.as_str())
    .bind(signed(KV_ENTRY_BYTES))
    .fetch_one(from)
    .await?;
    Ok(unsigned(bytes))
}

async fn is_expected(
    transaction: &mut Transaction<'_, Any>,
    instance: &InstanceName,
    change: &KvChange,
) -> Result<bool, StoreError> {
    let Some(expected) = change.if_version else {
        return Ok(true);
    };
    let row: Option<(i64,)> =
        sqlx::query_as("select version from kv where instance = $1 and name = $2")
            .bind(instance.as_str())
            .bind(&change.key)
            .fetch_optional(&mut **transaction)
            .await?;
    Ok(row.map_or(0, |(version,)| unsigned(version)) == expected)
}

async fn write(
    transaction: &mut Transaction<'_, Any>,
    instance: &InstanceName,
    change: &KvChange,
    version: i64,
) -> Result<(), StoreError> {
    let query = match &change.value {
        Some(value) => sqlx::query(
            "insert into kv (instance, name, value, version) values ($1, $2, $3, $4) \
             on conflict (instance, name) do update set value = excluded.value, \
             version = excluded.version",
        )
        .bind(instance.as_str())
        .bind(&change.key)
        .bind(value.as_slice())
        .bind(version),
        None => sqlx::query("delete from kv where instance = $1 and name = $2")
            .bind(instance.as_str())
            .bind(&change.key),
    };
    query.execute(&mut **transaction).await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct KvRow {
    name: String,
    value: Vec<u8>,
    version: i64,
}

impl KvRow {
    fn into_entry(self) -> KvEntry {
        KvEntry {
            key: self.name,
            value: self.value,
            version: unsigned(self.version),
        }
    }
}
