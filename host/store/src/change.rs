//! Changes and tickets.

use faultline_domain::entity::Entity;
use faultline_domain::envelope::Position;
use faultline_domain::id::{ChangeId, ScopeName, SourceName};
use faultline_domain::signal::{Change, Ticket};
use faultline_domain::time::Timestamp;
use sqlx::{Any, AnyConnection, Transaction};

use crate::Store;
use crate::error::StoreError;
use crate::page::{Cursor, Page, fetch_rows};
use crate::rows::{from_json, insert_rows, json, padded_list, text, upsert_rows};

/// The most changes or entities that one statement looks for.
const TERMS_PER_STATEMENT: usize = 256;

/// A change as it was reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRecord {
    /// The envelope that reported it.
    pub position: Position,
    /// Its place among the records of that envelope.
    pub ordinal: u32,
    /// When the envelope arrived.
    pub received: Timestamp,
    /// Through which source.
    pub source: SourceName,
    /// What was said.
    pub change: Change,
}

impl Store {
    /// Changes, the latest first, as last reported.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn change_list(
        &self,
        scope: &ScopeName,
        entity: Option<&Entity>,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<ChangeRecord>, StoreError> {
        let after = after.unwrap_or_else(Cursor::latest);
        let sql = format!(
            "select * from change where scope = $1 and (at, id) < ($2, $3) \
             and {IS_LAST_REPORT} and ($4 = '' or exists (select 1 from change_entity where \
               change_entity.scope = change.scope and change_entity.change = change.id \
               and change_entity.entity = $4)) \
             order by at desc, id desc limit $5"
        );
        let rows: Vec<ChangeRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(scope.as_str())
            .bind(after.number_signed())
            .bind(after.id)
            .bind(entity.map_or_else(String::new, ToString::to_string))
            .bind(fetch_rows(limit))
            .fetch_all(self.state.read())
            .await?;
        let changes = rows
            .into_iter()
            .map(ChangeRow::into_record)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Page::from_rows(changes, limit, |record| Cursor {
            number: record.change.at.as_micros(),
            id: record.change.id.to_string(),
        }))
    }

    /// One change as last reported.
    ///
    /// # Errors
    /// If the database refuses, or the row cannot be read.
    pub async fn change_fetch(
        &self,
        scope: &ScopeName,
        id: ChangeId,
    ) -> Result<Option<ChangeRecord>, StoreError> {
        let row: Option<ChangeRow> = sqlx::query_as(
            "select * from change where scope = $1 and id = $2 \
             order by position desc, ordinal desc limit 1",
        )
        .bind(scope.as_str())
        .bind(id.to_string())
        .fetch_optional(self.state.read())
        .await?;
        row.map(ChangeRow::into_record).transpose()
    }

    /// These changes as last reported, in no particular order; those that there
    /// are not are left out.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn change_fetch_all(
        &self,
        scope: &ScopeName,
        ids: &[ChangeId],
    ) -> Result<Vec<ChangeRecord>, StoreError> {
        let mut changes = Vec::with_capacity(ids.len());
        for ids in ids.chunks(TERMS_PER_STATEMENT) {
            let (list, padded) = padded_list(2, ids.iter());
            let sql = format!(
                "select * from change where scope = $1 and id in ({list}) and {IS_LAST_REPORT}"
            );
            let query = sqlx::query_as::<_, ChangeRow>(sqlx::AssertSqlSafe(sql));
            let query = padded.fold(query.bind(scope.as_str()), sqlx::query::QueryAs::bind);
            for row in query.fetch_all(self.state.read()).await? {
                changes.push(row.into_record()?);
            }
        }
        Ok(changes)
    }

    /// Changes of any of these entities from one time to another, both
    /// included, the latest first, at most `most`.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn changes_about(
        &self,
        scope: &ScopeName,
        entities: &[Entity],
        from: Timestamp,
        to: Timestamp,
        most: u32,
    ) -> Result<Vec<ChangeRecord>, StoreError> {
        let mut found: Vec<ChangeRecord> = Vec::new();
        for entities in entities.chunks(TERMS_PER_STATEMENT) {
            let (list, padded) = padded_list(5, entities.iter());
            let sql = format!(
                "select * from change where scope = $1 and at >= $2 and at <= $3 \
                 and {IS_LAST_REPORT} and exists (select 1 from change_entity where \
                   change_entity.scope = change.scope and change_entity.change = change.id \
                   and change_entity.entity in ({list})) \
                 order by at desc, id desc limit $4"
            );
            let query = sqlx::query_as::<_, ChangeRow>(sqlx::AssertSqlSafe(sql))
                .bind(scope.as_str())
                .bind(from.as_i64())
                .bind(to.as_i64())
                .bind(i64::from(most));
            let query = padded.fold(query, sqlx::query::QueryAs::bind);
            for row in query.fetch_all(self.state.read()).await? {
                found.push(row.into_record()?);
            }
        }
        // One change may concern entities of several statements.
        found.sort_by_key(|record| std::cmp::Reverse((record.change.at, record.change.id)));
        found.dedup_by_key(|record| record.change.id);
        found.truncate(most as usize);
        Ok(found)
    }

    /// All reports of changes that arrived after `since`, up to a position, in
    /// order.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn changes_at(
        &self,
        scope: &ScopeName,
        position: Position,
        since: Timestamp,
    ) -> Result<Vec<ChangeRecord>, StoreError> {
        let rows: Vec<ChangeRow> = sqlx::query_as(
            "select * from change where scope = $1 and position <= $2 and received >= $3 \
             order by position, ordinal",
        )
        .bind(scope.as_str())
        .bind(position.as_i64())
        .bind(since.as_i64())
        .fetch_all(self.state.read())
        .await?;
        rows.into_iter().map(ChangeRow::into_record).collect()
    }
}

