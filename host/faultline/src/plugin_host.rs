//! Which plugins run: what is installed, enabled and granted in the store, made
//! into components that are ready to be called.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use faultline_api::{
    CachedComponent, Candidate, ComponentCache, InstanceSettings, InstanceState, InstanceStatus,
    Reason, SupervisionStatus,
};
use faultline_bundle::{Bundle, Component, setting};
use faultline_domain::audit::{Entry, Stage};
use faultline_domain::envelope::Format;
use faultline_domain::grant::{Effective, Grant, GrantError};
use faultline_domain::id::{InstanceName, SourceName};
use faultline_domain::plugin::{Kind, Limits};
use faultline_domain::supervision::{Standing, Supervisor};
use faultline_domain::time::Timestamp;
use faultline_intake::hooks::HookTable;
use faultline_pipeline::{Plugins, Reader, ScheduledPoller};
use faultline_sandbox::{
    CodeCache, ComponentUsage, InstanceSpec, LoadError, Loaded, Role, Sandbox, Usage,
};
use faultline_store::{InstanceRecord, Store, StoreError, Waiting};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::now;
use crate::metrics::PluginRow;

/// How long until a bundle that could not be read is read again, and at most
/// after many times in a row.
const READ_AGAIN_FIRST: Duration = Duration::from_millis(500);
const READ_AGAIN_MAX: Duration = Duration::from_secs(30);

/// What runs, and why other things do not.
pub(crate) struct PluginHost {
    store: Store,
    sandbox: Arc<Sandbox>,
    ceiling: Limits,
    detector_shards: u32,
    standard: BTreeMap<Format, Reader>,
    hooks: Arc<HookTable>,
    plugins: watch::Sender<Edition>,
    /// What operators had changed when the plugins were last read.
    edition: AtomicU64,
    /// One look at the store at a time: the later one sees all that the earlier
    /// one saw. Loading what was found goes on after it.
    reloading: tokio::sync::Mutex<()>,
    slots: Mutex<BTreeMap<InstanceName, Slot>>,
    /// What may not run any more, but may be in the middle of something.
    leaving: Mutex<Vec<Arc<Loaded>>>,
    /// What is being loaded.
    loads: Mutex<JoinSet<()>>,
}

/// What came of looking at the store.
#[derive(Debug)]
pub(crate) struct Reload {
    /// The edition from which on nothing runs that may not.
    pub(crate) edition: u64,
    /// What is not loaded yet.
    loading: Vec<InstanceName>,
}

/// The plugins that run, as often as they have changed.
#[derive(Debug, Clone)]
pub(crate) struct Edition {
    /// Counted up with each change.
    pub(crate) number: u64,
    /// Which they are.
    pub(crate) plugins: Plugins,
}

/// One instance, as it was last looked at.
struct Slot {
    /// What it was made of. The same again need not be loaded again.
    made_of: MadeOf,
    outcome: Result<Running, Idle>,
    /// What it is being made of, if that takes a while.
    loading: Option<Loading>,
}

/// What an instance is being made of.
struct Loading {
    made_of: MadeOf,
    /// Whether its bundle could not be read so far, which nobody waits for.
    is_unread: bool,
}

impl Loading {
    const fn begun(made_of: MadeOf) -> Self {
        Self {
            made_of,
            is_unread: false,
        }
    }
}

impl Slot {
    /// One that has never run.
    fn new(made_of: MadeOf) -> Self {
        Self {
            outcome: Err(Idle::starting()),
            loading: Some(Loading::begun(made_of.clone())),
            made_of,
        }
    }

    /// Whether it is about to run for the first time. One whose bundle could not
    /// be read may have run before this process did.
    fn is_new(&self) -> bool {
        let loading = self.loading.as_ref();
        loading.is_some_and(|it| it.made_of == self.made_of && !it.is_unread)
    }

    /// What it is being made of, or else is made of.
    fn wanted(&self) -> &MadeOf {
        let loading = self.loading.as_ref();
        loading.map_or(&self.made_of, |it| &it.made_of)
    }

    /// Whether it is being made of this.
    fn is_becoming(&self, made_of: &MadeOf) -> bool {
        self.loading
            .as_ref()
            .is_some_and(|it| it.made_of == *made_of)
    }
}

#[derive(Debug, Clone, PartialEq)]
struct MadeOf {
    record: InstanceRecord,
    grants: Vec<Grant>,
}

