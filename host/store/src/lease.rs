//! Leases: rows that say who does what only one process may do at a time, and
//! the fence that every commit under a lease must pass.

use faultline_domain::id::ScopeName;
use faultline_domain::lease::{Fence, Holder, LeaseName, LeaseView};
use faultline_domain::time::Timestamp;
use sqlx::{Any, Transaction};

use crate::Store;
use crate::commit::CommitPoint;
use crate::error::StoreError;
use crate::rows::{signed, text, unsigned};

/// A lease, with what is shown of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRecord {
    /// As [`LeaseName`] has it; one of a later version may not be known here.
    pub name: String,
    /// Who has it, and which taking it is.
    pub view: LeaseView,
    /// When it was taken, by the clock of its holder.
    pub taken: Timestamp,
    /// When its holder last renewed it, by the holder's clock.
    pub renewed: Timestamp,
}

impl Store {
    /// The leases of a scope that were ever taken, by name.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn lease_list(&self, scope: &ScopeName) -> Result<Vec<LeaseRecord>, StoreError> {
        let rows: Vec<LeaseRow> =
            sqlx::query_as("select * from lease where scope = $1 order by name")
                .bind(scope.as_str())
                .fetch_all(self.state.read())
                .await?;
        Ok(rows.into_iter().map(LeaseRow::into_record).collect())
    }

    /// Takes a lease if it still has this fence and beat, or none if it was
    /// never taken. Gives its new fence; none if somebody else was quicker, or
    /// its holder has given a sign of life.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn lease_take(
        &self,
        scope: &ScopeName,
        name: LeaseName,
        holder: &Holder,
        over: Option<(Fence, u64)>,
        now: Timestamp,
    ) -> Result<Option<Fence>, StoreError> {
        let mut transaction = self.state.write().await?;
        if over.is_none() {
            sqlx::query(ENSURE)
                .bind(scope.as_str())
                .bind(name.as_str())
                .execute(&mut **transaction)
                .await?;
        }
        let (fence, beat) = over.unwrap_or_default();
        let taken: Option<(i64,)> = sqlx::query_as(
            "update lease set node = $3, life = $4, token = token + 1, beat = beat + 1, \
             taken = $5, renewed = $5 \
             where scope = $1 and name = $2 and token = $6 and beat = $7 returning token",
        )
        .bind(scope.as_str())
        .bind(name.as_str())
        .bind(text(&holder.node))
        .bind(text(&holder.life))
        .bind(now.as_i64())
        .bind(signed(fence.0))
        .bind(signed(beat))
        .fetch_optional(&mut **transaction)
        .await?;
        let Some((token,)) = taken else {
            return Ok(None);
        };
        transaction.commit(CommitPoint::LeaseTake).await?;
        Ok(Some(Fence(unsigned(token))))
    }

    /// Shows that the holder lives. False if the lease is somebody else's.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn lease_renew(
        &self,
        scope: &ScopeName,
        name: LeaseName,
        fence: Fence,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.state.write().await?;
        let renewed = sqlx::query(
            "update lease set beat = beat + 1, renewed = $4 \
             where scope = $1 and name = $2 and token = $3",
        )
        .bind(scope.as_str())
        .bind(name.as_str())
        .bind(signed(fence.0))
        .bind(now.as_i64())
        .execute(&mut **transaction)
        .await?;
        if renewed.rows_affected() == 0 {
            return Ok(false);
        }
        transaction.commit(CommitPoint::LeaseRenew).await?;
        Ok(true)
    }

    /// Lets go of a lease, so that others need not wait; nothing happens if it
    /// is somebody else's. What is committed under this fence is refused once
    /// somebody has taken it, and not before.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn lease_release(
        &self,
        scope: &ScopeName,
        name: LeaseName,
        fence: Fence,
    ) -> Result<(), StoreError> {
        let mut transaction = self.state.write().await?;
        let released = sqlx::query(
            "update lease set node = '', life = '', beat = beat + 1 \
             where scope = $1 and name = $2 and token = $3",
        )
        .bind(scope.as_str())
        .bind(name.as_str())
        .bind(signed(fence.0))
        .execute(&mut **transaction)
        .await?;
        if released.rows_affected() == 1 {
            transaction.commit(CommitPoint::LeaseRelease).await?;
        }
        Ok(())
    }
}

/// Refuses a commit under a fence that is not the lease's any more, and keeps
/// the lease from being taken until the transaction ends. What is committed
/// counts as a sign of life.
pub(crate) async fn pass(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    name: LeaseName,
    fence: Fence,
) -> Result<(), StoreError> {
    if fence == Fence::default() {
        sqlx::query(ENSURE)
            .bind(scope.as_str())
            .bind(name.as_str())
            .execute(&mut **transaction)
            .await?;
    }
    let passed = sqlx::query(
        "update lease set beat = beat + 1 where scope = $1 and name = $2 and token = $3",
    )
    .bind(scope.as_str())
    .bind(name.as_str())
    .bind(signed(fence.0))
    .execute(&mut **transaction)
    .await?;
    if passed.rows_affected() == 1 {
        return Ok(());
    }
    Err(StoreError::Fenced {
        lease: name.as_str(),
        fence,
    })
}

/// Makes the row of a lease that nobody has ever taken.
const ENSURE: &str = "insert into lease (scope, name, node, life, token, beat, taken, renewed) \
     values ($1, $2, '', '', 0, 0, 0, 0) on conflict (scope, name) do nothing";

#[derive(sqlx::FromRow)]
struct LeaseRow {
    name: String,
    node: String,
    life: String,
    token: i64,
    beat: i64,
    taken: i64,
    renewed: i64,
}

impl LeaseRow {
    fn into_record(self) -> LeaseRecord {
        let holder = (!self.node.is_empty()).then_some(Holder {
            node: self.node,
            life: self.life,
        });
        LeaseRecord {
            name: self.name,
            view: LeaseView {
                holder,
                fence: Fence(unsigned(self.token)),
                beat: unsigned(self.beat),
            },
            taken: Timestamp::from_i64(self.taken),
            renewed: Timestamp::from_i64(self.renewed),
        }
    }
}
