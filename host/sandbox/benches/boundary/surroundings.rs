//! A sandbox with bundled plugins, and services that do nothing.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use faultline_bundle::Bundle;
use faultline_domain::audit::Entry;
use faultline_domain::grant::{Effective, Use};
use faultline_domain::id::InstanceName;
use faultline_domain::plugin::{Kind, Limits};
use faultline_domain::time::Timestamp;
use faultline_sandbox::{
    CacheKey, CodeCache, Committed, Compiler, InstanceSpec, Item, ItemChange, Loaded, Pending,
    Role, Sandbox, Services,
};
use tokio::runtime::Runtime;

/// More than all plugins take.
const CACHE_BYTES_MAX: u64 = 1 << 30;

/// What plugins run in.
pub(crate) struct Surroundings {
    sandbox: Sandbox,
    _runtime: Runtime,
}

impl Surroundings {
    /// Starts a sandbox.
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let runtime = Runtime::new()?;
        let clock = Arc::new(|| Timestamp::from_secs(1));
        let sandbox = Sandbox::start(Arc::new(Nothing), runtime.handle().clone(), clock)?;
        Ok(Self {
            sandbox,
            _runtime: runtime,
        })
    }

    /// The same with a cache in this folder.
    pub(crate) fn with_cache(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let cache = CodeCache::open(folder, CacheKey([1; 32]), CACHE_BYTES_MAX)?;
        let mut plain = Self::new()?;
        plain.sandbox = plain
            .sandbox
            .with_compiler(Compiler::in_process(), Some(cache), "bench");
        Ok(plain)
    }

    /// Components that were compiled and not found.
    pub(crate) fn compiled(&self) -> u64 {
        self.sandbox.component_usage().compiled
    }

    /// Loads the first component of a first-party bundle, with its own
    /// defaults and limits.
    pub(crate) fn load(&self, name: &str) -> Result<Loaded, Box<dyn Error>> {
        self.load_from("bundles", name, "{}")
    }

    /// Loads the first component of a bundle in a folder of Cargo's target
    /// folder, with this configuration.
    pub(crate) fn load_from(
        &self,
        folder: &str,
        name: &str,
        config: &str,
    ) -> Result<Loaded, Box<dyn Error>> {
        self.load_bundle(&Self::read(folder, name)?, name, config)
    }

    /// Reads a bundle.
    pub(crate) fn read(folder: &str, name: &str) -> Result<Bundle, Box<dyn Error>> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target"),
            PathBuf::from,
        );
        Bundle::read_folder(&target.join(folder).join(name))
            .map_err(|error| format!("{error}: `cargo xtask plugins` builds it").into())
    }

    /// Loads the first component of a bundle.
    pub(crate) fn load_bundle(
        &self,
        bundle: &Bundle,
        name: &str,
        config: &str,
    ) -> Result<Loaded, Box<dyn Error>> {
        let component = &bundle.manifest().components[0];
        let wasm = bundle.wasm(component)?;
        let most = Limits {
            memory_bytes: 1 << 30,
            state_bytes: 1 << 30,
            ..Limits::default()
        };
        let spec = InstanceSpec {
            name: InstanceName::new("under-test")?,
            plugin: format!("faultline/{name}"),
            version: "0.1.0".to_owned(),
            config: bundle
                .config_schema(component)?
                .resolve(config)?
                .to_string(),
            limits: component.limits.resolve(most),
            // What they are measured at needs nothing.
            grants: Effective::default(),
            reuse: component.reuse,
            wasi: component.wasi,
        };
        let role = match component.kind {
            Kind::Connector => Role::Connector {
                family: name.to_owned(),
            },
            Kind::Detector => Role::Detector {
                inputs: component.inputs,
            },
            Kind::Correlator => Role::Correlator,
            Kind::Action => Role::Action,
        };
        let declared: Vec<Use> = component.capabilities.iter().map(|r| r.using).collect();
        Ok(self.sandbox.load(spec, role, wasm, &declared)?)
    }
}

/// Services without anything behind them: what is measured asks for nothing.
struct Nothing;

impl Services for Nothing {
    fn audit(&self, _: Entry) -> Pending<'_, u64> {
        Box::pin(async { Ok(1) })
    }

    fn kv_fetch(&self, _: InstanceName, _: Vec<String>) -> Pending<'_, Vec<Item>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn kv_scan(
        &self,
        _: InstanceName,
        _: String,
        _: Option<String>,
        _: u32,
    ) -> Pending<'_, Vec<Item>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn kv_commit(&self, _: InstanceName, _: Vec<ItemChange>, _: u64) -> Pending<'_, Committed> {
        Box::pin(async { Ok(Committed::Written(1)) })
    }
}
