//! The observe stage: reads envelopes after its position, and commits what it
//! makes of them together with its position.
//!
//! There is one way to begin, after a restart and after a failure alike: from
//! the last checkpoint, with the envelopes since then read again. Detectors see
//! them again, so that they know what they knew; what they find in them was
//! committed before and counts no more.

use std::collections::BTreeMap;
use std::sync::Arc;

use faultline_domain::envelope::{Envelope, Position};
use faultline_domain::id::{InstanceName, ScopeName};
use faultline_domain::plugin::Failure;
use faultline_domain::topology::Topology;
use faultline_store::{DeadLetter, ObserveCommit, StageName, Store, StoreError};

use crate::alert_book::AlertBook;
use crate::catalog::Catalog;
use crate::counters::Counters;
use crate::detection::{Poison, Shard, ShardFailure};
use crate::observer::{Observer, TELEMETRY};
use crate::plugins::Plugins;
use crate::settings::ObserveSettings;
use crate::telemetry::Telemetry;

/// After so many failures an instance is suspended: it is not shown anything
/// any more until the plugins are changed or the process starts again.
const FAILURES_MAX: u32 = 5;

/// The most dead letters that are looked through for poisoned envelopes.
const POISON_MAX: u32 = 500;

/// The stage, for one scope.
pub struct ObserveStage {
    store: Store,
    scope: ScopeName,
    settings: ObserveSettings,
    plugins: Plugins,
    counters: Arc<Counters>,
    observer: Option<Box<Observer>>,
    /// Letters about envelopes that made a detector fail, to be committed with
    /// the next batch.
    letters: Vec<DeadLetter>,
    /// Which envelopes which detectors are not shown.
    poison: Poison,
    /// Read envelopes one by one up to here, to find the one that makes a
    /// detector fail.
    singly_to: Position,
    failures: BTreeMap<InstanceName, u32>,
    suspended: BTreeMap<InstanceName, Failure>,
    /// The envelopes after a position, read while what came before them was
    /// committed.
    ahead: Option<(Position, Vec<Envelope>)>,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Something was done; there may be more.
    More,
    /// There is nothing to do.
    Idle,
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
            observer: None,
            letters: Vec::new(),
            poison: Poison::default(),
            singly_to: Position::START,
            failures: BTreeMap::new(),
            suspended: BTreeMap::new(),
            ahead: None,
        }
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
        self.failures.clear();
        self.suspended.clear();
        Ok(())
    }

    /// Instances that failed too often, and how they last failed.
    pub const fn suspended(&self) -> &BTreeMap<InstanceName, Failure> {
        &self.suspended
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
    /// committed is done again next time.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn step(&mut self) -> Result<Progress, StoreError> {
        // Taken out, so that a step that is cut off half way leaves nothing
        // behind that is neither before nor after it.
        let mut observer = match self.observer.take() {
            Some(observer) => observer,
            None => self.resume().await?,
        };
        let from = observer.reached.position;
        let envelopes = match self.ahead.take() {
            Some((after, envelopes)) if after == from && from >= self.singly_to => envelopes,
            _ => self.read(from).await?,
        };
        if envelopes.is_empty() {
            self.observer = Some(observer);
            return Ok(Progress::Idle);
        }
        let is_full = self.is_full(&envelopes);
        let (mut observer, outcome) = blocking(move || {
            let watched = observer.watch(&envelopes);
            (observer, watched.map_err(|failures| (failures, envelopes)))
        })
        .await;
        let watched = match outcome {
            Ok(watched) => watched,
            Err((failures, envelopes)) => {
                self.note_failures(failures, &envelopes);
                return Ok(Progress::More);
            }
        };
        let missing = observer.missing(&watched);
        let fetched = self.store.alert_fetch(&self.scope, &missing).await?;
        observer.book.insert(fetched);
        let mut commit = observer.conclude(from, watched);
        commit.dead_letters.append(&mut self.letters.clone());
        if observer.is_checkpoint_due() {
            let (returned, due, saved) = blocking(move || {
                let saved = observer.checkpoint(&mut commit);
                (observer, commit, saved)
            })
            .await;
            (observer, commit) = (returned, due);
            if let Err(failures) = saved {
                self.note_failures(failures, &[]);
                return Ok(Progress::More);
            }
        }
        if is_full {
            // There is likely more: it is read while the disk is waited for.
            let after = observer.reached.position;
            let (committed, ahead) = tokio::join!(
                self.store.observe_commit(&self.scope, &commit),
                self.store.envelope_list(
                    &self.scope,
                    after,
                    self.settings.batch_envelopes_max,
                    self.settings.batch_bytes_max,
                ),
            );
            committed?;
            // What cannot be read says so when it is read again.
            self.ahead = ahead.ok().filter(|it| !it.is_empty()).map(|it| (after, it));
        } else {
            self.store.observe_commit(&self.scope, &commit).await?;
        }
        self.letters.clear();
        self.count(&commit, &observer);
        self.observer = Some(observer);
        Ok(Progress::More)
    }

    /// Saves the state, so that little is read again after a restart.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn save(&mut self) -> Result<(), StoreError> {
        let Some(mut observer) = self.observer.take() else {
            return Ok(());
        };
        let mut commit = ObserveCommit {
            from: observer.reached.position,
            to: observer.reached,
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
            Err(failures) => self.note_failures(failures, &[]),
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
        self.store
            .envelope_list(&self.scope, after, most, bytes)
            .await
    }

    /// Builds the state as of the stage's position.
    async fn resume(&mut self) -> Result<Box<Observer>, StoreError> {
        loop {
            match self.try_resume().await? {
                Ok(observer) => return Ok(observer),
                Err((failures, envelopes)) => self.note_failures(failures, &envelopes),
            }
        }
    }

    async fn try_resume(
        &mut self,
    ) -> Result<Result<Box<Observer>, (Vec<ShardFailure>, Vec<Envelope>)>, StoreError> {
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
        let catalog = Catalog::restore(
            store.series_list(scope).await?,
            store.log_source_list(scope).await?,
        );
        let mut topology = Topology::default();
        for (key, seen) in store.topology_at(scope, reached.position).await? {
            topology.restore(key, seen);
        }
        self.remember_poison(saved_at).await?;
        let mut observer = Box::new(Observer {
            settings: self.settings.clone(),
            plugins: self.plugins.clone(),
            telemetry: Telemetry {
                catalog,
                ..Telemetry::default()
            },
            shards: Vec::new(),
            poison: self.poison.clone(),
            book: AlertBook::new(self.store.alert_firing(&self.scope).await?),
            topology,
            reached,
            saved: reached.clock,
        });
        if let Some((data, _)) = checkpoints.get(TELEMETRY) {
            observer.restore_memory(data);
        }
        observer.shards = self.start_shards(&checkpoints, saved_at).await;
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
            let (returned, outcome) = blocking(move || {
                let outcome = observer.watch(&envelopes).map(|_| ());
                (observer, outcome.map_err(|failures| (failures, envelopes)))
            })
            .await;
            observer = returned;
            if let Err(failed) = outcome {
                return Ok(Err(failed));
            }
            at = last;
        }
        observer.reached = reached;
        // Written when these envelopes were first dealt with.
        observer.telemetry.catalog.take_new();
        Ok(Ok(observer))
    }

    async fn remember_poison(&mut self, after: Position) -> Result<(), StoreError> {
        let letters = self
            .store
            .dead_letter_list(&self.scope, None, POISON_MAX)
            .await?;
        for letter in letters.items {
            if letter.position > after
                && let Some(instance) = letter.reader.strip_prefix(DETECTOR_READER)
                && let Ok(instance) = InstanceName::new(instance)
            {
                self.poison.add(instance, letter.position.0);
            }
        }
        Ok(())
    }

    /// Starts the shards of all detectors that are not suspended, each from
    /// its checkpoint if that is as of the same position.
    async fn start_shards(
        &mut self,
        checkpoints: &BTreeMap<String, (Vec<u8>, Position)>,
        saved_at: Position,
    ) -> Vec<Shard> {
        let shards = self.plugins.detector_shards.max(1);
        let mut started = Vec::new();
        for (order, factory) in (0..).zip(self.plugins.detectors.clone()) {
            if self.suspended.contains_key(factory.instance()) {
                continue;
            }
            let saved: Vec<Option<Vec<u8>>> = (0..shards)
                .map(|index| {
                    let name = Shard::checkpoint_name_of(factory.instance(), index, shards);
                    let (data, position) = checkpoints.get(&name)?;
                    (*position == saved_at).then(|| data.clone())
                })
                .collect();
            let starting = Arc::clone(&factory);
            let outcome = blocking(move || {
                saved
                    .into_iter()
                    .zip(0..)
                    .map(|(saved, index)| Shard::resume(&starting, order, index, saved.as_deref()))
                    .collect::<Result<Vec<Shard>, Failure>>()
            })
            .await;
            match outcome {
                Ok(shards) => started.extend(shards),
                Err(failure) => self.suspend(factory.instance().clone(), failure),
            }
        }
        started
    }

    /// Detectors failed: find out on which envelope, keep that, and begin
    /// again without it.
    fn note_failures(&mut self, failures: Vec<ShardFailure>, envelopes: &[Envelope]) {
        for failed in failures {
            self.counters.plugin_failures.add(1);
            let instance = failed.instance.clone();
            tracing::warn!(
                plugin.instance = %instance,
                failure.code = failed.failure.code(),
                "detector {instance} failed: {}", failed.failure
            );
            let poisoned = failed
                .only_envelope(envelopes.len())
                .and_then(|index| envelopes.get(index));
            match (poisoned, envelopes.last()) {
                (Some(envelope), _) => {
                    let position = envelope.position;
                    self.poison.add(instance.clone(), position.0);
                    self.letters.push(DeadLetter {
                        position,
                        reader: format!("{DETECTOR_READER}{instance}"),
                        received: envelope.arrival.received,
                        source: envelope.arrival.source.clone(),
                        code: failed.failure.code().to_owned(),
                        message: failed.failure.to_string(),
                    });
                    let count = self.failures.entry(instance.clone()).or_default();
                    *count += 1;
                    if *count >= FAILURES_MAX {
                        self.suspend(instance, failed.failure);
                    }
                }
                (None, Some(last)) => self.singly_to = self.singly_to.max(last.position),
                // It failed to save: nothing that it was shown is to blame.
                (None, None) => self.suspend(instance, failed.failure),
            }
        }
    }

    fn suspend(&mut self, instance: InstanceName, failure: Failure) {
        tracing::error!(
            plugin.instance = %instance,
            failure.code = failure.code(),
            "detector {instance} is suspended: {failure}"
        );
        self.suspended.insert(instance, failure);
    }

    fn count(&self, commit: &ObserveCommit, observer: &Observer) {
        let counters = &self.counters;
        for source in &commit.sources {
            counters.envelopes.add(source.envelopes);
            counters.samples.add(source.samples);
            counters.log_lines.add(source.log_lines);
            counters.spans.add(source.spans);
        }
        counters.transitions.add(commit.transitions.len() as u64);
        counters.dead_letters.add(commit.dead_letters.len() as u64);
        counters
            .series
            .set(observer.telemetry.catalog.series_count() as u64);
        counters.observe_position.set_position(commit.to.position);
    }
}

/// What dead letters of detectors name as their reader, before the instance.
const DETECTOR_READER: &str = "detector:";

/// Runs what computes, or waits for a guest, where it keeps nothing else from
/// running.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down, and this task with it at its next
            // chance; there is nothing to give back.
            Err(_) => std::future::pending().await,
        },
    }
}
