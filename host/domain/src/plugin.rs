//! Plugins, as the rest of the host sees them: kinds, limits, failures, and
//! one trait a kind. The sandbox implements the traits with WebAssembly; tests
//! implement them in process.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::fault::Fault;
use crate::finding::Finding;
use crate::id::{Digest, InstanceName};
use crate::proposal::{Blob, Verdict};
use crate::situation::Situation;
use crate::telemetry::{LogLines, LogSource, Samples, SeriesKey};
use crate::time::Timestamp;

/// What a component is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// From payloads to signals.
    Connector,
    /// From telemetry to findings.
    Detector,
    /// From alerts to incidents and causes.
    Correlator,
    /// Remedies.
    Action,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 4] = [
        Kind::Connector,
        Kind::Detector,
        Kind::Correlator,
        Kind::Action,
    ];

    /// The word that stands for it everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Connector => "connector",
            Kind::Detector => "detector",
            Kind::Correlator => "correlator",
            Kind::Action => "action",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The limits that an instance can run into. The name is the same in errors,
/// metrics and the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Linear memory.
    Memory,
    /// Elements of tables.
    Table,
    /// Time on a processor in one call.
    Cpu,
    /// Time on the clock in one call.
    Wall,
    /// Depth of calls.
    Stack,
    /// Bytes that cross from the guest to the host at once: with its answer, or
    /// with one call of a host function.
    Output,
    /// Items in one answer.
    Items,
    /// Calls of host functions in one call.
    HostCalls,
    /// Of these, those that are put on the audit log.
    RecordedCalls,
    /// Bytes of log lines a minute.
    Log,
    /// Bytes of durable state.
    Kv,
    /// Bytes of saved state.
    State,
    /// Bytes of a poller's cursor.
    Cursor,
    /// Envelopes of a page that a poller fetched.
    Page,
    /// Requests that go out in one call.
    HttpRequests,
    /// Bytes that go out with requests in one call.
    HttpSent,
    /// Bytes of answers in one call.
    HttpReceived,
    /// Bytes of one answer's body.
    HttpBody,
    /// How often the size of an answer's body is multiplied by unpacking it.
    HttpRatio,
    /// Bytes that go out and come in in a minute.
    HttpMinute,
    /// Connections at a time.
    HttpConnections,
    /// Redirects of one request.
    HttpRedirects,
    /// Time on the clock for one request.
    HttpTime,
    /// Bytes of a component.
    ComponentSize,
    /// Imports, exports and parts of a component.
    ComponentItems,
    /// Memory that compiling a component takes.
    CompileMemory,
    /// Time that compiling a component takes.
    CompileTime,
    /// Bytes of machine code that a component becomes.
    CompiledSize,
}

impl Limit {
    /// Those of requests that go out.
    pub const OF_HTTP: [Limit; 9] = [
        Limit::HttpRequests,
        Limit::HttpSent,
        Limit::HttpReceived,
        Limit::HttpBody,
        Limit::HttpRatio,
        Limit::HttpMinute,
        Limit::HttpConnections,
        Limit::HttpRedirects,
        Limit::HttpTime,
    ];

    /// The name, such as `limit.memory`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Limit::Memory => "limit.memory",
            Limit::Table => "limit.table",
            Limit::Cpu => "limit.cpu",
            Limit::Wall => "limit.wall",
            Limit::Stack => "limit.stack",
            Limit::Output => "limit.output",
            Limit::Items => "limit.items",
            Limit::HostCalls => "limit.host-calls",
            Limit::RecordedCalls => "limit.recorded-calls",
            Limit::Log => "limit.log",
            Limit::Kv => "limit.kv",
            Limit::State => "limit.state",
            Limit::Cursor => "limit.cursor",
            Limit::Page => "limit.page",
            Limit::HttpRequests => "limit.http-requests",
            Limit::HttpSent => "limit.http-sent",
            Limit::HttpReceived => "limit.http-received",
            Limit::HttpBody => "limit.http-body",
            Limit::HttpRatio => "limit.http-ratio",
            Limit::HttpMinute => "limit.http-minute",
            Limit::HttpConnections => "limit.http-connections",
            Limit::HttpRedirects => "limit.http-redirects",
            Limit::HttpTime => "limit.http-time",
            Limit::ComponentSize => "limit.component-size",
            Limit::ComponentItems => "limit.component-items",
            Limit::CompileMemory => "limit.compile-memory",
            Limit::CompileTime => "limit.compile-time",
            Limit::CompiledSize => "limit.compiled-size",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether a guest of a component that decodes or correlates serves one call
/// or many. Its answers must not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reuse {
    /// A fresh one for each call.
    #[default]
    Fresh,
    /// Guests are kept warm: for languages whose runtimes start slowly.
    Warm,
}

