//! `cargo xtask`: the project's tasks. Each says what it does before it does
//! it, installs what it needs, and works again when it is run twice.

mod api;
mod bench;
mod bundles;
mod demo;
mod dependencies;
mod fuzz;
mod http;
mod install;
mod installation;
mod languages;
mod metadata;
mod processes;
mod progress;
mod record;
mod test;
mod toolchain;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::installation::Profile;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Faultline's tasks")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build faultline with its plugins in it: target/release/faultline
    Build,
    /// Build the plugins, examples and test guests in Rust as bundles, into
    /// target/bundles and target/other-bundles
    Plugins,
    /// Build the examples in Python, JavaScript, Go and C as bundles, into
    /// target/other-bundles
    Examples,
    Test(test::Args),
    Demo(demo::Args),
    Record(record::Args),
    Bench(bench::Args),
    Fuzz(fuzz::Args),
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Build => installation::build(Profile::Release).map(|binary| {
            progress::say(format_args!("{} is ready", binary.display()));
        }),
        Task::Plugins => bundles::build_all(),
        Task::Examples => bundles::build_examples(),
        Task::Test(args) => test::run(&args),
        Task::Demo(args) => demo::run(&args),
        Task::Record(args) => record::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
    }
}
