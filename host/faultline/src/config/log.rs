//! What the process says about itself.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct LogConfig {
    /// Lines for people, or JSON for programs.
    pub(crate) format: LogFormat,
    /// What is said: a level, or levels by module, such as
    /// `info,faultline::plugin=debug`.
    pub(crate) level: String,
}

/// `format` in `[log]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

impl LogConfig {
    /// A word that is no level would be taken for the name of a module, and
    /// nothing would be said any more.
    pub(super) fn check(&self) -> Option<String> {
        let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
        let unknown = self
            .level
            .split(',')
            .map(str::trim)
            .find(|part| !part.contains(['=', '[']) && !is_level(part));
        if let Some(word) = unknown {
            let known = ["off", "error", "warn", "info", "debug", "trace"];
            return Some(format!(
                "[log] level has `{word}`, which is no level: say one of {}, or MODULE=LEVEL",
                known.join(", ")
            ));
        }
        let error = EnvFilter::try_new(&self.level).err()?;
        Some(format!("[log] level is `{}`: {error}", self.level))
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
        }
    }
}
