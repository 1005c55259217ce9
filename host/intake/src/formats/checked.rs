//! What a payload amounts to, without what it says: enough to answer its
//! sender.

use faultline_domain::decode::{Decoded, Notes};
use faultline_domain::fault::Fault;

/// What a payload amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Alerts, samples, log lines and spans that count.
    pub items: u64,
    /// What was left out or mended on purpose.
    pub notes: Notes,
    /// Reasons of the items that do not count; see [`Decoded::rejected`].
    pub rejected: Vec<Fault>,
    /// How many items do not count.
    pub rejected_count: u64,
}

impl Checked {
    /// Whether there is nothing in it to keep: neither an item nor one that was
    /// left out on purpose, which another version may read.
    pub fn is_void(&self) -> bool {
        self.items == 0 && self.notes.iter().next().is_none()
    }
}

impl From<Decoded> for Checked {
    fn from(decoded: Decoded) -> Self {
        let items = decoded.signals.len()
            + decoded.samples.len()
            + decoded.logs.len()
            + decoded.spans.len();
        Self {
            items: items as u64,
            notes: decoded.notes,
            rejected_count: decoded.rejected_count(),
            rejected: decoded.rejected,
        }
    }
}
