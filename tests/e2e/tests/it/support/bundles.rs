//! Bundles of plugins: those that were built, and variations of them.

use std::fs;
use std::path::{Path, PathBuf};

use super::paths::target;

/// The bundle of a guest in `tests/guests` or `examples`.
pub(crate) fn built(name: &str) -> PathBuf {
    let folder = target().join("other-bundles").join(name);
    assert!(
        folder.join("plugin.toml").exists(),
        "{} is missing: `cargo xtask plugins` builds it",
        folder.display()
    );
    folder
}

/// A copy of a bundle with another manifest.
pub(crate) fn with_manifest(name: &str, folder: &Path, change: impl Fn(&str) -> String) {
    copy(&built(name), folder);
    let path = folder.join("plugin.toml");
    let manifest = fs::read_to_string(&path).expect("a manifest");
    let changed = change(&manifest);
    assert_ne!(changed, manifest, "nothing is changed");
    fs::write(path, changed).expect("a file");
}

/// A connector that behaves, and does so only where it may keep things.
pub(crate) fn asking_for_state(folder: &Path) {
    with_manifest("hostile", folder, |manifest| {
        format!(
            "{manifest}\n[[component.capability]]\nid = \"state\"\nuse = \"kv\"\n\
             required = true\nreason = \"to keep things\"\n"
        )
    });
}

/// A copy of a bundle with another component.
pub(crate) fn with_component(name: &str, folder: &Path, component: &[u8]) {
    copy(&built(name), folder);
    fs::write(folder.join(format!("{name}.wasm")), component).expect("a file");
}

/// A folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).expect("a file");
        }
    }
}
