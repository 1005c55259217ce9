//! How the installation fares as a whole.

use faultline_store::LeaseRecord;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Role, Time};

/// How the installation fares as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Of the server.
    #[schema(example = "0.1.0")]
    pub version: String,
    /// The id of this installation.
    pub install: String,
    /// What the server that answers is called among those that share the
    /// database.
    #[schema(example = "shop-a3f2")]
    pub node: String,
    /// Where everything is kept: `sqlite`, in a folder of the server's, or
    /// `postgresql`, which several servers may share.
    #[schema(example = "sqlite")]
    pub database: String,
    /// The environment or tenant.
    #[schema(example = "default")]
    pub scope: String,
    /// The server's clock.
    pub now: Time,
    /// Whether everything runs that should.
    pub ready: bool,
    /// What does not; none if everything does.
    pub unready_reason: Option<String>,
    /// What is not as it should be at the moment, and what to do about it. Not
    /// all of it keeps the server from being ready.
    pub conditions: Vec<ConditionView>,
    /// The last envelope of the journal; 0 if there is none.
    pub journal_position: u64,
    /// When it arrived; none if there is none.
    pub journal_received: Option<Time>,
    /// How far the stages have come, in the order in which data passes them.
    pub stages: Vec<Stage>,
    /// Who does what only one server does at a time.
    pub leases: Vec<Lease>,
    /// Alerts by state.
    pub alerts: AlertCounts,
    /// Incidents by phase.
    pub incidents: PhaseCounts,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Condition)]
pub struct ConditionView {
    /// Which part: `journal`, `observe`, `correlate`, `poll`, `retention`, `leases`,
    /// `clock`.
    #[schema(example = "journal")]
    pub part: String,
    /// What is the matter, in a word that `host/OPERATIONS.md` explains.
    #[schema(example = "disk-full")]
    pub condition: String,
    /// What is the matter, in a sentence.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
    /// Since when.
    pub since: Time,
}

/// Who does something that only one server does at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lease {
    /// `observe`, `correlate`, …
    #[schema(example = "observe")]
    pub name: String,
    /// The node that does it; none if nobody does at the moment.
    #[schema(example = "shop-a3f2")]
    pub node: Option<String>,
    /// How often it has changed hands.
    pub token: u64,
    /// Since when, by the clock of that node.
    pub taken: Time,
    /// When that node last said that it lives, by its clock. A server that
    /// shares its database with nobody need not say so.
    pub renewed: Time,
}

impl From<LeaseRecord> for Lease {
    fn from(record: LeaseRecord) -> Self {
        Self {
            name: record.name,
            node: record.view.holder.map(|holder| holder.node),
            token: record.view.fence.0,
            taken: Time(record.taken),
            renewed: Time(record.renewed),
        }
    }
}

/// How far a stage has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stage {
    /// `observe`, `correlate`, …
    #[schema(example = "observe")]
    pub name: String,
    /// The last envelope that it has dealt with.
    pub position: u64,
    /// Arrival time up to which everything is dealt with; none if nothing is.
    pub clock: Option<Time>,
    /// Envelopes that it has yet to read; none for a stage that reads what
    /// another one made of them.
    pub lag_envelopes: Option<u64>,
    /// From there to the arrival of the last envelope, in seconds.
    #[schema(minimum = 0)]
    pub lag_seconds: f64,
    /// Why it does not go on; none if it does.
    pub fault: Option<String>,
}

/// How many alerts there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertCounts {
    /// That fire.
    pub firing: u64,
    /// That do not any more.
    pub resolved: u64,
}

/// How many incidents there are in each phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct PhaseCounts {
    /// Nobody looks after them.
    pub open: u64,
    /// Somebody does.
    pub acknowledged: u64,
    /// Over, but may be reopened.
    pub resolved: u64,
    /// Over for good.
    pub closed: u64,
    /// Their members went to others.
    pub merged: u64,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Caller)]
pub struct CallerView {
    /// As on the audit log.
    #[schema(example = "token:ci")]
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// One number for the whole of history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryDigest {
    /// SHA-256 over all alerts, changes, edges, incidents and their events.
    /// The same journal, components and configuration give the same one.
    pub digest: String,
}
