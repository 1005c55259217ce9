//! Removing what is older than it need be kept.
//!
//! Nothing goes that something still rests on: no envelope after the position
//! that a stage, or a checkpoint it would restart from, has reached; no
//! transition that is the last of its alert; no incident that is not final.
//! Several processes may do it at the same time: what one has removed, another
//! does not find.

use std::time::Duration;

use faultline_domain::audit::{Entry, Stage};
use faultline_domain::id::ScopeName;
use faultline_domain::time::Timestamp;
use sqlx::{Any, Transaction};

use crate::Store;
use crate::audit::{self, AUDIT_BASE};
use crate::commit::CommitPoint;
use crate::error::StoreError;
use crate::setting::{setting_read, setting_write};

/// The most envelopes that one statement removes, so that writers do not wait
/// long.
const ENVELOPES_PER_STATEMENT: i64 = 2_000;

/// Counts the sweeps.
const SWEEPS: &str = "sweeps";

/// How long each kind of data is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Payloads as they came.
    pub journal: Duration,
    /// Samples of series.
    pub series: Duration,
    /// Resolved alerts, and transitions.
    pub alerts: Duration,
    /// Closed incidents.
    pub incidents: Duration,
    /// Changes, and sightings of edges.
    pub changes: Duration,
    /// Payloads that could not be read.
    pub dead_letters: Duration,
    /// The audit log, and tokens that are good for nothing any more.
    pub audit: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        Self {
            journal: days(7),
            series: days(30),
            alerts: days(90),
            incidents: days(365),
            changes: days(90),
            dead_letters: days(30),
            audit: days(365),
        }
    }
}

/// How many rows of each kind went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Payloads as they came.
    pub envelopes: u64,
    /// Chunks and tails of samples.
    pub chunks: u64,
    /// Resolved alerts.
    pub alerts: u64,
    /// Transitions.
    pub transitions: u64,
    /// Closed incidents.
    pub incidents: u64,
    /// Reports of changes.
    pub changes: u64,
    /// Sightings of edges.
    pub dependencies: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Tokens that have long been good for nothing.
    pub tokens: u64,
    /// Rows of the audit log.
    pub audit_rows: u64,
}

impl Store {
    /// Removes what is older than its retention.
    ///
    /// # Errors
    /// If the database refuses; what was removed by then stays removed.
    pub async fn sweep(
        &self,
        scope: &ScopeName,
        retention: &Retention,
        now: Timestamp,
    ) -> Result<Swept, StoreError> {
        let derived = self.derived_until(scope).await?;
        let mut swept = Swept::default();
        let mut transaction = self.state.write().await?;
        let tx = &mut transaction;
        // No stage commits meanwhile, here or in another process: what is
        // found to be of no use any more may be what it is about to use.
        sqlx::query("update stage set position = position where scope = $1")
            .bind(scope.as_str())
            .execute(&mut ***tx)
            .await?;
        for sql in [
            "delete from series_chunk where scope = $1 and finish < $2",
            "delete from series_tail where scope = $1 and finish < $2",
        ] {
            swept.chunks += delete(tx, sql, scope, now.minus(retention.series)).await?;
        }
        self.sweep_alerts(tx, scope, now.minus(retention.alerts), &mut swept)
            .await?;
        let oldest = now.minus(retention.incidents);
        self.sweep_incidents(tx, scope, oldest, &mut swept).await?;
        let oldest = now.minus(retention.changes);
        swept.changes = delete(
            tx,
            "delete from change where scope = $1 and received < $2",
            scope,
            oldest,
        )
        .await?;
        delete(
            tx,
            "delete from change_entity where scope = $1 and $2 > 0 and not exists \
             (select 1 from change where change.scope = change_entity.scope \
              and change.id = change_entity.change)",
            scope,
            oldest,
        )
        .await?;
        swept.dependencies = delete(
            tx,
            "delete from dependency where scope = $1 and received < $2",
            scope,
            oldest,
        )
        .await?;
        swept.dead_letters = delete(
            tx,
            "delete from dead_letter where scope = $1 and received < $2",
            scope,
            now.minus(retention.dead_letters),
        )
        .await?;
        let oldest = now.minus(retention.audit);
        swept.tokens = sweep_tokens(tx, oldest).await?;
        // SQLite waits for the disk only if there is something to write, and an
        // update to the same values is nothing.
        let before = setting_read(tx, SWEEPS).await?;
        let before: u64 = before.and_then(|count| count.parse().ok()).unwrap_or(0);
        setting_write(tx, SWEEPS, &before.wrapping_add(1).to_string()).await?;
        transaction.commit(CommitPoint::StateSweep).await?;
        // Only now is on disk what was derived up to there, whatever happens.
        let oldest_envelope = now.minus(retention.journal);
        swept.envelopes = self.sweep_journal(scope, derived, oldest_envelope).await?;
        swept.audit_rows = self.sweep_audit(oldest, now).await?;
        Ok(swept)
    }

    /// The last envelope that nothing is derived from any more: only the observe
    /// stage reads the journal, and after a restart again from its oldest
    /// checkpoint.
    async fn derived_until(&self, scope: &ScopeName) -> Result<i64, StoreError> {
        let (position,): (i64,) = sqlx::query_as(
            "select coalesce(min(position), 0) from ( \
               select position from stage where scope = $1 and stage = 'observe' union all \
               select position from checkpoint where scope = $1 and stage = 'observe') as reached",
        )
        .bind(scope.as_str())
        .fetch_one(self.state.read())
        .await?;
        Ok(position)
    }