/// The most bytes of a correlator's state, whatever its limits say: a detector's
/// is kept with a checkpoint every now and then, a correlator's goes in and out
/// with each round, of which there are ten a second.
pub const CORRELATOR_STATE_BYTES_MAX: u64 = 4 << 20;

/// How much of each an instance may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of linear memory, all memories together.
    pub memory_bytes: u64,
    /// Elements of each table.
    pub table_elements: u64,
    /// Time on a processor in one call.
    pub cpu_per_call: Duration,
    /// Time on the clock in one call.
    pub wall_per_call: Duration,
    /// Bytes that cross from the guest to the host at once: with its answer, or
    /// with one call of a host function. Each crossing begins anew.
    pub output_bytes: u64,
    /// Items (signals, rows, findings, proposals) in one answer.
    pub items: u64,
    /// Calls of host functions in one call.
    pub host_calls: u64,
    /// Bytes of log lines a minute.
    pub log_bytes_per_minute: u64,
    /// Bytes of durable state.
    pub kv_bytes: u64,
    /// Bytes of saved state. Of a correlator's at most
    /// [`CORRELATOR_STATE_BYTES_MAX`].
    pub state_bytes: u64,
    /// Requests that go out in one call.
    pub http_requests: u64,
    /// Bytes that go out with requests in one call.
    pub http_sent_bytes: u64,
    /// Bytes of answers, unpacked, in one call.
    pub http_received_bytes: u64,
    /// Bytes of one answer's body, unpacked; what is beyond is cut.
    pub http_body_bytes: u64,
    /// Bytes that go out and come in in a minute.
    pub http_bytes_per_minute: u64,
    /// Connections at a time.
    pub http_connections: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        Self {
            memory_bytes: 64 * MIB,
            table_elements: 20_000,
            cpu_per_call: Duration::from_millis(500),
            wall_per_call: Duration::from_secs(10),
            output_bytes: 16 * MIB,
            items: 100_000,
            host_calls: 10_000,
            log_bytes_per_minute: 256 << 10,
            kv_bytes: 16 * MIB,
            state_bytes: 32 * MIB,
            http_requests: 100,
            http_sent_bytes: 8 * MIB,
            http_received_bytes: 32 * MIB,
            http_body_bytes: 8 * MIB,
            http_bytes_per_minute: 64 * MIB,
            http_connections: 4,
        }
    }
}

impl Limits {
    /// The most that a manifest can ask for, unless the operator says
    /// otherwise.
    pub fn default_ceiling() -> Self {
        const MIB: u64 = 1 << 20;
        Self {
            memory_bytes: 512 * MIB,
            table_elements: 100_000,
            cpu_per_call: Duration::from_secs(10),
            wall_per_call: Duration::from_secs(60),
            output_bytes: 64 * MIB,
            items: 1_000_000,
            host_calls: 100_000,
            log_bytes_per_minute: 4 * MIB,
            kv_bytes: 256 * MIB,
            state_bytes: 256 * MIB,
            http_requests: 1_000,
            http_sent_bytes: 64 * MIB,
            http_received_bytes: 128 * MIB,
            http_body_bytes: 64 * MIB,
            http_bytes_per_minute: 1024 * MIB,
            http_connections: 32,
        }
    }

    /// The lesser of the two in each.
    #[must_use]
    pub fn clamp_to(self, ceiling: Limits) -> Self {
        Self {
            memory_bytes: self.memory_bytes.min(ceiling.memory_bytes),
            table_elements: self.table_elements.min(ceiling.table_elements),
            cpu_per_call: self.cpu_per_call.min(ceiling.cpu_per_call),
            wall_per_call: self.wall_per_call.min(ceiling.wall_per_call),
            output_bytes: self.output_bytes.min(ceiling.output_bytes),
            items: self.items.min(ceiling.items),
            host_calls: self.host_calls.min(ceiling.host_calls),
            log_bytes_per_minute: self.log_bytes_per_minute.min(ceiling.log_bytes_per_minute),
            kv_bytes: self.kv_bytes.min(ceiling.kv_bytes),
            state_bytes: self.state_bytes.min(ceiling.state_bytes),
            http_requests: self.http_requests.min(ceiling.http_requests),
            http_sent_bytes: self.http_sent_bytes.min(ceiling.http_sent_bytes),
            http_received_bytes: self.http_received_bytes.min(ceiling.http_received_bytes),
            http_body_bytes: self.http_body_bytes.min(ceiling.http_body_bytes),
            http_bytes_per_minute: self
                .http_bytes_per_minute
                .min(ceiling.http_bytes_per_minute),
            http_connections: self.http_connections.min(ceiling.http_connections),
        }
    }
}

