//! How much waits for whom: what lies in the journal, and in what was made of it,
//! beyond where the stages are.

use std::collections::BTreeMap;

use faultline_domain::envelope::{Format, Position};
use faultline_domain::id::{InstanceName, ScopeName};
use faultline_domain::plugin::Kind;
use faultline_domain::time::Timestamp;

use crate::Store;
use crate::alert::is_news;
use crate::error::StoreError;
use crate::rows::unsigned;
use crate::stage::StageName;

/// The most envelopes, and the most records, that are counted. To know of more
/// would help nobody, and take the longer the worse things are.
pub const WAITING_MAX: u32 = 100_000;

/// What waits for one of those who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queue {
    /// How much.
    pub count: u64,
    /// When the first of it arrived; none if there is nothing.
    pub oldest: Option<Timestamp>,
}

impl Queue {
    fn new(count: i64, oldest: i64) -> Self {
        Self {
            count: unsigned(count),
            oldest: (count > 0).then(|| Timestamp::from_i64(oldest)),
        }
    }

    /// With another one.
    fn and(self, other: Self) -> Self {
        let oldest = [self.oldest, other.oldest];
        Self {
            count: self.count + other.count,
            oldest: oldest.into_iter().flatten().min(),
        }
    }
}

/// What waits in one scope.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Envelopes that the observe stage has yet to read, by what reads them.
    pub envelopes: BTreeMap<Format, Queue>,
    /// Records that the correlate stage has yet to read: transitions of alerts,
    /// changes, edges and acts of people.
    pub records: Queue,
}

impl Waiting {
    /// What may be shown to an instance: to a connector what was sent to it, to a
    /// detector everything that was sent, as nobody knows yet what is in it, and
    /// to a correlator all records.
    pub fn of(&self, instance: &InstanceName, kind: Kind) -> Queue {
        match kind {
            Kind::Connector => {
                let format = Format::Connector(instance.clone());
                self.envelopes.get(&format).copied().unwrap_or_default()
            }
            Kind::Detector => {
                let sent = self.envelopes.iter().filter(|(format, _)| !format.is_own());
                sent.fold(Queue::default(), |sum, (_, queue)| sum.and(*queue))
            }
            Kind::Correlator => self.records,
            Kind::Action => Queue::default(),
        }
    }
}

impl Store {
    /// What waits at this moment, up to [`WAITING_MAX`] of each.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn waiting(&self, scope: &ScopeName) -> Result<Waiting, StoreError> {
        let observed = self.stage_position(scope, StageName::Observe).await?;
        let correlated = self.stage_position(scope, StageName::Correlate).await?;
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(
            "select format, count(*), min(received) from (select format, received from envelope \
             where scope = $1 and position > $2 order by position limit $3) waiting \
             group by format",
        )
        .bind(scope.as_str())
        .bind(observed.position.as_i64())
        .bind(i64::from(WAITING_MAX))
        .fetch_all(self.journal.read())
        .await?;
        let mut envelopes = BTreeMap::new();
        for (format, count, oldest) in rows {
            let format =
                Format::try_from(format).map_err(|error| StoreError::corrupt("envelope", error))?;
            envelopes.insert(format, Queue::new(count, oldest));
        }
        let records = self.waiting_records(scope, correlated.position).await?;
        Ok(Waiting { envelopes, records })
    }

    async fn waiting_records(
        &self,
        scope: &ScopeName,
        after: Position,
    ) -> Result<Queue, StoreError> {
        let (count, oldest): (i64, i64) = sqlx::query_as(concat!(
            "select count(*), coalesce(min(received), 0) from (select received from ( \
                 select received from transition where scope = $1 and position > $2 and ",
            is_news!(),
            " union all \
             select received from change where scope = $1 and position > $2 union all \
             select received from dependency where scope = $1 and position > $2 union all \
             select received from command where scope = $1 and position > $2) record \
             limit $3) waiting",
        ))
        .bind(scope.as_str())
        .bind(after.as_i64())
        .bind(i64::from(WAITING_MAX))
        .fetch_one(self.state.read())
        .await?;
        Ok(Queue::new(count, oldest))
    }
}
