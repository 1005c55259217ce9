//! WASI that is not there: what a component gets that imports WASI 0.2 and
//! whose manifest says `wasi = true`.
//!
//! Some languages' runtimes ask for an operating system, whether or not the
//! plugin uses it. They get one without arguments, environment, folders,
//! network and input. Its clock shows the time of the one envelope or situation
//! that a call is about, and stands still in a detector, which is given rows in
//! batches of any size. Its random numbers are the same for each guest of a
//! component. What is printed becomes lines of the plugin's log, under the same
//! budget. So history stays what it was: the same data give the same answers, on
//! any day.
//!
//! Nothing of this is generated from WASI's own description, of which there are
//! more versions each month: functions are linked as the component itself
//! describes them, and what is answered is checked against that description. So
//! any 0.2 will do, and a description that lies costs its component a trap.
//! It also leaves `wasmtime-wasi` out, most of which is access to files and
//! sockets, and which wants fibers.

mod answers;
mod state;

use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, ResourceType, Val};

use crate::guest::GuestState;
use state::Handle;
pub(crate) use state::{NullWasi, Shows};

/// All imports of this package family begin so.
pub(crate) const PACKAGES: &str = "wasi:";

/// The interfaces that are answered. Whatever else WASI has or will have is
/// refused by its name.
const INTERFACES: [&str; 27] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// The version that is answered, whatever its last number.
const VERSION: &str = "0.2.";

/// Whether an import such as `wasi:io/poll@0.2.9` is one that is answered.
pub(crate) fn answers(import: &str) -> bool {
    import.split_once('@').is_some_and(|(interface, version)| {
        INTERFACES.contains(&interface) && version.starts_with(VERSION)
    })
}

/// Links what a component imports of WASI. Its imports have been checked.
pub(crate) fn link(
    linker: &mut Linker<GuestState>,
    engine: &wasmtime::Engine,
    component: &Component,
) -> wasmtime::Result<()> {
    for (import, item) in component.component_type().imports(engine) {
        if !answers(import) {
            continue;
        }
        let ComponentItem::ComponentInstance(instance) = item.ty else {
            wasmtime::bail!("imports `{import}`, but not as an interface");
        };
        let interface: Arc<str> = import.split('@').next().unwrap_or(import).into();
        let mut into = linker.instance(import)?;
        for (name, item) in instance.exports(engine) {
            match item.ty {
                ComponentItem::Type(_) => {}
                ComponentItem::Resource(_) => {
                    let handle = Handle::named(name).ok_or_else(|| {
                        wasmtime::format_err!("`{import}` has no resource `{name}`")
                    })?;
                    into.resource(
                        name,
                        ResourceType::host_dynamic(handle.type_number()),
                        |mut context, rep| {
                            context.data_mut().wasi.dropped(rep);
                            Ok(())
                        },
                    )?;
                }
                ComponentItem::ComponentFunc(_) => {
                    let (interface, function) = (Arc::clone(&interface), Arc::<str>::from(name));
                    into.func_new(name, move |mut context, ty, params, results| {
                        context.data_mut().enter_host()?;
                        let params = lifted(&mut context, params)?;
                        let call = answers::Call {
                            interface: &interface,
                            function: &function,
                            params: &params,
                            ty: &ty,
                        };
                        let answer = answers::answer(&mut context, &call)?;
                        match (results, answer) {
                            ([], None) => Ok(()),
                            ([result], Some(value)) => {
                                *result = value;
                                Ok(())
                            }
                            _ => Err(wasmtime::format_err!(
                                "`{interface}` has no `{function}` of this shape"
                            )),
                        }
                    })?;
                }
                _ => wasmtime::bail!("`{import}` has no `{name}` of this sort"),
            }
        }
    }
    Ok(())
}

/// An argument: a handle's number, or any other value.
pub(crate) enum Param {
    Handle(u32),
    /// Handles in a list.
    Handles(Vec<u32>),
    Value(Val),
}

/// Takes handles out of arguments: the engine counts those that a host function
/// holds, and they must be given back whatever happens.
fn lifted(
    context: &mut StoreContextMut<'_, GuestState>,
    params: &[Val],
) -> wasmtime::Result<Vec<Param>> {
    let mut number = |val: &Val| match val {
        Val::Resource(handle) => Ok(Some(handle.try_into_resource_dynamic(&mut *context)?.rep())),
        _ => wasmtime::Result::Ok(None),
    };
    params
        .iter()
        .map(|param| {
            if let Some(handle) = number(param)? {
                return Ok(Param::Handle(handle));
            }
            if let Val::List(items) = param
                && matches!(items.first(), Some(Val::Resource(_)))
            {
                let handles: wasmtime::Result<Option<Vec<u32>>> =
                    items.iter().map(&mut number).collect();
                return Ok(Param::Handles(handles?.unwrap_or_default()));
            }
            Ok(Param::Value(param.clone()))
        })
        .collect()
}
