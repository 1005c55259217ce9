//! What Faultline says about itself, as envelopes: in the journal, in order
//! with everything else, so that it becomes alerts and incidents like anything
//! else, and a replay repeats it.

use faultline_domain::envelope::{Arrival, Format};
use faultline_domain::fault::Fault;
use faultline_domain::id::SourceName;
use faultline_domain::signal::AlertReport;
use faultline_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Reports of the host about its plugins and stages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostEnvelope {
    /// In the order in which they apply.
    pub alerts: Vec<AlertReport>,
}

impl HostEnvelope {
    /// The source that it comes from, and the family of its alerts.
    pub const SOURCE: &str = "faultline";

    /// As it goes into the journal.
    ///
    /// # Panics
    /// Never: reports have no keys that JSON cannot write.
    pub fn into_arrival(self, received: Timestamp) -> Arrival {
        Arrival {
            source: SourceName::new(Self::SOURCE).expect("nine letters"),
            format: Format::Host,
            content_type: "application/json".to_owned(),
            headers: Vec::new(),
            body: serde_json::to_vec(&self).expect("plain structures"),
            received,
        }
    }

    /// As it comes out of the journal.
    ///
    /// # Errors
    /// If the body is no such envelope.
    pub fn parse(body: &[u8]) -> Result<Self, Fault> {
        serde_json::from_slice(body)
            .map_err(|error| Fault::malformed(format!("not a report of the host: {error}")))
    }
}
