//! Alerts as they stand, and the history of their transitions.

use std::collections::{BTreeMap, BTreeSet};

use faultline_domain::alert::{Alert, Outcome, State};
use faultline_domain::entity::Entity;
use faultline_domain::envelope::Position;
use faultline_domain::id::{AlertId, ScopeName, SourceName};
use faultline_domain::severity::Severity;
use faultline_domain::situation::AlertView;
use faultline_domain::time::Timestamp;
use sqlx::{Any, AnyConnection, Transaction};

use crate::Store;
use crate::error::StoreError;
use crate::page::{Cursor, Page, fetch_rows};
use crate::rows::{from_json, insert_rows, json, padded_list, signed, text, unsigned, upsert_rows};
use crate::stage::TransitionWrite;

/// Which transitions are news to the correlate stage: all but those of alerts that
/// were over before anybody heard of them. Whoever reads, counts or waits for news
/// means the same ones; a macro, as statements are put together by the compiler.
/// The index `transition_news` has them, by the same words.
macro_rules! is_news {
    () => {
        "outcome <> 'resolved-unseen'"
    };
}
pub(crate) use is_news;

/// The most alerts that one statement looks up by id.
const IDS_PER_STATEMENT: usize = 512;

/// Which alerts to list; what is none does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertFilter {
    /// Firing only, or resolved only.
    pub firing: Option<bool>,
    /// This bad or worse.
    pub severity_min: Option<Severity>,
    /// That concern, or once concerned, this.
    pub entity: Option<Entity>,
    /// From this family of senders, or this detector.
    pub origin: Option<String>,
}

/// A step in the life of an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct TransitionRecord {
    /// The envelope that brought it about.
    pub position: Position,
    /// Its place among the records of that envelope.
    pub ordinal: u32,
    /// When the envelope arrived.
    pub received: Timestamp,
    /// Event time.
    pub at: Timestamp,
    /// What happened.
    pub outcome: Outcome,
    /// Through which source; none if time did it.
    pub source: Option<SourceName>,
    /// Counts the alert's transitions.
    pub version: u64,
    /// The alert afterwards.
    pub view: AlertView,
}