impl MadeOf {
    /// Whether an instance that is made of this may run until it is made of
    /// something else: it is to run then, too, and nothing that it may do was
    /// taken back.
    fn may_run_until(&self, later: &Self) -> bool {
        let granted = |grant: &Grant| {
            let mut grants = later.grants.iter();
            grants.any(|other| other.allows_all_of(grant))
        };
        later.record.enabled
            && later.record.kind == self.record.kind
            && self.grants.iter().all(granted)
    }
}

/// An instance that can be called.
#[derive(Clone)]
struct Running {
    loaded: Arc<Loaded>,
    order: u16,
    reader: Option<Reader>,
    /// How often it is asked, if it polls.
    poll_interval: Duration,
}

/// Why an instance cannot be called.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Idle {
    state: InstanceState,
    reason: Option<String>,
}

impl Idle {
    fn starting() -> Self {
        Self {
            state: InstanceState::Compiling,
            reason: None,
        }
    }

    fn failed(reason: impl std::fmt::Display) -> Self {
        Self {
            state: InstanceState::Failed,
            reason: Some(reason.to_string()),
        }
    }

    fn unread(error: &StoreError) -> Self {
        Self {
            state: InstanceState::Compiling,
            reason: Some(format!(
                "its bundle could not be read, which is tried again by itself: {error}"
            )),
        }
    }
}

/// Why an instance was not loaded.
enum NotLoaded {
    /// It cannot run as things stand.
    Idle(Idle),
    /// Its bundle could not be read, which says nothing about it.
    Unread(StoreError),
}

impl From<Idle> for NotLoaded {
    fn from(idle: Idle) -> Self {
        Self::Idle(idle)
    }
}

impl PluginHost {
    /// A host that runs nothing but what reads standard formats, until it is
    /// told to look.
    pub(crate) fn new(
        store: Store,
        sandbox: Arc<Sandbox>,
        ceiling: Limits,
        detector_shards: u32,
        standard: BTreeMap<Format, Reader>,
        hooks: Arc<HookTable>,
    ) -> Self {
        Self {
            store,
            sandbox,
            ceiling,
            detector_shards,
            plugins: watch::Sender::new(Edition {
                number: 0,
                plugins: Plugins {
                    readers: standard.clone(),
                    detector_shards,
                    ..Plugins::default()
                },
            }),
            standard,
            hooks,
            edition: AtomicU64::new(0),
            reloading: tokio::sync::Mutex::new(()),
            slots: Mutex::new(BTreeMap::new()),
            leaving: Mutex::default(),
            loads: Mutex::default(),
        }
    }

    /// Interrupts what may not run any more, wherever it is.
    pub(crate) fn stop_leaving(&self) {
        let leaving = std::mem::take(&mut *self.leaving());
        for loaded in leaving {
            loaded.stop();
        }
    }

    /// Nothing calls any more what may not run: there is nothing to interrupt.
    pub(crate) fn forget_leaving(&self) {
        self.leaving().clear();
    }

    fn leaving(&self) -> MutexGuard<'_, Vec<Arc<Loaded>>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The plugins, as the stages take them.
    pub(crate) fn plugins(&self) -> watch::Receiver<Edition> {
        self.plugins.subscribe()
    }

    /// Looks at what is in the store and makes it so: what is no longer there or
    /// not allowed is gone, what is new or has changed is loaded. Loading takes
    /// longer, and goes on after this: [`PluginHost::loaded`] waits for it.
    ///
    /// # Errors
    /// If what there is cannot be read from the store; then everything stays as
    /// it is. A bundle that cannot be read is read again by itself.
    pub(crate) async fn reload(self: &Arc<Self>) -> Result<Reload> {
        let _turn = self.reloading.lock().await;
        // Before what it counts: what changes in between is read again.
        let read = self.store.edition_fetch().await?.plugins;
        let records = self.store.instance_list().await?;
        let mut grants = self.store.grant_list_all().await?;
        let wanted = records.into_iter().map(|record| {
            let grants = grants.remove(&record.name).unwrap_or_default();
            (record.name.clone(), MadeOf { record, grants })
        });
        let wanted = wanted.collect();
        // What must not run any more goes at once. What is only to run otherwise
        // runs on until that is loaded: what comes in meanwhile is read, and not
        // turned away.
        let to_load = self.turn_to(wanted);
        let edition = self.publish();
        self.edition.store(read, Ordering::Release);
        let mut loading = Vec::new();
        for made_of in to_load {
            loading.push(made_of.record.name.clone());
            let host = Arc::clone(self);
            self.loads()
                .spawn(async move { host.load_into_slot(made_of).await });
        }
        Ok(Reload { edition, loading })
    }

