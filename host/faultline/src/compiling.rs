//! How components are compiled: by this same program, started anew for each, and
//! kept in the data folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use faultline_sandbox::{CacheKey, CodeCache, Compiler, Sandbox, WorkerProgram};

use crate::config::CompileConfig;
use crate::folder::Folder;
use crate::randomness;

/// The program that runs, even where its file was replaced since.
const ITSELF: &str = "/proc/self/exe";

/// The command that compiles.
const WORKER: &str = "compile-worker";

/// The sandbox, told how to compile.
///
/// # Errors
/// If this program cannot be found, or the cache's key not be had.
pub(crate) fn with_compiler(
    sandbox: Sandbox,
    config: &CompileConfig,
    folder: &Folder,
) -> Result<Sandbox> {
    let program = itself()?;
    let build = build(&program)?;
    let worker = WorkerProgram {
        program,
        arguments: vec![WORKER.into()],
        // What the allocator takes in advance, a gibibyte at once, would count as
        // taken.
        environment: vec![("MIMALLOC_ARENA_RESERVE", "0")],
    };
    let compiler = if cfg!(test) {
        // The program that unit tests run in does not know the command.
        Compiler::in_process()
    } else {
        Compiler::in_child(worker, config.limits(), config.at_once)
    };
    Ok(sandbox.with_compiler(compiler, cache(config, folder)?, &build))
}

/// The cache; none if none is wanted, or none can be trusted.
fn cache(config: &CompileConfig, folder: &Folder) -> Result<Option<CodeCache>> {
    let bytes_max = config.cache.as_u64();
    if bytes_max == 0 {
        return Ok(None);
    }
    let key = CacheKey(folder.code_key(randomness::fill)?);
    match CodeCache::open(&folder.code(), key, bytes_max) {
        Ok(cache) => Ok(Some(cache)),
        Err(error) => {
            // Everything is compiled at each start then, which is no reason not
            // to start.
            let error = anyhow::Error::new(error);
            tracing::error!("compiled components are not kept: {error:#}");
            Ok(None)
        }
    }
}

fn itself() -> Result<PathBuf> {
    let itself = Path::new(ITSELF);
    if itself.exists() {
        return Ok(itself.to_owned());
    }
    std::env::current_exe().context("finding this program, which also compiles components")
}

/// What tells this build from others: while it is worked on, many have the same
/// version.
fn build(program: &Path) -> Result<String> {
    let about = fs::metadata(program).context("looking at this program")?;
    let written = about.modified().context("looking at this program")?;
    let version = env!("CARGO_PKG_VERSION");
    Ok(format!("{version} {} {written:?}", about.len()))
}
