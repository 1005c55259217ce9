//! Programs of others that tests run: not built here, only found.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use super::paths::{target, workspace};

/// Where the Python environment is, if not in the target folder.
const VENV_CHOICE: &str = "FAULTLINE_E2E_VENV";

/// Prometheus, as Debian has it.
pub(crate) fn prometheus() -> PathBuf {
    found(PathBuf::from("/usr/bin/prometheus"))
}

/// Alertmanager, as Debian has it.
pub(crate) fn alertmanager() -> PathBuf {
    found(PathBuf::from("/usr/bin/prometheus-alertmanager"))
}

/// A Python that has what `requirements.txt` lists.
pub(crate) fn python() -> PathBuf {
    let venv = match std::env::var_os(VENV_CHOICE) {
        Some(folder) => workspace().join(folder),
        None => target().join("tools/e2e-venv"),
    };
    found(venv.join("bin/python"))
}

/// A file of this package.
pub(crate) fn of_package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A port that nobody uses; for programs that cannot say which one they got.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

fn found(path: PathBuf) -> PathBuf {
    assert!(
        path.exists(),
        "{} is missing: `cargo xtask test` installs it",
        path.display()
    );
    path
}