    /// Until everything is loaded that a look at the store found, but for what
    /// the database does not give; gives the edition in which it is.
    pub(crate) async fn loaded(&self, reload: &Reload) -> u64 {
        let mut editions = self.plugins.subscribe();
        loop {
            let number = editions.borrow_and_update().number;
            if !self.is_loading(&reload.loading) || editions.changed().await.is_err() {
                return number;
            }
        }
    }

    /// Loads what an instance is made of, unless something else was wanted
    /// meanwhile.
    async fn load_into_slot(&self, made_of: MadeOf) {
        let name = made_of.record.name.clone();
        let mut wait = READ_AGAIN_FIRST;
        let outcome = loop {
            match self.load(&made_of).await {
                Ok(running) => break Ok(running),
                Err(NotLoaded::Idle(idle)) => break Err(idle),
                Err(NotLoaded::Unread(error)) => {
                    if !self.note_unread(&made_of, &error) {
                        return;
                    }
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(READ_AGAIN_MAX);
                }
            }
        };
        if let Err(Idle {
            state: InstanceState::Failed,
            reason: Some(reason),
        }) = &outcome
        {
            tracing::error!(plugin.instance = %name, "instance {name} cannot run: {reason}");
            self.note_failure(&name, reason).await;
        }
        {
            let mut slots = self.slots();
            match slots.get_mut(&name) {
                Some(slot) if slot.is_becoming(&made_of) => {
                    *slot = Slot {
                        made_of,
                        outcome,
                        loading: None,
                    };
                }
                _ => return,
            }
        }
        self.publish();
    }

    /// Says that a bundle could not be read. False if something else is wanted
    /// by now.
    fn note_unread(&self, made_of: &MadeOf, error: &StoreError) -> bool {
        let name = &made_of.record.name;
        {
            let mut slots = self.slots();
            let Some(slot) = slots.get_mut(name).filter(|it| it.is_becoming(made_of)) else {
                return false;
            };
            if slot.outcome.is_err() {
                slot.outcome = Err(Idle::unread(error));
            }
            if let Some(loading) = &mut slot.loading {
                loading.is_unread = true;
            }
        }
        tracing::warn!(
            plugin.instance = %name,
            error = error as &dyn std::error::Error,
            "the bundle of {name} could not be read; it is tried again"
        );
        self.publish();
        true
    }

