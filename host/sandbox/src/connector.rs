//! Connectors: a fresh guest for each call.

use std::sync::Arc;

use faultline_domain::decode::{Decoded, Decoder};
use faultline_domain::envelope::Envelope;
use faultline_domain::fault::Fault;
use faultline_domain::plugin::Failure;
use wasmtime::component::InstancePre;

use crate::bindings::exports::faultline::plugin::decode;
use crate::convert::{decoded_of, envelope_of};
use crate::guest::{Call, Guest, GuestState};
use crate::instance::Instance;

/// A connector of one instance.
pub struct WasmConnector {
    pub(crate) pre: InstancePre<GuestState>,
    pub(crate) instance: Arc<Instance>,
    pub(crate) decode: decode::GuestIndices,
    pub(crate) family: String,
}

impl Decoder for WasmConnector {
    fn decode(&self, envelopes: &[&Envelope]) -> Result<Vec<Result<Decoded, Fault>>, Failure> {
        let given: Vec<_> = envelopes.iter().map(|e| envelope_of(e)).collect();
        let mut guest = Guest::start(&self.pre, &self.instance, |store, instance| {
            self.decode.load(store, instance)
        })?;
        let answers = guest.call(Call::Decode, |exports, store| {
            exports.call_decode(store, &given)
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
