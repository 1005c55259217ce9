//! Turns: what takes several transactions, and must not be mixed with the same
//! of another process.

use sqlx::AnyConnection;

use crate::error::StoreError;
use crate::location::DatabaseKind;
use crate::{Store, postgresql};

/// A turn to change plugins, instances and grants. As long as it lives, no other
/// process has one.
#[derive(Debug)]
pub struct Turn {
    /// Holds a lock of its session; closing it lets go.
    _connection: Option<AnyConnection>,
}

impl Store {
    /// Waits for a turn to change plugins, instances and grants: a change is
    /// decided by what there is, which must not change meanwhile. Turns of one
    /// process wait for one another, too.
    ///
    /// # Errors
    /// If the database refuses, or others take too long.
    pub async fn turn(&self) -> Result<Turn, StoreError> {
        let connection = match self.kind() {
            // Nobody else works with a folder.
            DatabaseKind::Sqlite => None,
            DatabaseKind::Postgresql => Some(postgresql::turn(&self.state).await?),
        };
        Ok(Turn {
            _connection: connection,
        })
    }
}
