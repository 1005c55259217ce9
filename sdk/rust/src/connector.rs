//! Connectors: from a vendor's bytes to signals.

use serde::de::DeserializeOwned;

use crate::{Decoded, Envelope, Fault, config};

/// Reads payloads of one format.
///
/// Pure and total: any bytes give an answer or a fault, the same ones on any
/// day. See [`export_connector!`](crate::export_connector).
pub trait Connector {
    /// Parsed from the instance's configuration.
    type Config: DeserializeOwned;

    /// All that one envelope says.
    ///
    /// # Errors
    /// If nothing of it can be read. What can be read in part is an answer,
    /// whose other items are rejected one by one:
    /// [`DecodedBuilder::reject`](crate::DecodedBuilder::reject).
    fn decode(config: &Self::Config, envelope: &Envelope) -> Result<Decoded, Fault>;
}

/// What the export `decode` does: the configuration is read once, and each
/// envelope is answered by itself.
#[doc(hidden)]
pub fn decode<C: Connector>(envelopes: &[Envelope]) -> Vec<Result<Decoded, Fault>> {
    match config::read::<C::Config>() {
        Ok(config) => envelopes
            .iter()
            .map(|envelope| C::decode(&config, envelope))
            .collect(),
        Err(fault) => envelopes.iter().map(|_| Err(fault.clone())).collect(),
    }
}

/// Makes a component of a type that implements
/// [`Connector`](trait@crate::Connector).
///
/// Once a crate, at its top level, with the bare name of the type. Does
/// nothing in a native build.
#[macro_export]
macro_rules! export_connector {
    ($connector:ident) => {
        const _: () = {
            fn connector<C: $crate::Connector>() {}
            let _ = connector::<$connector>;

            #[cfg(target_family = "wasm")]
            mod component {
                struct Component;
                impl $crate::bindings::decode::exports::faultline::plugin::decode::Guest for Component {
                    fn decode(
                        envelopes: ::std::vec::Vec<$crate::Envelope>,
                    ) -> ::std::vec::Vec<::std::result::Result<$crate::Decoded, $crate::Fault>>
                    {
                        $crate::__guest::decode::<super::$connector>(&envelopes)
                    }
                }
                $crate::bindings::decode::export!(Component with_types_in $crate::bindings::decode);
            }
        };
    };
}
