//! Bundles: a manifest and the files beside it, under one digest.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use faultline_domain::id::Digest;
use serde_json::json;
use thiserror::Error;

use crate::config_schema::{ConfigError, ConfigSchema};
use crate::manifest::{Component, Manifest, ManifestError};

/// The most files of a bundle.
pub const BUNDLE_FILES_MAX: usize = 64;

/// The most bytes of all files of a bundle together.
pub const BUNDLE_BYTES_MAX: u64 = 64 << 20;

/// The most bytes of a manifest, which is read whenever a bundle is shown.
const MANIFEST_BYTES_MAX: usize = 256 << 10;

/// The file that says what a bundle is.
const MANIFEST: &str = "plugin.toml";

/// The folder of golden cases.
const TESTS: &str = "tests";

/// Files that belong to a bundle whether or not the manifest names them.
const FILES_BESIDE: [&str; 2] = ["README.md", "LICENSE"];

/// Why a bundle is refused.
#[derive(Debug, Error)]
pub enum BundleError {
    /// There is no such folder, or it cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// What could not be read.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The manifest is missing.
    #[error("{0} has no plugin.toml: it is not a bundle")]
    NoManifest(String),
    /// The manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file that the manifest names is not there.
    #[error("the manifest names {0}, which is not there: build the plugin first")]
    Missing(String),
    /// A text is not text.
    #[error("{0} is not UTF-8")]
    NotText(String),
    /// A config schema is wrong.
    #[error("{file}")]
    Schema {
        /// Which.
        file: String,
        /// Why.
        #[source]
        source: ConfigError,
    },
    /// A component file is not a WebAssembly component.
    #[error("{file} is not a WebAssembly component: {reason}")]
    NotComponent {
        /// Which.
        file: String,
        /// What it is instead.
        reason: String,
    },
    /// Too many files, or too long ones.
    #[error("a bundle has at most {BUNDLE_FILES_MAX} files and {BUNDLE_BYTES_MAX} bytes: {0}")]
    TooLarge(String),
}

/// A bundle in memory: its manifest, and all of its files.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    manifest: Manifest,
    files: BTreeMap<String, Vec<u8>>,
    digest: Digest,
}

impl Bundle {
    /// Reads a bundle's folder. Links that lead out of it are not followed.
    ///
    /// # Errors
    /// If something that belongs to it is missing, wrong or too large.
    pub fn read_folder(folder: &Path) -> Result<Self, BundleError> {
        let shown = folder.display().to_string();
        let unreadable = |path: String| move |source| BundleError::Unreadable { path, source };
        let dir = Dir::open_ambient_dir(folder, ambient_authority())
            .map_err(unreadable(shown.clone()))?;
        let mut reader = Reader {
            dir,
            shown: shown.clone(),
            files: BTreeMap::new(),
            bytes: 0,
        };
        if !reader.read_if_there(MANIFEST)? {
            return Err(BundleError::NoManifest(shown));
        }
        let manifest = manifest_of(&reader.files, &shown)?;
        for component in &manifest.components {
            reader.read(&component.wasm)?;
            if let Some(schema) = &component.config_schema {
                reader.read(schema)?;
            }
        }
        for name in FILES_BESIDE {
            reader.read_if_there(name)?;
        }
        reader.read_tests()?;
        Self::from_files(reader.files)
    }

    /// From files that were read before, for example from the store.
    ///
    /// # Errors
    /// As [`Bundle::read_folder`].
    pub fn from_files(files: BTreeMap<String, Vec<u8>>) -> Result<Self, BundleError> {
        let bytes: u64 = files.values().map(|content| content.len() as u64).sum();
        if files.len() > BUNDLE_FILES_MAX || bytes > BUNDLE_BYTES_MAX {
            let counts = format!("this one has {} files and {bytes} bytes", files.len());
            return Err(BundleError::TooLarge(counts));
        }
        let manifest = manifest_of(&files, "the bundle")?;
        let bundle = Self {
            manifest,
            digest: digest_of(&files),
            files,
        };
        for component in &bundle.manifest.components {
            bundle.wasm(component)?;
            bundle.config_schema(component)?;
        }
        Ok(bundle)
    }

    /// What it says of itself.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The SHA-256 of the list of its files with their sizes and digests.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// All of its files, by path.
    pub const fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// The bytes of a component.
    ///
    /// # Errors
    /// If they are missing, or are not a component.
    pub fn wasm(&self, component: &Component) -> Result<&[u8], BundleError> {
        let bytes = self
            .files
            .get(&component.wasm)
            .ok_or_else(|| BundleError::Missing(component.wasm.clone()))?;
        check_component(&component.wasm, bytes)?;
        Ok(bytes)
    }

