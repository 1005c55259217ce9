//! Loading components: checked, compiled, linked, ready to be called.

use std::sync::Arc;

use faultline_domain::audit::{Entry, Stage};
use faultline_domain::grant::Use;
use faultline_domain::id::Digest;
use faultline_domain::plugin::{Inputs, Kind};
use faultline_egress::Egress;
use tokio::runtime::Handle;
use wasmtime::component::{Component, InstancePre};

use crate::bindings::exports::faultline::plugin as exports;
use crate::cache::CodeCache;
use crate::compile::Compiler;
use crate::components::{ComponentUsage, Components};
use crate::connector::WasmConnector;
use crate::convert::{clip, line};
use crate::correlator::WasmCorrelator;
use crate::detector::WasmDetectorFactory;
use crate::engine::GuestEngine;
use crate::guest::{Call, Guest, GuestState};
use crate::host;
use crate::imports;
use crate::instance::{AUDIT_WAIT_MAX, Clock, Instance, InstanceSpec, wait};
use crate::load_error::LoadError;
use crate::outline::Outline;
use crate::poller::WasmPoller;
use crate::pool::Pool;
use crate::services::Services;
use crate::share;
use crate::stats::Usage;
use crate::wasi;

/// What the audit log calls a file of the cache that was not used.
const CACHE_REFUSED: &str = "cache.refused";

/// The most complaints of a component about its configuration that are passed
/// on.
const COMPLAINTS_MAX: usize = 20;

/// The most bytes of what is said about a function of another shape: it has the
/// names that the component's author gave it.
const SHAPE_BYTES_MAX: usize = 1_000;

/// Compiles and runs components.
pub struct Sandbox {
    observers: GuestEngine,
    components: Components,
    services: Arc<dyn Services>,
    egress: Option<Egress>,
    runtime: Handle,
    clock: Clock,
    detector_shards: u32,
}

/// What kind of component it is, with what only that kind has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// With the family of its alerts.
    Connector {
        /// Alerts of one family share their fingerprints.
        family: String,
    },
    /// With what it watches.
    Detector {
        /// Samples, logs, or both.
        inputs: Inputs,
    },
    /// Nothing beside.
    Correlator,
    /// Nothing beside.
    Action,
}

impl Role {
    const fn kind(&self) -> Kind {
        match self {
            Role::Connector { .. } => Kind::Connector,
            Role::Detector { .. } => Kind::Detector,
            Role::Correlator => Kind::Correlator,
            Role::Action => Kind::Action,
        }
    }
}

/// A component, ready to be called.
pub enum Loaded {
    /// From payloads to signals.
    Connector(Arc<WasmConnector>),
    /// A connector that also fetches.
    Poller(Arc<WasmConnector>, Arc<WasmPoller>),
    /// From telemetry to findings.
    Detector(Arc<WasmDetectorFactory>),
    /// From alerts to incidents and causes.
    Correlator(Arc<WasmCorrelator>),
}

impl Loaded {
    /// What it has used since it was loaded.
    pub fn usage(&self) -> Usage {
        self.instance().stats.usage()
    }

    /// Takes back what it may do, at once: requests that are on their way end,
    /// and every call of a host function from now on is denied. It is of no
    /// more use.
    pub fn revoke(&self) {
        self.instance().revoke();
    }

    /// The component that it is.
    pub fn digest(&self) -> Digest {
        self.instance().digest
    }

    /// Stops all its guests, for good: those that run are interrupted within
    /// some milliseconds, and all further calls fail with [`Failure::Stopped`].
    pub fn stop(&self) {
        self.instance().stop();
    }

    fn instance(&self) -> &Instance {
        match self {
            Loaded::Connector(connector) | Loaded::Poller(connector, _) => &connector.instance,
            Loaded::Detector(detector) => &detector.instance,
            Loaded::Correlator(correlator) => &correlator.instance,
        }
    }
}

impl Sandbox {
    /// Starts the engine. Components are compiled in this process, and anew each
    /// time, unless [`Sandbox::with_compiler`] says otherwise.
    ///
    /// # Errors
    /// If the machine does not allow what it needs.
    pub fn start(
        services: Arc<dyn Services>,
        runtime: Handle,
        clock: Clock,
    ) -> Result<Self, LoadError> {
        let observers =
            GuestEngine::start().map_err(|error| LoadError::Compiler(format!("{error:#}")))?;
        let engine = observers.engine().clone();
        let components = Components::new(engine, Compiler::in_process(), None, "");
        Ok(Self {
            observers,
            components,
            services,
            egress: None,
            runtime,
            clock,
            detector_shards: 1,
        })
    }

