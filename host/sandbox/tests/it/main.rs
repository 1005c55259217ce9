//! Guests that misbehave, and the sandbox that holds. The guests are built by
//! `cargo xtask plugins`.

mod attacks;
mod behaviour;
mod detectors;
mod floods;
mod imports;
mod languages;
mod made;
mod null_wasi;
mod random;
mod state;
mod wasi;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use faultline_bundle::Bundle;
use faultline_domain::audit::Entry;
use faultline_domain::envelope::{Arrival, Envelope, Format, Position};
use faultline_domain::grant::{Effective, Grant, Request, Use};
use faultline_domain::id::{InstanceName, SourceName};
use faultline_domain::plugin::{Kind, Limits, Reuse};
use faultline_domain::secret::{Secret, SecretRef};
use faultline_domain::time::Timestamp;
use faultline_sandbox::{
    Committed, InstanceSpec, Item, ItemChange, LoadError, Loaded, Pending, Role, Sandbox,
    ServiceError, Services,
};
use tokio::runtime::Runtime;

/// Services in memory.
#[derive(Default)]
struct Memory {
    rows: Mutex<Vec<Entry>>,
    items: Mutex<BTreeMap<String, Item>>,
    audit_fails: Mutex<bool>,
    /// Writes are made, and nobody ever hears of it.
    commits_hang: Mutex<bool>,
    secrets: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Memory {
    /// What was put on the audit log: stage and action.
    fn recorded(&self) -> Vec<String> {
        let rows = self.rows.lock().expect("no panic");
        rows.iter()
            .map(|entry| format!("{} {}", entry.stage.as_str(), entry.action))
            .collect()
    }
}

impl Memory {
    /// Keeps a secret there.
    fn keep(&self, reference: &str, secret: &str) {
        let mut secrets = self.secrets.lock().expect("no panic");
        secrets.insert(reference.to_owned(), secret.as_bytes().to_vec());
    }
}

impl Services for Memory {
    fn secret(&self, reference: SecretRef) -> Pending<'_, Secret> {
        Box::pin(async move {
            let secrets = self.secrets.lock().expect("no panic");
            let bytes = secrets.get(&reference.to_string()).cloned();
            bytes
                .and_then(Secret::new)
                .ok_or_else(|| ServiceError("no such secret".to_owned()))
        })
    }

    fn audit(&self, entry: Entry) -> Pending<'_, u64> {
        Box::pin(async move {
            if *self.audit_fails.lock().expect("no panic") {
                return Err(ServiceError("the disk is full".to_owned()));
            }
            let mut rows = self.rows.lock().expect("no panic");
            rows.push(entry);
            Ok(rows.len() as u64)
        })
    }

    fn kv_fetch(&self, _: InstanceName, keys: Vec<String>) -> Pending<'_, Vec<Item>> {
        Box::pin(async move {
            let items = self.items.lock().expect("no panic");
            Ok(keys
                .iter()
                .filter_map(|key| items.get(key).cloned())
                .collect())
        })
    }

    fn kv_scan(
        &self,
        _: InstanceName,
        prefix: String,
        after: Option<String>,
        most: u32,
    ) -> Pending<'_, Vec<Item>> {
        Box::pin(async move {
            let items = self.items.lock().expect("no panic");
            Ok(items
                .values()
                .filter(|item| item.key.starts_with(&prefix))
                .filter(|item| after.as_ref().is_none_or(|after| item.key > *after))
                .take(most as usize)
                .cloned()
                .collect())
        })
    }

    fn kv_commit(
        &self,
        _: InstanceName,
        changes: Vec<ItemChange>,
        quota_bytes: u64,
    ) -> Pending<'_, Committed> {
        Box::pin(async move {
            let bytes = changes
                .iter()
                .filter_map(|c| c.value.as_ref())
                .map(Vec::len)
                .sum::<usize>();
            if bytes as u64 > quota_bytes {
                return Ok(Committed::OverQuota(bytes as u64));
            }
            for change in changes {
                let value = change.value.unwrap_or_default();
                let item = Item {
                    key: change.key.clone(),
                    value,
                    version: 1,
                };
                let mut items = self.items.lock().expect("no panic");
                items.insert(change.key, item);
            }
            let hangs = *self.commits_hang.lock().expect("no panic");
            if hangs {
                std::future::pending::<()>().await;
            }
            Ok(Committed::Written(1))
        })
    }
}