    async fn sweep_journal(
        &self,
        scope: &ScopeName,
        derived: i64,
        oldest: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            // Arrival never goes back, so that the oldest envelopes by
            // position are the oldest by time.
            let (last,): (Option<i64>,) = sqlx::query_as(
                "select max(position) from (select position, received from envelope \
                 where scope = $1 and position <= $2 order by position limit $3) as oldest \
                 where received < $4",
            )
            .bind(scope.as_str())
            .bind(derived)
            .bind(ENVELOPES_PER_STATEMENT)
            .bind(oldest.as_i64())
            .fetch_one(self.journal.read())
            .await?;
            let Some(last) = last else {
                return Ok(removed);
            };
            let mut transaction = self.journal.write().await?;
            let result = sqlx::query("delete from envelope where scope = $1 and position <= $2")
                .bind(scope.as_str())
                .bind(last)
                .execute(&mut **transaction)
                .await?;
            transaction.commit(CommitPoint::EnvelopeSweep).await?;
            removed += result.rows_affected();
        }
    }

    async fn sweep_alerts(
        &self,
        tx: &mut Transaction<'_, Any>,
        scope: &ScopeName,
        oldest: Timestamp,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        // An alert that an incident still shows stays with it.
        swept.alerts = delete(
            tx,
            "delete from alert where scope = $1 and state = 'resolved' and changed < $2 \
             and not exists (select 1 from incident_member where \
               incident_member.scope = alert.scope and incident_member.alert = alert.id)",
            scope,
            oldest,
        )
        .await?;
        swept.transitions = delete(
            tx,
            "delete from transition where scope = $1 and received < $2 and not exists \
             (select 1 from alert where alert.scope = transition.scope \
              and alert.id = transition.alert and alert.version = transition.version)",
            scope,
            oldest,
        )
        .await?;
        delete(
            tx,
            "delete from alert_entity where scope = $1 and $2 > 0 and not exists \
             (select 1 from alert where alert.scope = alert_entity.scope \
              and alert.id = alert_entity.alert)",
            scope,
            oldest,
        )
        .await?;
        sqlx::query(
            "update alert_total set alerts = \
             (select count(*) from alert where alert.scope = alert_total.scope) where scope = $1",
        )
        .bind(scope.as_str())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn sweep_incidents(
        &self,
        tx: &mut Transaction<'_, Any>,
        scope: &ScopeName,
        oldest: Timestamp,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        swept.incidents = delete(
            tx,
            "delete from incident where scope = $1 and phase in ('closed', 'merged') \
             and last < $2",
            scope,
            oldest,
        )
        .await?;
        // The number of the last event must not be given away again.
        for sql in [
            "delete from incident_event where scope = $1 and at < $2 and not exists \
             (select 1 from incident where incident.scope = incident_event.scope \
              and incident.id = incident_event.incident) and sequence < \
             (select max(sequence) from incident_event as latest where latest.scope = $1)",
            "delete from incident_member where scope = $1 and $2 > 0 and not exists \
             (select 1 from incident where incident.scope = incident_member.scope \
              and incident.id = incident_member.incident)",
            "delete from refusal where scope = $1 and at < $2",
            "delete from command where scope = $1 and received < $2 and outcome <> ''",
        ] {
            delete(tx, sql, scope, oldest).await?;
        }
        Ok(())
    }

    /// Removes the oldest rows of the audit log, keeps the hash that the rest
    /// follows from, and says so in the log itself.
    async fn sweep_audit(&self, oldest: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        let mut transaction = self.state.write().await?;
        audit::queue(&mut transaction).await?;
        // Looked for from the old end, where it is soon found. Rows that bear
        // an earlier time than one before them stay with it: what goes is the
        // beginning of the chain.
        let kept: Option<(i64,)> =
            sqlx::query_as("select sequence from audit where at >= $1 order by sequence limit 1")
                .bind(oldest.as_i64())
                .fetch_optional(&mut **transaction)
                .await?;
        let last: Option<(i64, String)> = sqlx::query_as(
            "select sequence, hash from audit where sequence < $1 order by sequence desc limit 1",
        )
        .bind(kept.map_or(i64::MAX, |(sequence,)| sequence))
        .fetch_optional(&mut **transaction)
        .await?;
        let Some((sequence, hash)) = last else {
            return Ok(0);
        };
        let entry = Entry {
            at: now,
            actor: "host".to_owned(),
            action: "audit.retention".to_owned(),
            subject: format!("rows up to {sequence}"),
            stage: Stage::Event,
            detail: format!("{{\"last_hash\":\"{hash}\"}}"),
        };
        audit::append(&mut transaction, entry).await?;
        setting_write(&mut transaction, AUDIT_BASE, &format!("{sequence} {hash}")).await?;
        let removed = sqlx::query("delete from audit where sequence <= $1")
            .bind(sequence)
            .execute(&mut **transaction)
            .await?;
        transaction.commit(CommitPoint::AuditSweep).await?;
        Ok(removed.rows_affected())
    }
}

/// Removes tokens that were revoked, or expired, before the oldest rows of the
/// audit log that are kept: until then, rows may name them.
async fn sweep_tokens(
    transaction: &mut Transaction<'_, Any>,
    oldest: Timestamp,
) -> Result<u64, StoreError> {
    let result = sqlx::query("delete from token where revoked < $1 or expires < $1")
        .bind(oldest.as_i64())
        .execute(&mut **transaction)
        .await?;
    Ok(result.rows_affected())
}

async fn delete(
    transaction: &mut Transaction<'_, Any>,
    sql: &'static str,
    scope: &ScopeName,
    oldest: Timestamp,
) -> Result<u64, StoreError> {
    let result = sqlx::query(sql)
        .bind(scope.as_str())
        .bind(oldest.as_i64())
        .execute(&mut **transaction)
        .await?;
    Ok(result.rows_affected())
}