impl Store {
    /// These alerts, in no particular order; those that there are not are left
    /// out.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn alert_fetch(
        &self,
        scope: &ScopeName,
        ids: &[AlertId],
    ) -> Result<Vec<Alert>, StoreError> {
        let mut alerts = Vec::with_capacity(ids.len());
        for ids in ids.chunks(IDS_PER_STATEMENT) {
            let (list, padded) = padded_list(2, ids.iter());
            let sql = format!("select body from alert where scope = $1 and id in ({list})");
            let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(scope.as_str());
            for id in padded {
                query = query.bind(id);
            }
            let rows: Vec<(String,)> = query.fetch_all(self.state.read()).await?;
            for (body,) in rows {
                alerts.push(from_json("alert", &body)?);
            }
        }
        Ok(alerts)
    }

    /// All alerts that fire.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn alert_firing(&self, scope: &ScopeName) -> Result<Vec<Alert>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "select body from alert where scope = $1 and state = 'firing' order by id",
        )
        .bind(scope.as_str())
        .fetch_all(self.state.read())
        .await?;
        rows.iter()
            .map(|(body,)| from_json("alert", body))
            .collect()
    }

    /// Alerts, those that changed last first.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn alert_list(
        &self,
        scope: &ScopeName,
        filter: &AlertFilter,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<Alert>, StoreError> {
        let after = after.unwrap_or_else(Cursor::latest);
        let state = filter
            .firing
            .map(|firing| if firing { "firing" } else { "resolved" });
        // Each by an index that has them in the order of the listing.
        let (which, changed, id) = match (&filter.entity, state) {
            (Some(_), _) => (
                "alert_entity join alert on alert.scope = alert_entity.scope \
                 and alert.id = alert_entity.alert where alert_entity.scope = $1 \
                 and alert_entity.entity = $8 \
                 and (alert_entity.changed, alert_entity.alert) < ($2, $3) \
                 and ($4 = '' or state = $4)",
                "alert_entity.changed",
                "alert_entity.alert",
            ),
            (None, Some(_)) => (
                "alert where scope = $1 and state = $4 and (changed, id) < ($2, $3)",
                "changed",
                "id",
            ),
            (None, None) => (
                "alert where scope = $1 and (changed, id) < ($2, $3) and $4 = ''",
                "changed",
                "id",
            ),
        };
        let origin = if filter.origin.is_some() {
            "origin = $6"
        } else {
            "$6 = ''"
        };
        let sql = format!(
            "select body, {changed} from {which} and severity >= $5 and {origin} \
             order by {changed} desc, {id} desc limit $7"
        );
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(scope.as_str())
            .bind(after.number_signed())
            .bind(after.id)
            .bind(state.unwrap_or(""))
            .bind(filter.severity_min.map_or(0, severity_rank))
            .bind(text(filter.origin.as_deref().unwrap_or("")))
            .bind(fetch_rows(limit));
        if let Some(entity) = &filter.entity {
            query = query.bind(entity.to_string());
        }
        let rows: Vec<(String, i64)> = query.fetch_all(self.state.read()).await?;
        let alerts = rows
            .iter()
            .map(|(body, changed)| Ok((from_json("alert", body)?, unsigned(*changed))))
            .collect::<Result<Vec<(Alert, u64)>, StoreError>>()?;
        let page = Page::from_rows(alerts, limit, |(alert, changed)| Cursor {
            number: *changed,
            id: alert.id.to_string(),
        });
        Ok(Page {
            items: page.items.into_iter().map(|(alert, _)| alert).collect(),
            next: page.next,
        })
    }

    /// How many alerts fire, and how many there are.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn alert_count(&self, scope: &ScopeName) -> Result<(u64, u64), StoreError> {
        let (firing, all): (i64, i64) = sqlx::query_as(
            "select (select count(*) from alert where scope = $1 and state = 'firing'), \
             (select cast(coalesce(sum(alerts), 0) as bigint) from alert_total where scope = $1)",
        )
        .bind(scope.as_str())
        .fetch_one(self.state.read())
        .await?;
        Ok((unsigned(firing), unsigned(all)))
    }

    /// The history of one alert, oldest first; the last `most` steps of it.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn transition_list(
        &self,
        scope: &ScopeName,
        alert: AlertId,
        most: u32,
    ) -> Result<Vec<TransitionRecord>, StoreError> {
        let rows: Vec<TransitionRow> = sqlx::query_as(
            "select * from transition where scope = $1 and alert = $2 \
             order by version desc, position desc limit $3",
        )
        .bind(scope.as_str())
        .bind(alert.to_string())
        .bind(i64::from(most))
        .fetch_all(self.state.read())
        .await?;
        rows.into_iter()
            .rev()
            .map(TransitionRow::into_record)
            .collect()
    }

    /// How the alerts stood at a position: those that fired then, and those
    /// that changed after `since`, each as it was after its last transition at
    /// or before that position.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn alert_views_at(
        &self,
        scope: &ScopeName,
        position: Position,
        since: Timestamp,
    ) -> Result<Vec<TransitionRecord>, StoreError> {
        // Candidates are what fires today and what changed since; what fired
        // then and does not today has changed since then, too. Put in order
        // here: asked for an order, SQLite would go through all of history.
        let rows: Vec<TransitionRow> = sqlx::query_as(
            "select transition.* from ( \
               select id as alert from alert where scope = $1 and state = 'firing' union \
               select alert from transition where scope = $1 and received >= $3 union \
               select alert from transition where scope = $1 and position > $2) as candidate \
             join transition on transition.scope = $1 and transition.alert = candidate.alert \
             and transition.version = ( \
               select max(version) from transition as earlier where earlier.scope = $1 \
               and earlier.alert = candidate.alert and earlier.position <= $2 \
               and earlier.outcome <> 'resolved-unseen')",
        )
        .bind(scope.as_str())
        .bind(position.as_i64())
        .bind(since.as_i64())
        .fetch_all(self.state.read())
        .await?;
        let mut records = rows
            .into_iter()
            .map(TransitionRow::into_record)
            .collect::<Result<Vec<_>, _>>()?;
        records.retain(|record| record.view.firing || record.received >= since);
        records.sort_by_key(|record| (record.position, record.ordinal));
        Ok(records)
    }
}

/// For comparisons in SQL: worse is greater.
pub(crate) fn severity_rank(severity: Severity) -> i64 {
    Severity::ALL
        .iter()
        .position(|known| *known == severity)
        .map_or(0, |rank| signed(rank as u64))
}

#[derive(sqlx::FromRow)]
pub(crate) struct TransitionRow {
    position: i64,
    ordinal: i64,
    received: i64,
    at: i64,
    version: i64,
    source: Option<String>,
    detail: String,
    alert_view: String,
}

impl TransitionRow {
    pub(crate) fn into_record(self) -> Result<TransitionRecord, StoreError> {
        Ok(TransitionRecord {
            position: Position::from_i64(self.position),
            ordinal: u32::try_from(self.ordinal).unwrap_or(u32::MAX),
            received: Timestamp::from_i64(self.received),
            at: Timestamp::from_i64(self.at),
            outcome: from_json("transition", &self.detail)?,
            source: self
                .source
                .map(SourceName::new)
                .transpose()
                .map_err(|error| StoreError::corrupt("transition", error))?,
            version: unsigned(self.version),
            view: from_json("transition", &self.alert_view)?,
        })
    }
}

const NEWS: &str = concat!(
    "select * from transition where scope = $1 and position > $2 and received < $3 and ",
    is_news!(),
    " order by position, ordinal",
);

pub(crate) async fn news(
    connection: &mut AnyConnection,
    scope: &ScopeName,
    after: Position,
    before: Timestamp,
) -> Result<Vec<TransitionRecord>, StoreError> {
    let rows: Vec<TransitionRow> = sqlx::query_as(NEWS)
        .bind(scope.as_str())
        .bind(after.as_i64())
        .bind(before.as_i64())
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(TransitionRow::into_record).collect()
}

