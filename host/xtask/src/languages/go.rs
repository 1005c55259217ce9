//! Go, by its own compiler. Its runtime wants WASI preview 1, for which
//! `sdk/wasi/none.wat` stands in.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Tools, Work, bindings, component_without_wasi, copy_folder};
use crate::progress::target;
use crate::{install, metadata};

/// The package that generated code imports.
const RUNTIME: &str = "go.bytecodealliance.org/pkg";

/// The crate that generates the code. The package comes with it, so that both
/// are of one version and nothing is fetched.
const GENERATOR: &str = "wit-bindgen-go";

pub(super) fn build(tools: &Tools, work: &Work, folder: &Path) -> Result<Vec<u8>> {
    work.without_wasi(
        "`sdk/wasi/none.wat` answers inside the component what Go's runtime asks of it",
    )?;
    bindings(wit_bindgen_go::Opts::default().build(), &work.world, folder)?;
    copy_folder(&work.source, folder)?;
    let manifest = folder.join("go.mod");
    let text = fs::read_to_string(&manifest).context("reading the generated go.mod")?;
    let runtime = tools.go_runtime.display();
    fs::write(
        &manifest,
        format!("{text}\nreplace {RUNTIME} => {runtime}\n"),
    )
    .with_context(|| format!("writing {}", manifest.display()))?;
    let module = folder.join("module.wasm");
    let cache = target().join("tools/go");
    let mut compiler = tools.program("go");
    compiler
        .current_dir(folder)
        .env("GOOS", "wasip1")
        .env("GOARCH", "wasm")
        .env("GOCACHE", cache.join("cache"))
        .env("GOPATH", cache.join("path"))
        .env("GOENV", "off")
        .env("GOWORK", "off")
        // Nothing is fetched: the runtime is here, and so is the compiler.
        .env("GOPROXY", "off")
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=mod")
        .args(["build", "-trimpath", "-buildvcs=false"])
        .arg("-buildmode=c-shared")
        // The generated code links to two functions of Go's own runtime.
        .arg("-ldflags=-s -w -checklinkname=0")
        .arg("-o")
        .arg(&module)
        .arg(".");
    install::run(&mut compiler)?;
    component_without_wasi(
        fs::read(&module).context("reading what it made")?,
        &work.world,
    )
}

/// Where the runtime package is, in the sources of the generator.
pub(super) fn runtime() -> Result<PathBuf> {
    metadata::all()?
        .into_iter()
        .find(|package| package.name == GENERATOR)
        .and_then(|package| Some(package.manifest_path.parent()?.join("src/pkg")))
        .filter(|folder| folder.join("go.mod").exists())
        .with_context(|| format!("the crate {GENERATOR} has no Go package in `src/pkg`"))
}
