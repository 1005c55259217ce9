//! The observe stage: reads envelopes after its position, and commits what it
//! makes of them together with its position.
//!
//! There is one way to begin, after a restart and after a failure alike: from
//! the last checkpoint, with the envelopes since then read again. Detectors see
//! them again, so that they know what they knew; what they find in them was
//! committed before and counts no more.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Instant;

use faultline_domain::envelope::{Envelope, Format, Position};
use faultline_domain::id::{InstanceName, ScopeName};
use faultline_domain::lease::Fence;
use faultline_domain::plugin::Failure;
use faultline_domain::supervision::{Failed, Supervision, Supervisor};
use faultline_domain::time::Timestamp;
use faultline_domain::topology::Topology;
use faultline_own_traces::{Work, are_made, carried, is_own, observe_round, origins};
use faultline_store::{
    Checkpoint, CommitPoint, DeadLetter, Keeper, LetterKind, ObserveCommit, StageName, Store,
    StoreError,
};

use crate::alert_book::AlertBook;
use crate::catalog::Catalog;
use crate::chunks::Chunks;
use crate::committed::committed;
use crate::counters::Counters;
use crate::detection::{Shard, ShardFailure};
use crate::observer::{Observer, SUPERVISION, TELEMETRY, Unwatched};
use crate::plugins::Plugins;
use crate::recorded::{Place, Recorded};
use crate::settings::ObserveSettings;
use crate::telemetry::Telemetry;

/// The stage, for one scope.
pub struct ObserveStage {
    store: Store,
    scope: ScopeName,
    settings: ObserveSettings,
    plugins: Plugins,
    counters: Arc<Counters>,
    /// Of the lease that its commits are made under.
    fence: Fence,
    observer: Option<Box<Observer>>,
    /// Letters about envelopes that made a detector fail, to be committed with
    /// the next batch.
    letters: Vec<DeadLetter>,
    /// Failures that are on record, or will be with the next batch.
    recorded: Recorded,
    /// Read envelopes one by one up to here, to find the one that makes a
    /// detector fail.
    singly_to: Position,
    /// Detectors that failed on these envelopes together.
    suspects: BTreeMap<InstanceName, Suspect>,
    /// The envelopes after a position, read while what came before them was
    /// committed.
    ahead: Option<(Position, Vec<Envelope>)>,
}

/// A detector that failed on several envelopes, and how.
struct Suspect {
    envelopes: RangeInclusive<Position>,
    failure: Failure,
}

/// How beginning from a checkpoint went.
enum Resumed {
    Ready(Box<Observer>),
    /// Detectors failed on these.
    Failed(Vec<ShardFailure>, Vec<Envelope>),
    /// A plugin was stopped by the host.
    Stopped,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Something was done; there may be more.
    More,
    /// There is nothing to do.
    Idle,
    /// The host stopped a plugin in the middle of it; with others there may be
    /// more.
    Stopped,
}

