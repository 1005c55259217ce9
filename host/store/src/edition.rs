//! Counters of what operators change, so that every process that works with
//! the database learns of it.

use sqlx::{Any, Transaction};

use crate::Store;
use crate::error::StoreError;
use crate::rows::unsigned;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edition {
    /// Instances of plugins, and what was granted to them.
    Plugins,
    /// Tokens.
    Tokens,
}

impl Edition {
    const fn as_str(self) -> &'static str {
        match self {
            Edition::Plugins => "plugins",
            Edition::Tokens => "tokens",
        }
    }
}

/// How often each has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Editions {
    /// Instances and grants.
    pub plugins: u64,
    /// Tokens.
    pub tokens: u64,
}

impl Store {
    /// How often each has changed: when a number is another one than before,
    /// what it stands for is to be read again.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn edition_fetch(&self) -> Result<Editions, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as("select name, number from edition")
            .fetch_all(self.state.read())
            .await?;
        let of = |edition: Edition| {
            let found = rows.iter().find(|(name, _)| name == edition.as_str());
            found.map_or(0, |(_, number)| unsigned(*number))
        };
        Ok(Editions {
            plugins: of(Edition::Plugins),
            tokens: of(Edition::Tokens),
        })
    }
}

/// Counts a change, in the transaction that makes it.
pub(crate) async fn next(
    transaction: &mut Transaction<'_, Any>,
    edition: Edition,
) -> Result<(), StoreError> {
    sqlx::query("update edition set number = number + 1 where name = $1")
        .bind(edition.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
