//! How instances that failed stand: those that the stages call. Pollers that
//! failed are kept with their cursors, and listed here.

use faultline_domain::id::{InstanceName, ScopeName};
use faultline_domain::supervision::{Supervision, Supervisor};
use sqlx::{Any, Transaction};

use crate::Store;
use crate::error::StoreError;
use crate::rows::{from_json, insert_rows, json};

/// Which stage calls instances, and therefore keeps their supervisors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keeper {
    /// The observe stage: connectors and detectors.
    Observe,
    /// The correlate stage: correlators.
    Correlate,
}

impl Keeper {
    /// The word that stands for it everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Keeper::Observe => "observe",
            Keeper::Correlate => "correlate",
        }
    }
}

impl Store {
    /// The supervisors that one keeper has.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn supervision_fetch(
        &self,
        scope: &ScopeName,
        keeper: Keeper,
    ) -> Result<Supervision, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "select instance, body from supervision where scope = $1 and keeper = $2 \
             order by instance",
        )
        .bind(scope.as_str())
        .bind(keeper.as_str())
        .fetch_all(self.state.read())
        .await?;
        let kept: Result<Vec<_>, StoreError> = rows.into_iter().map(read).collect();
        kept.map(Supervision::restore)
    }

    /// The supervisors of all instances that failed, by name. One can have two:
    /// what it decodes and what it polls fail apart from each other.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn supervision_list(
        &self,
        scope: &ScopeName,
    ) -> Result<Vec<(InstanceName, Supervisor)>, StoreError> {
        let mut rows: Vec<(String, String)> = sqlx::query_as(
            "select instance, body from supervision where scope = $1 order by instance, keeper",
        )
        .bind(scope.as_str())
        .fetch_all(self.state.read())
        .await?;
        rows.extend(self.poll_supervisors(scope).await?);
        let kept: Result<Vec<_>, StoreError> = rows.into_iter().map(read).collect();
        let mut kept = kept?;
        kept.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(kept)
    }
}

fn read((instance, body): (String, String)) -> Result<(InstanceName, Supervisor), StoreError> {
    let instance =
        InstanceName::new(instance).map_err(|error| StoreError::corrupt("supervision", error))?;
    Ok((instance, from_json("supervision", &body)?))
}

/// Writes all that a keeper has in place of what it had.
pub(crate) async fn replace(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    keeper: Keeper,
    supervision: &Supervision,
) -> Result<(), StoreError> {
    sqlx::query("delete from supervision where scope = $1 and keeper = $2")
        .bind(scope.as_str())
        .bind(keeper.as_str())
        .execute(&mut **transaction)
        .await?;
    let rows: Vec<_> = supervision.iter().collect();
    insert_rows(
        transaction,
        "insert into supervision (scope, keeper, instance, state, body) values",
        5,
        "",
        &rows,
        |query, (instance, supervisor)| {
            query
                .bind(scope.as_str())
                .bind(keeper.as_str())
                .bind(instance.as_str())
                .bind(supervisor.standing().as_str())
                .bind(json(supervisor))
        },
    )
    .await
}
