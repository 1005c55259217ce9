//! Pollers: a fresh guest for each page; the host keeps the cursor.

use std::sync::Arc;

use faultline_domain::id::InstanceName;
use faultline_domain::plugin::CallError;
use faultline_domain::poll::{Page, Poller};
use wasmtime::component::InstancePre;

use crate::bindings::exports::faultline::plugin::poll;
use crate::convert::page_of;
use crate::guest::{Call, Guest, GuestState, fault_or};
use crate::instance::Instance;
use crate::wasi::Shows;

/// The fetching half of a connector that also polls.
pub struct WasmPoller {
    pub(crate) pre: InstancePre<GuestState>,
    pub(crate) instance: Arc<Instance>,
    pub(crate) poll: poll::GuestIndices,
}

impl Poller for WasmPoller {
    fn instance(&self) -> &InstanceName {
        &self.instance.spec.name
    }

    fn poll(&self, cursor: Option<&[u8]>, budget: u32) -> Result<Page, CallError> {
        let mut guest = Guest::start(&self.pre, &self.instance, |store, instance| {
            self.poll.load(store, instance)
        })?;
        // What is fetched is not decoded yet, and no replay fetches it again:
        // so it may depend on when that is, as the API's answers do.
        guest.show(Shows::Time(self.instance.now()));
        let answer = guest.call(Call::Poll, |exports, store| {
            exports.call_poll(store, cursor, budget)
        })?;
        let page = fault_or(answer)?;
        guest.check_items(Call::Poll, page.envelopes.len())?;
        page_of(page, budget).map_err(|failure| guest.fail(Call::Poll, failure).into())
    }
}