/// Of the reports of one change, the last one.
const IS_LAST_REPORT: &str = "not exists (select 1 from change as later where \
     later.scope = change.scope and later.id = change.id and (later.position > change.position \
     or later.position = change.position and later.ordinal > change.ordinal))";

#[derive(sqlx::FromRow)]
struct ChangeRow {
    position: i64,
    ordinal: i64,
    received: i64,
    source: String,
    body: String,
}

impl ChangeRow {
    fn into_record(self) -> Result<ChangeRecord, StoreError> {
        Ok(ChangeRecord {
            position: Position::from_i64(self.position),
            ordinal: u32::try_from(self.ordinal).unwrap_or(u32::MAX),
            received: Timestamp::from_i64(self.received),
            source: SourceName::new(self.source)
                .map_err(|error| StoreError::corrupt("change", error))?,
            change: from_json("change", &self.body)?,
        })
    }
}

pub(crate) async fn news(
    connection: &mut AnyConnection,
    scope: &ScopeName,
    after: Position,
    before: Timestamp,
) -> Result<Vec<ChangeRecord>, StoreError> {
    let rows: Vec<ChangeRow> = sqlx::query_as(
        "select * from change where scope = $1 and position > $2 and received < $3 \
         order by position, ordinal",
    )
    .bind(scope.as_str())
    .bind(after.as_i64())
    .bind(before.as_i64())
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(ChangeRow::into_record).collect()
}

pub(crate) async fn insert(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    changes: &[ChangeRecord],
) -> Result<(), StoreError> {
    insert_rows(
        transaction,
        "insert into change (scope, position, ordinal, received, id, at, kind, title, source, \
         body) values",
        10,
        "",
        changes,
        |query, record| {
            query
                .bind(scope.as_str())
                .bind(record.position.as_i64())
                .bind(i64::from(record.ordinal))
                .bind(record.received.as_i64())
                .bind(record.change.id.to_string())
                .bind(record.change.at.as_i64())
                .bind(text(&record.change.kind))
                .bind(text(&record.change.title))
                .bind(record.source.as_str())
                .bind(json(&record.change))
        },
    )
    .await?;
    let entities: Vec<(String, String)> = changes
        .iter()
        .flat_map(|record| {
            let change = record.change.id.to_string();
            let entities = record.change.entities.iter();
            entities.map(move |entity| (change.clone(), entity.to_string()))
        })
        .collect();
    insert_rows(
        transaction,
        "insert into change_entity (scope, change, entity) values",
        3,
        "on conflict (scope, entity, change) do nothing",
        &entities,
        |query, (change, entity)| query.bind(scope.as_str()).bind(change).bind(entity),
    )
    .await
}

pub(crate) async fn upsert_tickets(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    tickets: &[(SourceName, Position, Timestamp, Ticket)],
) -> Result<(), StoreError> {
    upsert_rows(
        transaction,
        "insert into ticket (scope, source, id, position, received, title, status, body) values",
        8,
        "on conflict (scope, source, id) do update set position = excluded.position, \
         received = excluded.received, title = excluded.title, status = excluded.status, \
         body = excluded.body",
        tickets,
        |(source, _, _, ticket)| (source, ticket.id.as_str()),
        |query, (source, position, received, ticket)| {
            query
                .bind(scope.as_str())
                .bind(source.as_str())
                .bind(text(&ticket.id))
                .bind(position.as_i64())
                .bind(received.as_i64())
                .bind(text(&ticket.title))
                .bind(text(&ticket.status))
                .bind(json(ticket))
        },
    )
    .await
}