impl ObserveStage {
    /// A stage that will begin where it left off.
    pub fn new(
        store: Store,
        scope: ScopeName,
        settings: ObserveSettings,
        plugins: Plugins,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            store,
            scope,
            settings,
            plugins,
            counters,
            fence: Fence::default(),
            observer: None,
            letters: Vec::new(),
            recorded: Recorded::default(),
            singly_to: Position::START,
            suspects: BTreeMap::new(),
            ahead: None,
        }
    }

    /// Works under this lease from now on, and begins where the stage is then:
    /// others may have worked on it since.
    pub fn hold(&mut self, fence: Fence) {
        self.forget();
        self.fence = fence;
    }

    /// Drops all that it has made of what it read. For a stage whose lease is
    /// somebody else's.
    pub fn forget(&mut self) {
        self.observer = None;
        self.letters.clear();
        // What is not in a letter that was committed, others show to detectors.
        self.recorded = Recorded::default();
        self.suspects.clear();
        self.ahead = None;
        self.singly_to = Position::START;
    }

    /// Goes on with other plugins, or others configured otherwise. Detectors
    /// that were there before keep what they know.
    ///
    /// # Errors
    /// If the state cannot be saved; then nothing has changed.
    pub async fn replace_plugins(&mut self, plugins: Plugins) -> Result<(), StoreError> {
        self.save().await?;
        self.plugins = plugins;
        self.observer = None;
        Ok(())
    }

    /// Works until there is nothing left to do.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn drain(&mut self) -> Result<(), StoreError> {
        while self.step().await? == Progress::More {}
        Ok(())
    }

    /// Deals with one batch. If this fails, or is cut off, what was not
    /// committed is done again next time. So it is if the host has stopped a
    /// plugin that may not run any more: then there are other plugins to go on
    /// with, or will be at once.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn step(&mut self) -> Result<Progress, StoreError> {
        // Taken out, so that a step that is cut off half way leaves nothing
        // behind that is neither before nor after it.
        let Some(mut observer) = self.take_observer().await? else {
            return Ok(Progress::Stopped);
        };
        self.settle_suspects(&mut observer);
        let began = Instant::now();
        let from = observer.reached.position;
        let envelopes = match self.ahead.take() {
            Some((after, envelopes)) if after == from && from >= self.singly_to => envelopes,
            _ => self.read(from).await?,
        };
        if envelopes.is_empty() {
            self.observer = Some(observer);
            return Ok(Progress::Idle);
        }
        let round = round_of(&envelopes);
        let dealing = self.deal_with(observer, envelopes, began, &round);
        round.around(dealing).await
    }

    /// Watches a batch, and commits what comes of it.
    async fn deal_with(
        &mut self,
        mut observer: Box<Observer>,
        envelopes: Vec<Envelope>,
        began: Instant,
        round: &Work,
    ) -> Result<Progress, StoreError> {
        let from = observer.reached.position;
        let is_full = self.is_full(&envelopes);
        let (mut observer, envelopes, outcome) = blocking(move || {
            let outcome = observer.watch(&envelopes);
            (observer, envelopes, outcome)
        })
        .await;
        let watched = match outcome {
            Ok(watched) => watched,
            Err(Unwatched::Failed(failures)) => {
                self.note_failures(failures, &envelopes);
                return Ok(Progress::More);
            }
            Err(Unwatched::Stopped) => return Ok(Progress::Stopped),
        };
        let last = envelopes.last().map(Place::from);
        let missing = observer.missing(&watched);
        let fetched = self.store.alert_fetch(&self.scope, &missing).await?;
        observer.book.insert(fetched);
        let mut made = observer.conclude(from, watched);
        made.fence = self.fence;
        made.dead_letters.append(&mut self.letters.clone());
        if observer.is_checkpoint_due() {
            let (returned, due, saved) = blocking(move || {
                let saved = observer.checkpoint(&mut made);
                (observer, made, saved)
            })
            .await;
            (observer, made) = (returned, due);
            if let Err(failures) = saved {
                self.note_unsaved(failures, last.as_ref());
                return Ok(Progress::More);
            }
        }
        round.count("faultline.transitions", made.transitions.len());
        round.count("faultline.dead_letters", made.dead_letters.len());
        origins::observed(from.0 + 1..=made.to.position.0, round.origin());
        let committing = committed(
            CommitPoint::ObserveCommit,
            self.store.observe_commit(&self.scope, &made),
        );
        if is_full {
            // There is likely more: it is read while the disk is waited for.
            let after = observer.reached.position;
            let (written, ahead) = tokio::join!(
                committing,
                self.store.envelope_list(
                    &self.scope,
                    after,
                    self.settings.batch_envelopes_max,
                    self.settings.batch_bytes_max,
                ),
            );
            written?;
            // What cannot be read says so when it is read again.
            self.ahead = ahead
                .ok()
                .filter(|it| !it.is_empty())
                .map(|it| (after, with_acts_apart(it)));
        } else {
            committing.await?;
        }
        self.letters.clear();
        self.count(&made, &observer);
        self.counters.observe_steps.committed(began.elapsed());
        self.observer = Some(observer);
        Ok(Progress::More)
    }

    /// The state as it is at hand, or built anew; none if that was stopped.
    async fn take_observer(&mut self) -> Result<Option<Box<Observer>>, StoreError> {
        if let Some(mut observer) = self.observer.take() {
            if !observer.lacks_detectors() {
                return Ok(Some(observer));
            }
            // What waited long enough is started again, from what it knew.
            self.observer = Some(observer);
            self.save().await?;
            self.observer = None;
        }
        self.resume().await
    }

    /// Saves the state, so that little is read again after a restart.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn save(&mut self) -> Result<(), StoreError> {
        let Some(mut observer) = self.observer.take() else {
            return Ok(());
        };
        let reached = observer.reached;
        let mut commit = ObserveCommit {
            fence: self.fence,
            from: reached.position,
            to: reached,
            ..ObserveCommit::default()
        };
        let (observer, commit, saved) = blocking(move || {
            let saved = observer.checkpoint(&mut commit);
            (observer, commit, saved)
        })
        .await;
        match saved {
            Ok(()) => {
                self.store.observe_commit(&self.scope, &commit).await?;
                self.observer = Some(observer);
            }
            Err(failures) => self.note_unsaved(failures, Some(&Place::from(reached))),
        }
        Ok(())
    }

    /// Whether a batch ended because of its limits.
    fn is_full(&self, envelopes: &[Envelope]) -> bool {
        let bytes: usize = envelopes.iter().map(|it| it.arrival.body.len()).sum();
        envelopes.len() >= self.settings.batch_envelopes_max as usize
            || bytes >= self.settings.batch_bytes_max
    }

    /// The next envelopes after a position. Borrows the stage mutably though it
    /// need not: a stage can go to another thread while it waits, but detectors
    /// cannot be looked at from two.
    async fn read(&mut self, after: Position) -> Result<Vec<Envelope>, StoreError> {
        let most = if after < self.singly_to {
            1
        } else {
            self.settings.batch_envelopes_max
        };
        let bytes = self.settings.batch_bytes_max;
        let envelopes = self
            .store
            .envelope_list(&self.scope, after, most, bytes)
            .await?;
        Ok(with_acts_apart(envelopes))
    }

    /// Builds the state as of the stage's position.
    async fn resume(&mut self) -> Result<Option<Box<Observer>>, StoreError> {
        loop {
            match self.try_resume().await? {
                Resumed::Ready(observer) => return Ok(Some(observer)),
                Resumed::Failed(failures, envelopes) => self.note_failures(failures, &envelopes),
                Resumed::Stopped => return Ok(None),
            }
        }
    }

    async fn try_resume(&mut self) -> Result<Resumed, StoreError> {
        let (store, scope) = (&self.store, &self.scope);
        let reached = store.stage_position(scope, StageName::Observe).await?;
        let checkpoints: BTreeMap<String, (Vec<u8>, Position)> = store
            .checkpoint_list(scope, StageName::Observe)
            .await?
            .into_iter()
            .map(|(checkpoint, position)| (checkpoint.name, (checkpoint.data, position)))
            .collect();
        let saved_at = checkpoints
            .get(TELEMETRY)
            .map_or(Position::START, |(_, position)| *position);
        let series = store.series_list(scope).await?;
        let mut chunks = Chunks::default();
        if let Some(last) = series.last() {
            for band in 0..=faultline_store::band(last.id) {
                chunks.restore(store.tail_list(scope, band).await?);
            }
        }
        let catalog = Catalog::restore(series, store.log_source_list(scope).await?);
        let mut topology = Topology::default();
        let lifetime = self.settings.edge_lifetime + self.settings.skew_max;
        let since = reached.clock.minus(lifetime);
        for (key, seen) in store.topology_at(scope, reached.position, since).await? {
            topology.restore(key, seen);
        }
        self.recorded.forget_until(saved_at);
        self.recorded
            .restore(store.failure_list(scope, saved_at).await?);
        let mut supervision = checkpoints
            .get(SUPERVISION)
            .map_or_else(Supervision::default, |(data, _)| supervision_of(data));
        supervision.retain(&self.plugins.observed());
        let mut observer = Box::new(Observer {
            settings: self.settings.clone(),
            plugins: self.plugins.clone(),
            telemetry: Telemetry {
                catalog,
                chunks,
                ..Telemetry::default()
            },
            shards: Vec::new(),
            unstarted: Vec::new(),
            supervision,
            supervision_written: store.supervision_fetch(scope, Keeper::Observe).await?,
            recorded: self.recorded.clone(),
            book: AlertBook::new(self.store.alert_firing(&self.scope).await?),
            topology,
            reached,
            // What is read again now is not saved yet: a row of failures must not
            // put it off each time.
            saved: if saved_at < reached.position {
                Timestamp::ZERO
            } else {
                reached.clock
            },
        });
        if let Some((data, _)) = checkpoints.get(TELEMETRY) {
            observer.restore_memory(data);
        }
        if !self
            .start_shards(&mut observer, &checkpoints, saved_at)
            .await
        {
            return Ok(Resumed::Stopped);
        }
        let mut at = saved_at;
        while at < reached.position {
            let mut envelopes = self.read(at).await?;
            envelopes.retain(|envelope| envelope.position <= reached.position);
            let Some(last) = envelopes.last().map(|envelope| envelope.position) else {
                // Retention never goes beyond the checkpoint; what is missing
                // was lost, and going on without it is the best there is.
                tracing::error!(
                    "the journal has nothing between the checkpoint at {at} and {}",
                    reached.position
                );
                break;
            };
            let (returned, envelopes, outcome) = blocking(move || {
                let outcome = observer.watch(&envelopes);
                (observer, envelopes, outcome)
            })
            .await;
            observer = returned;
            match outcome {
                Ok(_) => at = last,
                Err(Unwatched::Failed(failures)) => {
                    return Ok(Resumed::Failed(failures, envelopes));
                }
                Err(Unwatched::Stopped) => return Ok(Resumed::Stopped),
            }
        }
        observer.reached = reached;
        // Written when these envelopes were first dealt with.
        observer.telemetry.catalog.take_new();
        Ok(Resumed::Ready(observer))
    }

    /// Starts the shards of all detectors that are not quarantined, each from
    /// its checkpoint if that is as of the same position. The states of others
    /// stay as they were saved. False if one was stopped.
    async fn start_shards(
        &mut self,
        observer: &mut Observer,
        checkpoints: &BTreeMap<String, (Vec<u8>, Position)>,
        saved_at: Position,
    ) -> bool {
        let shards = self.plugins.detector_shards.max(1);
        let reached = observer.reached;
        for (order, factory) in (0..).zip(self.plugins.detectors.clone()) {
            let instance = factory.instance().clone();
            let saved: Vec<Option<Checkpoint>> = (0..shards)
                .map(|index| {
                    let name = Shard::checkpoint_name_of(&instance, index, shards);
                    let (data, position) = checkpoints.get(&name)?;
                    let data = (*position == saved_at).then(|| data.clone())?;
                    Some(Checkpoint { name, data })
                })
                .collect();
            let supervisor = observer.supervision.get(&instance);
            if supervisor.is_some_and(Supervisor::is_quarantined) {
                observer.unstarted.extend(saved.into_iter().flatten());
                continue;
            }
            let starting = Arc::clone(&factory);
            let (saved, outcome) = blocking(move || {
                let outcome = (0..)
                    .zip(&saved)
                    .map(|(index, saved)| {
                        let data = saved.as_ref().map(|saved| saved.data.as_slice());
                        Shard::resume(&starting, order, index, data)
                    })
                    .collect::<Result<Vec<Shard>, Failure>>();
                (saved, outcome)
            })
            .await;
            let failure = match outcome {
                Ok(started) => {
                    observer.shards.extend(started);
                    continue;
                }
                Err(Failure::Stopped) => return false,
                Err(failure) => failure,
            };
            observer.unstarted.extend(saved.into_iter().flatten());
            self.counters.plugin_failures.add(1);
            let message = failure.to_string();
            tracing::warn!(
                plugin.instance = %instance,
                failure.code = failure.code(),
                "detector {instance} cannot be started: {message}"
            );
            let failed = Failed::of(&failure, &message, None);
            let policy = &self.settings.supervision;
            let supervision = &mut observer.supervision;
            supervision.failed(&instance, factory.digest(), reached.clock, &failed, policy);
        }
        true
    }

    /// Detectors failed: find out on which envelope, keep that, and begin
    /// again without it.
    fn note_failures(&mut self, failures: Vec<ShardFailure>, envelopes: &[Envelope]) {
        let (Some(first), Some(last)) = (envelopes.first(), envelopes.last()) else {
            return;
        };
        for failed in failures {
            self.say_failed(&failed);
            let poisoned = failed
                .only_envelope(envelopes.len())
                .and_then(|index| envelopes.get(index));
            if let Some(envelope) = poisoned {
                let message = failed.failure.to_string();
                self.record(&failed, Place::from(envelope), LetterKind::Poison, message);
            } else {
                self.singly_to = self.singly_to.max(last.position);
                let suspect = Suspect {
                    envelopes: first.position..=last.position,
                    failure: failed.failure,
                };
                self.suspects.insert(failed.instance, suspect);
            }
        }
    }

    /// Detectors failed to save: nothing that they were shown is to blame.
    fn note_unsaved(&mut self, failures: Vec<ShardFailure>, place: Option<&Place>) {
        for failed in failures {
            self.say_failed(&failed);
            if let Some(place) = place {
                let message = format!("while saving its state: {}", failed.failure);
                self.record(&failed, place.clone(), LetterKind::Failure, message);
            }
        }
    }

    /// Detectors that failed on envelopes together, and on none of them alone:
    /// no envelope is to blame, but it counts, so that it is not tried for ever.
    fn settle_suspects(&mut self, observer: &mut Observer) {
        let reached = observer.reached;
        if reached.position < self.singly_to {
            return;
        }
        for (instance, suspect) in std::mem::take(&mut self.suspects) {
            let Suspect { envelopes, failure } = suspect;
            let (first, last) = (*envelopes.start(), *envelopes.end());
            if self.recorded.has_poison(&instance, envelopes) {
                continue;
            }
            let message =
                format!("on the envelopes {first} to {last} together, on none alone: {failure}");
            let failed = Failed::of(&failure, &message, None);
            let detectors = &self.plugins.detectors;
            if let Some(factory) = detectors.iter().find(|it| *it.instance() == instance) {
                observer.supervision.failed(
                    &instance,
                    factory.digest(),
                    reached.clock,
                    &failed,
                    &self.settings.supervision,
                );
            }
            let place = Place::from(reached);
            let kind = LetterKind::Failure;
            let letter = self
                .recorded
                .detector_failed(&instance, place, kind, &failure, message);
            self.letters.push(letter);
            observer.recorded = self.recorded.clone();
        }
    }

    fn say_failed(&self, failed: &ShardFailure) {
        let ShardFailure {
            instance, failure, ..
        } = failed;
        self.counters.plugin_failures.add(1);
        tracing::warn!(
            plugin.instance = %instance,
            failure.code = failure.code(),
            "detector {instance} failed: {failure}"
        );
    }

    fn record(&mut self, failed: &ShardFailure, place: Place, kind: LetterKind, message: String) {
        let ShardFailure {
            instance, failure, ..
        } = failed;
        let letter = self
            .recorded
            .detector_failed(instance, place, kind, failure, message);
        self.letters.push(letter);
    }

    fn count(&self, commit: &ObserveCommit, observer: &Observer) {
        let counters = &self.counters;
        for source in &commit.sources {
            counters.envelopes.add(source.envelopes);
            counters.samples.add(source.samples);
            counters.log_lines.add(source.log_lines);
            counters.spans.add(source.spans);
            counters.over_limit.add(source.over_limit);
        }
        counters.transitions.add(commit.transitions.len() as u64);
        counters.dead_letters.add(commit.dead_letters.len() as u64);
        counters
            .series
            .set(observer.telemetry.catalog.series_count() as u64);
        counters.edges.set(observer.topology.len() as u64);
        counters.alerts_firing.set(observer.book.firing() as u64);
        counters.observe_position.set_position(commit.to.position);
    }
}