pub(crate) async fn upsert(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    alerts: &[Alert],
    position: Position,
) -> Result<(), StoreError> {
    upsert_rows(
        transaction,
        "insert into alert (scope, id, state, severity, title, origin, changed, version, \
         position, body) values",
        10,
        "on conflict (scope, id) do update set state = excluded.state, \
         severity = excluded.severity, title = excluded.title, changed = excluded.changed, \
         version = excluded.version, position = excluded.position, body = excluded.body",
        alerts,
        |alert| alert.id,
        |query, alert| {
            let state = match alert.state {
                State::Firing => "firing",
                State::Resolved { .. } => "resolved",
            };
            query
                .bind(scope.as_str())
                .bind(alert.id.to_string())
                .bind(state)
                .bind(severity_rank(alert.severity.grade))
                .bind(text(&alert.title))
                .bind(alert.origin.as_str())
                .bind(alert.changed.as_i64())
                .bind(signed(alert.version))
                .bind(position.as_i64())
                .bind(json(alert))
        },
    )
    .await
}

pub(crate) async fn insert_transitions(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    transitions: &[TransitionWrite],
) -> Result<(), StoreError> {
    insert_rows(
        transaction,
        "insert into transition (scope, position, ordinal, received, at, alert, version, \
         outcome, source, detail, alert_view) values",
        11,
        "",
        transitions,
        |query, write| {
            query
                .bind(scope.as_str())
                .bind(write.position.as_i64())
                .bind(i64::from(write.ordinal))
                .bind(write.received.as_i64())
                .bind(write.view.at.as_i64())
                .bind(write.view.id.to_string())
                .bind(signed(write.version))
                .bind(write.outcome.as_str())
                .bind(write.source.as_ref().map(SourceName::as_str))
                .bind(json(&write.outcome))
                .bind(json(&write.view))
        },
    )
    .await
}

/// Notes what the alerts that went through these transitions concern, or once
/// concerned, and when they last changed.
pub(crate) async fn upsert_entities(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    transitions: &[TransitionWrite],
) -> Result<(), StoreError> {
    let mut changed: BTreeMap<AlertId, Timestamp> = BTreeMap::new();
    for write in transitions {
        changed.insert(write.view.id, write.view.at);
    }
    let ids: Vec<AlertId> = changed.keys().copied().collect();
    for ids in ids.chunks(IDS_PER_STATEMENT) {
        let (list, padded) = padded_list(2, ids.iter());
        let sql = format!(
            "update alert_entity set changed = (select alert.changed from alert \
             where alert.scope = alert_entity.scope and alert.id = alert_entity.alert) \
             where scope = $1 and alert in ({list})"
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(scope.as_str());
        for id in padded {
            query = query.bind(id);
        }
        query.execute(&mut **transaction).await?;
    }
    let entities: Vec<(String, String, i64)> = transitions
        .iter()
        .flat_map(|write| {
            let alert = write.view.id.to_string();
            let changed = changed[&write.view.id].as_i64();
            let entities = write.view.entities.iter();
            entities.map(move |entity| (alert.clone(), entity.to_string(), changed))
        })
        .collect();
    insert_rows(
        transaction,
        "insert into alert_entity (scope, alert, entity, changed) values",
        4,
        "on conflict (scope, alert, entity) do nothing",
        &entities,
        |query, (alert, entity, changed)| {
            query
                .bind(scope.as_str())
                .bind(alert)
                .bind(entity)
                .bind(*changed)
        },
    )
    .await
}

/// Counts those of these alerts that are not in the store yet: before they are
/// written.
pub(crate) async fn count_new(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    alerts: &[Alert],
) -> Result<(), StoreError> {
    let ids: BTreeSet<AlertId> = alerts.iter().map(|alert| alert.id).collect();
    let ids: Vec<AlertId> = ids.into_iter().collect();
    let mut new = signed(ids.len() as u64);
    for ids in ids.chunks(IDS_PER_STATEMENT) {
        let (list, padded) = padded_list(2, ids.iter());
        let sql = format!("select count(*) from alert where scope = $1 and id in ({list})");
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(scope.as_str());
        for id in padded {
            query = query.bind(id);
        }
        let (known,): (i64,) = query.fetch_one(&mut **transaction).await?;
        new -= known;
    }
    if new > 0 {
        sqlx::query(
            "insert into alert_total (scope, alerts) values ($1, $2) on conflict (scope) \
             do update set alerts = alert_total.alerts + excluded.alerts",
        )
        .bind(scope.as_str())
        .bind(new)
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Location;

    #[tokio::test]
    async fn what_is_no_news_is_not_looked_through() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&Location::from(folder.path())).await;
        let store = store.expect("a store");
        let sql = format!("explain query plan {NEWS}");
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind("default")
            .bind(0_i64)
            .bind(1_i64)
            .fetch_all(store.state.read())
            .await
            .expect("a plan");
        assert!(plan[0].3.contains("INDEX transition_news"), "{plan:?}");
        store.close().await;
    }
}