    /// An instance that could not be loaded is worth a row on the audit log.
    async fn note_failure(&self, name: &InstanceName, reason: &str) {
        let entry = Entry {
            at: now(),
            actor: "host".to_owned(),
            action: "instance.failed".to_owned(),
            subject: format!("instance:{name}"),
            stage: Stage::Event,
            detail: serde_json::json!({ "reason": reason }).to_string(),
        };
        if let Err(error) = self.store.audit_append(entry).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "that {name} failed cannot be recorded"
            );
        }
    }

    fn is_loading(&self, names: &[InstanceName]) -> bool {
        let slots = self.slots();
        let of_these = names.iter().filter_map(|name| slots.get(name));
        let mut loading = of_these.filter_map(|slot| slot.loading.as_ref());
        loading.any(|it| !it.is_unread)
    }

    /// The edition of the store that was last read.
    pub(crate) fn edition(&self) -> u64 {
        self.edition.load(Ordering::Acquire)
    }

    /// Stops what is not wanted any more, and what may less than before. Gives
    /// what has yet to be loaded; from now on nothing else that is being loaded
    /// comes to run.
    fn turn_to(&self, wanted: BTreeMap<InstanceName, MadeOf>) -> Vec<MadeOf> {
        let mut slots = self.slots();
        slots.retain(|name, slot| {
            let later = wanted.get(name);
            if let Ok(running) = &slot.outcome
                && !later.is_some_and(|later| slot.made_of.may_run_until(later))
            {
                // Also for calls that are under way.
                running.loaded.revoke();
                self.leaving().push(Arc::clone(&running.loaded));
                slot.outcome = Err(Idle::starting());
            }
            later.is_some()
        });
        let mut to_load = Vec::new();
        for (name, made_of) in wanted {
            match slots.get_mut(&name) {
                None => {
                    slots.insert(name, Slot::new(made_of.clone()));
                }
                Some(slot) if *slot.wanted() == made_of => continue,
                Some(slot) => slot.loading = Some(Loading::begun(made_of.clone())),
            }
            to_load.push(made_of);
        }
        to_load
    }

    /// Compiles a component, unless that was done before.
    pub(crate) async fn prepare(&self, bundle: Bundle, component: String) -> Result<(), Reason> {
        let sandbox = Arc::clone(&self.sandbox);
        let prepared = blocking(move || {
            let Some(component) = bundle.manifest().component(&component) else {
                // Whoever asks next is told.
                return Ok(());
            };
            let wasm = bundle
                .wasm(component)
                .map_err(|error| LoadError::Malformed(error.to_string()))?;
            let declared: Vec<_> = component
                .capabilities
                .iter()
                .map(|request| request.using)
                .collect();
            sandbox.prepare(component.kind, wasm, &declared, component.wasi)
        });
        prepared.await
    }

    /// Checks whether a component could run so, without running it.
    pub(crate) async fn check(&self, candidate: Candidate) -> Result<(), Vec<Reason>> {
        let because = |message: String| Reason {
            code: "manifest".to_owned(),
            message,
        };
        let component = candidate
            .bundle
            .manifest()
            .component(&candidate.component)
            .cloned()
            .ok_or_else(|| {
                let message = format!("has no component `{}`", candidate.component);
                vec![because(message)]
            })?;
        let key = |key: &str| setting(&candidate.config, key);
        let requested = &component.capabilities;
        let grants = match Effective::resolve(requested, &candidate.granted, &key, now()) {
            Ok(grants) => grants,
            // It would wait for them; whether it could run with them is what is
            // asked.
            Err(errors) if errors.iter().all(GrantError::waits_for_consent) => Effective::default(),
            Err(errors) => {
                let messages = errors.iter().map(ToString::to_string);
                return Err(messages.map(because).collect());
            }
        };
        let plan = Plan {
            name: candidate.name,
            config: candidate.config.to_string(),
            limits: candidate.limits,
            settings: candidate.settings,
            grants,
            component,
            bundle: candidate.bundle,
        };
        self.load_planned(plan)
            .await
            .map(|_| ())
            .map_err(|error| vec![error])
    }

    /// How all instances fare; `supervisors` are those of instances that failed,
    /// as those who call them have them.
    pub(crate) fn statuses(
        &self,
        supervisors: &[(InstanceName, Supervisor)],
        now: Timestamp,
    ) -> Vec<InstanceStatus> {
        self.slots()
            .iter()
            .map(|(name, slot)| {
                let running = match &slot.outcome {
                    Ok(running) => running,
                    Err(idle) => {
                        return InstanceStatus {
                            name: name.clone(),
                            state: idle.state,
                            reason: idle.reason.clone(),
                            usage: faultline_api::Usage::default(),
                            supervision: SupervisionStatus::default(),
                        };
                    }
                };
                let digest = running.loaded.digest();
                let of_it = supervisors
                    .iter()
                    .filter(|(instance, it)| instance == name && it.digest() == digest)
                    .map(|(_, supervisor)| supervisor);
                let (state, reason) = standing(name, of_it.clone(), now);
                InstanceStatus {
                    name: name.clone(),
                    state,
                    reason,
                    usage: usage_of(&running.loaded),
                    supervision: supervision_status(of_it),
                }
            })
            .collect()
    }

    /// What is kept of compiled components.
    pub(crate) async fn component_cache(&self) -> io::Result<Option<ComponentCache>> {
        self.on_cache(|cache| {
            let components = cache.entries()?.into_iter().map(|entry| CachedComponent {
                component: entry.component,
                bytes: entry.bytes,
                used: Timestamp::from_secs(entry.used_secs),
            });
            Ok(ComponentCache {
                bytes_max: cache.bytes_max(),
                components: components.collect(),
            })
        })
        .await
    }

    /// Forgets it; gives how many there were.
    pub(crate) async fn component_cache_clear(&self) -> io::Result<u64> {
        let cleared = self.on_cache(CodeCache::clear).await?;
        Ok(cleared.map_or(0, |count| count as u64))
    }

    /// Does something with the cache, if there is one, on a thread that may wait
    /// for the disk.
    async fn on_cache<T: Send + 'static>(
        &self,
        act: impl FnOnce(&CodeCache) -> io::Result<T> + Send + 'static,
    ) -> io::Result<Option<T>> {
        let sandbox = Arc::clone(&self.sandbox);
        tokio::task::spawn_blocking(move || sandbox.cache().map(act).transpose())
            .await
            .map_err(io::Error::other)?
    }

    /// How components have fared.
    pub(crate) fn component_usage(&self) -> ComponentUsage {
        self.sandbox.component_usage()
    }

    /// What each instance has used, how it fares and what waits for it, for
    /// metrics.
    pub(crate) fn metric_rows(
        &self,
        supervisors: &[(InstanceName, Supervisor)],
        waiting: &Waiting,
        now: Timestamp,
    ) -> Vec<PluginRow> {
        let statuses = self.statuses(supervisors, now);
        let slots = self.slots();
        let rows = statuses.into_iter().filter_map(|status| {
            let slot = slots.get(&status.name)?;
            let running = slot.outcome.as_ref().ok();
            let kind = slot.made_of.record.kind;
            let waiting = waiting.of(&status.name, kind);
            Some(PluginRow {
                kind,
                waiting,
                lag: waiting.oldest.map_or(Duration::ZERO, |at| now.since(at)),
                instance: status.name,
                state: status.state,
                usage: running.map_or_else(Usage::default, |it| it.loaded.usage()),
                supervision: status.supervision,
            })
        });
        rows.collect()
    }

    /// Loads what an instance is made of, or says why not.
    async fn load(&self, made_of: &MadeOf) -> Result<Running, NotLoaded> {
        let record = &made_of.record;
        if !record.enabled {
            return Err(NotLoaded::Idle(Idle {
                state: InstanceState::Disabled,
                reason: None,
            }));
        }
        let files = self.store.bundle_files(record.bundle).await;
        let files = files.map_err(NotLoaded::Unread)?;
        let plan = plan(record, &made_of.grants, files, self.ceiling)?;
        let settings = plan.settings.clone();
        let family = plan.family();
        let loaded = self.load_planned(plan).await;
        let loaded = loaded.map_err(Idle::failed)?;
        let reader = match &*loaded {
            Loaded::Connector(connector) | Loaded::Poller(connector, _) => Some(Reader {
                decoder: Arc::clone(connector) as Arc<_>,
                family,
                digest: Some(loaded.digest()),
                resolve_timeout: settings.resolve_timeout(),
            }),
            _ => None,
        };
        Ok(Running {
            loaded,
            order: settings.order,
            reader,
            poll_interval: settings.poll_interval(),
        })
    }

    async fn load_planned(&self, plan: Plan) -> Result<Arc<Loaded>, Reason> {
        let sandbox = Arc::clone(&self.sandbox);
        blocking(move || plan.load(&sandbox)).await.map(Arc::new)
    }

    /// Tells the stages and intake what runs; gives the number of the edition.
    fn publish(&self) -> u64 {
        let slots = self.slots();
        let running: Vec<(&InstanceName, &Running)> = slots
            .iter()
            .filter_map(|(name, slot)| Some((name, slot.outcome.as_ref().ok()?)))
            .collect();
        let mut plugins = Plugins {
            readers: self.standard.clone(),
            detector_shards: self.detector_shards,
            ..Plugins::default()
        };
        let mut in_order = running.clone();
        in_order.sort_by_key(|(name, running)| (running.order, (*name).clone()));
        for (name, running) in in_order {
            match (&*running.loaded, &running.reader) {
                (Loaded::Connector(_), Some(reader)) => {
                    let format = Format::Connector(name.clone());
                    plugins.readers.insert(format, reader.clone());
                }
                (Loaded::Poller(_, poller), Some(reader)) => {
                    let format = Format::Connector(name.clone());
                    plugins.readers.insert(format, reader.clone());
                    let scheduled = ScheduledPoller {
                        poller: Arc::clone(poller) as Arc<_>,
                        digest: running.loaded.digest(),
                        interval: running.poll_interval,
                    };
                    plugins.pollers.insert(name.clone(), scheduled);
                }
                (Loaded::Detector(detector), _) => {
                    plugins.detectors.push(Arc::clone(detector) as Arc<_>);
                }
                (Loaded::Correlator(correlator), _) => {
                    plugins.correlators.push(Arc::clone(correlator) as Arc<_>);
                }
                _ => {}
            }
        }
        // A source is named after the connector that reads it. A connector
        // that cannot run at the moment still gets its payloads: they wait in
        // the journal, and the dead-letter list says so. One that has never run
        // has no sender yet.
        let hooks = slots
            .values()
            .filter(|slot| !slot.is_new())
            .map(|slot| &slot.made_of.record)
            .filter(|record| record.kind == Kind::Connector && record.enabled)
            .filter_map(|record| {
                let source = SourceName::new(record.name.as_str()).ok()?;
                Some((source, record.name.clone()))
            });
        self.hooks.replace(hooks);
        let mut number = 0;
        self.plugins.send_modify(|edition| {
            number = edition.number + 1;
            *edition = Edition { number, plugins };
        });
        number
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<InstanceName, Slot>> {
        // Entries are put in whole.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn loads(&self) -> MutexGuard<'_, JoinSet<()>> {
        let mut loads = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(ended) = loads.try_join_next() {
            if let Err(error) = ended {
                tracing::error!("loading an instance ended in a mistake of ours: {error}");
            }
        }
        loads
    }
}

