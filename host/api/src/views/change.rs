//! Changes.

use std::collections::BTreeMap;

use faultline_store::ChangeRecord;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Time, entities, labels};

/// Something that was changed on purpose, as last reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// Family and the sender's id, hashed.
    #[schema(pattern = "^chg_[0-9a-f]{32}$")]
    pub id: String,
    /// The sender's id.
    pub reference: String,
    /// `deployment`, `configuration`, …
    #[schema(example = "deployment")]
    pub kind: String,
    /// A line for people.
    pub title: String,
    /// When it happened.
    pub at: Time,
    /// What was changed, as `kind/name`.
    pub entities: Vec<String>,
    /// Whatever else the sender said.
    pub attributes: BTreeMap<String, String>,
    /// Where to read more.
    pub link: Option<String>,
    /// Through which source it came.
    pub source: String,
    /// The envelope that last reported it.
    pub position: u64,
    /// When that arrived.
    pub received: Time,
}

impl From<ChangeRecord> for Change {
    fn from(record: ChangeRecord) -> Self {
        let change = record.change;
        Self {
            id: change.id.to_string(),
            reference: change.reference,
            kind: change.kind,
            title: change.title,
            at: change.at.into(),
            entities: entities(&change.entities),
            attributes: labels(&change.attributes),
            link: change.link,
            source: record.source.to_string(),
            position: record.position.0,
            received: record.received.into(),
        }
    }
}
