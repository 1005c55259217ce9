//! What was measured on.

use std::fs;
use std::num::NonZeroUsize;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};

use crate::install;
use crate::progress::now;

/// What figures depend on beside the code.
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) system: String,
    pub(crate) compiler: String,
    /// Such as `2026-01-31`.
    pub(crate) day: String,
}

impl Machine {
    /// Looks around, as far as the system tells.
    ///
    /// # Errors
    /// If the compiler does not say its version.
    pub(crate) fn look() -> Result<Self> {
        let unknown = || "unknown".to_owned();
        let processor = value_of("/proc/cpuinfo", "model name", ':').unwrap_or_else(unknown);
        let system = value_of("/etc/os-release", "PRETTY_NAME", '=')
            .map_or_else(unknown, |name| name.trim_matches('"').to_owned());
        let kilobytes: u64 = value_of("/proc/meminfo", "MemTotal", ':')
            .and_then(|text| text.split(' ').next()?.parse().ok())
            .unwrap_or_default();
        let version = install::run(Command::new("rustc").arg("--version"))?;
        Ok(Self {
            processor,
            cores: thread::available_parallelism().map_or(0, NonZeroUsize::get),
            memory_gib: kilobytes.div_ceil(1 << 20),
            system,
            compiler: String::from_utf8(version.stdout)
                .context("reading the compiler's version")?
                .split_whitespace()
                .take(2)
                .collect::<Vec<_>>()
                .join(" "),
            day: now().to_string().chars().take(10).collect(),
        })
    }
}

/// The value of the first line that begins with a key.
fn value_of(file: &str, key: &str, separator: char) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(separator)?;
        (name.trim() == key).then(|| value.trim().to_owned())
    })
}