/// A round is worth a trace if something came in, and not only time or traces of
/// our own: those would bring about the next ones, for ever.
fn round_of(envelopes: &[Envelope]) -> Work {
    let is_news = |envelope: &Envelope| match envelope.arrival.format {
        Format::Clock => false,
        Format::OtlpTraces => !is_own(&envelope.arrival.body),
        _ => true,
    };
    let (Some(first), Some(last)) = (envelopes.first(), envelopes.last()) else {
        return Work::default();
    };
    if !are_made() || !envelopes.iter().any(is_news) {
        return Work::default();
    }
    let round = observe_round(first.position.0..=last.position.0);
    round.count("faultline.envelopes", envelopes.len());
    round
}

/// Acts of people have a batch of their own, so that what they let run is started
/// before what comes after them.
fn with_acts_apart(mut envelopes: Vec<Envelope>) -> Vec<Envelope> {
    let is_act = |envelope: &Envelope| envelope.arrival.format == Format::Command;
    if let Some(act) = envelopes.iter().position(is_act) {
        envelopes.truncate(act.max(1));
    }
    envelopes
}

/// Supervisors as they were saved. Those that cannot be read were saved by
/// another version: then all begin anew.
fn supervision_of(data: &[u8]) -> Supervision {
    serde_json::from_slice(data).unwrap_or_else(|error| {
        tracing::warn!("the saved supervision cannot be read and begins anew: {error}");
        Supervision::default()
    })
}

/// Runs what computes, or waits for a guest, where it keeps nothing else from
/// running.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(carried(work)).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down, and this task with it at its next
            // chance; there is nothing to give back.
            Err(_) => std::future::pending().await,
        },
    }
}