    /// With a way out. Without one no request of any component gets anywhere.
    #[must_use]
    pub fn with_egress(self, egress: Egress) -> Self {
        Self {
            egress: Some(egress),
            ..self
        }
    }

    /// With so many guests of each detector.
    #[must_use]
    pub fn with_detector_shards(self, detector_shards: u32) -> Self {
        Self {
            detector_shards,
            ..self
        }
    }

    /// Sets who compiles components, and where code is kept. `build` names this
    /// program: what another build has kept is compiled anew.
    #[must_use]
    pub fn with_compiler(
        mut self,
        compiler: Compiler,
        cache: Option<CodeCache>,
        build: &str,
    ) -> Self {
        let engine = self.observers.engine().clone();
        self.components = Components::new(engine, compiler, cache, build);
        self
    }

    /// How components have fared since the sandbox was started.
    pub fn component_usage(&self) -> ComponentUsage {
        self.components.counted()
    }

    /// The cache of compiled components, if there is one.
    pub fn cache(&self) -> Option<&CodeCache> {
        self.components.cache()
    }

    /// Compiles a component unless that was done already: loading it is quick
    /// from then on. Waits, as [`Sandbox::load`] does.
    ///
    /// `declared` are the uses that its manifest names, `wasi` whether it
    /// declares that it imports WASI.
    ///
    /// # Errors
    /// If it is none, wants what it must not have, or takes more than it may.
    pub fn prepare(
        &self,
        kind: Kind,
        wasm: &[u8],
        declared: &[Use],
        wasi: bool,
    ) -> Result<(), LoadError> {
        let admitted = admit(wasm, kind, declared, wasi);
        let prepared = admitted.and_then(|_| self.component(Digest::of(wasm), wasm).map(drop));
        self.counted(prepared)
    }

    /// Loads a component: checks what it imports and exports, compiles it,
    /// links what it may use, and lets it check its configuration. Takes as
    /// long as compiling does, and waits: not for a thread that others wait
    /// for.
    ///
    /// `declared` are the uses that its manifest names.
    ///
    /// # Errors
    /// Why it cannot be loaded.
    pub fn load(
        &self,
        spec: InstanceSpec,
        role: Role,
        wasm: &[u8],
        declared: &[Use],
    ) -> Result<Loaded, LoadError> {
        self.counted(self.try_load(spec, role, wasm, declared))
    }

    fn counted<T>(&self, loaded: Result<T, LoadError>) -> Result<T, LoadError> {
        loaded.inspect_err(|error| self.components.note_refusal(error))
    }

    fn try_load(
        &self,
        spec: InstanceSpec,
        role: Role,
        wasm: &[u8],
        declared: &[Use],
    ) -> Result<Loaded, LoadError> {
        let outline = admit(wasm, role.kind(), declared, spec.wasi)?;
        let polls = polls(&outline, role.kind());
        let engine = self.observers.engine();
        let digest = Digest::of(wasm);
        let component = self.component(digest, wasm)?;
        let guests = match role {
            Role::Detector { .. } => self.detector_shards,
            Role::Connector { .. } | Role::Correlator | Role::Action => share::GUESTS_MAX,
        };
        share::check(&component, &outline, guests)?;
        let mut linker = host::linker(engine, declared).map_err(shape)?;
        if spec.wasi {
            wasi::link(&mut linker, engine, &component).map_err(shape)?;
        }
        let pre = linker.instantiate_pre(&component).map_err(shape)?;
        let instance = Arc::new(Instance::new(
            spec,
            digest,
            Arc::clone(&self.services),
            self.egress.clone(),
            self.runtime.clone(),
            Arc::clone(&self.clock),
        ));
        if outline.has("config-check") {
            check_config(&pre, &instance)?;
        }
        into_loaded(role, polls, pre, instance)
    }