/// A call that gave no answer. The instance that it happened in is gone.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    /// The guest trapped.
    #[error("trap: {0}")]
    Trap(String),
    /// It ran into one of its limits.
    #[error("{limit}: {message}")]
    Limit {
        /// Which.
        limit: Limit,
        /// With the numbers.
        message: String,
    },
    /// Its answer broke the contract.
    #[error("contract: {0}")]
    Contract(String),
    /// The host could not start it: no slot was free, or the machine gave no
    /// memory. Nothing that it did itself.
    #[error("start: {0}")]
    Start(String),
    /// The host stopped it in the middle of its call, as it may not run any
    /// more. Nobody's fault: nothing is held against anybody.
    #[error("stopped: it may not run any more")]
    Stopped,
}

impl Failure {
    /// The code of [`Failure::Start`].
    pub const START: &'static str = "start";

    /// One word, the same in errors, metrics and the audit log.
    pub const fn code(&self) -> &'static str {
        match self {
            Failure::Trap(_) => "trap",
            Failure::Limit { limit, .. } => limit.as_str(),
            Failure::Contract(_) => "contract",
            Failure::Start(_) => Self::START,
            Failure::Stopped => "stopped",
        }
    }

    /// As a fault, for where the difference no longer matters.
    pub fn to_fault(&self) -> Fault {
        Fault::never(self.code(), self.to_string())
    }
}

/// Why a call of a plugin gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CallError {
    /// The plugin refused, in words, and lives on.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The plugin failed; its instance is gone.
    #[error(transparent)]
    Failure(#[from] Failure),
}

/// A series under the id that samples will name it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntroducedSeries {
    /// The catalogue's number.
    pub id: u32,
    /// What it measures.
    pub key: SeriesKey,
}

/// A log source under the id that lines will name it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntroducedSource {
    /// The catalogue's number.
    pub id: u32,
    /// Where the lines come from.
    pub source: LogSource,
}

/// Watches one shard of the telemetry, and remembers.
///
/// After a [`Failure`] it is of no more use: start another, load what was
/// saved, and feed again from there.
pub trait Detector: Send {
    /// Announces series and log sources before rows name them.
    ///
    /// # Errors
    /// As all calls of plugins: a fault, or a failure.
    fn introduce(
        &mut self,
        series: &[IntroducedSeries],
        sources: &[IntroducedSource],
    ) -> Result<(), CallError>;

    /// Rows in order of arrival; series by the introduced ids.
    ///
    /// # Errors
    /// As all calls of plugins.
    fn samples(&mut self, batch: &Samples) -> Result<Vec<Finding>, CallError>;

    /// Lines in order of arrival; sources by the introduced ids.
    ///
    /// # Errors
    /// As all calls of plugins.
    fn logs(&mut self, batch: &LogLines) -> Result<Vec<Finding>, CallError>;

    /// Event time has reached this.
    ///
    /// # Errors
    /// As all calls of plugins.
    fn tick(&mut self, watermark: Timestamp) -> Result<Vec<Finding>, CallError>;

    /// All that is needed to go on from here.
    ///
    /// # Errors
    /// As all calls of plugins.
    fn save(&mut self) -> Result<Vec<u8>, CallError>;

    /// Replaces the state by a saved one.
    ///
    /// # Errors
    /// As all calls of plugins.
    fn load(&mut self, state: &[u8]) -> Result<(), CallError>;
}

/// Which telemetry a detector watches. What it does not watch never crosses
/// into its sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// Measurements.
    pub samples: bool,
    /// Log lines.
    pub logs: bool,
}

/// Starts detectors of one instance: one for each shard, and a new one after a
/// failure.
pub trait DetectorFactory: Send + Sync {
    /// Which instance.
    fn instance(&self) -> &InstanceName;

    /// The component that it is.
    fn digest(&self) -> Digest;

    /// What it watches.
    fn inputs(&self) -> Inputs;

    /// A detector that has seen nothing yet.
    ///
    /// # Errors
    /// If it cannot be started.
    fn start(&self) -> Result<Box<dyn Detector>, Failure>;
}

/// Proposes incidents and causes. Remembers only what it is given back.
pub trait Correlator: Send + Sync {
    /// Which instance.
    fn instance(&self) -> &InstanceName;

    /// The component that it is.
    fn digest(&self) -> Digest;

    /// What it would have the host do.
    ///
    /// # Errors
    /// As all calls of plugins.
    fn correlate(&self, situation: &Situation, state: Option<&Blob>) -> Result<Verdict, CallError>;
}
