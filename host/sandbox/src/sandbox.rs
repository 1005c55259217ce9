//! Loading components: checked, compiled, linked, ready to be called.

use std::sync::Arc;

use faultline_domain::grant::Use;
use faultline_domain::id::Digest;
use faultline_domain::plugin::{Failure, Inputs, Kind};
use faultline_egress::Egress;
use thiserror::Error;
use tokio::runtime::Handle;
use wasmtime::component::{Component, InstancePre};

use crate::bindings::exports::faultline::plugin as exports;
use crate::connector::WasmConnector;
use crate::convert::{clip, line};
use crate::correlator::WasmCorrelator;
use crate::detector::WasmDetectorFactory;
use crate::engine::GuestEngine;
use crate::guest::{Call, Guest, GuestState};
use crate::host;
use crate::imports::{self, ImportError};
use crate::instance::{Clock, Instance, InstanceSpec};
use crate::poller::WasmPoller;
use crate::pool::Pool;
use crate::services::Services;
use crate::stats::Usage;
use crate::wasi;

/// The most bytes of a component.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;

/// The most complaints of a component about its configuration that are passed
/// on.
const COMPLAINTS_MAX: usize = 20;

/// Why a component cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// It is larger than any component should be.
    #[error("the component has {0} bytes; {COMPONENT_BYTES_MAX} at most")]
    TooLarge(usize),
    /// Not WebAssembly, or of a sort that this engine does not run.
    #[error("the component cannot be compiled: {0}")]
    Compile(String),
    /// It wants what it must not have.
    #[error("{}", join(.0))]
    Imports(Vec<ImportError>),
    /// It is not what its manifest says.
    #[error("is declared as a {kind}, but does not export faultline:plugin/{interface}@0.1.0")]
    Exports {
        /// What it is declared as.
        kind: Kind,
        /// What it would have to export.
        interface: &'static str,
    },
    /// It has a function that it should have, in another shape.
    #[error("does not fit faultline:plugin@0.1.0: {0}")]
    Shape(String),
    /// This host does not run components of this kind.
    #[error("is {0}, which this version of Faultline does not run")]
    Kind(&'static str),
    /// It complains about its configuration.
    #[error("the component refuses its configuration: {}", .0.join("; "))]
    Config(Vec<String>),
    /// It fails before it does anything.
    #[error("the component cannot be started: {0}")]
    Start(#[from] Failure),
}

fn join(errors: &[ImportError]) -> String {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// Compiles and runs components.
pub struct Sandbox {
    observers: GuestEngine,
    services: Arc<dyn Services>,
    egress: Option<Egress>,
    runtime: Handle,
    clock: Clock,
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
        self.instance().spec.digest
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
    /// Starts the engine.
    ///
    /// # Errors
    /// If the machine does not allow what it needs.
    pub fn start(
        services: Arc<dyn Services>,
        runtime: Handle,
        clock: Clock,
    ) -> Result<Self, LoadError> {
        let observers =
            GuestEngine::start().map_err(|error| LoadError::Compile(format!("{error:#}")))?;
        Ok(Self {
            observers,
            services,
            egress: None,
            runtime,
            clock,
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
        let engine = self.observers.engine();
        let component = compile(engine, wasm)?;
        let has = |interface: &str| {
            let name = format!("faultline:plugin/{interface}@0.1.0");
            component.get_export_index(None, &name).is_some()
        };
        check_exports(role.kind(), &has)?;
        let polls = role.kind() == Kind::Connector && has("poll");
        let types = component.component_type();
        let names: Vec<&str> = types.imports(engine).map(|(name, _)| name).collect();
        imports::check(names, role.kind(), polls, declared, spec.wasi)
            .map_err(LoadError::Imports)?;
        let mut linker = host::linker(engine, declared).map_err(shape)?;
        if spec.wasi {
            wasi::link(&mut linker, engine, &component).map_err(shape)?;
        }
        let pre = linker.instantiate_pre(&component).map_err(shape)?;
        let instance = Arc::new(Instance::new(
            spec,
            Arc::clone(&self.services),
            self.egress.clone(),
            self.runtime.clone(),
            Arc::clone(&self.clock),
        ));
        if has("config-check") {
            check_config(&pre, &instance)?;
        }
        into_loaded(role, polls, pre, instance)
    }
}

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
            if polls {
                let poller = WasmPoller {
                    poll: exports::poll::GuestIndices::new(&pre).map_err(shape)?,
                    pre,
                    instance,
                };
                Loaded::Poller(connector, Arc::new(poller))
            } else {
                Loaded::Connector(connector)
            }
        }
        Role::Detector { inputs } => Loaded::Detector(Arc::new(WasmDetectorFactory {
            detect: exports::detect::GuestIndices::new(&pre).map_err(shape)?,
            pre,
            instance,
            inputs,
        })),
        Role::Correlator => Loaded::Correlator(Arc::new(WasmCorrelator {
            correlate: exports::correlate::GuestIndices::new(&pre).map_err(shape)?,
            pool: Pool::new(instance.spec.reuse),
            pre,
            instance,
        })),
        Role::Action => return Err(LoadError::Kind("an action")),
    })
}

fn compile(engine: &wasmtime::Engine, wasm: &[u8]) -> Result<Component, LoadError> {
    if wasm.len() > COMPONENT_BYTES_MAX {
        return Err(LoadError::TooLarge(wasm.len()));
    }
    // From bytes of WebAssembly only: what was compiled elsewhere could be any
    // code at all.
    Component::from_binary(engine, wasm).map_err(|error| LoadError::Compile(format!("{error:#}")))
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
    LoadError::Shape(format!("{error:#}"))
}
