//! Anomalies in metrics.
//!
//! For every series a `model` learns what it usually does and says of each
//! row how rare it is; `episode` makes of rare rows an episode with a
//! beginning and an end; `report` puts it into words. The rest keeps the
//! series. How the model works is told in `README.md`.
//!
//! Nothing here depends on a clock, on randomness or on the platform's
//! mathematics: the same rows give the same findings, in a component and in a
//! native build, to the last bit.

mod config;
mod detector;
mod episode;
mod interval;
mod level;
mod model;
mod quantity;
mod recent;
mod report;
mod roster;
mod season;
#[cfg(test)]
mod synthetic;
mod usual;
mod view;
mod watched;

use faultline_sdk::{export_config_check, export_detector};

pub use config::Config;
pub use detector::Baseline;

export_detector!(Baseline);
export_config_check!(Config);