/// Compiling takes long and starting waits: on a thread that may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, Reason> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| Reason {
            code: error.code().to_owned(),
            message: error.to_string(),
        }),
        Err(panic) => Err(Reason {
            code: "mistake".to_owned(),
            message: format!("loading it ended in a mistake of ours: {panic}"),
        }),
    }
}

/// All that loading takes.
struct Plan {
    name: InstanceName,
    bundle: Bundle,
    component: Component,
    config: String,
    settings: InstanceSettings,
    limits: Limits,
    grants: Effective,
}

fn plan(
    record: &InstanceRecord,
    grants: &[Grant],
    files: BTreeMap<String, Vec<u8>>,
    ceiling: Limits,
) -> Result<Plan, Idle> {
    let bundle = Bundle::from_files(files).map_err(Idle::failed)?;
    if bundle.digest() != record.bundle {
        return Err(Idle::failed(
            "its bundle is not what was installed: its digest differs",
        ));
    }
    let component = bundle
        .manifest()
        .component(&record.component)
        .cloned()
        .ok_or_else(|| {
            Idle::failed(format!(
                "its bundle has no component `{}`",
                record.component
            ))
        })?;
    let settings = InstanceSettings::parse(&record.settings).map_err(Idle::failed)?;
    let config = bundle
        .config_schema(&component)
        .map_err(Idle::failed)?
        .resolve(&record.config)
        .map_err(Idle::failed)?;
    let key = |key: &str| setting(&config, key);
    let grants = Effective::resolve(&component.capabilities, grants, &key, now());
    let grants = grants.map_err(|errors| {
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Idle {
            state: if errors.iter().all(GrantError::waits_for_consent) {
                InstanceState::PendingGrant
            } else {
                InstanceState::Failed
            },
            reason: Some(texts.join("; ")),
        }
    })?;
    let limits = settings
        .limits
        .over(component.limits.resolve(ceiling), ceiling);
    Ok(Plan {
        name: record.name.clone(),
        config: config.to_string(),
        settings,
        limits,
        grants,
        component,
        bundle,
    })
}

