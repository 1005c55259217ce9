//! What the API asks of the running machinery: a trait, so that the API knows
//! neither the stages nor the sandbox. The binary implements it, and tests do in
//! memory.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;
use std::{fmt, io};

use faultline_bundle::Bundle;
use faultline_domain::envelope::Position;
use faultline_domain::grant::Grant;
use faultline_domain::id::{Digest, InstanceName};
use faultline_domain::plugin::Limits;
use faultline_domain::supervision::LastFailure;
use faultline_domain::time::Timestamp;
use serde_json::Value;

use crate::instance_settings::InstanceSettings;

/// A future on the heap, so that the trait can be an object.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The running machinery.
pub trait Control: Send + Sync {
    /// Bundles, instances or grants have changed in the store. When the answer
    /// comes, nothing runs any more that may not; what may run now need not run
    /// yet.
    ///
    /// Gives why they could not be read, and goes on trying by itself.
    fn plugins_changed(&self) -> Answer<'_, Result<(), String>>;

    /// Tokens have changed in the store. When the answer comes, no revoked one
    /// is good for anything any more.
    ///
    /// Gives why they could not be read, and goes on trying by itself; until
    /// then none of them is good for anything.
    fn tokens_changed(&self) -> Answer<'_, Result<(), String>>;

    /// How the instances fare. One that is missing has not been started yet.
    fn instances(&self) -> Answer<'_, Vec<InstanceStatus>>;

    /// Whether a component could run so: all that loading it would check, up to
    /// what it says about its configuration itself. A required capability that
    /// is not granted is no reason against it: the instance waits for it.
    ///
    /// Gives everything that speaks against it.
    fn check(&self, candidate: Candidate) -> Answer<'_, Result<(), Vec<Reason>>>;

    /// Compiles a component of a bundle, unless that was done before: what can
    /// take minutes is done before anything else is kept waiting, and
    /// [`Control::check`] is quick after it.
    ///
    /// Gives why it cannot be compiled.
    fn prepare(&self, bundle: Bundle, component: String) -> Answer<'_, Result<(), Reason>>;

    /// What is kept of compiled components; none if nothing is kept.
    fn component_cache(&self) -> Answer<'_, io::Result<Option<ComponentCache>>>;

    /// Forgets what was kept of compiled components; gives how many there were.
    fn component_cache_clear(&self) -> Answer<'_, io::Result<u64>>;

    /// Asks a poller at once, from the start or from where it is, and waits for
    /// its answer, page or fault. What came of it is where it stands then.
    ///
    /// Gives why it was not asked.
    fn poll(&self, instance: InstanceName, from_start: bool) -> Answer<'_, Result<(), String>>;

    /// How far the stages have come, in the order in which data passes them.
    fn stages(&self) -> Answer<'_, Vec<StageStatus>>;

    /// Whether everything runs that should, or what does not.
    fn ready(&self) -> Answer<'_, Result<(), String>>;

    /// What is not as it should be at the moment; empty if everything is.
    fn conditions(&self) -> Answer<'_, Vec<Condition>>;

    /// The metrics of everything but the API, in the text format of
    /// OpenMetrics, without `# EOF`.
    fn metrics(&self) -> Answer<'_, String>;
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Which part of the process: `journal`, `observe`, `clock`, …
    pub part: String,
    /// What is the matter, in a word: `disk-full`, `locked`, …
    pub condition: String,
    /// What is the matter, in a sentence.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
    /// Since when.
    pub since: Timestamp,
}

/// A component as it would run.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The name of the instance.
    pub name: InstanceName,
    /// The bundle with all of its files.
    pub bundle: Bundle,
    /// The component's name within it; it is there.
    pub component: String,
    /// The configuration, valid against its schema, with defaults.
    pub config: Value,
    /// What the operator set beside it.
    pub settings: InstanceSettings,
    /// How much it may use: what the manifest asks for, the operator's
    /// overrides, and the ceiling in one.
    pub limits: Limits,
    /// What was granted so far, all of it asked for in the manifest.
    pub granted: Vec<Grant>,
}

/// What is kept of compiled components.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ComponentCache {
    /// The most bytes that are kept.
    pub bytes_max: u64,
    /// The components, the latest used first.
    pub components: Vec<CachedComponent>,
}

/// A component, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedComponent {
    /// Which.
    pub component: Digest,
    /// Bytes of machine code.
    pub bytes: u64,
    /// When it was last used.
    pub used: Timestamp,
}

/// Why a component could not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// One word, the same in errors, metrics and the audit log: `import`,
    /// `limit.compile-time`, …
    pub code: String,
    /// A sentence.
    pub message: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// How an instance fares.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceStatus {
    /// Which one.
    pub name: InstanceName,
    /// Where it stands.
    pub state: InstanceState,
    /// Why it does not run, and the remedy; none if it does.
    pub reason: Option<String>,
    /// What it has used since it was loaded.
    pub usage: Usage,
    /// How often it failed, and how it last did.
    pub supervision: SupervisionStatus,
}

/// How often an instance failed, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SupervisionStatus {
    /// Failures since the component was first run.
    pub failures: u64,
    /// How often it was tried again after a wait, or resumed.
    pub restarts: u64,
    /// The last failure; none if there was none since it was resumed.
    pub last_failure: Option<LastFailure>,
}

/// Where an instance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// It is loaded, and called when there is something for it.
    Running,
    /// It is on its way: compiled, checked, restored.
    Compiling,
    /// It waits for a capability that it requires.
    PendingGrant,
    /// It could not be loaded.
    Failed,
    /// It failed, and is called again after a while.
    BackingOff,
    /// It failed too often, and is not called until somebody lets it.
    Quarantined,
    /// The operator switched it off.
    Disabled,
}

impl InstanceState {
    /// All of them.
    pub const ALL: [InstanceState; 7] = [
        InstanceState::Running,
        InstanceState::Compiling,
        InstanceState::PendingGrant,
        InstanceState::Failed,
        InstanceState::BackingOff,
        InstanceState::Quarantined,
        InstanceState::Disabled,
    ];

    /// The word that stands for it everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            InstanceState::Running => "running",
            InstanceState::Compiling => "compiling",
            InstanceState::PendingGrant => "pending-grant",
            InstanceState::Failed => "failed",
            InstanceState::BackingOff => "backing-off",
            InstanceState::Quarantined => "quarantined",
            InstanceState::Disabled => "disabled",
        }
    }
}

/// Counts since an instance was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    /// Calls of exported functions.
    pub calls: u64,
    /// Time on a processor, while guests ran.
    pub cpu: Duration,
    /// The most bytes of memory that one guest took.
    pub memory_peak_bytes: u64,
    /// Calls of host functions.
    pub host_calls: u64,
    /// Of these, how many were denied.
    pub denied: u64,
    /// Log lines over the limit.
    pub log_lines_dropped: u64,
    /// Failures by code: `trap`, `limit.cpu`, …
    pub failures: BTreeMap<String, u64>,
}

/// How far a stage has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageStatus {
    /// `observe`, `correlate`, …
    pub name: String,
    /// The last envelope that it has dealt with.
    pub position: Position,
    /// Arrival time up to which everything is dealt with.
    pub clock: Timestamp,
    /// Whether it goes through every envelope, so that the distance between
    /// its position and the journal's end is what it has yet to do. A stage
    /// that reads what another one made of envelopes stays where the last such
    /// thing was.
    pub reads_journal: bool,
    /// Why it does not go on; none if it does.
    pub fault: Option<String>,
}
