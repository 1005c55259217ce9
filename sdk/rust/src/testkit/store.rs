//! The fake `kv`: versions, quota and refusals as the interface describes them.

use std::collections::{BTreeMap, BTreeSet};

use crate::Fault;
use crate::kv::{Change, Entry};

/// The most entries that one `scan` answers.
const SCAN_ENTRIES_MAX: u32 = 1_000;
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
            .take(limit.min(SCAN_ENTRIES_MAX) as usize)
            .cloned()
            .collect()
    }

    pub(super) fn commit(&mut self, changes: &[Change]) -> Result<u64, Fault> {
        let mut keys = BTreeSet::new();
        for change in changes {
            self.check(change)?;
            if !keys.insert(&change.key) {
                return Err(Fault::malformed(format!(
                    "the key `{}` stands twice in one commit",
                    change.key
                )));
            }
        }
        let version = self.version + 1;
        let mut entries = self.entries.clone();
        for change in changes {
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
            return Err(Fault::new(
                "limit.kv",
                format!(
                    "the state would have {bytes} bytes and may have {}",
                    self.bytes_max
                ),
            ));
        }
        self.entries = entries;
        self.version = version;
        Ok(version)
    }

    fn check(&self, change: &Change) -> Result<(), Fault> {
        if change.key.is_empty() || change.key.len() > KEY_BYTES_MAX {
            return Err(Fault::malformed(format!(
                "a key has 1 to {KEY_BYTES_MAX} bytes; this one has {}",
                change.key.len()
            )));
        }
        if let Some(value) = &change.value
            && value.len() > VALUE_BYTES_MAX
        {
            return Err(Fault::new(
                "limit.kv",
                format!(
                    "a value has at most {VALUE_BYTES_MAX} bytes; that of `{}` has {}",
                    change.key,
                    value.len()
                ),
            ));
        }
        let version = self
            .entries
            .get(&change.key)
            .map_or(0, |entry| entry.version);
        match change.if_version {
            Some(expected) if expected != version => Err(Fault::new(
                "conflict",
                format!(
                    "the key `{}` is at version {version}, not at {expected}",
                    change.key
                ),
            )),
            _ => Ok(()),
        }
    }
}
