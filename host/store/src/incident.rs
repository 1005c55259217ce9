//! Incidents: their events, what they add up to, and what was refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use faultline_domain::entity::Entity;
use faultline_domain::envelope::Position;
use faultline_domain::id::{AlertId, IncidentId, ScopeName};
use faultline_domain::incident::{Author, Incident, IncidentEvent, Member, Phase};
use faultline_domain::incident_summary::IncidentSummary;
use faultline_domain::incidents::{Command, RefusedProposal};
use faultline_domain::severity::Severity;
use faultline_domain::time::Timestamp;
use sqlx::{Any, AnyConnection, Transaction};

use crate::Store;
use crate::alert::severity_rank;
use crate::error::StoreError;
use crate::member::{bare, whole};
use crate::page::{Cursor, Page, fetch_rows};
use crate::rows::{from_json, insert_rows, json, signed, text, unsigned, upsert_rows};

/// Which incidents to list; what is none does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncidentFilter {
    /// In this phase.
    pub phase: Option<Phase>,
    /// Open or acknowledged, or else neither.
    pub active: Option<bool>,
    /// This bad or worse.
    pub severity_min: Option<Severity>,
    /// With a member that concerns, or once concerned, this.
    pub entity: Option<Entity>,
}

/// An event with its number among all events of the scope.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// 1, 2, 3, … in the order of commits.
    pub sequence: u64,
    /// What happened.
    pub event: IncidentEvent,
}

/// An act of a person, in its place in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRecord {
    /// The envelope that carries it.
    pub position: Position,
    /// When it arrived.
    pub received: Timestamp,
    /// Who asked.
    pub person: String,
    /// What for.
    pub command: Command,
}

/// A proposal that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalRecord {
    /// The last envelope that was known then.
    pub position: Position,
    /// Its place among the refusals of that commit.
    pub ordinal: u32,
    /// Event time.
    pub at: Timestamp,
    /// The instance that proposed it.
    pub correlator: String,
    /// `open`, `join`, …
    pub proposal: String,
    /// The correlator's reason for it.
    pub summary: String,
    /// The host's reason against it.
    pub reason: String,
}

impl Store {
    /// One incident as it stands.
    ///
    /// # Errors
    /// If the database refuses, or the row cannot be read.
    pub async fn incident_fetch(
        &self,
        scope: &ScopeName,
        id: IncidentId,
    ) -> Result<Option<Incident>, StoreError> {
        let mut transaction = self.state.snapshot().await?;
        let rows: Vec<(String,)> =
            sqlx::query_as("select body from incident where scope = $1 and id = $2")
                .bind(scope.as_str())
                .bind(id.to_string())
                .fetch_all(&mut *transaction)
                .await?;
        let mut found = whole(&mut transaction, scope, &rows).await?;
        transaction.commit().await?;
        Ok(found.pop())
    }

