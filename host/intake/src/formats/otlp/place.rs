//! Where an item stands in a payload, for people.

use std::fmt;

/// The place of an item, in the names of the OTLP/JSON mapping.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// `Metrics`, `Logs` or `Spans`.
    pub(super) kind: &'static str,
    /// `metrics`, `logRecords` or `spans`.
    pub(super) items: &'static str,
    pub(super) resource: usize,
    pub(super) scope: usize,
    pub(super) item: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            items,
            resource,
            scope,
            item,
        } = self;
        write!(
            f,
            "resource{kind}[{resource}].scope{kind}[{scope}].{items}[{item}]"
        )
    }
}
