//! Acts of people as envelopes: in the journal, in order with everything else,
//! so that a replay repeats them too.

use faultline_domain::envelope::{Arrival, Format};
use faultline_domain::fault::Fault;
use faultline_domain::id::SourceName;
use faultline_domain::incidents::Command;
use faultline_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// An act, and who asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandEnvelope {
    /// Who.
    pub person: String,
    /// What.
    pub command: Command,
}

impl CommandEnvelope {
    /// As it goes into the journal.
    ///
    /// # Panics
    /// Never: commands have no keys that JSON cannot write.
    pub fn into_arrival(self, received: Timestamp) -> Arrival {
        Arrival {
            source: SourceName::new("api").expect("three letters"),
            format: Format::Command,
            content_type: "application/json".to_owned(),
            headers: Vec::new(),
            body: serde_json::to_vec(&self).expect("plain structures"),
            received,
        }
    }

    /// As it comes out of the journal.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Fault> {
        serde_json::from_slice(body)
            .map_err(|error| Fault::malformed(format!("not a command: {error}")))
    }
}
