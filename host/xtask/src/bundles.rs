//! From the sources of plugins to bundles: compiled, made components, put
//! beside their manifests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use wit_component::ComponentEncoder;

use crate::install;
use crate::progress::{say, target, workspace};
use crate::toolchain::{TARGET, Toolchain, guests_folder};

/// Folders whose folders are plugins.
const NURSERIES: [&str; 6] = [
    "plugins/connectors",
    "plugins/detectors",
    "plugins/correlators",
    "plugins/actions",
    "examples",
    "tests/guests",
];

/// The first-party plugins among them: what comes with the host.
const FIRST_PARTY: &str = "plugins/";

/// Which of a plugin's files belong to its bundle, beside the components.
const BUNDLE_FILES: [&str; 4] = ["plugin.toml", "config.schema.json", "README.md", "LICENSE"];

/// The profile that guests are built with, in the workspace's manifest.
const PROFILE: &str = "guest";

/// A plugin's folder, and what is built of it.
struct Source {
    folder: PathBuf,
    /// The name of the folder: also that of the component's file, and of the
    /// bundle's folder.
    name: String,
    package: String,
    first_party: bool,
}

/// Builds all plugins of the checkout. Bundles of first-party plugins go to
/// `target/bundles`, all others to `target/other-bundles`.
///
/// # Errors
/// If there is no compiler for guests, one does not compile, or is no
/// component.
pub(crate) fn build_all() -> Result<()> {
    let sources = sources()?;
    let toolchain = Toolchain::ensure()?;
    let began = Instant::now();
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    say(format_args!("plugins: building {}", names.join(", ")));
    let mut cargo = toolchain.cargo();
    cargo.current_dir(workspace()).args([
        "build",
        "--quiet",
        "--profile",
        PROFILE,
        "--target",
        TARGET,
    ]);
    for source in &sources {
        cargo.args(["--package", &source.package]);
    }
    let status = cargo.status().context("starting cargo")?;
    if !status.success() {
        bail!("the plugins do not build");
    }
    for source in &sources {
        let size = bundle(source).with_context(|| format!("bundling {}", source.name))?;
        say(format_args!(
            "plugins: {} ({} KB)",
            source.name,
            size / 1_000
        ));
    }
    say(format_args!(
        "plugins: built in {} s",
        began.elapsed().as_secs()
    ));
    Ok(())
}

/// Where the bundles of first-party plugins are.
pub(crate) fn bundles_folder() -> PathBuf {
    target().join("bundles")
}

/// Where those of examples and tests are.
pub(crate) fn other_bundles_folder() -> PathBuf {
    target().join("other-bundles")
}

/// The folders that have both a manifest of a plugin and one of a crate.
fn sources() -> Result<Vec<Source>> {
    let packages = packages()?;
    let mut sources = Vec::new();
    for nursery in NURSERIES {
        let Ok(entries) = fs::read_dir(workspace().join(nursery)) else {
            continue;
        };
        for entry in entries {
            let folder = entry?.path();
            let is_plugin = folder.join("plugin.toml").exists();
            let Some(package) = packages
                .get(&folder.join("Cargo.toml"))
                .filter(|_| is_plugin)
            else {
                continue;
            };
            sources.push(Source {
                name: folder
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                package: package.clone(),
                first_party: nursery.starts_with(FIRST_PARTY),
                folder,
            });
        }
    }
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(sources)
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}

/// The workspace's packages, by their manifests.
fn packages() -> Result<BTreeMap<PathBuf, String>> {
    let output = install::run(
        Command::new(install::cargo())
            .current_dir(workspace())
            .args(["metadata", "--format-version", "1", "--no-deps"]),
    )?;
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("reading cargo's metadata")?;
    Ok(metadata
        .packages
        .into_iter()
        .map(|package| (package.manifest_path, package.name))
        .collect())
}

/// Makes a component of what was compiled and puts it beside its manifest.
/// Gives the size of the component in bytes.
fn bundle(source: &Source) -> Result<usize> {
    let library = format!("{}.wasm", source.package.replace('-', "_"));
    let module = guests_folder().join(TARGET).join(PROFILE).join(library);
    let module = read(&module)?;
    let component = ComponentEncoder::default()
        .module(&module)
        .map_err(|error| anyhow::anyhow!("{error:#}"))?
        .validate(true)
        .encode()
        .map_err(|error| anyhow::anyhow!("{error:#}"))
        .context("making a component of it")?;
    let all = if source.first_party {
        bundles_folder()
    } else {
        other_bundles_folder()
    };
    let folder = all.join(&source.name);
    let mut files: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    for file in BUNDLE_FILES {
        let path = source.folder.join(file);
        if path.exists() {
            files.insert(file.into(), read(&path)?);
        }
    }
    files.extend(cases(&source.folder)?);
    files.insert(format!("{}.wasm", source.name).into(), component);
    let size = files.values().map(Vec::len).max().unwrap_or(0);
    replace_folder(&folder, &files)?;
    Ok(size)
}

/// Makes a folder hold these files and no others. What is the same already is
/// not written again, so that whatever depends on it is not built again.
fn replace_folder(folder: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    let same = files
        .iter()
        .all(|(name, content)| fs::read(folder.join(name)).is_ok_and(|there| there == *content))
        && count_files(folder) == files.len();
    if same {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    for (name, content) in files {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn count_files(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, |entries| {
        entries
            .flatten()
            .map(|entry| match entry.file_type() {
                Ok(kind) if kind.is_dir() => count_files(&entry.path()),
                _ => 1,
            })
            .sum()
    })
}

/// Golden cases; the folder may hold tests of other sorts too.
fn cases(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut cases = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder.join("tests")) else {
        return Ok(cases);
    };
    for entry in entries {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let name = Path::new("tests").join(path.file_name().unwrap_or_default());
            cases.insert(name, read(&path)?);
        }
    }
    Ok(cases)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}
