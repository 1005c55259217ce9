//! Sightings of edges of the topology.

use faultline_domain::envelope::Position;
use faultline_domain::id::{ScopeName, SourceName};
use faultline_domain::signal::Dependency;
use faultline_domain::time::Timestamp;
use faultline_domain::topology::{EdgeKey, Seen};
use sqlx::{Any, AnyConnection, Transaction};

use crate::Store;
use crate::error::StoreError;
use crate::rows::{insert_rows, text};

/// A sighting that was worth recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DependencyRecord {
    /// The envelope that spoke of it.
    pub position: Position,
    /// Its place among the records of that envelope.
    pub ordinal: u32,
    /// When the envelope arrived.
    pub received: Timestamp,
    /// Through which source.
    pub source: SourceName,
    /// The edge, and when it held.
    pub dependency: Dependency,
}

impl Store {
    /// The edges as they were known at a position, by key, that were seen in what
    /// arrived since a time: sightings are kept for long, and there are many of each
    /// edge. The first sighting is the one that was recorded first.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn topology_at(
        &self,
        scope: &ScopeName,
        position: Position,
        since: Timestamp,
    ) -> Result<Vec<(EdgeKey, Seen)>, StoreError> {
        let rows: Vec<(String, String, String, i64, i64)> = sqlx::query_as(
            "select dependent, provider, relation, (select seen from dependency as earlier \
               where earlier.scope = $1 and earlier.dependent = dependency.dependent \
               and earlier.provider = dependency.provider \
               and earlier.relation = dependency.relation order by position limit 1), max(seen) \
             from dependency where scope = $1 and position <= $2 and received >= $3 \
             group by dependent, provider, relation order by dependent, provider, relation",
        )
        .bind(scope.as_str())
        .bind(position.as_i64())
        .bind(since.as_i64())
        .fetch_all(self.state.read())
        .await?;
        rows.into_iter()
            .map(|(dependent, provider, relation, first, last)| {
                let key = EdgeKey {
                    dependent: entity(&dependent)?,
                    provider: entity(&provider)?,
                    relation,
                };
                let seen = Seen {
                    first: Timestamp::from_i64(first),
                    last: Timestamp::from_i64(last),
                };
                Ok((key, seen))
            })
            .collect()
    }
}

fn entity(text: &str) -> Result<faultline_domain::entity::Entity, StoreError> {
    text.parse()
        .map_err(|error| StoreError::corrupt("dependency", error))
}

#[derive(sqlx::FromRow)]
struct DependencyRow {
    position: i64,
    ordinal: i64,
    received: i64,
    dependent: String,
    provider: String,
    relation: String,
    seen: i64,
    source: String,
}

impl DependencyRow {
    fn into_record(self) -> Result<DependencyRecord, StoreError> {
        Ok(DependencyRecord {
            position: Position::from_i64(self.position),
            ordinal: u32::try_from(self.ordinal).unwrap_or(u32::MAX),
            received: Timestamp::from_i64(self.received),
            source: SourceName::new(self.source)
                .map_err(|error| StoreError::corrupt("dependency", error))?,
            dependency: Dependency {
                dependent: entity(&self.dependent)?,
                provider: entity(&self.provider)?,
                relation: self.relation,
                seen: Timestamp::from_i64(self.seen),
            },
        })
    }
}

pub(crate) async fn news(
    connection: &mut AnyConnection,
    scope: &ScopeName,
    after: Position,
    before: Timestamp,
) -> Result<Vec<DependencyRecord>, StoreError> {
    let rows: Vec<DependencyRow> = sqlx::query_as(
        "select * from dependency where scope = $1 and position > $2 and received < $3 \
         order by position, ordinal",
    )
    .bind(scope.as_str())
    .bind(after.as_i64())
    .bind(before.as_i64())
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(DependencyRow::into_record).collect()
}

pub(crate) async fn insert(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    dependencies: &[DependencyRecord],
) -> Result<(), StoreError> {
    insert_rows(
        transaction,
        "insert into dependency (scope, position, ordinal, received, dependent, provider, \
         relation, seen, source) values",
        9,
        "",
        dependencies,
        |query, record| {
            query
                .bind(scope.as_str())
                .bind(record.position.as_i64())
                .bind(i64::from(record.ordinal))
                .bind(record.received.as_i64())
                .bind(record.dependency.dependent.to_string())
                .bind(record.dependency.provider.to_string())
                .bind(text(&record.dependency.relation))
                .bind(record.dependency.seen.as_i64())
                .bind(record.source.as_str())
        },
    )
    .await
}
