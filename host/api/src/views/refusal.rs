//! What was proposed in vain.

use faultline_store::RefusalRecord;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Time;

/// A proposal that the host refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    /// The last envelope that was known then.
    pub position: u64,
    /// Event time.
    pub at: Time,
    /// The instance that proposed it.
    pub correlator: String,
    /// `open`, `join`, `merge`, `split` or `blame`.
    #[schema(example = "join")]
    pub proposal: String,
    /// The correlator's reason for it.
    pub summary: String,
    /// The host's reason against it.
    pub reason: String,
}

impl From<RefusalRecord> for Refusal {
    fn from(record: RefusalRecord) -> Self {
        Self {
            position: record.position.0,
            at: record.at.into(),
            correlator: record.correlator,
            proposal: record.proposal,
            summary: record.summary,
            reason: record.reason,
        }
    }
}
