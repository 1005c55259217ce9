//! What the API puts on the audit log.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use faultline_domain::access::Role;
use faultline_domain::audit::{Entry, Stage};
use faultline_domain::time::Timestamp;
use serde_json::{Map, Value, json};

use crate::access::Caller;
use crate::shared::Shared;

/// What is denied or refused to one caller in one way is put on the log at most
/// this often; how many there were meanwhile stands in the next row.
const DENIED_ROW_EVERY: Duration = Duration::from_secs(10);

/// The most pairs of callers and ways that are told apart.
const DENIED_PAIRS_MAX: usize = 1_000;

/// The way in which bundles are refused, and what the row about it is called.
const PLUGIN_REFUSED: &str = "plugin.refused";

/// The most characters of a reason that are put on the log.
const REASON_CHARS_MAX: usize = 500;

impl Caller {
    /// A row about something that they do, which is written together with what
    /// it speaks of. `detail` is an object without secrets.
    pub(crate) fn event(&self, at: Timestamp, action: &str, subject: &str, detail: Value) -> Entry {
        self.entry(at, action, subject, Stage::Event, detail)
    }

    /// A row about something that they do.
    pub(crate) fn entry(
        &self,
        at: Timestamp,
        action: &str,
        subject: &str,
        stage: Stage,
        detail: Value,
    ) -> Entry {
        let mut detail = match detail {
            Value::Object(object) => object,
            Value::Null => Map::new(),
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        // Names of tokens are not unique; their ids are.
        if let Some(token) = &self.token {
            detail.insert("token".to_owned(), json!(token));
        }
        Entry {
            at,
            actor: self.principal.name.clone(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            stage,
            detail: Value::Object(detail).to_string(),
        }
    }
}

/// Denials and refusals that are not written, since much the same was lately.
#[derive(Debug, Default)]
pub(crate) struct Denials(Mutex<BTreeMap<(String, &'static str), Lately>>);

#[derive(Debug)]
struct Lately {
    written: Timestamp,
    unwritten: u64,
}

impl Denials {
    /// Whether a denial is to be written now, and how many before it were not.
    fn note(&self, actor: &str, way: &'static str, now: Timestamp) -> Option<u64> {
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pair = (actor.to_owned(), way);
        if let Some(known) = lately.get_mut(&pair) {
            if now.since(known.written) < DENIED_ROW_EVERY {
                known.unwritten += 1;
                return None;
            }
            let unwritten = known.unwritten;
            *known = Lately {
                written: now,
                unwritten: 0,
            };
            return Some(unwritten);
        }
        if lately.len() >= DENIED_PAIRS_MAX {
            lately.retain(|_, known| now.since(known.written) < DENIED_ROW_EVERY);
        }
        if lately.len() < DENIED_PAIRS_MAX {
            let begun = Lately {
                written: now,
                unwritten: 0,
            };
            lately.insert(pair, begun);
        }
        Some(0)
    }
}

/// Somebody who was recognised asked for what their role does not include.
pub(crate) async fn note_denied(
    shared: &Shared,
    caller: &Caller,
    operation: &'static str,
    subject: &str,
    needed: Role,
) {
    let detail = |unwritten| {
        json!({
            "operation": operation,
            "role": caller.principal.role.as_str(),
            "needed": needed.as_str(),
            "unwritten": unwritten,
        })
    };
    note(shared, caller, operation, "api.denied", subject, detail).await;
}

/// Somebody who may install bundles sent what is none, or none for this host.
pub(crate) async fn note_refused_bundle(
    shared: &Shared,
    caller: &Caller,
    origin: &str,
    reason: &str,
) {
    shared.metrics.bundles_refused.inc();
    let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
    let detail = |unwritten| json!({ "reason": reason, "unwritten": unwritten });
    note(
        shared,
        caller,
        PLUGIN_REFUSED,
        PLUGIN_REFUSED,
        origin,
        detail,
    )
    .await;
}

/// Puts on the log what was denied or refused to somebody, unless much the same
/// was lately. `detail` is told how often that was left out.
async fn note(
    shared: &Shared,
    caller: &Caller,
    way: &'static str,
    action: &str,
    subject: &str,
    detail: impl FnOnce(u64) -> Value + Send,
) {
    let now = shared.now();
    let Some(unwritten) = shared.denials.note(&caller.principal.name, way, now) else {
        return;
    };
    let entry = caller.event(now, action, subject, detail(unwritten));
    if let Err(error) = shared.store.audit_append(entry).await {
        // It was refused nevertheless.
        let cause: &dyn std::error::Error = &error;
        tracing::error!(error = cause, "{action} could not be put on the audit log");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denials_are_written_now_and_then() {
        let denials = Denials::default();
        let note = |secs| denials.note("token:ci", "token_list", Timestamp::from_secs(secs));
        assert_eq!(note(100), Some(0));
        assert_eq!(note(101), None);
        assert_eq!(note(109), None);
        assert_eq!(note(110), Some(2));
        let other = denials.note("token:ci", "grant_put", Timestamp::from_secs(101));
        assert_eq!(other, Some(0));
    }

    #[test]
    fn not_more_is_remembered_than_the_limit() {
        let denials = Denials::default();
        for i in 0..2 * DENIED_PAIRS_MAX {
            let written = denials.note(&format!("token:{i}"), "x", Timestamp::from_secs(1));
            assert_eq!(written, Some(0));
        }
        let known = denials.0.lock().expect("no panic").len();
        assert_eq!(known, DENIED_PAIRS_MAX);
    }
}
