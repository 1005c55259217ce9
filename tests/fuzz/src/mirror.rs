//! Guests that answer with bytes of our choice.
//!
//! A mirror returns, as the address of its answer, the address of a list of
//! bytes that it was called with. So those bytes are read as an answer, by the
//! rules of the canonical ABI (Component Model, "Canonical ABI"): lengths,
//! addresses, tags and characters that no compiler would make included.

use std::path::Path;
use std::sync::Arc;

use faultline_domain::audit::Entry;
use faultline_domain::grant::Effective;
use faultline_domain::id::InstanceName;
use faultline_domain::plugin::{Limits, Reuse};
use faultline_domain::time::Timestamp;
use faultline_sandbox::{
    Committed, InstanceSpec, Item, ItemChange, Loaded, Pending, Role, Sandbox, ServiceError,
    Services,
};
use tokio::runtime::Runtime;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A loaded mirror, with what it runs on.
pub(crate) struct Mirror {
    pub(crate) loaded: Loaded,
    _sandbox: Sandbox,
    _runtime: Runtime,
}

/// Memory is handed out from here on, and never taken back: guests are fresh,
/// and those of detectors start again when they are full.
const ALLOCATOR: &str = r#"
  (memory (export "memory") 4)
  (global $next (mut i32) (i32.const 65536))
  (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
    (local $address i32)
    (local.set $address (global.get $next))
    (global.set $next (i32.and (i32.add (i32.add (local.get $address) (local.get $size))
                                        (i32.const 15))
                               (i32.const -16)))
    (if (i32.gt_u (global.get $next) (i32.mul (memory.size) (i32.const 65536)))
      (then (if (i32.eq (memory.grow (i32.const 64)) (i32.const -1)) (then unreachable))))
    (local.get $address))
"#;

impl Mirror {
    /// Makes and loads a component of a world. `functions` are its exports,
    /// in WAT, beside memory and its allocator.
    pub(crate) fn load(world: &str, functions: &str, role: Role) -> Self {
        let component = component(world, functions);
        let runtime = Runtime::new().expect("a runtime");
        let sandbox = sandbox(&runtime);
        let loaded = sandbox
            .load(spec(), role, &component, &[])
            .expect("mirrors are good components");
        Self {
            loaded,
            _sandbox: sandbox,
            _runtime: runtime,
        }
    }
}

/// A sandbox with nothing around it.
pub(crate) fn sandbox(runtime: &Runtime) -> Sandbox {
    Sandbox::start(
        Arc::new(NoServices),
        runtime.handle().clone(),
        Arc::new(|| Timestamp::from_secs(1)),
    )
    .expect("a sandbox")
}

/// An instance of a component, with nothing granted.
pub(crate) fn spec() -> InstanceSpec {
    InstanceSpec {
        name: InstanceName::new("mirror").expect("a name"),
        plugin: "tests/mirror".to_owned(),
        version: "0.1.0".to_owned(),
        config: "{}".to_owned(),
        limits: Limits {
            items: 1_000,
            output_bytes: 1 << 20,
            ..Limits::default()
        },
        grants: Effective::default(),
        reuse: Reuse::Fresh,
        wasi: false,
    }
}

/// A component of a world whose exports are these functions, in WAT.
pub(crate) fn component(world: &str, functions: &str) -> Vec<u8> {
    let text = format!("(module {ALLOCATOR} {functions})");
    let mut module = wat::parse_str(text).expect("mirrors are written well");
    let mut resolve = Resolve::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let (package, _) = resolve.push_dir(&folder).expect("our own contract");
    let world = resolve
        .select_world(&[package], Some(world))
        .expect("a world of the contract");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("a module takes a section more");
    ComponentEncoder::default()
        .module(&module)
        .and_then(|mut encoder| encoder.encode())
        .expect("mirrors export what their world wants")
}

/// A host that has nothing to offer.
struct NoServices;

fn nothing<'a, T>() -> Pending<'a, T> {
    Box::pin(async { Err(ServiceError("nothing is offered here".to_owned())) })
}

impl Services for NoServices {
    /// Failures of guests are put on the audit log, which must not fail.
    fn audit(&self, _: Entry) -> Pending<'_, u64> {
        Box::pin(async { Ok(1) })
    }

    fn kv_fetch(&self, _: InstanceName, _: Vec<String>) -> Pending<'_, Vec<Item>> {
        nothing()
    }

    fn kv_scan(
        &self,
        _: InstanceName,
        _: String,
        _: Option<String>,
        _: u32,
    ) -> Pending<'_, Vec<Item>> {
        nothing()
    }

    fn kv_commit(&self, _: InstanceName, _: Vec<ItemChange>, _: u64) -> Pending<'_, Committed> {
        nothing()
    }
}
