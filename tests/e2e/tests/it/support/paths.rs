//! Where things are.

use std::path::PathBuf;

/// The checkout's root.
pub(crate) fn workspace() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root.pop();
    root
}

/// Where builds go: Cargo's target folder.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        // Cargo reads a relative path from where it was started, which is the
        // root as a rule; tests are started in the folder of their package.
        Some(folder) => workspace().join(folder),
        None => workspace().join("target"),
    }
}
