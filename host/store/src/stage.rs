//! Commits of the stages: results and position, together or not at all.

use std::sync::Arc;

use faultline_domain::alert::{Alert, Outcome};
use faultline_domain::envelope::Position;
use faultline_domain::id::{InstanceName, ScopeName, SourceName};
use faultline_domain::incident::{Incident, IncidentEvent};
use faultline_domain::incidents::RefusedProposal;
use faultline_domain::lease::{Fence, LeaseName};
use faultline_domain::proposal::Blob;
use faultline_domain::situation::AlertView;
use faultline_domain::supervision::Supervision;
use faultline_domain::time::Timestamp;
use sqlx::{Any, Transaction};

use crate::Store;
use crate::alert::{TransitionRecord, is_news};
use crate::change::ChangeRecord;
use crate::checkpoint::Checkpoint;
use crate::commit::CommitPoint;
use crate::dead_letter::DeadLetter;
use crate::error::StoreError;
use crate::incident::CommandRecord;
use crate::rows::insert_rows;
use crate::series::{Chunk, LogSourceRecord, SeriesRecord};
use crate::source::SourceRecord;
use crate::supervision::Keeper;
use crate::tail::{Tail, TailsDone};
use crate::topology::DependencyRecord;

/// The stages that keep a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StageName {
    /// From envelopes to alerts, changes and topology.
    Observe,
    /// From those to incidents.
    Correlate,
}

impl StageName {
    /// All of them, in the order in which data passes them.
    pub const ALL: [Self; 2] = [Self::Observe, Self::Correlate];

    /// The word that stands for it everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            StageName::Observe => "observe",
            StageName::Correlate => "correlate",
        }
    }

    /// The lease that its commits are made under.
    pub const fn lease(self) -> LeaseName {
        match self {
            StageName::Observe => LeaseName::Observe,
            StageName::Correlate => LeaseName::Correlate,
        }
    }
}

/// How far a stage has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StagePosition {
    /// The last envelope that it has dealt with.
    pub position: Position,
    /// When that arrived.
    pub clock: Timestamp,
    /// The latest event time that it has come across.
    pub now: Timestamp,
}

/// A transition as the observe stage writes it.
#[derive(Debug, Clone, PartialEq)]
pub struct TransitionWrite {
    /// The envelope that brought it about.
    pub position: Position,
    /// Its place among the records of that envelope.
    pub ordinal: u32,
    /// When the envelope arrived.
    pub received: Timestamp,
    /// What happened. Not only transitions in the narrow sense: a first end
    /// without a beginning is kept as history too.
    pub outcome: Outcome,
    /// Through which source; none if time did it.
    pub source: Option<SourceName>,
    /// Counts the alert's transitions.
    pub version: u64,
    /// The alert afterwards.
    pub view: AlertView,
}

/// What the observe stage has made of the envelopes up to a position.
#[derive(Debug, Clone, Default)]
pub struct ObserveCommit {
    /// Of the lease that the stage works under.
    pub fence: Fence,
    /// Where the stage was before.
    pub from: Position,
    /// Where it is then.
    pub to: StagePosition,
    /// What to add to the counts of each source.
    pub sources: Vec<SourceRecord>,
    /// Series that were new.
    pub series: Vec<SeriesRecord>,
    /// Log sources that were new.
    pub log_sources: Vec<LogSourceRecord>,
    /// History of series; a chunk with the same start replaces the one there.
    pub chunks: Vec<Chunk>,
    /// Samples that are in no chunk yet, as of a checkpoint.
    pub tails: Vec<Tail>,
    /// Tails to forget.
    pub tails_done: Vec<TailsDone>,
    /// Alerts that were touched, as they stand now.
    pub alerts: Vec<Alert>,
    /// What happened to them.
    pub transitions: Vec<TransitionWrite>,
    /// Changes that were reported.
    pub changes: Vec<ChangeRecord>,
    /// Edges worth recording.
    pub dependencies: Vec<DependencyRecord>,
    /// Acts of people, for the correlate stage.
    pub commands: Vec<CommandRecord>,
    /// Tickets that were reported.
    pub tickets: Vec<(
        SourceName,
        Position,
        Timestamp,
        faultline_domain::signal::Ticket,
    )>,
    /// What could not be dealt with.
    pub dead_letters: Vec<DeadLetter>,
    /// State to go on from, as of `to`; all of it, or none. What was saved
    /// before is then forgotten.
    pub checkpoints: Vec<Checkpoint>,
    /// How instances that failed stand, if that is otherwise than before.
    pub supervision: Option<Supervision>,
}

