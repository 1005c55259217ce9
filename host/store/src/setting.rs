//! Small facts about the installation itself.

use sqlx::{Any, Transaction};

use crate::Store;
use crate::commit::CommitPoint;
use crate::error::StoreError;

impl Store {
    /// A setting; none if it was never set.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn setting_fetch(&self, name: &str) -> Result<Option<String>, StoreError> {
        let row: Option<(String,)> = sqlx::query_as("select value from setting where name = $1")
            .bind(name)
            .fetch_optional(self.state.read())
            .await?;
        Ok(row.map(|(value,)| value))
    }

    /// Sets a setting unless somebody has, and gives what it is then.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn setting_propose(&self, name: &str, value: &str) -> Result<String, StoreError> {
        let mut transaction = self.state.write().await?;
        let proposed = sqlx::query(
            "insert into setting (name, value) values ($1, $2) on conflict (name) do nothing",
        )
        .bind(name)
        .bind(value)
        .execute(&mut **transaction)
        .await?;
        if proposed.rows_affected() == 1 {
            transaction.commit(CommitPoint::SettingPropose).await?;
            return Ok(value.to_owned());
        }
        drop(transaction);
        let value = self.setting_fetch(name).await?;
        value.ok_or_else(|| StoreError::corrupt("setting", name))
    }

    /// Sets a setting.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn setting_put(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let mut transaction = self.state.write().await?;
        setting_write(&mut transaction, name, value).await?;
        transaction.commit(CommitPoint::SettingPut).await?;
        Ok(())
    }
}

pub(crate) async fn setting_read(
    transaction: &mut Transaction<'_, Any>,
    name: &str,
) -> Result<Option<String>, StoreError> {
    let row: Option<(String,)> = sqlx::query_as("select value from setting where name = $1")
        .bind(name)
        .fetch_optional(&mut **transaction)
        .await?;
    Ok(row.map(|(value,)| value))
}

pub(crate) async fn setting_write(
    transaction: &mut Transaction<'_, Any>,
    name: &str,
    value: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into setting (name, value) values ($1, $2) \
         on conflict (name) do update set value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
