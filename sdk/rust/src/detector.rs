//! Detectors: from telemetry to findings.

mod guest;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use guest::DetectorGuest;

use crate::state;
use crate::{Fault, Findings, LogLines, LogSource, Samples, Series, Timestamp};

/// Watches one shard of the series and log sources, in order.
///
/// The value itself is the state: what `serde` writes of it is what the host
/// keeps, and goes on from after a crash. The configuration is apart from it,
/// so that a changed configuration applies to a state that was saved before.
///
/// Two promises make that work, and [`crate::testkit`] checks both. A detector
/// is *causal and indifferent to batching*: what it says about a row depends
/// on the rows up to it, and is the same whether they come in one batch or in
/// many. And it *forgets nothing in saving*: a field that is skipped must be
/// one that can be made anew.
///
/// See [`export_detector!`](crate::export_detector).
pub trait Detector: Serialize + DeserializeOwned + Sized {
    /// Parsed from the instance's configuration.
    type Config: DeserializeOwned;

    /// Whose state this is, for example `acme/spikes`: a state of another name
    /// is refused.
    const STATE_NAME: &'static str;

    /// The version of the state's shape. Raise it with each change to the
    /// fields, and see [`Detector::migrate`].
    const STATE_VERSION: u32 = 1;

    /// A detector that has seen nothing yet.
    ///
    /// # Errors
    /// `config`, if the configuration makes no sense; see also
    /// [`ConfigCheck`](crate::ConfigCheck).
    fn new(config: &Self::Config) -> Result<Self, Fault>;

    /// Announces series and log sources, before the first batch that names
    /// them. Announcing one again replaces it.
    fn introduce(&mut self, config: &Self::Config, series: &[Series], sources: &[LogSource]);

    /// Rows in order of arrival. The hot path: allocate nothing per row.
    fn samples(&mut self, config: &Self::Config, batch: &Samples, findings: &mut Findings);

    /// Lines in order of arrival. Does nothing by default.
    fn logs(&mut self, config: &Self::Config, batch: &LogLines, findings: &mut Findings) {
        let _ = (config, batch, findings);
    }

    /// Event time has reached the watermark: what is absent by now can be
    /// missed. Called at fixed steps of event time. Does nothing by default.
    fn tick(&mut self, config: &Self::Config, watermark: Timestamp, findings: &mut Findings) {
        let _ = (config, watermark, findings);
    }

    /// Goes on from a state of an earlier version, which
    /// [`state::from_bytes`] reads into the type as it was then.
    ///
    /// # Errors
    /// `state`. By default for every version: the state is then left as it is,
    /// and the operator decides whether to begin anew.
    fn migrate(version: u32, bytes: &[u8]) -> Result<Self, Fault> {
        let _ = bytes;
        Err(state::unknown_version(version, Self::STATE_VERSION))
    }
}

/// Makes a component of a type that implements
/// [`Detector`](trait@crate::Detector).
///
/// Once a crate, at its top level, with the bare name of the type. Does
/// nothing in a native build.
#[macro_export]
macro_rules! export_detector {
    ($detector:ident) => {
        const _: () = {
            fn detector<D: $crate::Detector>() {}
            let _ = detector::<$detector>;

            #[cfg(target_family = "wasm")]
            mod component {
                use ::std::result::Result;
                use ::std::vec::Vec;
                use $crate::{Fault, Finding, LogLines, LogSource, Samples, Series, Timestamp};

                ::std::thread_local! {
                    static GUEST: ::std::cell::RefCell<$crate::__guest::DetectorGuest<super::$detector>> =
                        const { ::std::cell::RefCell::new($crate::__guest::DetectorGuest::new()) };
                }

                struct Component;
                impl $crate::bindings::detect::exports::faultline::plugin::detect::Guest for Component {
                    fn introduce(series: Vec<Series>, sources: Vec<LogSource>) -> Result<(), Fault> {
                        GUEST.with_borrow_mut(|guest| guest.introduce(&series, &sources))
                    }
                    fn samples(batch: Samples) -> Result<Vec<Finding>, Fault> {
                        GUEST.with_borrow_mut(|guest| guest.samples(&batch))
                    }
                    fn logs(batch: LogLines) -> Result<Vec<Finding>, Fault> {
                        GUEST.with_borrow_mut(|guest| guest.logs(&batch))
                    }
                    fn tick(watermark: Timestamp) -> Result<Vec<Finding>, Fault> {
                        GUEST.with_borrow_mut(|guest| guest.tick(watermark))
                    }
                    fn save() -> Result<Vec<u8>, Fault> {
                        GUEST.with_borrow(|guest| guest.save())
                    }
                    fn load(state: Vec<u8>) -> Result<(), Fault> {
                        GUEST.with_borrow_mut(|guest| guest.load(&state))
                    }
                }
                $crate::bindings::detect::export!(Component with_types_in $crate::bindings::detect);
            }
        };
    };
}
