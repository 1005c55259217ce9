//! Detectors: guests that live long, and remember.

use std::sync::Arc;

use faultline_domain::finding::Finding;
use faultline_domain::id::{Digest, InstanceName};
use faultline_domain::plugin::{
    CallError, Detector, DetectorFactory, Failure, Inputs, IntroducedSeries, IntroducedSource,
    Limit,
};
use faultline_domain::telemetry::{LogLines, Samples};
use faultline_domain::time::Timestamp;
use wasmtime::component::InstancePre;

use crate::bindings::exports::faultline::plugin::detect;
use crate::convert::{findings_of, log_lines_of, samples_of, series_of, source_of};
use crate::guest::{Call, Guest, GuestState, fault_or};
use crate::instance::Instance;
use crate::wasi::Shows;

/// A detector of one instance, to be started once for each shard.
pub struct WasmDetectorFactory {
    pub(crate) pre: InstancePre<GuestState>,
    pub(crate) instance: Arc<Instance>,
    pub(crate) detect: detect::GuestIndices,
    pub(crate) inputs: Inputs,
}

impl DetectorFactory for WasmDetectorFactory {
    fn instance(&self) -> &InstanceName {
        &self.instance.spec.name
    }

    fn digest(&self) -> Digest {
        self.instance.digest
    }

    fn inputs(&self) -> Inputs {
        self.inputs
    }

    fn start(&self) -> Result<Box<dyn Detector>, Failure> {
        let guest = Guest::start(&self.pre, &self.instance, |store, instance| {
            self.detect.load(store, instance)
        })?;
        Ok(Box::new(WasmDetector {
            guest: Some(guest),
            state_bytes_max: self.instance.spec.limits.state_bytes,
        }))
    }
}

/// One shard.
struct WasmDetector {
    /// None once it has failed.
    guest: Option<Guest<detect::Guest>>,
    state_bytes_max: u64,
}

impl WasmDetector {
    /// Calls an export and reads its answer. A failure in either is the end of
    /// the guest.
    fn call<R, T>(
        &mut self,
        call: Call,
        export: impl FnOnce(&detect::Guest, &mut wasmtime::Store<GuestState>) -> wasmtime::Result<R>,
        read: impl FnOnce(&Guest<detect::Guest>, R) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let mut guest = self
            .guest
            .take()
            .ok_or_else(|| Failure::Contract("it has failed before".to_owned()))?;
        // Which rows come together depends on the batch: no time is theirs.
        guest.show(Shows::Nothing);
        let answer = guest.call(call, export)?;
        match read(&guest, answer) {
            Err(CallError::Failure(failure)) => Err(guest.fail(call, failure).into()),
            answered => {
                self.guest = Some(guest);
                answered
            }
        }
    }

    fn findings(
        &mut self,
        call: Call,
        rows: usize,
        export: impl FnOnce(
            &detect::Guest,
            &mut wasmtime::Store<GuestState>,
        ) -> wasmtime::Result<
            Result<Vec<detect::Finding>, crate::bindings::faultline::plugin::types::Fault>,
        >,
    ) -> Result<Vec<Finding>, CallError> {
        self.call(call, export, |guest, answer| {
            let findings = fault_or(answer)?;
            guest.check_items(call, findings.len())?;
            Ok(findings_of(findings, rows)?)
        })
    }
}

impl Detector for WasmDetector {
    fn introduce(
        &mut self,
        series: &[IntroducedSeries],
        sources: &[IntroducedSource],
    ) -> Result<(), CallError> {
        let series: Vec<_> = series.iter().map(series_of).collect();
        let sources: Vec<_> = sources.iter().map(source_of).collect();
        self.call(
            Call::Introduce,
            |exports, store| exports.call_introduce(store, &series, &sources),
            |_, answer| fault_or(answer),
        )
    }

    fn samples(&mut self, batch: &Samples) -> Result<Vec<Finding>, CallError> {
        let given = samples_of(batch);
        self.findings(Call::Samples, batch.len(), |exports, store| {
            exports.call_samples(store, &given)
        })
    }

    fn logs(&mut self, batch: &LogLines) -> Result<Vec<Finding>, CallError> {
        let given = log_lines_of(batch);
        self.findings(Call::Logs, batch.len(), |exports, store| {
            exports.call_logs(store, &given)
        })
    }

    fn tick(&mut self, watermark: Timestamp) -> Result<Vec<Finding>, CallError> {
        self.findings(Call::Tick, 0, |exports, store| {
            exports.call_tick(store, watermark.as_micros())
        })
    }

    fn save(&mut self) -> Result<Vec<u8>, CallError> {
        let most = self.state_bytes_max;
        self.call(
            Call::Save,
            |exports, store| exports.call_save(store),
            |_, answer| {
                let state = fault_or(answer)?;
                if state.len() as u64 > most {
                    let message = format!("its state has {} bytes; {most} at most", state.len());
                    let limit = Limit::State;
                    return Err(Failure::Limit { limit, message }.into());
                }
                Ok(state)
            },
        )
    }

    fn load(&mut self, state: &[u8]) -> Result<(), CallError> {
        self.call(
            Call::Load,
            |exports, store| exports.call_load(store, state),
            |_, answer| fault_or(answer),
        )
    }
}