impl Plan {
    /// The family of a connector's alerts: the operator's word for it, or the
    /// manifest's.
    fn family(&self) -> String {
        let family = self.settings.family.as_ref();
        let family = family.or(self.component.family.as_ref());
        family.cloned().unwrap_or_default()
    }

    fn load(&self, sandbox: &Sandbox) -> Result<Loaded, LoadError> {
        let wasm = self
            .bundle
            .wasm(&self.component)
            .map_err(|error| LoadError::Malformed(error.to_string()))?;
        let manifest = self.bundle.manifest();
        let spec = InstanceSpec {
            name: self.name.clone(),
            plugin: manifest.id.to_string(),
            version: manifest.version.to_string(),
            config: self.config.clone(),
            limits: self.limits,
            grants: self.grants.clone(),
            reuse: self.component.reuse,
            wasi: self.component.wasi,
        };
        let role = match self.component.kind {
            Kind::Connector => Role::Connector {
                family: self.family(),
            },
            Kind::Detector => Role::Detector {
                inputs: self.component.inputs,
            },
            Kind::Correlator => Role::Correlator,
            Kind::Action => Role::Action,
        };
        let declared: Vec<_> = self
            .component
            .capabilities
            .iter()
            .map(|request| request.using)
            .collect();
        sandbox.load(spec, role, wasm, &declared)
    }
}

