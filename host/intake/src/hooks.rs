//! Hooks: addresses that the operator bound to connectors, one per source.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use faultline_domain::id::{InstanceName, SourceName};

/// Who reads what the sources send, by source. Shared: whoever binds sources
/// replaces them, and that counts from the next request on.
#[derive(Default)]
pub struct HookTable(RwLock<HashMap<SourceName, InstanceName>>);

impl HookTable {
    /// Replaces all hooks.
    pub fn replace(&self, hooks: impl IntoIterator<Item = (SourceName, InstanceName)>) {
        // Replaced as a whole, so that a panicking thread leaves it complete.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = hooks.into_iter().collect();
    }

    /// The connector that reads what a source sends, if there is one.
    pub(crate) fn find(&self, source: &SourceName) -> Option<InstanceName> {
        let hooks = self.0.read().unwrap_or_else(PoisonError::into_inner);
        hooks.get(source).cloned()
    }
}
