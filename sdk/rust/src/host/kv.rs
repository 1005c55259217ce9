//! Small durable state of this instance, under a quota.
//!
//! Keys are non-empty, have at most 512 bytes and no NUL among them, values at
//! most 1 MiB; at most 1,000 keys or changes go at once. An entry counts its key,
//! its value and 128 bytes. Needs the capability `kv`.

use super::call;
use crate::Fault;

pub use crate::bindings::host::faultline::plugin::kv::{Change, Entry};

impl Change {
    /// Sets a key, whatever is there.
    pub fn set(key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self {
            key: key.into(),
            value: Some(value.into()),
            if_version: None,
        }
    }

    /// Deletes a key, whether it is there or not.
    pub fn delete(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: None,
            if_version: None,
        }
    }

    /// Only if the key is at this version, as [`Entry::version`] gave it.
    #[must_use]
    pub fn if_version(mut self, version: u64) -> Self {
        self.if_version = Some(version);
        self
    }

    /// Only if there is no such key.
    #[must_use]
    pub fn if_absent(self) -> Self {
        self.if_version(0)
    }
}

/// One answer for each key, in order; none where there is no such key.
///
/// # Errors
/// Those of the host: `denied`, `limit.kv`, …
pub fn get_all(keys: &[String]) -> Result<Vec<Option<Entry>>, Fault> {
    call!(
        crate::bindings::host::faultline::plugin::kv::get(keys),
        |fake| fake.kv_get(keys)
    )
}

/// The entry with this key; none if there is none.
///
/// # Errors
/// As [`get_all`].
pub fn get(key: &str) -> Result<Option<Entry>, Fault> {
    Ok(get_all(&[key.to_owned()])?.pop().flatten())
}

/// Entries whose key begins with `prefix`, ascending by key, that come after
/// `after`; at most `limit`, and never more than 1,000.
///
/// # Errors
/// As [`get_all`].
pub fn scan(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<Entry>, Fault> {
    call!(
        crate::bindings::host::faultline::plugin::kv::scan(prefix, after, limit),
        |fake| fake.kv_scan(prefix, after, limit)
    )
}

/// Makes all of the changes or none. Gives the version that the written keys
/// now have.
///
/// # Errors
/// `conflict`, if a version does not match; otherwise as [`get_all`].
pub fn commit(changes: &[Change]) -> Result<u64, Fault> {
    call!(
        crate::bindings::host::faultline::plugin::kv::commit(changes),
        |fake| fake.kv_commit(changes)
    )
}
