//! What a refusal concerns: one item, whose siblings count nevertheless, or
//! the whole payload.

use std::fmt::Display;

use super::limits::{Limits, clip};
use super::wire::Unreadable;

/// Why something is not taken.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// One item; the reason without the item's place.
    Item(String),
    /// The payload.
    Payload(Unreadable),
}

impl From<Unreadable> for Refusal {
    fn from(unreadable: Unreadable) -> Self {
        Refusal::Payload(unreadable)
    }
}

/// Refuses a label without a name, or with more bytes than it may have.
pub(crate) fn check_label(name: &str, value: &str, limits: Limits) -> Result<(), Refusal> {
    let (name_max, value_max) = (limits.label_name_bytes_max, limits.label_value_bytes_max);
    if name.is_empty() {
        return Err(Refusal::Item("a label without a name".to_owned()));
    }
    if name.len() > name_max {
        return Err(Refusal::Item(format!(
            "the name of label `{}…` has {} bytes, more than {name_max}",
            clip(name, 40),
            name.len()
        )));
    }
    if value.len() > value_max {
        return Err(Refusal::Item(format!(
            "the value of label `{}` has {} bytes, more than {value_max}",
            clip(name, 40),
            value.len()
        )));
    }
    Ok(())
}

/// An error in JSON, and where it is.
pub(crate) fn at_path(path: &serde_path_to_error::Path, error: impl Display) -> String {
    if path.iter().next().is_none() {
        return error.to_string();
    }
    format!("{path}: {error}")
}