/// A sandbox with its surroundings.
struct Bench {
    sandbox: Sandbox,
    services: Arc<Memory>,
    _runtime: Runtime,
}

impl Bench {
    fn new() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let services = Arc::new(Memory::default());
        let sandbox = Sandbox::start(
            Arc::clone(&services) as Arc<dyn Services>,
            runtime.handle().clone(),
            Arc::new(|| Timestamp::from_secs(1)),
        )
        .expect("a sandbox");
        Self {
            sandbox,
            services,
            _runtime: runtime,
        }
    }

    /// Loads the first component of a bundle, with all that it asks for
    /// granted.
    fn load(&self, bundle: &str, config: &str, limits: Limits) -> Result<Loaded, LoadError> {
        self.load_granted(bundle, config, limits, true)
    }

    fn load_granted(
        &self,
        name: &str,
        config: &str,
        limits: Limits,
        granted: bool,
    ) -> Result<Loaded, LoadError> {
        let bundle = bundle(name);
        self.load_from(&bundle, 0, config, limits, granted, |_| ())
    }

    /// Loads one of the components of a bundle, changed as a test wants it.
    fn load_component(
        &self,
        name: &str,
        index: usize,
        config: &str,
        limits: Limits,
        change: impl FnOnce(&mut InstanceSpec),
    ) -> Result<Loaded, LoadError> {
        self.load_from(&bundle(name), index, config, limits, true, change)
    }

    fn load_from(
        &self,
        bundle: &Bundle,
        index: usize,
        config: &str,
        limits: Limits,
        granted: bool,
        change: impl FnOnce(&mut InstanceSpec),
    ) -> Result<Loaded, LoadError> {
        let component = &bundle.manifest().components[index];
        let schema = bundle.config_schema(component).expect("a schema");
        let wasm = bundle.wasm(component).expect("a component");
        let mut spec = InstanceSpec {
            config: schema.resolve(config).expect("a configuration").to_string(),
            grants: grants(&component.capabilities, granted),
            limits,
            reuse: component.reuse,
            wasi: component.wasi,
            ..spec()
        };
        change(&mut spec);
        let role = match component.kind {
            Kind::Connector => Role::Connector {
                family: "test".to_owned(),
            },
            Kind::Detector => Role::Detector {
                inputs: component.inputs,
            },
            Kind::Correlator => Role::Correlator,
            Kind::Action => Role::Action,
        };
        let declared: Vec<Use> = component.capabilities.iter().map(|r| r.using).collect();
        self.sandbox.load(spec, role, wasm, &declared)
    }
}

/// All that was asked for, granted whole; or nothing of it.
fn grants(requested: &[Request], granted: bool) -> Effective {
    let grants: Vec<Grant> = requested
        .iter()
        .filter(|_| granted)
        .map(|request| {
            let asked = request.asked(&|_| None).expect("needs no setting");
            Grant::whole(&request.id, asked, "a test", Timestamp::ZERO, "")
        })
        .collect();
    let grants = Effective::resolve(requested, &grants, &|_| None, Timestamp::ZERO);
    grants.expect("granted")
}

fn spec() -> InstanceSpec {
    InstanceSpec {
        name: InstanceName::new("under-test").expect("a name"),
        plugin: "tests/guest".to_owned(),
        version: "0.1.0".to_owned(),
        config: "{}".to_owned(),
        limits: Limits::default(),
        grants: Effective::default(),
        reuse: Reuse::Fresh,
        wasi: false,
    }
}

fn bundle(name: &str) -> Bundle {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    );
    let folder = target.join("other-bundles").join(name);
    Bundle::read_folder(&folder)
        .unwrap_or_else(|error| panic!("{error}: `cargo xtask plugins` builds it"))
}

fn envelope(body: &str) -> Envelope {
    Envelope {
        position: Position(1),
        arrival: Arrival {
            source: SourceName::new("test").expect("a name"),
            format: Format::Connector(InstanceName::new("under-test").expect("a name")),
            content_type: "text/plain".to_owned(),
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
            received: Timestamp::from_secs(5),
        },
    }
}
