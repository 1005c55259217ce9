//! From the sources of plugins to bundles: compiled, made components, put
//! beside their manifests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use wit_component::ComponentEncoder;

use crate::languages::{self, Language, Tools, Work};
use crate::progress::{say, target, workspace};
use crate::toolchain::{TARGET, Toolchain, guests_folder};
use crate::{install, metadata};

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
const BUNDLE_FILES: [&str; 3] = ["plugin.toml", "README.md", "LICENSE"];

/// What the names of schemas of configurations end in.
const SCHEMA: &str = ".schema.json";

/// The profile that guests are built with, in the workspace's manifest.
const PROFILE: &str = "guest";

/// A plugin's folder, and what is built of it.
struct Source {
    folder: PathBuf,
    /// The second half of the plugin's id: also the name of the bundle's
    /// folder.
    name: String,
    components: Vec<Component>,
    first_party: bool,
}

/// A component of a plugin.
struct Component {
    /// The name of its file, without the extension.
    name: String,
    made_of: MadeOf,
}

enum MadeOf {
    /// A package of the workspace.
    Rust(String),
    Other(Work),
}

impl Source {
    fn packages(&self) -> impl Iterator<Item = &str> {
        self.components
            .iter()
            .filter_map(|part| match &part.made_of {
                MadeOf::Rust(package) => Some(package.as_str()),
                MadeOf::Other(_) => None,
            })
    }

    fn is_rust(&self) -> bool {
        self.packages().count() == self.components.len()
    }
}

/// Builds all plugins of the checkout that are in Rust. Bundles of first-party plugins go to
/// `target/bundles`, all others to `target/other-bundles`.
///
/// # Errors
/// If there is no compiler for guests, one does not compile, or is no
/// component.
pub(crate) fn build_all() -> Result<()> {
    let mut sources = sources()?;
    sources.retain(Source::is_rust);
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
    for package in sources.iter().flat_map(Source::packages) {
        cargo.args(["--package", package]);
    }
    install::run_shown(&mut cargo).context("the plugins do not build")?;
    for source in &sources {
        let components = compiled(source)?;
        let size =
            bundle(source, components).with_context(|| format!("bundling {}", source.name))?;
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

/// Builds the plugins that are in other languages: the examples. Their
/// bundles go to `target/other-bundles`.
///
/// # Errors
/// If tools cannot be installed, or one does not build.
pub(crate) fn build_examples() -> Result<()> {
    let mut sources = sources()?;
    sources.retain(|source| !source.is_rust());
    let tools = Tools::ensure()?;
    let began = Instant::now();
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    say(format_args!("examples: building {}", names.join(", ")));
    for source in &sources {
        let mut components = BTreeMap::new();
        for part in &source.components {
            let MadeOf::Other(work) = &part.made_of else {
                bail!("{}: all of a plugin is in Rust, or nothing", source.name);
            };
            components.insert(part.name.clone(), languages::build(&tools, work)?);
        }
        let size =
            bundle(source, components).with_context(|| format!("bundling {}", source.name))?;
        say(format_args!(
            "examples: {} ({} KB)",
            source.name,
            size / 1_000
        ));
    }
    say(format_args!(
        "examples: built in {} s",
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

/// The folders that have a manifest of a plugin, with what their components are
/// made of: the crate that the folder is; or for a component `x.wasm` the crate
/// in the folder `x`, or a source in another language that is called `x`.
fn sources() -> Result<Vec<Source>> {
    let packages = packages()?;
    let mut sources = Vec::new();
    for nursery in NURSERIES {
        let Ok(entries) = fs::read_dir(workspace().join(nursery)) else {
            continue;
        };
        for entry in entries {
            let folder = entry?.path();
            let Ok(manifest) = fs::read_to_string(folder.join("plugin.toml")) else {
                continue;
            };
            let source = source(&folder, &manifest, &packages)
                .with_context(|| format!("reading {}", folder.display()))?;
            sources.push(Source {
                first_party: nursery.starts_with(FIRST_PARTY),
                ..source
            });
        }
    }
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(sources)
}

/// What of a manifest matters for building. All else is the host's to judge.
#[derive(Deserialize)]
struct Manifest {
    plugin: PluginTable,
    component: Vec<ComponentTable>,
}

#[derive(Deserialize)]
struct PluginTable {
    id: String,
}

#[derive(Deserialize)]
struct ComponentTable {
    kind: String,
    wasm: String,
    #[serde(default)]
    wasi: bool,
}

fn source(folder: &Path, manifest: &str, packages: &BTreeMap<PathBuf, String>) -> Result<Source> {
    let manifest: Manifest = toml::from_str(manifest).context("reading plugin.toml")?;
    let id = &manifest.plugin.id;
    let name = id.split_once('/').map_or(id.as_str(), |(_, name)| name);
    let mut components = Vec::new();
    for component in manifest.component {
        let stem = component.wasm.trim_end_matches(".wasm");
        let package = [folder.to_owned(), folder.join(stem)]
            .iter()
            .find_map(|folder| packages.get(&folder.join("Cargo.toml")));
        let made_of = match (package, Language::find(folder, stem)) {
            (Some(package), _) => MadeOf::Rust(package.clone()),
            (None, Some((language, source))) => MadeOf::Other(Work {
                name: format!("{name}-{stem}"),
                // Examples check their configurations.
                world: format!("checked-{}", component.kind),
                language,
                source,
                wasi: component.wasi,
            }),
            (None, None) => bail!("nothing there can become {}", component.wasm),
        };
        components.push(Component {
            name: stem.to_owned(),
            made_of,
        });
    }
    Ok(Source {
        folder: folder.to_owned(),
        name: name.to_owned(),
        components,
        first_party: false,
    })
}

/// The workspace's packages, by their manifests.
fn packages() -> Result<BTreeMap<PathBuf, String>> {
    Ok(metadata::own()?
        .into_iter()
        .map(|package| (package.manifest_path, package.name))
        .collect())
}

/// Makes components of what Cargo has compiled; by their names.
fn compiled(source: &Source) -> Result<BTreeMap<String, Vec<u8>>> {
    source
        .components
        .iter()
        .zip(source.packages())
        .map(|(part, package)| {
            let library = format!("{}.wasm", package.replace('-', "_"));
            let module = guests_folder().join(TARGET).join(PROFILE).join(library);
            let component = ComponentEncoder::default()
                .module(&read(&module)?)
                .map_err(|error| anyhow::anyhow!("{error:#}"))?
                .validate(true)
                .encode()
                .map_err(|error| anyhow::anyhow!("{error:#}"))
                .with_context(|| format!("making a component of {package}"))?;
            Ok((part.name.clone(), component))
        })
        .collect()
}

/// Puts components beside their manifest. Gives the size of the largest file in
/// bytes.
fn bundle(source: &Source, components: BTreeMap<String, Vec<u8>>) -> Result<usize> {
    let all = if source.first_party {
        bundles_folder()
    } else {
        other_bundles_folder()
    };
    let folder = all.join(&source.name);
    let mut files: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    for entry in fs::read_dir(&source.folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if BUNDLE_FILES.contains(&&*name) || name.ends_with(SCHEMA) {
            files.insert((&*name).into(), read(&path)?);
        }
    }
    files.extend(cases(&source.folder)?);
    for (name, component) in components {
        files.insert(format!("{name}.wasm").into(), component);
    }
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