    /// The schema of a component's configuration.
    ///
    /// # Errors
    /// If it is missing, or is not a schema.
    pub fn config_schema(&self, component: &Component) -> Result<ConfigSchema, BundleError> {
        let Some(file) = &component.config_schema else {
            return Ok(ConfigSchema::empty());
        };
        let bytes = self
            .files
            .get(file)
            .ok_or_else(|| BundleError::Missing(file.clone()))?;
        let text = std::str::from_utf8(bytes).map_err(|_| BundleError::NotText(file.clone()))?;
        ConfigSchema::parse(text).map_err(|source| BundleError::Schema {
            file: file.clone(),
            source,
        })
    }
}

/// Component or not, by the eight bytes that each begins with (WebAssembly
/// component model, "Binary"): a core module has version 1 and layer 0.
fn check_component(file: &str, bytes: &[u8]) -> Result<(), BundleError> {
    let reason = match bytes.get(..8) {
        Some(b"\0asm\x0d\0\x01\0") => return Ok(()),
        Some(b"\0asm\x01\0\0\0") => "it is a core module, which has yet to be made a component",
        Some([0, b'a', b's', b'm', ..]) => "it is of a version that is not known",
        Some([0x7f, b'E', b'L', b'F', ..]) => {
            "it is compiled code; components are compiled here, and code from elsewhere is not taken"
        }
        _ => "it does not begin like one",
    };
    Err(BundleError::NotComponent {
        file: file.to_owned(),
        reason: reason.to_owned(),
    })
}

fn manifest_of(files: &BTreeMap<String, Vec<u8>>, of: &str) -> Result<Manifest, BundleError> {
    let bytes = files
        .get(MANIFEST)
        .ok_or_else(|| BundleError::NoManifest(of.to_owned()))?;
    if bytes.len() > MANIFEST_BYTES_MAX {
        let counts = format!("{MANIFEST} has {} bytes", bytes.len());
        return Err(BundleError::TooLarge(counts));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| BundleError::NotText(MANIFEST.to_owned()))?;
    Ok(Manifest::parse(MANIFEST, text)?)
}

/// The digest of a list of files in canonical JSON: keys sorted, no white
/// space, no floats (as RFC 8785 would have it).
fn digest_of(files: &BTreeMap<String, Vec<u8>>) -> Digest {
    let listed: BTreeMap<&String, serde_json::Value> = files
        .iter()
        .map(|(path, content)| {
            let entry = BTreeMap::from([
                ("sha256", json!(Digest::of(content).to_string())),
                ("size", json!(content.len())),
            ]);
            (path, json!(entry))
        })
        .collect();
    let list = BTreeMap::from([("files", json!(listed)), ("format", json!(1))]);
    Digest::of(json!(list).to_string().as_bytes())
}

/// Reads the files of a folder, and counts.
struct Reader {
    dir: Dir,
    shown: String,
    files: BTreeMap<String, Vec<u8>>,
    bytes: u64,
}

impl Reader {
    fn read(&mut self, name: &str) -> Result<(), BundleError> {
        if self.read_if_there(name)? {
            Ok(())
        } else {
            Err(BundleError::Missing(format!("{}/{name}", self.shown)))
        }
    }

