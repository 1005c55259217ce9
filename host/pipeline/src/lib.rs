//! The stages: from APIs to envelopes ([`PollStage`]), from envelopes to alerts
//! ([`ObserveStage`]), from alerts to incidents ([`CorrelateStage`]).
//!
//! A stage reads what the one before it committed, calls one kind of plugin,
//! and commits what comes of it together with its own position. Nothing lives
//! in memory that could not be computed again; being cut off at any point is
//! the ordinary way to stop, and beginning from the last commit the only way to
//! begin.
//!
//! What comes out is a function of the journal, the plugins and the
//! configuration. No stage behind the journal looks at a clock: time is in the
//! journal, where the [`Timekeeper`] puts it when nothing else comes.

mod alert_book;
mod catalog;
mod chunks;
mod committed;
mod correlate;
mod counters;
mod decoding;
mod derive;
mod detection;
mod event_clock;
mod feed;
mod numbers;
mod observe;
mod observer;
mod plugins;
mod poll;
mod recorded;
mod settings;
mod situation;
mod telemetry;
mod timekeeper;

pub use correlate::CorrelateStage;
pub use counters::{Counter, Counters, StepTimes};
pub use observe::{ObserveStage, Progress};
pub use plugins::{Plugins, Reader};
pub use poll::{PollBegin, PollBoard, PollFrom, PollStage, Polled, ScheduledPoller};
pub use settings::{CorrelateSettings, ObserveSettings, PipelineSettings};
pub use timekeeper::{HEARTBEAT, Timekeeper};

// Where acts of people are put into the journal is no stage's business; what
// the observe stage makes of them is.
pub use faultline_store::CommandEnvelope;