    /// All incidents that are not closed or merged.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn incident_open(&self, scope: &ScopeName) -> Result<Vec<Incident>, StoreError> {
        let mut transaction = self.state.snapshot().await?;
        let rows: Vec<(String,)> = sqlx::query_as(
            "select body from incident where scope = $1 \
             and phase in ('open', 'acknowledged', 'resolved') order by id",
        )
        .bind(scope.as_str())
        .fetch_all(&mut *transaction)
        .await?;
        let incidents = whole(&mut transaction, scope, &rows).await?;
        transaction.commit().await?;
        Ok(incidents)
    }

    /// Incidents in short, those opened last first.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn incident_list(
        &self,
        scope: &ScopeName,
        filter: &IncidentFilter,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<IncidentSummary>, StoreError> {
        let after = after.unwrap_or_else(Cursor::latest);
        // Said so that an index that has the phase can be used.
        let phase = if filter.phase.is_some() {
            "phase = $4"
        } else {
            "$4 = ''"
        };
        let active = match filter.active {
            None => "true",
            Some(true) => "phase in ('open', 'acknowledged')",
            Some(false) => "phase in ('resolved', 'closed', 'merged')",
        };
        let sql = format!(
            "select summary, body from incident where scope = $1 and (opened, id) < ($2, $3) \
             and {phase} and {active} and severity >= $5 \
             and ($6 = '' or id in (select incident_member.incident from alert_entity \
               join incident_member on incident_member.scope = alert_entity.scope \
               and incident_member.alert = alert_entity.alert \
               where alert_entity.scope = $1 and alert_entity.entity = $6)) \
             order by opened desc, id desc limit $7",
        );
        let mut transaction = self.state.snapshot().await?;
        let rows: Vec<(String, String)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(scope.as_str())
            .bind(after.number_signed())
            .bind(after.id)
            .bind(filter.phase.map_or("", Phase::as_str))
            .bind(filter.severity_min.map_or(0, severity_rank))
            .bind(
                filter
                    .entity
                    .as_ref()
                    .map_or_else(String::new, ToString::to_string),
            )
            .bind(fetch_rows(limit))
            .fetch_all(self.state.read())
            .await?;
        let mut incidents = Vec::with_capacity(rows.len());
        for (summary, body) in rows {
            incidents.push(summary_of(&mut transaction, scope, &summary, body).await?);
        }
        transaction.commit().await?;
        Ok(Page::from_rows(incidents, limit, |incident| Cursor {
            number: incident.opened.as_micros(),
            id: incident.id.to_string(),
        }))
    }

    /// How many incidents are in each phase.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn incident_count(
        &self,
        scope: &ScopeName,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "select phase, count(*) from incident where scope = $1 group by phase order by phase",
        )
        .bind(scope.as_str())
        .fetch_all(self.state.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|(phase, count)| (phase, unsigned(count)))
            .collect())
    }

    /// The events of one incident, oldest first.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn incident_event_list(
        &self,
        scope: &ScopeName,
        id: IncidentId,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "select sequence, body from incident_event where scope = $1 and incident = $2 \
             order by version",
        )
        .bind(scope.as_str())
        .bind(id.to_string())
        .fetch_all(self.state.read())
        .await?;
        rows.iter().map(stored_event).collect()
    }

    /// The events of one incident after a version, oldest first, at most
    /// `most`.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn incident_event_after(
        &self,
        scope: &ScopeName,
        id: IncidentId,
        version: u64,
        most: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "select sequence, body from incident_event where scope = $1 and incident = $2 \
             and version > $3 order by version limit $4",
        )
        .bind(scope.as_str())
        .bind(id.to_string())
        .bind(signed(version))
        .bind(i64::from(most))
        .fetch_all(self.state.read())
        .await?;
        rows.iter().map(stored_event).collect()
    }

    /// Events of all incidents after a sequence number, at most `most`: what
    /// live updates show.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn incident_event_since(
        &self,
        scope: &ScopeName,
        sequence: u64,
        most: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "select sequence, body from incident_event where scope = $1 and sequence > $2 \
             order by sequence limit $3",
        )
        .bind(scope.as_str())
        .bind(signed(sequence))
        .bind(i64::from(most))
        .fetch_all(self.state.read())
        .await?;
        rows.iter().map(stored_event).collect()
    }

    /// The number of the last event of the scope.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn incident_event_last(&self, scope: &ScopeName) -> Result<u64, StoreError> {
        let (last,): (i64,) = sqlx::query_as(
            "select coalesce(max(sequence), 0) from incident_event where scope = $1",
        )
        .bind(scope.as_str())
        .fetch_one(self.state.read())
        .await?;
        Ok(unsigned(last))
    }

    /// The incidents that an alert is or was a member of, in short and the last
    /// first; with what they know of it, if it is one still.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn incidents_of_alert(
        &self,
        scope: &ScopeName,
        alert: AlertId,
    ) -> Result<Vec<(IncidentSummary, Option<Member>)>, StoreError> {
        // Put in order here: asked for an order, SQLite would go through all
        // incidents by the time of their opening.
        let mut transaction = self.state.snapshot().await?;
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "select incident.summary, incident.body, incident_member.body \
             from incident_member join incident \
             on incident.scope = incident_member.scope and incident.id = incident_member.incident \
             where incident_member.scope = $1 and incident_member.alert = $2",
        )
        .bind(scope.as_str())
        .bind(alert.to_string())
        .fetch_all(&mut *transaction)
        .await?;
        let mut incidents = Vec::with_capacity(rows.len());
        for (summary, body, member) in rows {
            let summary = summary_of(&mut transaction, scope, &summary, body).await?;
            let is_member = !member.is_empty();
            let member = is_member.then(|| from_json("incident_member", &member));
            incidents.push((summary, member.transpose()?));
        }
        transaction.commit().await?;
        incidents.sort_by_key(|(incident, _)| std::cmp::Reverse((incident.opened, incident.id)));
        Ok(incidents)
    }

    /// What became of a command: none while it waits, then nothing or the
    /// reason why it was not carried out.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn command_outcome(
        &self,
        scope: &ScopeName,
        position: Position,
    ) -> Result<Option<Result<(), String>>, StoreError> {
        let row: Option<(String,)> =
            sqlx::query_as("select outcome from command where scope = $1 and position = $2")
                .bind(scope.as_str())
                .bind(position.as_i64())
                .fetch_optional(self.state.read())
                .await?;
        Ok(row.and_then(|(text,)| outcome(text)))
    }

    /// What correlators proposed in vain, the last first.
    ///
    /// # Errors
    /// If the database refuses, or the cursor is not one of this listing.
    pub async fn refusal_list(
        &self,
        scope: &ScopeName,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<RefusalRecord>, StoreError> {
        let (position, ordinal) = match &after {
            None => (i64::MAX, i64::MAX),
            Some(cursor) => {
                let ordinal: u32 = cursor
                    .id
                    .parse()
                    .map_err(|_| StoreError::BadCursor(cursor.to_string()))?;
                (cursor.number_signed(), i64::from(ordinal))
            }
        };
        let rows: Vec<RefusalRow> = sqlx::query_as(
            "select * from refusal where scope = $1 and (position, ordinal) < ($2, $3) \
             order by position desc, ordinal desc limit $4",
        )
        .bind(scope.as_str())
        .bind(position)
        .bind(ordinal)
        .bind(fetch_rows(limit))
        .fetch_all(self.state.read())
        .await?;
        let records = rows.into_iter().map(RefusalRow::into_record).collect();
        Ok(Page::from_rows(records, limit, |record| Cursor {
            number: record.position.0,
            id: record.ordinal.to_string(),
        }))
    }
}

