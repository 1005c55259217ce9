//! `kv`: small durable state of the instance, under a quota.
//!
//! Needs the capability `kv`, and a call that may have state: while a connector
//! decodes it has none, so that history can be decoded again. Each use is put on
//! the audit log, writes before they are made and after.

use faultline_domain::grant::Use;
use faultline_domain::plugin::Limit;
use serde_json::json;

use crate::bindings::faultline::plugin::kv::{Change, Entry, Host};
use crate::bindings::faultline::plugin::types::{Fault, Retry};
use crate::guest::GuestState;
use crate::host::recorded::fault;
use crate::services::{Committed, Item, ItemChange, Unanswered};

/// The most bytes of a key.
const KEY_BYTES_MAX: usize = 512;

/// The most bytes of a value.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// The most keys of one `get`, changes of one `commit`, entries of one `scan`.
const BATCH_MAX: usize = 1_000;

type Answer<T> = wasmtime::Result<Result<T, Fault>>;

impl Host for GuestState {
    fn get(&mut self, keys: Vec<String>) -> Answer<Vec<Option<Entry>>> {
        self.enter_act_to_wait()?;
        let checked =
            check_count(keys.len()).and_then(|()| keys.iter().try_for_each(|key| check_key(key)));
        Ok(
            self.use_kv("kv.get", checked, json!({"keys": keys.len()}), |state| {
                let name = state.instance.spec.name.clone();
                let found = state.instance.ask(state.meter.wall_left(), |services| {
                    services.kv_fetch(name, keys.clone())
                })?;
                let entry = |key: &String| found.iter().find(|item| item.key == *key);
                // A key that is asked for a thousand times is answered as often.
                let bytes: u64 = keys
                    .iter()
                    .filter_map(entry)
                    .map(|item| (item.key.len() + item.value.len()) as u64)
                    .sum();
                let most = state.instance.spec.limits.memory_bytes;
                if bytes > most {
                    state.instance.stats.fail(Limit::Memory.as_str());
                    let message = format!("an answer of {bytes} bytes; {most} at most");
                    return Ok(Err(fault(Limit::Memory.as_str(), &message, Retry::Never)));
                }
                Ok(Ok(keys
                    .iter()
                    .map(|key| entry(key).cloned().map(Entry::from))
                    .collect()))
            }),
        )
    }

    fn scan(&mut self, prefix: String, after: Option<String>, limit: u32) -> Answer<Vec<Entry>> {
        self.enter_act_to_wait()?;
        let most = limit.min(u32::try_from(BATCH_MAX).unwrap_or(u32::MAX));
        let is_good = [Some(&prefix), after.as_ref()]
            .into_iter()
            .flatten()
            .all(|text| is_text(text));
        let checked = if is_good { Ok(()) } else { Err(key_fault()) };
        let detail = json!({"prefix-bytes": prefix.len(), "limit": most});
        Ok(self.use_kv("kv.scan", checked, detail, |state| {
            let name = state.instance.spec.name.clone();
            let found = state.instance.ask(state.meter.wall_left(), |services| {
                services.kv_scan(name, prefix, after, most)
            })?;
            Ok(Ok(found.into_iter().map(Entry::from).collect()))
        }))
    }

    fn commit(&mut self, changes: Vec<Change>) -> Answer<u64> {
        self.enter_act_to_wait()?;
        let checked = check_count(changes.len())
            .and_then(|()| changes.iter().try_for_each(|change| check_key(&change.key)))
            .and_then(|()| changes.iter().try_for_each(check_value));
        let bytes: usize = changes
            .iter()
            .filter_map(|change| change.value.as_ref().map(Vec::len))
            .sum();
        let detail = json!({"changes": changes.len(), "bytes": bytes});
        Ok(self.use_kv("kv.commit", checked, detail, |state| {
            let name = state.instance.spec.name.clone();
            let quota = state.instance.spec.limits.kv_bytes;
            let changes = changes.into_iter().map(ItemChange::from).collect();
            let committed = state.instance.ask(state.meter.wall_left(), |services| {
                services.kv_commit(name, changes, quota)
            })?;
            Ok(match committed {
                Committed::Written(version) => Ok(version),
                Committed::Conflict => Err(fault(
                    "conflict",
                    "a key is not at the version that was expected; nothing was written",
                    Retry::Later,
                )),
                Committed::OverQuota(bytes) => {
                    state.instance.stats.fail(Limit::Kv.as_str());
                    let message = format!("{bytes} bytes in all; {quota} at most");
                    Err(fault(Limit::Kv.as_str(), &message, Retry::Never))
                }
            })
        }))
    }
}

impl GuestState {
    /// Checks that this instance may use `kv` now, records what it is about to
    /// do, does it, and records how it ended.
    fn use_kv<T>(
        &mut self,
        action: &str,
        checked: Result<(), Fault>,
        detail: serde_json::Value,
        act: impl FnOnce(&Self) -> Result<Result<T, Fault>, Unanswered>,
    ) -> Result<T, Fault> {
        checked?;
        let allowed = self.allows_now().and_then(|()| {
            let capability = self
                .instance
                .spec
                .grants
                .allows(Use::Kv, self.instance.now());
            capability
                .map(str::to_owned)
                .ok_or_else(|| "`kv` was not granted".to_owned())
        });
        self.recorded(action, allowed, detail, act)
    }
}

fn check_count(count: usize) -> Result<(), Fault> {
    if count <= BATCH_MAX {
        return Ok(());
    }
    let message = format!("{count} at once; {BATCH_MAX} at most");
    Err(fault("malformed", &message, Retry::Never))
}

fn check_key(key: &str) -> Result<(), Fault> {
    if key.is_empty() || !is_text(key) {
        return Err(key_fault());
    }
    Ok(())
}

/// Whether it can be, or be part of, a key. Not every database can hold a NUL.
fn is_text(text: &str) -> bool {
    text.len() <= KEY_BYTES_MAX && !text.contains('\0')
}

fn key_fault() -> Fault {
    let message = format!("keys have 1 to {KEY_BYTES_MAX} bytes, and no NUL among them");
    fault("malformed", &message, Retry::Never)
}

fn check_value(change: &Change) -> Result<(), Fault> {
    let bytes = change.value.as_ref().map_or(0, Vec::len);
    if bytes <= VALUE_BYTES_MAX {
        return Ok(());
    }
    let message = format!("a value of {bytes} bytes; {VALUE_BYTES_MAX} at most");
    Err(fault("malformed", &message, Retry::Never))
}

impl From<Item> for Entry {
    fn from(item: Item) -> Self {
        Self {
            key: item.key,
            value: item.value,
            version: item.version,
        }
    }
}

impl From<Change> for ItemChange {
    fn from(change: Change) -> Self {
        Self {
            key: change.key,
            value: change.value,
            if_version: change.if_version,
        }
    }
}
