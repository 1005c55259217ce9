//! Who depends on whom.

use faultline_domain::topology::{EdgeKey, Seen};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Time;

/// An edge of the topology.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Edge {
    /// Suffers if the provider fails, as `kind/name`.
    #[schema(example = "service/checkout")]
    pub dependent: String,
    /// What it depends on, as `kind/name`.
    #[schema(example = "service/payments")]
    pub provider: String,
    /// `calls`, `runs-on`, …
    #[schema(example = "calls")]
    pub relation: String,
    /// When it was first seen.
    pub first_seen: Time,
    /// When it was last seen, give or take the granularity of recording.
    pub last_seen: Time,
}

impl Edge {
    pub(crate) fn of(key: &EdgeKey, seen: &Seen) -> Self {
        Self {
            dependent: key.dependent.to_string(),
            provider: key.provider.to_string(),
            relation: key.relation.clone(),
            first_seen: seen.first.into(),
            last_seen: seen.last.into(),
        }
    }
}
