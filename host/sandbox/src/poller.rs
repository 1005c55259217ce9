//! Pollers: a fresh guest for each page; the host keeps the cursor.

use std::sync::Arc;

use faultline_domain::plugin::CallError;
use wasmtime::component::InstancePre;

use crate::bindings::exports::faultline::plugin::poll;
use crate::guest::{Call, Guest, GuestState, fault_or};
use crate::instance::Instance;

/// The fetching half of a connector that also polls.
pub struct WasmPoller {
    pub(crate) pre: InstancePre<GuestState>,
    pub(crate) instance: Arc<Instance>,
    pub(crate) poll: poll::GuestIndices,
}

/// What a poller fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolledPage {
    /// Content type and body of each payload.
    pub payloads: Vec<(String, Vec<u8>)>,
    /// Where to go on.
    pub cursor: Vec<u8>,
    /// Whether more is waiting.
    pub more: bool,
}

impl WasmPoller {
    /// Fetches at most `budget` payloads after the cursor.
    ///
    /// # Errors
    /// As all calls of plugins.
    pub fn poll(&self, cursor: Option<&[u8]>, budget: u32) -> Result<PolledPage, CallError> {
        let mut guest = Guest::start(&self.pre, &self.instance, |store, instance| {
            self.poll.load(store, instance)
        })?;
        let answer = guest.call(Call::Poll, |exports, store| {
            exports.call_poll(store, cursor, budget)
        })?;
        let page = fault_or(answer)?;
        guest.check_items(Call::Poll, page.envelopes.len())?;
        Ok(PolledPage {
            payloads: page
                .envelopes
                .into_iter()
                .map(|envelope| (envelope.content_type, envelope.body))
                .collect(),
            cursor: page.cursor,
            more: page.more,
        })
    }
}
