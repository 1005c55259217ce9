//! What is kept of compiled components.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Time;
use crate::control::{CachedComponent, ComponentCache as Known};

/// The cache of compiled components of the node that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComponentCache {
    /// Whether there is one: it can be switched off, or be unusable.
    pub enabled: bool,
    /// Bytes of all components in it.
    pub bytes: u64,
    /// The most bytes; what was not used for longest goes beyond it.
    pub bytes_max: u64,
    /// The components, the latest used first.
    pub components: Vec<ComponentCacheEntry>,
}

/// A component, compiled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComponentCacheEntry {
    /// The component's digest.
    #[schema(pattern = "^sha256:[0-9a-f]{64}$")]
    pub component: String,
    /// Bytes of machine code.
    pub bytes: u64,
    /// When it was last loaded, or compiled.
    pub used: Time,
}

/// What emptying the cache came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComponentCacheCleared {
    /// Compiled components that were removed.
    pub removed: u64,
}

impl From<Option<Known>> for ComponentCache {
    fn from(known: Option<Known>) -> Self {
        let enabled = known.is_some();
        let known = known.unwrap_or_default();
        Self {
            enabled,
            bytes: known.components.iter().map(|kept| kept.bytes).sum(),
            bytes_max: known.bytes_max,
            components: known.components.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<CachedComponent> for ComponentCacheEntry {
    fn from(kept: CachedComponent) -> Self {
        Self {
            component: kept.component.to_string(),
            bytes: kept.bytes,
            used: kept.used.into(),
        }
    }
}
