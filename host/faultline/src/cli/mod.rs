//! The command line: what can be said, and who does it.
//!
//! Commands that look at something or act on it are clients of the API: of the
//! server that works with the data folder if one runs, and otherwise of a node
//! that is opened for as long as the command takes. Either way the same rules
//! and the same audit log apply.

mod alert;
mod audit;
mod config;
mod dead_letter;
mod doctor;
mod history;
mod incident;
mod ingest;
mod journal;
mod plugin;
mod reach;
mod recording;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::Config;
use crate::output;

/// Groups what belongs together into one incident, with its evidence, its
/// recent changes and its likely causes.
#[derive(Debug, Parser)]
#[command(
    name = "faultline",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The configuration file; without it `faultline.toml`, if there is one
    #[arg(long, global = true, value_name = "FILE", env = "FAULTLINE_CONFIG")]
    config: Option<PathBuf>,
    /// The data folder, instead of the one that is configured
    #[arg(long, global = true, value_name = "DIR", env = "FAULTLINE_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// A server to ask, such as `http://127.0.0.1:7717`, instead of the one that
    /// works with the data folder
    #[arg(
        long,
        global = true,
        value_name = "URL",
        requires = "token",
        env = "FAULTLINE_SERVER"
    )]
    server: Option<String>,
    /// A token of that server: the administrator's that its first start showed, or
    /// one that `faultline token create NAME --role ROLE` made
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        env = "FAULTLINE_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    json: bool,
    /// Say what happens inside: once for information, twice for details
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl Global {
    /// The configuration, with what the command line has to say about it.
    pub(crate) fn load(&self) -> Result<Config> {
        let mut config = Config::load(self.config.as_deref(), std::env::vars_os())?;
        if let Some(folder) = &self.data_dir {
            config.data.folder.clone_from(folder);
        }
        Ok(config)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run: take in signals, find what is abnormal, answer questions
    Serve,
    /// Take in files as if they had been sent
    Ingest(ingest::IngestArgs),
    /// Incidents: list, show, acknowledge, resolve
    #[command(subcommand)]
    Incident(incident::IncidentCommand),
    /// Alerts: list, explain
    #[command(subcommand)]
    Alert(alert::AlertCommand),
    /// What could not be dealt with: list it, or try it once more
    #[command(subcommand)]
    DeadLetter(dead_letter::DeadLetterCommand),
    /// Plugins: bundles, their instances, and what these may do
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// The audit log
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Tokens of people, programs and senders
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Look whether everything is in order, and say what to do if not
    Doctor,
    /// The configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// The journal of everything that was received
    #[command(subcommand)]
    Journal(journal::JournalCommand),
    /// What all of history comes to
    #[command(subcommand)]
    History(history::HistoryCommand),
    /// Print the description of the API (OpenAPI 3.1)
    Openapi,
    /// Compile a component that comes in on the standard input: what the server
    /// starts by itself
    #[command(hide = true)]
    CompileWorker {
        /// The most bytes of memory
        memory_bytes: u64,
        /// The most seconds of processors
        cpu_seconds: u64,
    },
    /// Print a script that completes commands in a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

impl Cli {
    /// What compiling may take, in bytes and in time of processors, if this
    /// process is to compile and do nothing else.
    pub(crate) const fn compile_worker(&self) -> Option<(u64, Duration)> {
        match self.command {
            Command::CompileWorker {
                memory_bytes,
                cpu_seconds,
            } => Some((memory_bytes, Duration::from_secs(cpu_seconds))),
            _ => None,
        }
    }

    /// Does what was asked for.
    ///
    /// # Errors
    /// If it cannot be done.
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let global = self.global;
        match self.command {
            Command::Serve => {
                let config = global.load()?;
                crate::logging::start(&config.log, global.verbose)?;
                crate::serve::serve(config).await?;
            }
            // It reads the configuration itself, and says what is wrong.
            Command::Config(command) => return config::run(&global, &command),
            Command::Openapi => output::print(&faultline_api::document().to_pretty_json()?)?,
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), "faultline", &mut script);
                output::print(&String::from_utf8(script)?)?;
            }
            other => {
                crate::logging::start_quietly(global.verbose)?;
                return other.ask(&global).await;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Command {
    /// Commands that ask a server or a node.
    async fn ask(self, global: &Global) -> Result<ExitCode> {
        match self {
            Command::Ingest(args) => ingest::run(global, &args).await?,
            Command::Incident(command) => incident::run(global, &command).await?,
            Command::Alert(command) => alert::run(global, &command).await?,
            Command::DeadLetter(command) => dead_letter::run(global, &command).await?,
            Command::Plugin(command) => plugin::run(global, command).await?,
            Command::Audit(command) => return audit::run(global, &command).await,
            Command::Token(command) => token::run(global, &command).await?,
            Command::Doctor => return doctor::run(global).await,
            Command::Journal(command) => return journal::run(global, &command).await,
            Command::History(command) => history::run(global, &command).await?,
            Command::Serve
            | Command::Config(_)
            | Command::CompileWorker { .. }
            | Command::Openapi
            | Command::Completions { .. } => {}
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn scripts_of_shells_are_printed_as_they_are() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "faultline", &mut script);
            let script = String::from_utf8(script).expect("text");
            assert!(
                !script.chars().any(|c| c.is_control() && c != '\n'),
                "{shell}"
            );
        }
    }
}