    /// The component of these bytes, whose digest this is.
    fn component(&self, digest: Digest, wasm: &[u8]) -> Result<Component, LoadError> {
        self.components.get(digest, wasm, |reason| {
            tracing::warn!(
                "a file of the cache of compiled components was refused, and {digest} is compiled \
                 anew: {reason}"
            );
            let entry = Entry {
                at: (self.clock)(),
                actor: "host".to_owned(),
                action: CACHE_REFUSED.to_owned(),
                subject: format!("component:{digest}"),
                stage: Stage::Event,
                detail: serde_json::json!({ "reason": reason }).to_string(),
            };
            if let Err(error) = wait(&self.runtime, AUDIT_WAIT_MAX, self.services.audit(entry)) {
                tracing::error!("that cannot be recorded: {error}");
            }
        })
    }
}

/// What a component says of itself, if that is as it should be: nothing is
/// compiled before.
fn admit(wasm: &[u8], kind: Kind, declared: &[Use], wasi: bool) -> Result<Outline, LoadError> {
    let outline = Outline::read(wasm)?;
    check_exports(kind, &|interface: &str| outline.has(interface))?;
    let polls = polls(&outline, kind);
    let imports = outline.imports.iter().map(String::as_str);
    imports::check(imports, kind, polls, declared, wasi).map_err(LoadError::Imports)?;
    Ok(outline)
}

/// Whether it is a connector that also fetches.
fn polls(outline: &Outline, kind: Kind) -> bool {
    kind == Kind::Connector && outline.has("poll")
}

/// Starts a guest once, so that one that cannot be started, or has an export of
/// another type than the contract's, is refused here and not at its first
/// payload.
fn into_loaded(
    role: Role,
    polls: bool,
    pre: InstancePre<GuestState>,
    instance: Arc<Instance>,
) -> Result<Loaded, LoadError> {
    Ok(match role {
        Role::Connector { family } => {
            let connector = Arc::new(WasmConnector {
                decode: exports::decode::GuestIndices::new(&pre).map_err(shape)?,
                pre: pre.clone(),
                instance: Arc::clone(&instance),
                pool: Pool::new(instance.spec.reuse),
                family,
            });
            Guest::start(&pre, &connector.instance, |store, started| {
                connector.decode.load(store, started)
            })?;
            if polls {
                let poller = WasmPoller {
                    poll: exports::poll::GuestIndices::new(&pre).map_err(shape)?,
                    pre,
                    instance,
                };
                Guest::start(&poller.pre, &poller.instance, |store, started| {
                    poller.poll.load(store, started)
                })?;
                Loaded::Poller(connector, Arc::new(poller))
            } else {
                Loaded::Connector(connector)
            }
        }
        Role::Detector { inputs } => {
            let detect = exports::detect::GuestIndices::new(&pre).map_err(shape)?;
            Guest::start(&pre, &instance, |store, started| {
                detect.load(store, started)
            })?;
            Loaded::Detector(Arc::new(WasmDetectorFactory {
                pre,
                instance,
                detect,
                inputs,
            }))
        }
        Role::Correlator => {
            let correlate = exports::correlate::GuestIndices::new(&pre).map_err(shape)?;
            Guest::start(&pre, &instance, |store, started| {
                correlate.load(store, started)
            })?;
            Loaded::Correlator(Arc::new(WasmCorrelator {
                pool: Pool::new(instance.spec.reuse),
                pre,
                instance,
                correlate,
            }))
        }
        Role::Action => return Err(LoadError::Kind("an action")),
    })
}

fn check_exports(kind: Kind, has: &impl Fn(&str) -> bool) -> Result<(), LoadError> {
    let interface = match kind {
        Kind::Connector => "decode",
        Kind::Detector => "detect",
        Kind::Correlator => "correlate",
        Kind::Action => "act",
    };
    if has(interface) {
        return Ok(());
    }
    Err(LoadError::Exports { kind, interface })
}

fn check_config(pre: &InstancePre<GuestState>, instance: &Arc<Instance>) -> Result<(), LoadError> {
    let indices = exports::config_check::GuestIndices::new(pre).map_err(shape)?;
    let mut guest = Guest::start(pre, instance, |store, started| indices.load(store, started))?;
    let config = &instance.spec.config;
    guest
        .call(Call::ConfigCheck, |exports, store| {
            exports.call_check(store, config)
        })?
        .map_err(|complaints| {
            let complaints = complaints.into_iter().take(COMPLAINTS_MAX);
            LoadError::Config(complaints.map(|text| line(clip(text, 500))).collect())
        })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn shape(error: wasmtime::Error) -> LoadError {
    LoadError::Shape(line(clip(format!("{error:#}"), SHAPE_BYTES_MAX)))
}