/// What the correlate stage has made of the records up to a position.
#[derive(Debug, Clone, Default)]
pub struct CorrelateCommit {
    /// Of the lease that the stage works under.
    pub fence: Fence,
    /// Where the stage was before.
    pub from: StagePosition,
    /// Where it is then.
    pub to: StagePosition,
    /// What happened to incidents, in order.
    pub events: Vec<IncidentEvent>,
    /// The incidents that it happened to, as they stand now.
    pub incidents: Vec<Arc<Incident>>,
    /// What was proposed in vain, and at which position and time.
    pub refusals: Vec<(Position, Timestamp, RefusedProposal)>,
    /// What became of commands: empty means done.
    pub command_outcomes: Vec<(Position, Option<String>)>,
    /// What correlators want to be given back.
    pub states: Vec<(InstanceName, Blob)>,
    /// Situations that a correlator failed on.
    pub dead_letters: Vec<DeadLetter>,
    /// How instances that failed stand, if that is otherwise than before.
    pub supervision: Option<Supervision>,
}

/// What the correlate stage reads: records of the observe stage, each list in
/// the order of positions.
#[derive(Debug, Clone, Default)]
pub struct News {
    /// What happened to alerts.
    pub transitions: Vec<TransitionRecord>,
    /// What was changed.
    pub changes: Vec<ChangeRecord>,
    /// Edges that were seen.
    pub dependencies: Vec<DependencyRecord>,
    /// What people asked for.
    pub commands: Vec<CommandRecord>,
}

impl CorrelateCommit {
    /// Whether it says anything but that time has passed.
    pub fn is_worth_writing(&self) -> bool {
        self.from.position != self.to.position
            || !self.events.is_empty()
            || !self.command_outcomes.is_empty()
            || !self.dead_letters.is_empty()
            || self.supervision.is_some()
    }
}

impl News {
    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.transitions.is_empty()
            && self.changes.is_empty()
            && self.dependencies.is_empty()
            && self.commands.is_empty()
    }
}

