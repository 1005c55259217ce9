//! What the process says about itself, on standard error.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogConfig, LogFormat};

/// Says what is configured, or more if asked to.
///
/// # Errors
/// If the configured level is none.
pub(crate) fn start(config: &LogConfig, verbose: u8) -> Result<()> {
    let level = match verbose {
        0 => config.level.as_str(),
        1 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_new(level)
        .with_context(|| format!("[log] level is `{level}`, which is no level"))?;
    let lines = fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match config.format {
        LogFormat::Text => lines.finish().try_init()?,
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init()?,
    }
    Ok(())
}

/// Says only what went wrong, unless asked to say more: for commands, whose
/// result is what counts.
///
/// # Errors
/// Never in practice.
pub(crate) fn start_quietly(verbose: u8) -> Result<()> {
    let level = match verbose {
        0 => "error",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    fmt()
        .with_env_filter(EnvFilter::try_new(level)?)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .without_time()
        .finish()
        .try_init()?;
    Ok(())
}
