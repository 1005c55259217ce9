//! Correlators: from alerts and changes to proposals about incidents.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Blob, Fault, Proposal, Situation, Verdict};
use crate::{config, state};

/// Groups alerts into incidents and ranks causes.
///
/// Pure: the same situation and state give the same proposals. Each call is a
/// fresh instance; what is to be remembered goes into the state. See
/// [`export_correlator!`](crate::export_correlator).
pub trait Correlator {
    /// Parsed from the instance's configuration.
    type Config: DeserializeOwned;

    /// What is remembered from one call to the next; `()` if nothing is. Use
    /// sorted maps: a `HashMap` is written in a different order each time.
    type State: Serialize + DeserializeOwned + Default;

    /// Whose state this is, for example `acme/topology`: a state of another
    /// name is refused.
    const STATE_NAME: &'static str;

    /// The version of the state's shape. Raise it with each change to the
    /// fields, and see [`Correlator::migrate`].
    const STATE_VERSION: u32 = 1;

    /// What is to become of the news. The proposals are applied in order, each
    /// by itself: one that is refused stops no other.
    ///
    /// # Errors
    /// If nothing can be said; the state then stays as it was.
    fn correlate(
        config: &Self::Config,
        state: &mut Self::State,
        situation: &Situation,
    ) -> Result<Vec<Proposal>, Fault>;

    /// Goes on from a state of an earlier version, which
    /// [`state::from_bytes`] reads into the type as it was then. Where the
    /// state is a mere convenience, `Ok(Self::State::default())` will do.
    ///
    /// # Errors
    /// `state`. By default for every version.
    fn migrate(version: u32, bytes: &[u8]) -> Result<Self::State, Fault> {
        let _ = bytes;
        Err(state::unknown_version(version, Self::STATE_VERSION))
    }
}

/// What the export `correlate` does.
#[doc(hidden)]
pub fn correlate<C: Correlator>(
    situation: &Situation,
    saved: Option<&Blob>,
) -> Result<Verdict, Fault> {
    let config = config::read::<C::Config>()?;
    let mut state = match saved {
        Some(blob) => state::restore(
            C::STATE_NAME,
            C::STATE_VERSION,
            state::of_blob(blob)?,
            C::migrate,
        )?,
        None => C::State::default(),
    };
    let proposals = C::correlate(&config, &mut state, situation)?;
    let bytes = state::seal(C::STATE_NAME, C::STATE_VERSION, &state)?;
    let changed = saved.is_none_or(|blob| blob.bytes != bytes);
    Ok(Verdict {
        proposals,
        state: changed.then(|| Blob {
            media_type: state::MEDIA_TYPE.to_owned(),
            bytes,
        }),
    })
}

/// Makes a component of a type that implements
/// [`Correlator`](trait@crate::Correlator).
///
/// Once a crate, at its top level, with the bare name of the type. Does
/// nothing in a native build.
#[macro_export]
macro_rules! export_correlator {
    ($correlator:ident) => {
        const _: () = {
            fn correlator<C: $crate::Correlator>() {}
            let _ = correlator::<$correlator>;

            #[cfg(target_family = "wasm")]
            mod component {
                struct Component;
                impl $crate::bindings::correlate::exports::faultline::plugin::correlate::Guest
                    for Component
                {
                    fn correlate(
                        situation: $crate::Situation,
                        state: ::std::option::Option<$crate::Blob>,
                    ) -> ::std::result::Result<$crate::Verdict, $crate::Fault> {
                        $crate::__guest::correlate::<super::$correlator>(&situation, state.as_ref())
                    }
                }
                $crate::bindings::correlate::export!(
                    Component with_types_in $crate::bindings::correlate
                );
            }
        };
    };
}
