//! The hostile guests of `tests/hostile`: read, and made bundles. Their README
//! says what stands where.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use serde_json::{Map, Value};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::bundles::built;
use super::paths::workspace;
use super::server::bare_command;

/// A world beside those of the contract: a connector that checks its
/// configuration.
const CHECKED: &str = "
    package faultline:checked;
    world checked {
        import faultline:plugin/log@0.1.0;
        export faultline:plugin/decode@0.1.0;
        export faultline:plugin/config-check@0.1.0;
    }
";

/// A hostile guest.
pub(crate) struct HostileGuest {
    /// The name of its folder, and of its instance.
    pub(crate) name: String,
    /// The plugin that it is an instance of.
    pub(crate) plugin: String,
    pub(crate) kind: String,
    /// The files of its bundle.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) expected: Expected,
}

/// What is to come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Expected {
    pub(crate) stopped: Stopped,
    pub(crate) code: String,
    pub(crate) message: String,
    #[serde(default = "yes")]
    pub(crate) loses_payload: bool,
    #[serde(default)]
    pub(crate) samples: Vec<f64>,
    pub(crate) finds: Option<String>,
    pub(crate) after: Option<String>,
    /// It misbehaves while it fetches.
    #[serde(default)]
    pub(crate) polls: bool,
    /// Capabilities that it is given.
    #[serde(default)]
    pub(crate) grants: Vec<String>,
    guest: Option<String>,
    #[serde(default)]
    pub(crate) config: Map<String, Value>,
    #[serde(default)]
    pub(crate) limits: Map<String, Value>,
    world: Option<String>,
    #[serde(default)]
    precompiled: bool,
}

/// Where it is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stopped {
    /// When its bundle is read.
    Read,
    /// When an instance is to be made of it.
    Load,
    /// When it is called.
    Call,
}

fn yes() -> bool {
    true
}

/// What a manifest says that matters here.
#[derive(Deserialize)]
struct Manifest {
    plugin: ManifestPlugin,
    component: Vec<ManifestComponent>,
}

#[derive(Deserialize)]
struct ManifestPlugin {
    id: String,
}

#[derive(Deserialize)]
struct ManifestComponent {
    kind: String,
    wasm: String,
}

/// All of them, by name.
pub(crate) fn hostile_guests() -> Vec<HostileGuest> {
    let mut folders: Vec<PathBuf> = fs::read_dir(home())
        .expect("the folder of hostile guests")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders.iter().map(|folder| read(folder)).collect()
}

/// The files of a bundle that was built.
pub(crate) fn files_of(bundle: &str) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(built(bundle))
        .expect("a bundle")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            (name.into_owned(), fs::read(&path).expect("a file"))
        })
        .collect()
}

fn home() -> PathBuf {
    workspace().join("tests/hostile")
}

fn read(folder: &Path) -> HostileGuest {
    let name = folder.file_name().expect("a name").to_string_lossy();
    let text = text_of(&folder.join("expected.toml"))
        .unwrap_or_else(|| panic!("{name} does not say what is to come of it: expected.toml"));
    let expected: Expected =
        toml::from_str(&text).unwrap_or_else(|error| panic!("{name}/expected.toml: {error}"));
    let mut files = match &expected.guest {
        Some(guest) => files_of(guest),
        None => BTreeMap::new(),
    };
    if let Some(manifest) = text_of(&folder.join("plugin.toml")) {
        files.insert("plugin.toml".to_owned(), manifest.into_bytes());
    }
    let manifest = files
        .get("plugin.toml")
        .unwrap_or_else(|| panic!("{name} has neither a manifest nor a guest"));
    let manifest: Manifest =
        toml::from_slice(manifest).unwrap_or_else(|error| panic!("{name}/plugin.toml: {error}"));
    let component = &manifest.component[0];
    if expected.guest.is_none() {
        let bytes = component_of(folder, &component.kind, &expected);
        files.insert(component.wasm.clone(), bytes);
    }
    HostileGuest {
        name: name.into_owned(),
        plugin: manifest.plugin.id,
        kind: component.kind.clone(),
        files,
        expected,
    }
}