    fn read_if_there(&mut self, name: &str) -> Result<bool, BundleError> {
        if self.files.contains_key(name) {
            return Ok(true);
        }
        let unreadable = |source| BundleError::Unreadable {
            path: format!("{}/{name}", self.shown),
            source,
        };
        let file = match self.dir.open(name) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(unreadable(error)),
        };
        let left = BUNDLE_BYTES_MAX.saturating_sub(self.bytes);
        let mut content = Vec::new();
        // One byte more than is left tells that there is too much.
        file.take(left + 1)
            .read_to_end(&mut content)
            .map_err(unreadable)?;
        self.bytes += content.len() as u64;
        self.files.insert(name.to_owned(), content);
        if self.bytes > BUNDLE_BYTES_MAX || self.files.len() > BUNDLE_FILES_MAX {
            return Err(BundleError::TooLarge(format!("{}/{name}", self.shown)));
        }
        Ok(true)
    }

    /// Golden cases: JSON files in the folder of tests.
    fn read_tests(&mut self) -> Result<(), BundleError> {
        let path = format!("{}/{TESTS}", self.shown);
        let unreadable = |source| BundleError::Unreadable {
            path: path.clone(),
            source,
        };
        let entries = match self.dir.read_dir(TESTS) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(unreadable(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let extension = Path::new(&name).extension();
            if extension.is_some_and(|extension| extension == "json") {
                names.push(name);
            }
            // All or none: which come first is for the file system to say.
            if names.len() > BUNDLE_FILES_MAX {
                return Err(BundleError::TooLarge(path.clone()));
            }
        }
        names.sort_unstable();
        for name in names {
            self.read(&format!("{TESTS}/{name}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    fn manifest(wasm: &str) -> String {
        format!(
            "schema = 1\n[plugin]\nid = \"acme/test\"\nversion = \"1.0.0\"\napi = \"0.1\"\n\
             license = \"MIT\"\nsummary = \"s\"\n[[component]]\nname = \"c\"\n\
             kind = \"connector\"\nwasm = \"{wasm}\"\nconfig-schema = \"s.json\"\n"
        )
    }

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, content).expect("writes");
        }
        folder
    }

    fn good() -> Vec<(&'static str, Vec<u8>)> {
        vec![
            ("plugin.toml", manifest("c.wasm").into_bytes()),
            ("c.wasm", COMPONENT.to_vec()),
            ("s.json", br#"{"type": "object"}"#.to_vec()),
            ("README.md", b"hello".to_vec()),
            ("tests/one.json", b"{}".to_vec()),
            ("src/lib.rs", b"not part of it".to_vec()),
        ]
    }

    fn read(files: &[(&'static str, Vec<u8>)]) -> Result<Bundle, BundleError> {
        let files: Vec<(&str, &[u8])> = files.iter().map(|(n, c)| (*n, c.as_slice())).collect();
        Bundle::read_folder(folder(&files).path())
    }

    #[test]
    fn a_folder_is_read_and_reads_the_same_from_its_files() {
        let bundle = read(&good()).expect("good");
        let names: Vec<&str> = bundle.files().keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "README.md",
                "c.wasm",
                "plugin.toml",
                "s.json",
                "tests/one.json"
            ]
        );
        let again = Bundle::from_files(bundle.files().clone()).expect("good");
        assert_eq!(again, bundle);
    }

    #[test]
    fn the_digest_names_every_byte() {
        let before = read(&good()).expect("good").digest();
        for index in 0..5 {
            let mut files = good();
            match files[index].0 {
                "c.wasm" | "README.md" => files[index].1.push(b' '),
                _ => files[index].1.push(b'\n'),
            }
            assert_ne!(
                read(&files).expect("good").digest(),
                before,
                "{}",
                files[index].0
            );
        }
    }

    #[test]
    fn golden_cases_are_read_whatever_lies_beside_them() {
        let folder = folder(&[]);
        for (name, content) in good() {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, content).expect("writes");
        }
        let before = Bundle::read_folder(folder.path()).expect("good").digest();
        for number in 0..4 * BUNDLE_FILES_MAX {
            fs::write(folder.path().join(format!("tests/{number}.txt")), "").expect("writes");
        }
        let beside = Bundle::read_folder(folder.path()).expect("good").digest();
        assert_eq!(beside, before);
        for number in 0..=BUNDLE_FILES_MAX {
            fs::write(folder.path().join(format!("tests/{number}.json")), "").expect("writes");
        }
        let error = Bundle::read_folder(folder.path()).expect_err("too many");
        assert!(matches!(error, BundleError::TooLarge(_)), "{error}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let without = |name: &str| {
            let files: Vec<_> = good().into_iter().filter(|(n, _)| *n != name).collect();
            read(&files).expect_err(name).to_string()
        };
        assert!(without("plugin.toml").contains("not a bundle"));
        assert!(without("c.wasm").contains("build the plugin first"));
        assert!(without("s.json").contains("s.json"));
        let with = |name: &'static str, content: &[u8]| {
            let mut files = good();
            files.retain(|(n, _)| *n != name);
            files.push((name, content.to_vec()));
            read(&files).expect_err(name).to_string()
        };
        assert!(with("c.wasm", b"\0asm\x01\0\0\0").contains("core module"));
        assert!(with("c.wasm", b"ELF").contains("not a WebAssembly component"));
        assert!(with("c.wasm", b"\x7fELF\x02\x01\x01\0").contains("compiled code"));
        assert!(with("s.json", b"[]").contains("s.json"));
        assert!(with("plugin.toml", b"\xff").contains("not UTF-8"));
    }

    #[test]
    fn links_out_of_the_folder_are_not_followed() {
        let outside = folder(&[("secret.wasm", COMPONENT)]);
        let inside = folder(&[
            ("plugin.toml", manifest("c.wasm").as_bytes()),
            ("s.json", br#"{"type": "object"}"#),
        ]);
        let target = outside.path().join("secret.wasm");
        std::os::unix::fs::symlink(target, inside.path().join("c.wasm")).expect("links");
        let error = Bundle::read_folder(inside.path()).expect_err("leads out");
        assert!(matches!(error, BundleError::Unreadable { .. }), "{error}");
    }
}
