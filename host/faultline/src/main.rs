//! The binary: reads the configuration, connects everything, and answers the
//! command line.

mod bundled;
mod cli;
mod client;
mod clock;
mod compiling;
mod config;
mod control;
#[cfg(test)]
mod crashes;
mod faults;
mod first_party;
mod folder;
mod leases;
mod logging;
mod metrics;
mod node;
mod others;
mod output;
mod own_alerts;
mod own_traces;
mod plugin_host;
mod polls;
mod randomness;
mod readers;
mod retention;
mod serve;
mod services;
mod stages;
mod vault;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;

/// A fifth of what the stages do is to make and drop small things. The system's
/// allocator keeps several times as much memory for each thread, and asks the
/// kernel for it piece by piece.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // It limits what this process may take, and wants no threads before that.
    if let Some((memory_bytes, cpu)) = cli.compile_worker() {
        return faultline_sandbox::compile_worker(memory_bytes, cpu);
    }
    // Whatever we write is for whoever we run as: the databases hold payloads,
    // and so do recordings.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::note(&format!("error: cannot start threads: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(cli.run());
    // What should be waited for was waited for. A plugin that is in the middle
    // of a call must not keep a process that is told to end at once.
    runtime.shutdown_background();
    match done {
        Ok(code) => code,
        Err(error) if output::is_unread(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
