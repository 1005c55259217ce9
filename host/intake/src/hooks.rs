//! Hooks: addresses that the operator bound to connectors, one per source.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use faultline_domain::id::{InstanceName, SourceName};

use crate::signature::Signature;

/// A source and the connector that reads what it sends.
pub struct Hook {
    /// Who reads it.
    pub connector: InstanceName,
    /// What requests have to be signed with. A signature stands in for a token.
    pub signature: Option<Signature>,
}

/// The hooks, by their source. Shared: whoever binds sources replaces them, and
/// that counts from the next request on.
#[derive(Default)]
pub struct HookTable(RwLock<HashMap<SourceName, Arc<Hook>>>);

impl HookTable {
    /// Replaces all hooks.
    pub fn replace(&self, hooks: impl IntoIterator<Item = (SourceName, Hook)>) {
        let hooks = hooks
            .into_iter()
            .map(|(source, hook)| (source, Arc::new(hook)))
            .collect();
        // Replaced as a whole, so that a panicking thread leaves it complete.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = hooks;
    }

    /// The hook of a source, if there is one.
    pub(crate) fn find(&self, source: &SourceName) -> Option<Arc<Hook>> {
        let hooks = self.0.read().unwrap_or_else(PoisonError::into_inner);
        hooks.get(source).map(Arc::clone)
    }
}
