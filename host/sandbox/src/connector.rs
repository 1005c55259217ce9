//! Connectors: a guest for each call, fresh or kept warm.

use std::sync::Arc;

use faultline_domain::decode::{Decoded, Decoder};
use faultline_domain::envelope::Envelope;
use faultline_domain::fault::Fault;
use faultline_domain::plugin::Failure;
use wasmtime::component::InstancePre;

use crate::bindings::exports::faultline::plugin::decode;
use crate::bindings::faultline::plugin::signals;
use crate::convert::{decoded_of, envelope_of};
use crate::guest::{Call, Guest, GuestState};
use crate::instance::Instance;
use crate::pool::Pool;
use crate::wasi::Shows;

/// A connector of one instance.
pub struct WasmConnector {
    pub(crate) pre: InstancePre<GuestState>,
    pub(crate) instance: Arc<Instance>,
    pub(crate) decode: decode::GuestIndices,
    pub(crate) pool: Pool<decode::Guest>,
    pub(crate) family: String,
}

impl Decoder for WasmConnector {
    fn decode(&self, envelopes: &[&Envelope]) -> Result<Vec<Result<Decoded, Fault>>, Failure> {
        let given: Vec<_> = envelopes.iter().map(|e| envelope_of(e)).collect();
        let start = || {
            Guest::start(&self.pre, &self.instance, |store, instance| {
                self.decode.load(store, instance)
            })
        };
        // One that can look at a clock is shown each envelope by itself: what it
        // sees then depends on that alone, and not on what came with it.
        let together = if self.instance.spec.wasi {
            1
        } else {
            given.len().max(1)
        };
        self.pool
            .serve(&self.instance, Call::Decode, start, |guest| {
                let mut answers = Vec::with_capacity(given.len());
                for (given, envelopes) in given.chunks(together).zip(envelopes.chunks(together)) {
                    let received = envelopes.first().map(|it| it.arrival.received);
                    guest.show(received.map_or(Shows::Nothing, Shows::Time));
                    answers.extend(self.answers(guest, given)?);
                }
                Ok(answers)
            })
    }
}

impl WasmConnector {
    fn answers(
        &self,
        guest: &mut Guest<decode::Guest>,
        envelopes: &[signals::Envelope],
    ) -> Result<Vec<Result<Decoded, Fault>>, Failure> {
        let answers = guest.call(Call::Decode, |exports, store| {
            exports.call_decode(store, envelopes)
        })?;
        if answers.len() != envelopes.len() {
            let (got, expected) = (answers.len(), envelopes.len());
            let failure = Failure::Contract(format!("{got} answers to {expected} envelopes"));
            return Err(guest.fail(Call::Decode, failure));
        }
        let items = answers.iter().flatten().map(items).sum();
        guest.check_items(Call::Decode, items)?;
        Ok(answers
            .into_iter()
            .map(|answer| match answer {
                Ok(decoded) => decoded_of(decoded, &self.family),
                Err(fault) => Err(Fault::from(fault)),
            })
            .collect())
    }
}

fn items(decoded: &decode::Decoded) -> usize {
    decoded.signals.len()
        + decoded.series.len()
        + decoded.log_sources.len()
        + decoded
            .samples
            .as_ref()
            .map_or(0, |columns| columns.series.len())
        + decoded
            .logs
            .as_ref()
            .map_or(0, |columns| columns.source.len())
}