/// Where a loaded instance stands: as badly as the worst of its supervisors
/// says.
fn standing<'a>(
    name: &InstanceName,
    supervisors: impl Iterator<Item = &'a Supervisor>,
    now: Timestamp,
) -> (InstanceState, Option<String>) {
    let remedy = format!("`faultline plugin resume {name}` gives it another chance");
    let mut worst = (InstanceState::Running, None);
    for supervisor in supervisors {
        match supervisor.standing() {
            Standing::Running => {}
            // A wait that is over ends with the next call.
            Standing::BackingOff { until } if *until <= now => {}
            Standing::BackingOff { .. } => worst = (InstanceState::BackingOff, supervisor.why()),
            Standing::Quarantined { .. } => {
                let why = supervisor.why().unwrap_or_default();
                return (InstanceState::Quarantined, Some(format!("{why}; {remedy}")));
            }
        }
    }
    worst
}

fn supervision_status<'a>(supervisors: impl Iterator<Item = &'a Supervisor>) -> SupervisionStatus {
    let mut status = SupervisionStatus::default();
    for supervisor in supervisors {
        status.failures += supervisor.failures();
        status.restarts += supervisor.restarts();
        let last = supervisor.last_failure();
        if last.map(|last| last.at) > status.last_failure.as_ref().map(|last| last.at) {
            status.last_failure = last.cloned();
        }
    }
    status
}

