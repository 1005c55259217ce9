//! `faultline config`

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use super::Global;
use crate::config::REFERENCE;
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Whether the file and the environment are good, and what is wrong if not
    Check,
    /// What the file, the environment and the defaults come to
    Show,
    /// Every key with its default and what it means, as a file
    Example,
}

pub(crate) fn run(global: &Global, command: &ConfigCommand) -> Result<ExitCode> {
    match command {
        ConfigCommand::Check => match global.load() {
            Ok(_) if global.json => output::json(&serde_json::json!({"good": true}))?,
            Ok(_) => output::print("The configuration is good.\n")?,
            Err(error) if global.json => {
                let problem = format!("{error:#}");
                output::json(&serde_json::json!({"good": false, "problem": problem}))?;
                return Ok(ExitCode::FAILURE);
            }
            Err(error) => return Err(error),
        },
        ConfigCommand::Show => {
            let config = global.load()?;
            if global.json {
                output::json(&config)?;
            } else {
                output::print(&toml::to_string(&config)?)?;
            }
        }
        ConfigCommand::Example => output::print(REFERENCE)?,
    }
    Ok(ExitCode::SUCCESS)
}
