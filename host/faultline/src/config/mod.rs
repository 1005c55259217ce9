//! Configuration: one TOML file, every key of which the environment can
//! override.
//!
//! A key that is not known is refused with its place and the nearest known one:
//! a setting that is silently ignored is worse than one that is missing. An
//! environment variable is named after the path of its key, in capitals, with
//! two underscores for each step: `FAULTLINE__API__LISTEN` is `listen` in
//! `[api]`.

mod api;
mod data;
mod egress;
mod environment;
mod intake;
mod log;
mod own_traces;
mod pipeline;
mod plugins;
mod retention;
mod supervision;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use faultline_bundle::strict_toml::{self, Problem};
use serde::{Deserialize, Serialize};

pub(crate) use api::ApiConfig;
pub(crate) use data::DataConfig;
pub(crate) use egress::{EgressConfig, SecretsConfig};
pub(crate) use intake::IntakeConfig;
pub(crate) use log::{LogConfig, LogFormat};
pub(crate) use own_traces::{Collector, OwnTracesConfig};
pub(crate) use pipeline::PipelineConfig;
pub(crate) use plugins::{CompileConfig, PluginsConfig};
pub(crate) use retention::RetentionConfig;

/// All keys with their defaults and what they mean, as a file.
pub(crate) const REFERENCE: &str = include_str!("../../faultline.toml");

/// Where the file is looked for if none is named.
const FILE: &str = "faultline.toml";

/// The whole configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Config {
    pub(crate) data: DataConfig,
    pub(crate) api: ApiConfig,
    pub(crate) intake: IntakeConfig,
    pub(crate) pipeline: PipelineConfig,
    pub(crate) plugins: PluginsConfig,
    pub(crate) retention: RetentionConfig,
    pub(crate) log: LogConfig,
    pub(crate) own_traces: OwnTracesConfig,
}

impl Config {
    /// Reads the file, if there is one, and then the environment.
    ///
    /// # Errors
    /// If the named file cannot be read, or anything in it or in the
    /// environment is not as it should be.
    pub(crate) fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigProblem> {
        let environment = environment::ours(environment)?;
        let (name, text) = if let Some(path) = file {
            (path.display().to_string(), Some(read(path)?))
        } else {
            let path = PathBuf::from(FILE);
            let text = if path.exists() {
                Some(read(&path)?)
            } else {
                None
            };
            (FILE.to_owned(), text)
        };
        Self::parse(&name, text.as_deref().unwrap_or(""), environment)
    }

    /// The configuration that a text and an environment make.
    ///
    /// # Errors
    /// The first thing that is not as it should be.
    pub(crate) fn parse(
        name: &str,
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigProblem> {
        // On its own first: only then is the place of a problem known.
        let _: Self = strict_toml::parse(name, text)?;
        let mut table: toml::Table = strict_toml::parse(name, text)?;
        environment::override_keys(&mut table, environment)?;
        let config: Self =
            toml::Value::Table(table)
                .try_into()
                .map_err(|error: toml::de::Error| {
                    ConfigProblem::Environment(strict_toml::with_suggestion(error.message()))
                })?;
        config.check(name)?;
        Ok(config)
    }

    /// What a type cannot say.
    fn check(&self, name: &str) -> Result<(), ConfigProblem> {
        let problems = [
            self.data.check(),
            self.intake.check(),
            self.pipeline.check(),
            self.plugins.check(),
            self.retention.check(&self.pipeline),
            self.log.check(),
            self.own_traces.check(),
        ];
        match problems.into_iter().flatten().next() {
            None => Ok(()),
            Some(message) => Err(ConfigProblem::File(Problem {
                file: name.to_owned(),
                place: None,
                message,
            })),
        }
    }
}

fn read(path: &Path) -> Result<String, ConfigProblem> {
    std::fs::read_to_string(path).map_err(|source| ConfigProblem::Unreadable {
        path: path.display().to_string(),
        source,
    })
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigProblem {
    /// The file is not there, or cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        path: String,
        #[source]
        source: std::io::Error,
    },
    /// Something in the file.
    #[error(transparent)]
    File(#[from] Problem),
    /// Something in the environment.
    #[error("{0}")]
    Environment(String),
}

#[cfg(test)]
mod tests;