fn usage_of(loaded: &Loaded) -> faultline_api::Usage {
    let usage = loaded.usage();
    faultline_api::Usage {
        calls: usage.calls,
        cpu: usage.cpu,
        memory_peak_bytes: usage.memory_peak_bytes,
        host_calls: usage.host_calls,
        denied: usage.denied,
        log_lines_dropped: usage.log_lines_dropped,
        failures: usage
            .failures
            .into_iter()
            .map(|(code, count)| (code.to_owned(), count))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use faultline_domain::grant::Asked;
    use faultline_domain::id::Digest;
    use faultline_store::{AuditFilter, BundleRecord};
    use faultline_test_databases::Server;

    use super::*;
    use crate::node::tests::{Opened, database, until};

    fn made_of(capabilities: &[&str]) -> MadeOf {
        let grants = capabilities.iter().map(|capability| {
            let at = Timestamp::ZERO;
            Grant::whole(capability, Asked::default(), "local:dana", at, "a test")
        });
        MadeOf {
            record: InstanceRecord {
                name: InstanceName::new("eye").expect("a name"),
                bundle: Digest::of(b"a bundle"),
                component: "eye".to_owned(),
                kind: Kind::Connector,
                config: "{}".to_owned(),
                settings: "{}".to_owned(),
                enabled: true,
                created: Timestamp::ZERO,
                created_by: "local:dana".to_owned(),
            },
            grants: grants.collect(),
        }
    }

    #[test]
    fn what_is_made_otherwise_runs_until_then_unless_it_may_less() {
        let now = made_of(&["state"]);
        let with = |change: fn(&mut InstanceRecord)| {
            let mut later = made_of(&["state"]);
            change(&mut later.record);
            later
        };
        let renewed = {
            let mut later = made_of(&["state"]);
            later.grants[0].at = Timestamp::from_secs(1);
            later
        };
        for (later, runs) in [
            (renewed, true),
            (made_of(&["other", "state"]), true),
            (with(|record| record.config = "{\"a\":1}".to_owned()), true),
            (with(|record| record.bundle = Digest::of(b"another")), true),
            (with(|record| record.enabled = false), false),
            (with(|record| record.kind = Kind::Detector), false),
            (made_of(&[]), false),
            (made_of(&["other"]), false),
        ] {
            assert_eq!(now.may_run_until(&later), runs, "{later:?}");
        }
    }

    type Change = fn(&mut MadeOf);

    /// The preamble of a component in the binary format.
    const COMPONENT: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];

    fn files(capability: &str) -> BTreeMap<String, Vec<u8>> {
        let manifest = format!(
            "schema = 1\n[plugin]\nid = \"acme/eye\"\nversion = \"1.0.0\"\napi = \"0.1\"\n\
             license = \"Apache-2.0\"\nsummary = \"Looks\"\n[[component]]\nname = \"eye\"\n\
             kind = \"connector\"\nwasm = \"eye.wasm\"\nwasi = false\n{capability}"
        );
        let files = [
            ("plugin.toml".to_owned(), manifest.into_bytes()),
            ("eye.wasm".to_owned(), COMPONENT.to_vec()),
        ];
        files.into()
    }

    /// What comes of planning: nothing, or the state and the reason.
    fn planned(
        files: BTreeMap<String, Vec<u8>>,
        change: impl FnOnce(&mut MadeOf),
    ) -> Option<(InstanceState, String)> {
        let mut made_of = made_of(&[]);
        if let Ok(bundle) = Bundle::from_files(files.clone()) {
            made_of.record.bundle = bundle.digest();
        }
        change(&mut made_of);
        let ceiling = Limits::default_ceiling();
        let idle = plan(&made_of.record, &made_of.grants, files, ceiling).err()?;
        Some((idle.state, idle.reason.unwrap_or_default()))
    }

    fn event(action: &str) -> Entry {
        Entry {
            at: Timestamp::ZERO,
            actor: "local:dana".to_owned(),
            action: action.to_owned(),
            subject: "a test".to_owned(),
            stage: Stage::Event,
            detail: "{}".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_bundle_that_could_not_be_read_is_read_again() {
        let server = Server::shared();
        let url = server.create();
        let opened = Opened::on_postgresql(&url).await;
        let (store, host) = (&opened.node.store, &opened.node.host);
        let files = files("");
        let bundle = Bundle::from_files(files.clone()).expect("a bundle");
        let record = BundleRecord {
            digest: bundle.digest(),
            plugin: "acme/eye".to_owned(),
            version: "1.0.0".to_owned(),
            installed: Timestamp::ZERO,
            installed_by: "local:dana".to_owned(),
            origin: "a test".to_owned(),
        };
        let put = store.bundle_put(&record, &files, event("plugin.install"));
        put.await.expect("installs");
        let mut instance = made_of(&[]).record;
        instance.bundle = bundle.digest();
        let created = store.instance_create(&instance, event("instance.create"));
        created.await.expect("makes it");
        let state = || {
            let statuses = host.statuses(&[], Timestamp::ZERO);
            let status = statuses.into_iter().next().expect("it is there");
            (status.state, status.reason.unwrap_or_default())
        };

        let run = |sql: &str| server.run(database(&url), sql);
        run("alter table faultline_state.bundle_file rename to away");
        let reload = host.reload().await.expect("reads the rest");
        host.loaded(&reload).await;
        let (standing, reason) = state();
        assert_eq!(standing, InstanceState::Compiling, "{reason}");
        assert!(reason.contains("could not be read"), "{reason}");

        run("alter table faultline_state.away rename to bundle_file");
        // It is no connector, which shows only when it is read.
        until("it is read", || state().0 == InstanceState::Failed).await;
        let failed = async || {
            let filter = AuditFilter {
                action: Some("instance.failed".to_owned()),
                ..AuditFilter::default()
            };
            store.audit_list(&filter, 10).await.expect("reads").len()
        };
        assert_eq!(failed().await, 1, "for what it is");
    }

    #[test]
    fn what_cannot_run_says_why() {
        assert_eq!(planned(files(""), |_| ()), None);
        let needy = "[[component.capability]]\nid = \"state\"\nuse = \"kv\"\n\
                     required = true\nreason = \"to remember\"\n";
        let (state, reason) = planned(files(needy), |_| ()).expect("needs consent");
        assert_eq!(state, InstanceState::PendingGrant);
        assert!(reason.contains("state"), "{reason}");
        let cases: [(Change, &str); 5] = [
            (
                |it| it.record.bundle = Digest::of(b"another"),
                "digest differs",
            ),
            (
                |it| it.record.component = "ear".to_owned(),
                "no component `ear`",
            ),
            (|it| it.record.settings = "{\"odd\":1}".to_owned(), "odd"),
            (|it| it.record.config = "[]".to_owned(), ""),
            (
                |it| it.grants = made_of(&["state"]).grants,
                "does not ask for",
            ),
        ];
        for (change, expected) in cases {
            let (state, reason) = planned(files(""), change).expect(expected);
            assert_eq!(state, InstanceState::Failed, "{reason}");
            assert!(reason.contains(expected), "{reason}");
        }
        let none = planned(BTreeMap::new(), |_| ()).expect("no bundle");
        assert_eq!(none.0, InstanceState::Failed);
    }
}
