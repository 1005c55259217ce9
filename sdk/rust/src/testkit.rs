//! Runs plugins natively, in ordinary tests: no WebAssembly, no host, and the
//! debugger at hand.
//!
//! Everything here drives a plugin through the code that its component runs:
//! the configuration is parsed, states and tokens are written and read back,
//! and the host's functions are answered by a [`FakeHost`]. It is there in
//! native builds only, and never part of a component.
//!
//! - Connectors: [`check_golden_cases`], [`decode`], [`poll`].
//! - Detectors: [`check_detector`] with a [`Recording`], and [`DetectorBench`]
//!   for single steps.
//! - Correlators: [`CorrelatorBench`].
//! - Actions: [`ActionBench`].

mod action;
mod apart;
mod connector;
mod correlator;
mod detector;
mod golden;
pub(crate) mod host;
mod proposals;
mod recording;
mod situation;
mod store;

pub use action::{ActionBench, BenchOutcome, BenchPlan};
pub use connector::{decode, poll};
pub use correlator::CorrelatorBench;
pub use detector::{DetectorBench, check_detector};
pub use golden::check_golden_cases;
pub use host::FakeHost;
pub use recording::Recording;