/// The bytes of its component, or of what stands in for one.
fn component_of(folder: &Path, kind: &str, expected: &Expected) -> Vec<u8> {
    let shown = folder.display();
    if let Some(text) = text_of(&folder.join("component.hex")) {
        return bytes_of(&text);
    }
    if let Some(text) = text_of(&folder.join("component.wat")) {
        let component = wat::parse_str(expanded(&text))
            .unwrap_or_else(|error| panic!("{shown}/component.wat: {error}"));
        return if expected.precompiled {
            compiled(&component)
        } else {
            component
        };
    }
    let text = text_of(&folder.join("guest.wat"))
        .unwrap_or_else(|| panic!("{shown} has neither code nor a guest that does it"));
    let module = wat::parse_str(expanded(&text))
        .unwrap_or_else(|error| panic!("{shown}/guest.wat: {error}"));
    let own = text_of(&folder.join("world.wit"));
    let (worlds, world) = match (&own, expected.world.as_deref()) {
        (Some(own), None) => (Some(own.as_str()), "guest"),
        (None, Some("checked")) => (Some(CHECKED), "checked"),
        (None, world) => (None, world.unwrap_or(kind)),
        (Some(_), Some(_)) => panic!("{shown} has two worlds"),
    };
    made_component(module, worlds, world)
        .unwrap_or_else(|error| panic!("{shown}/guest.wat: {error}"))
}

/// A module as a component for a world of the contract, or of these.
fn made_component(
    mut module: Vec<u8>,
    worlds: Option<&str>,
    world: &str,
) -> Result<Vec<u8>, String> {
    let said = |error: &dyn std::fmt::Debug| format!("{error:?}");
    let mut wit = Resolve::default();
    let (contract, _) = wit
        .push_dir(workspace().join("wit"))
        .map_err(|e| said(&e))?;
    let package = match worlds {
        Some(worlds) => wit.push_str("world.wit", worlds).map_err(|e| said(&e))?,
        None => contract,
    };
    let world = wit
        .select_world(&[package], Some(world))
        .map_err(|e| said(&e))?;
    embed_component_metadata(&mut module, &wit, world, StringEncoding::UTF8)
        .map_err(|e| said(&e))?;
    ComponentEncoder::default()
        .module(&module)
        .map_err(|e| said(&e))?
        .validate(true)
        .encode()
        .map_err(|e| said(&e))
}

/// A component as machine code: what the binary makes of it for itself.
fn compiled(component: &[u8]) -> Vec<u8> {
    use std::io::Write as _;

    let mut child = bare_command()
        .args(["compile-worker", "4294967296", "60"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(component).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it is our child");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout[..5], *b"+\x7fELF", "how compiled code begins");
    output.stdout[1..].to_vec()
}

/// With what is included put in, and what is repeated repeated.
fn expanded(text: &str) -> String {
    let mut out = String::new();
    let mut repeated: Option<(usize, String)> = None;
    for line in text.lines() {
        let directive = line.trim().strip_prefix(";;@");
        let mut words = directive.unwrap_or("").split_whitespace();
        match (words.next(), words.next()) {
            (Some("include"), Some(file)) => {
                let included = text_of(&home().join(file));
                out += &included.unwrap_or_else(|| panic!("there is no {file} to include"));
            }
            (Some("repeat"), Some(times)) => {
                let times = times.parse().expect("how many times");
                repeated = Some((times, String::new()));
            }
            (Some("end"), None) => {
                let (times, part) = repeated.take().expect("something to end");
                for number in 0..times {
                    out += &part.replace("{n}", &number.to_string());
                }
            }
            (Some(word), _) => panic!("`{word}` is no directive"),
            (None, _) => {
                let to = repeated.as_mut().map_or(&mut out, |(_, part)| part);
                to.push_str(line);
                to.push('\n');
            }
        }
    }
    assert!(repeated.is_none(), "what is repeated does not end");
    out
}

/// Bytes in hexadecimal digits, with spaces and comments.
fn bytes_of(text: &str) -> Vec<u8> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or(""))
        .flat_map(str::split_whitespace)
        .map(|byte| u8::from_str_radix(byte, 16).expect("two hexadecimal digits"))
        .collect()
}

fn text_of(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}