/// An incident in short, from its row.
async fn summary_of(
    connection: &mut AnyConnection,
    scope: &ScopeName,
    summary: &str,
    body: String,
) -> Result<IncidentSummary, StoreError> {
    if !summary.is_empty() {
        return from_json("incident", summary);
    }
    // A node of an earlier version has written it since the store was opened.
    let incident = whole(connection, scope, &[(body,)]).await?.pop();
    let incident = incident.ok_or_else(|| StoreError::corrupt("incident", "not there"))?;
    Ok(IncidentSummary::from(&incident))
}

/// The outcome of a command that was carried out.
const DONE: &str = "done";

/// What the column says became of a command.
pub(crate) fn outcome(text: String) -> Option<Result<(), String>> {
    match text.as_str() {
        "" => None,
        DONE => Some(Ok(())),
        _ => Some(Err(text)),
    }
}

#[derive(sqlx::FromRow)]
struct RefusalRow {
    position: i64,
    ordinal: i64,
    at: i64,
    correlator: String,
    proposal: String,
    reason: String,
    summary: String,
}

impl RefusalRow {
    fn into_record(self) -> RefusalRecord {
        RefusalRecord {
            position: Position::from_i64(self.position),
            ordinal: u32::try_from(self.ordinal).unwrap_or(u32::MAX),
            at: Timestamp::from_i64(self.at),
            correlator: self.correlator,
            proposal: self.proposal,
            summary: self.summary,
            reason: self.reason,
        }
    }
}

fn stored_event((sequence, body): &(i64, String)) -> Result<StoredEvent, StoreError> {
    Ok(StoredEvent {
        sequence: unsigned(*sequence),
        event: from_json("incident_event", body)?,
    })
}

pub(crate) async fn insert_events(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    events: &[IncidentEvent],
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    // Safe against other writers: the position of the stage was moved earlier
    // in this transaction, and only one can do that.
    let (last,): (i64,) =
        sqlx::query_as("select coalesce(max(sequence), 0) from incident_event where scope = $1")
            .bind(scope.as_str())
            .fetch_one(&mut **transaction)
            .await?;
    let numbered: Vec<(i64, &IncidentEvent)> = (last + 1..).zip(events).collect();
    insert_rows(
        transaction,
        "insert into incident_event (scope, incident, version, sequence, position, at, kind, \
         body) values",
        8,
        "",
        &numbered,
        |query, (sequence, event)| {
            query
                .bind(scope.as_str())
                .bind(event.incident.to_string())
                .bind(signed(event.version))
                .bind(*sequence)
                .bind(event.position.as_i64())
                .bind(event.at.as_i64())
                .bind(event.happening.as_str())
                .bind(json(*event))
        },
    )
    .await
}

