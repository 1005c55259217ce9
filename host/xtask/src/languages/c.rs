//! C, compiled by `zig cc`, which brings its own C library for WebAssembly.
//! What of it a plugin needs imports nothing of WASI.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Tools, Work, bindings, encode};
use crate::install;
use crate::progress::{target, workspace};

/// What the world is called in generated code, whichever it is: so one file
/// can serve several kinds of plugins.
const WORLD: &str = "plugin";

pub(super) fn build(tools: &Tools, work: &Work, folder: &Path) -> Result<Vec<u8>> {
    work.without_wasi(
        "what a plugin needs of the C library imports nothing of it, and what imports some of it \
         does not link",
    )?;
    let options = wit_bindgen_c::Opts {
        rename_world: Some(WORLD.to_owned()),
        ..Default::default()
    };
    bindings(options.build(), &work.world, folder)?;
    let kit = workspace().join("sdk/c");
    let module = folder.join("module.wasm");
    let mut compiler = tools.program("python-zig");
    compiler
        .current_dir(folder)
        .env("ZIG_GLOBAL_CACHE_DIR", target().join("tools/zig-cache"))
        .env("ZIG_LOCAL_CACHE_DIR", target().join("tools/zig-cache"))
        .args(["cc", "-target", "wasm32-wasi", "-mexec-model=reactor"])
        // A product and a sum are rounded one by one, as everywhere else.
        .args(["-std=c17", "-O2", "-s", "-ffp-contract=off"])
        .args(["-Wall", "-Wextra", "-Werror"])
        .arg("-I")
        .arg(&kit)
        // Generated code has its own ideas of style.
        .arg("-isystem")
        .arg(folder)
        .arg(&work.source)
        .arg(kit.join("json.c"))
        .args(["-Wno-everything", "plugin.c", "plugin_component_type.o"])
        .arg("-o")
        .arg(&module);
    install::run(&mut compiler)?;
    encode(&fs::read(&module).context("reading what it made")?, None)
}
