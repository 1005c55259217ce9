//! Correlators: a guest for each call, fresh or kept warm; what it wants to remember goes
//! through the host.

use std::sync::Arc;

use faultline_domain::id::{Digest, InstanceName};
use faultline_domain::plugin::{CORRELATOR_STATE_BYTES_MAX, CallError, Correlator, Failure, Limit};
use faultline_domain::proposal::{Blob, Verdict};
use faultline_domain::situation::Situation;
use wasmtime::component::InstancePre;

use crate::bindings::exports::faultline::plugin::correlate;
use crate::bindings::faultline::plugin::types;
use crate::convert::{situation_of, verdict_of};
use crate::guest::{Call, Guest, GuestState, fault_or};
use crate::instance::Instance;
use crate::pool::Pool;
use crate::wasi::Shows;

/// A correlator of one instance.
pub struct WasmCorrelator {
    pub(crate) pre: InstancePre<GuestState>,
    pub(crate) instance: Arc<Instance>,
    pub(crate) correlate: correlate::GuestIndices,
    pub(crate) pool: Pool<correlate::Guest>,
}

impl Correlator for WasmCorrelator {
    fn instance(&self) -> &InstanceName {
        &self.instance.spec.name
    }

    fn digest(&self) -> Digest {
        self.instance.digest
    }

    fn correlate(&self, situation: &Situation, state: Option<&Blob>) -> Result<Verdict, CallError> {
        let given = situation_of(situation);
        let state = state.map(types::Blob::from);
        let start = || {
            Guest::start(&self.pre, &self.instance, |store, instance| {
                self.correlate.load(store, instance)
            })
        };
        self.pool
            .serve(&self.instance, Call::Correlate, start, |guest| {
                guest.show(Shows::Time(situation.now));
                self.verdict(guest, &given, state.as_ref())
            })
    }
}

impl WasmCorrelator {
    fn verdict(
        &self,
        guest: &mut Guest<correlate::Guest>,
        situation: &correlate::Situation,
        state: Option<&types::Blob>,
    ) -> Result<Verdict, CallError> {
        let answer = guest.call(Call::Correlate, |exports, store| {
            exports.call_correlate(store, situation, state)
        })?;
        let verdict = fault_or(answer)?;
        guest.check_items(Call::Correlate, verdict.proposals.len())?;
        let most = self.instance.spec.limits.state_bytes;
        let most = most.min(CORRELATOR_STATE_BYTES_MAX);
        let size = |blob: &types::Blob| blob.media_type.len() + blob.bytes.len();
        let bytes = verdict.state.as_ref().map_or(0, size);
        if bytes as u64 > most {
            let failure = Failure::Limit {
                limit: Limit::State,
                message: format!("its state has {bytes} bytes; {most} at most"),
            };
            return Err(guest.fail(Call::Correlate, failure).into());
        }
        verdict_of(verdict).map_err(|failure| guest.fail(Call::Correlate, failure).into())
    }
}
