//! The fake `kv`: versions, quota and refusals as those of the real one
//! (`host/sandbox/src/host/kv.rs`, `host/store/src/kv.rs`).

use std::collections::BTreeMap;

use crate::kv::{Change, Entry};
use crate::{Fault, Retry};

/// The most keys of one `get`, changes of one `commit`, entries of one `scan`.
const BATCH_MAX: usize = 1_000;
/// The most bytes in a key.
const KEY_BYTES_MAX: usize = 512;
/// The most bytes in a value.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// What an entry counts beside its key and value.
const ENTRY_BYTES: usize = 128;

/// The entries of one instance.
pub(super) struct Store {
    entries: BTreeMap<String, Entry>,
    version: u64,
    bytes_max: usize,
}

impl Store {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            version: 0,
            bytes_max,
        }
    }

    pub(super) fn get(&self, keys: &[String]) -> Vec<Option<Entry>> {
        keys.iter()
            .map(|key| self.entries.get(key).cloned())
            .collect()
    }

    pub(super) fn scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Vec<Entry> {
        self.entries
            .values()
            .filter(|entry| entry.key.starts_with(prefix))
            .filter(|entry| after.is_none_or(|after| entry.key.as_str() > after))
            .take(BATCH_MAX.min(limit as usize))
            .cloned()
            .collect()
    }

    /// In order, each upon those before it: a key may stand twice.
    pub(super) fn commit(&mut self, changes: &[Change]) -> Result<u64, Fault> {
        let version = self.version + 1;
        let mut entries = self.entries.clone();
        for change in changes {
            let found = entries.get(&change.key).map_or(0, |entry| entry.version);
            if change.if_version.is_some_and(|expected| expected != found) {
                return Err(Fault {
                    retry: Retry::Later,
                    ..Fault::new(
                        "conflict",
                        "a key is not at the version that was expected; nothing was written",
                    )
                });
            }
            match &change.value {
                Some(value) => {
                    let entry = Entry {
                        key: change.key.clone(),
                        value: value.clone(),
                        version,
                    };
                    entries.insert(change.key.clone(), entry);
                }
                None => {
                    entries.remove(&change.key);
                }
            }
        }
        let bytes: usize = entries
            .values()
            .map(|entry| entry.key.len() + entry.value.len() + ENTRY_BYTES)
            .sum();
        if bytes > self.bytes_max {
            let message = format!("{bytes} bytes in all; {} at most", self.bytes_max);
            return Err(Fault::new("limit.kv", message));
        }
        self.entries = entries;
        self.version = version;
        Ok(version)
    }
}

/// What the host looks at before it asks whether anything was granted.
pub(super) fn check_keys(keys: &[String]) -> Result<(), Fault> {
    check_count(keys.len())?;
    keys.iter().try_for_each(|key| check_key(key))
}

/// As [`check_keys`], of a scan.
pub(super) fn check_scan(prefix: &str, after: Option<&str>) -> Result<(), Fault> {
    let mut texts = [Some(prefix), after].into_iter().flatten();
    if texts.all(is_text) {
        return Ok(());
    }
    Err(key_fault())
}

/// As [`check_keys`], of a commit.
pub(super) fn check_changes(changes: &[Change]) -> Result<(), Fault> {
    check_count(changes.len())?;
    changes
        .iter()
        .try_for_each(|change| check_key(&change.key))?;
    for change in changes {
        let bytes = change.value.as_ref().map_or(0, Vec::len);
        if bytes > VALUE_BYTES_MAX {
            return Err(Fault::malformed(format!(
                "a value of {bytes} bytes; {VALUE_BYTES_MAX} at most"
            )));
        }
    }
    Ok(())
}

fn check_count(count: usize) -> Result<(), Fault> {
    if count <= BATCH_MAX {
        return Ok(());
    }
    Err(Fault::malformed(format!(
        "{count} at once; {BATCH_MAX} at most"
    )))
}

fn check_key(key: &str) -> Result<(), Fault> {
    if key.is_empty() || !is_text(key) {
        return Err(key_fault());
    }
    Ok(())
}

fn is_text(text: &str) -> bool {
    text.len() <= KEY_BYTES_MAX && !text.contains('\0')
}

fn key_fault() -> Fault {
    Fault::malformed(format!(
        "keys have 1 to {KEY_BYTES_MAX} bytes, and no NUL among them"
    ))
}
