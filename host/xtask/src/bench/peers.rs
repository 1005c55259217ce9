//! What Faultline is measured beside: the distribution's Prometheus and
//! Alertmanager, as they come, and `drain3` from the Python package index.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};

use crate::bench::senders::Target;
use crate::bench::{alerts, samples};
use crate::http::Client;
use crate::install;
use crate::processes::{Processes, Program};
use crate::progress::{target, workspace};
use crate::record::ports::free_ports;

/// Debian's packages.
const PACKAGES: [&str; 3] = ["prometheus", "prometheus-alertmanager", "python3-venv"];

/// Nothing to scrape: it only receives.
const PROMETHEUS_CONFIG: &str = "global:\n  scrape_interval: 1m\n";

/// Nobody is told: it only accepts.
const ALERTMANAGER_CONFIG: &str = "\
route:
  receiver: nobody
receivers:
  - name: nobody
";

/// Installs what is missing of them.
///
/// # Errors
/// If it cannot be installed.
pub(crate) fn install() -> Result<()> {
    install::debian_packages(&PACKAGES)
}

/// A Python that has `drain3`.
///
/// # Errors
/// If it cannot be installed.
pub(crate) fn drain3() -> Result<PathBuf> {
    let requirements = workspace().join("host/sandbox/benches/boundary/requirements.txt");
    install::python_venv(&target().join("tools/bench-venv"), &requirements)
}

/// Peers that run, until this is dropped.
pub(crate) struct Peers {
    processes: Processes,
    folder: PathBuf,
    client: Client,
}

impl Peers {
    /// None yet. They work in this folder, which is made anew.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn new(folder: &Path, interrupted: &Arc<AtomicBool>) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
        }
        Ok(Self {
            processes: Processes::new(folder, Arc::clone(interrupted))?,
            folder: folder.to_owned(),
            client: Client::new(),
        })
    }

    /// Starts a Prometheus that receives, and gives where.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn prometheus(&mut self) -> Result<Target> {
        let config = self.write("prometheus.yml", PROMETHEUS_CONFIG)?;
        let base = self.start(
            "prometheus",
            &[
                format!("--config.file={config}"),
                format!(
                    "--storage.tsdb.path={}",
                    self.folder.join("prometheus").display()
                ),
                "--web.enable-remote-write-receiver".to_owned(),
            ],
        )?;
        Ok(Target::new(&base, samples::PATH, samples::HEADERS))
    }

    /// Starts an Alertmanager, and gives where it takes alerts.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn alertmanager(&mut self) -> Result<Target> {
        let config = self.write("alertmanager.yml", ALERTMANAGER_CONFIG)?;
        let base = self.start(
            "prometheus-alertmanager",
            &[
                format!("--config.file={config}"),
                format!(
                    "--storage.path={}",
                    self.folder.join("alertmanager").display()
                ),
                "--cluster.listen-address=".to_owned(),
            ],
        )?;
        Ok(Target::new(&base, alerts::PATH, alerts::HEADERS))
    }

    fn start(&mut self, name: &str, arguments: &[String]) -> Result<String> {
        let [port] = free_ports()?;
        let address = format!("127.0.0.1:{port}");
        let mut program = Program::new(name, format!("/usr/bin/{name}"), &[]);
        program.arguments.extend_from_slice(arguments);
        program
            .arguments
            .push(format!("--web.listen-address={address}"));
        self.processes.start(program)?;
        let (base, client) = (format!("http://{address}"), &self.client);
        self.processes
            .wait_for(name, || client.get(&format!("{base}/-/ready")).map(drop))?;
        Ok(base)
    }

    fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path.display().to_string())
    }
}