/// Writes incidents as they stand, and those of their members that these events
/// are about.
pub(crate) async fn upsert(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    events: &[IncidentEvent],
    incidents: &[Arc<Incident>],
) -> Result<(), StoreError> {
    upsert_rows(
        transaction,
        "insert into incident (scope, id, phase, severity, title, opened, last, version, body, \
         summary) values",
        10,
        "on conflict (scope, id) do update set phase = excluded.phase, \
         severity = excluded.severity, title = excluded.title, last = excluded.last, \
         version = excluded.version, body = excluded.body, summary = excluded.summary",
        incidents,
        |incident| incident.id,
        |query, incident| {
            let summary = IncidentSummary::from(&**incident);
            query
                .bind(scope.as_str())
                .bind(incident.id.to_string())
                .bind(incident.phase.as_str())
                .bind(severity_rank(summary.severity))
                .bind(text(&incident.title))
                .bind(incident.opened.as_i64())
                .bind(incident.last.as_i64())
                .bind(signed(incident.version))
                .bind(bare(incident))
                .bind(json(&summary))
        },
    )
    .await?;
    crate::member::upsert(transaction, scope, events, incidents).await
}

pub(crate) async fn insert_refusals(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    refusals: &[(Position, Timestamp, RefusedProposal)],
) -> Result<(), StoreError> {
    // Counted at each position, not in each commit: how much is dealt with at once
    // must make no difference.
    let mut counts: BTreeMap<Position, i64> = BTreeMap::new();
    let numbered: Vec<(i64, &(Position, Timestamp, RefusedProposal))> = refusals
        .iter()
        .map(|refusal| {
            let next = counts.entry(refusal.0).or_default();
            *next += 1;
            (*next - 1, refusal)
        })
        .collect();
    insert_rows(
        transaction,
        "insert into refusal (scope, position, ordinal, at, correlator, proposal, reason, \
         summary) values",
        8,
        "on conflict (scope, position, ordinal) do nothing",
        &numbered,
        |query, (ordinal, (position, at, refused))| {
            let correlator = match &refused.author {
                Author::Plugin { instance, .. } => instance.as_str().to_owned(),
                Author::Person { name } => name.clone(),
                Author::Host => "host".to_owned(),
            };
            query
                .bind(scope.as_str())
                .bind(position.as_i64())
                .bind(*ordinal)
                .bind(at.as_i64())
                .bind(correlator)
                .bind(refused.proposal.as_str())
                .bind(text(&refused.refusal.to_string()))
                .bind(text(&refused.proposal.because().reason))
        },
    )
    .await
}

#[derive(sqlx::FromRow)]
pub(crate) struct CommandRow {
    pub(crate) position: i64,
    pub(crate) received: i64,
    pub(crate) person: String,
    pub(crate) body: String,
}

impl CommandRow {
    pub(crate) fn into_record(self) -> Result<CommandRecord, StoreError> {
        Ok(CommandRecord {
            position: Position::from_i64(self.position),
            received: Timestamp::from_i64(self.received),
            person: self.person,
            command: from_json("command", &self.body)?,
        })
    }
}

pub(crate) async fn command_news(
    connection: &mut AnyConnection,
    scope: &ScopeName,
    after: Position,
    before: Timestamp,
) -> Result<Vec<CommandRecord>, StoreError> {
    let rows: Vec<CommandRow> = sqlx::query_as(
        "select position, received, person, body from command where scope = $1 \
         and position > $2 and received < $3 order by position",
    )
    .bind(scope.as_str())
    .bind(after.as_i64())
    .bind(before.as_i64())
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(CommandRow::into_record).collect()
}

pub(crate) async fn insert_commands(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    commands: &[CommandRecord],
) -> Result<(), StoreError> {
    insert_rows(
        transaction,
        "insert into command (scope, position, received, person, body, outcome) values",
        6,
        "",
        commands,
        |query, record| {
            query
                .bind(scope.as_str())
                .bind(record.position.as_i64())
                .bind(record.received.as_i64())
                .bind(text(&record.person))
                .bind(json(&record.command))
                .bind("")
        },
    )
    .await
}

pub(crate) async fn settle_commands(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    outcomes: &[(Position, Option<String>)],
) -> Result<(), StoreError> {
    for (position, refusal) in outcomes {
        sqlx::query("update command set outcome = $3 where scope = $1 and position = $2")
            .bind(scope.as_str())
            .bind(position.as_i64())
            .bind(text(refusal.as_deref().unwrap_or(DONE)))
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}
