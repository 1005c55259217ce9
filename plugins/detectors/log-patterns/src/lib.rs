//! Patterns in logs.
//!
//! For every log source a `miner` finds out what kinds of lines it writes;
//! `source` counts them and says when there is a new one, or far more of one
//! than usual, or when errors, or all lines together, are more or fewer than
//! usual. How it works is told in `README.md`.
//!
//! Nothing here depends on a clock, on randomness or on the platform's
//! mathematics: the same lines give the same findings, in a component and in a
//! native build.

mod buckets;
mod condition;
mod config;
mod detector;
mod gravity;
mod grouping;
mod hash;
mod label;
mod miner;
mod pattern;
mod rate;
mod report;
mod scan;
mod source;
mod template;

use faultline_sdk::{export_config_check, export_detector};

pub use config::Config;
pub use detector::LogPatterns;
pub use grouping::{Group, Grouping};

export_detector!(LogPatterns);
export_config_check!(Config);
