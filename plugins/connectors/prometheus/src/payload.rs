//! What a poll puts into the journal: the answer of `/api/v1/alerts` as it
//! came, reduced to alerts that fire, and what has ended since the poll before.
//!
//! Beside `ended` and `untracked` it has the shape of the answer itself, so that
//! one that was saved to a file can be read, too.

use faultline_sdk::Fault;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::Alerts;
use crate::cursor::Labels;

/// Alerts in one envelope, unless there are more of them than envelopes may be.
const ALERTS_PER_ENVELOPE: usize = 1_000;

/// One envelope.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(expecting = "an answer of Prometheus' /api/v1/alerts")]
pub(crate) struct Payload {
    /// What the API says, and nothing else is read.
    pub(crate) status: String,
    pub(crate) data: Alerts,
    /// Alerts whose end we will not notice, for they are too many to remember:
    /// they end unless they are reported again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) untracked: Vec<Value>,
    /// Alerts that are not there any more, each unread yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ended: Vec<Value>,
}

/// An alert that is not there any more.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an alert that has ended")]
pub(crate) struct Ended {
    pub(crate) labels: Labels,
    pub(crate) active_at: String,
}

fn success() -> String {
    "success".to_owned()
}

/// What one poll found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) firing: Vec<Value>,
    pub(crate) untracked: Vec<Value>,
    pub(crate) ended: Vec<Ended>,
}

/// One alert, on its way into an envelope.
enum Item {
    Firing(Value),
    Untracked(Value),
    Ended(Value),
}

impl Found {
    /// The envelopes' bodies: none if there is nothing to say, and at most so
    /// many.
    pub(crate) fn into_bodies(self, budget: u32) -> Result<Vec<Vec<u8>>, Fault> {
        let unwritten =
            |error| Fault::malformed(format!("what was fetched cannot be written: {error}"));
        let ended: Vec<Value> = self
            .ended
            .iter()
            .map(serde_json::to_value)
            .collect::<Result<_, _>>()
            .map_err(unwritten)?;
        let mut items: Vec<Item> = self
            .firing
            .into_iter()
            .map(Item::Firing)
            .chain(self.untracked.into_iter().map(Item::Untracked))
            .chain(ended.into_iter().map(Item::Ended))
            .collect();
        let budget = usize::try_from(budget).unwrap_or(usize::MAX).max(1);
        let each = items.len().div_ceil(budget).max(ALERTS_PER_ENVELOPE);
        let mut bodies = Vec::new();
        while !items.is_empty() {
            let rest = items.split_off(items.len().min(each));
            let mut payload = Payload {
                status: success(),
                ..Payload::default()
            };
            for item in std::mem::replace(&mut items, rest) {
                match item {
                    Item::Firing(alert) => payload.data.alerts.push(alert),
                    Item::Untracked(alert) => payload.untracked.push(alert),
                    Item::Ended(alert) => payload.ended.push(alert),
                }
            }
            bodies.push(serde_json::to_vec(&payload).map_err(unwritten)?);
        }
        Ok(bodies)
    }
}