impl Store {
    /// How far a stage has come; the beginning if it has not begun.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn stage_position(
        &self,
        scope: &ScopeName,
        stage: StageName,
    ) -> Result<StagePosition, StoreError> {
        let row: Option<(i64, i64, i64)> = sqlx::query_as(
            "select position, clock, now from stage where scope = $1 and stage = $2",
        )
        .bind(scope.as_str())
        .bind(stage.as_str())
        .fetch_optional(self.state.read())
        .await?;
        Ok(
            row.map_or_else(StagePosition::default, |(position, clock, now)| {
                StagePosition {
                    position: Position::from_i64(position),
                    clock: Timestamp::from_i64(clock),
                    now: Timestamp::from_i64(now),
                }
            }),
        )
    }

    /// Writes what the observe stage has made, and moves its position.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if another process has taken the stage's lease,
    /// [`StoreError::Moved`] if another worker has moved the stage; then, and
    /// whenever the database refuses, nothing is written.
    pub async fn observe_commit(
        &self,
        scope: &ScopeName,
        commit: &ObserveCommit,
    ) -> Result<(), StoreError> {
        let mut transaction = self.state.write_derived().await?;
        let tx = &mut transaction;
        crate::lease::pass(tx, scope, LeaseName::Observe, commit.fence).await?;
        stage_move(tx, scope, StageName::Observe, commit.from, commit.to).await?;
        crate::source::add(tx, scope, &commit.sources).await?;
        crate::series::insert(tx, scope, &commit.series, &commit.log_sources).await?;
        crate::series::insert_chunks(tx, scope, &commit.chunks).await?;
        crate::tail::write(tx, scope, &commit.tails, &commit.tails_done).await?;
        crate::alert::count_new(tx, scope, &commit.alerts).await?;
        crate::alert::upsert(tx, scope, &commit.alerts, commit.to.position).await?;
        crate::alert::insert_transitions(tx, scope, &commit.transitions).await?;
        crate::alert::upsert_entities(tx, scope, &commit.transitions).await?;
        crate::change::insert(tx, scope, &commit.changes).await?;
        crate::change::upsert_tickets(tx, scope, &commit.tickets).await?;
        crate::topology::insert(tx, scope, &commit.dependencies).await?;
        crate::incident::insert_commands(tx, scope, &commit.commands).await?;
        crate::dead_letter::insert(tx, scope, &commit.dead_letters).await?;
        if let Some(supervision) = &commit.supervision {
            crate::supervision::replace(tx, scope, Keeper::Observe, supervision).await?;
        }
        if !commit.checkpoints.is_empty() {
            let (stage, position) = (StageName::Observe, commit.to.position);
            crate::checkpoint::upsert(tx, scope, stage, position, &commit.checkpoints).await?;
            crate::checkpoint::forget_others(tx, scope, stage, position).await?;
        }
        transaction.commit(CommitPoint::ObserveCommit).await?;
        Ok(())
    }

    /// Writes what the correlate stage has made, and moves its position.
    ///
    /// # Errors
    /// As [`Store::observe_commit`].
    pub async fn correlate_commit(
        &self,
        scope: &ScopeName,
        commit: &CorrelateCommit,
    ) -> Result<(), StoreError> {
        let mut transaction = self.state.write_derived().await?;
        let tx = &mut transaction;
        let from = commit.from.position;
        crate::lease::pass(tx, scope, LeaseName::Correlate, commit.fence).await?;
        stage_move(tx, scope, StageName::Correlate, from, commit.to).await?;
        crate::incident::insert_events(tx, scope, &commit.events).await?;
        crate::incident::upsert(tx, scope, &commit.events, &commit.incidents).await?;
        crate::incident::insert_refusals(tx, scope, &commit.refusals).await?;
        crate::incident::settle_commands(tx, scope, &commit.command_outcomes).await?;
        crate::dead_letter::insert(tx, scope, &commit.dead_letters).await?;
        if let Some(supervision) = &commit.supervision {
            crate::supervision::replace(tx, scope, Keeper::Correlate, supervision).await?;
        }
        let states: Vec<Checkpoint> = commit
            .states
            .iter()
            .map(|(instance, blob)| Checkpoint {
                name: instance.as_str().to_owned(),
                data: crate::checkpoint::frame(blob),
            })
            .collect();
        let (stage, position) = (StageName::Correlate, commit.to.position);
        crate::checkpoint::upsert(tx, scope, stage, position, &states).await?;
        transaction.commit(CommitPoint::CorrelateCommit).await?;
        Ok(())
    }

    /// When the record arrived that is the `most`-th after a position, or
    /// `before` if there are not that many: how much to read at once.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn news_horizon(
        &self,
        scope: &ScopeName,
        after: Position,
        before: Timestamp,
        most: u32,
    ) -> Result<Timestamp, StoreError> {
        let some = |table: &str, which: &str| {
            format!(
                "select * from (select position, received from {table} where scope = $1 \
                 and position > $2 and received < $3 and {which} order by position limit $4) \
                 as {table}_news"
            )
        };
        let sql = format!(
            "select received from ({} union all {} union all {} union all {}) as record \
             order by position limit 1 offset $5",
            some("transition", is_news!()),
            some("change", "true"),
            some("dependency", "true"),
            some("command", "true"),
        );
        let row: Option<(i64,)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(scope.as_str())
            .bind(after.as_i64())
            .bind(before.as_i64())
            .bind(i64::from(most) + 1)
            .bind(i64::from(most))
            .fetch_optional(self.state.read())
            .await?;
        Ok(row.map_or(before, |(received,)| Timestamp::from_i64(received)))
    }

    /// All records after a position that arrived before a time.
    ///
    /// # Errors
    /// If the database refuses, or a row cannot be read.
    pub async fn news(
        &self,
        scope: &ScopeName,
        after: Position,
        before: Timestamp,
    ) -> Result<News, StoreError> {
        // One moment: a commit between two of these statements would show half
        // of an envelope's records.
        let mut transaction = self.state.snapshot().await?;
        let tx = &mut *transaction;
        let news = News {
            transitions: crate::alert::news(&mut *tx, scope, after, before).await?,
            changes: crate::change::news(&mut *tx, scope, after, before).await?,
            dependencies: crate::topology::news(&mut *tx, scope, after, before).await?,
            commands: crate::incident::command_news(&mut *tx, scope, after, before).await?,
        };
        transaction.commit().await?;
        Ok(news)
    }
}

async fn stage_move(
    transaction: &mut Transaction<'_, Any>,
    scope: &ScopeName,
    stage: StageName,
    from: Position,
    to: StagePosition,
) -> Result<(), StoreError> {
    let row = (scope.as_str().to_owned(), stage.as_str());
    insert_rows(
        transaction,
        "insert into stage (scope, stage, position, clock, now) values",
        5,
        "on conflict (scope, stage) do nothing",
        std::slice::from_ref(&row),
        |query, (scope, stage)| {
            query
                .bind(scope.as_str())
                .bind(*stage)
                .bind(0_i64)
                .bind(0_i64)
                .bind(0_i64)
        },
    )
    .await?;
    let moved = sqlx::query(
        "update stage set position = $4, clock = $5, now = $6 \
         where scope = $1 and stage = $2 and position = $3",
    )
    .bind(scope.as_str())
    .bind(stage.as_str())
    .bind(from.as_i64())
    .bind(to.position.as_i64())
    .bind(to.clock.as_i64())
    .bind(to.now.as_i64())
    .execute(&mut **transaction)
    .await?;
    if moved.rows_affected() == 1 {
        return Ok(());
    }
    Err(StoreError::Moved {
        stage: stage.as_str(),
        expected: from,
    })
}
