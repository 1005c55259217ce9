//! Pollers: connectors that also fetch.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Connector, Envelope, Fault, bindings, config};

/// Fetches from an API, on the host's schedule.
///
/// What it fetches goes into the journal, and is decoded from there by its
/// [`Connector`] half like any other payload. See
/// [`export_poller!`](crate::export_poller).
pub trait Poller: Connector {
    /// Where to go on. Kept by the host as JSON, at most 64 KiB.
    type Cursor: Serialize + DeserializeOwned;

    /// Fetches at most `budget` envelopes after the cursor; none: from the
    /// start.
    ///
    /// The host moves the cursor once the page is durable: after a crash the
    /// same one comes again.
    ///
    /// # Errors
    /// If nothing could be fetched; say whether and when to ask again with
    /// [`Fault::retry_later`] and [`Fault::retry_after_ms`].
    fn poll(
        config: &Self::Config,
        cursor: Option<Self::Cursor>,
        budget: u32,
    ) -> Result<Page<Self::Cursor>, Fault>;
}

/// What one poll fetched.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<C> {
    /// In the order in which they are to be decoded.
    pub envelopes: Vec<Envelope>,
    /// Where to go on.
    pub cursor: C,
    /// More is waiting: ask again at once.
    pub more: bool,
    /// When to ask again, if not at the configured interval.
    pub next_poll_ms: Option<u64>,
}

impl<C> Page<C> {
    /// Everything there is for now, to go on from this cursor.
    pub fn new(cursor: C, envelopes: Vec<Envelope>) -> Self {
        Self {
            envelopes,
            cursor,
            more: false,
            next_poll_ms: None,
        }
    }

    /// More is waiting, or is not.
    #[must_use]
    pub fn with_more(mut self, more: bool) -> Self {
        self.more = more;
        self
    }

    /// Ask again after this time rather than at the configured interval.
    #[must_use]
    pub fn with_next_poll_ms(mut self, milliseconds: u64) -> Self {
        self.next_poll_ms = Some(milliseconds);
        self
    }
}

/// As it crosses the boundary, with the cursor written.
#[doc(hidden)]
pub type RawPage = bindings::poll::exports::faultline::plugin::poll::Page;

/// What the export `poll` does.
#[doc(hidden)]
pub fn poll<P: Poller>(cursor: Option<&[u8]>, budget: u32) -> Result<RawPage, Fault> {
    let config = config::read::<P::Config>()?;
    let cursor = cursor
        .map(|json| {
            crate::json::parse(json).map_err(|error| {
                Fault::state(format!(
                    "the saved cursor cannot be read ({error}): reset it to fetch from the start"
                ))
            })
        })
        .transpose()?;
    let page = P::poll(&config, cursor, budget)?;
    Ok(RawPage {
        envelopes: page.envelopes,
        cursor: serde_json::to_vec(&page.cursor)
            .map_err(|error| Fault::state(format!("the cursor cannot be written: {error}")))?,
        more: page.more,
        next_poll_ms: page.next_poll_ms,
    })
}

/// Makes a component of a type that implements [`Poller`](trait@crate::Poller)
/// and [`Connector`](trait@crate::Connector).
///
/// Once a crate, at its top level, with the bare name of the type. Does
/// nothing in a native build.
#[macro_export]
macro_rules! export_poller {
    ($poller:ident) => {
        $crate::export_connector!($poller);
        const _: () = {
            fn poller<P: $crate::Poller>() {}
            let _ = poller::<$poller>;

            #[cfg(target_family = "wasm")]
            mod component {
                struct Component;
                impl $crate::bindings::poll::exports::faultline::plugin::poll::Guest for Component {
                    fn poll(
                        cursor: ::std::option::Option<::std::vec::Vec<u8>>,
                        budget: u32,
                    ) -> ::std::result::Result<$crate::__guest::RawPage, $crate::Fault>
                    {
                        $crate::__guest::poll::<super::$poller>(cursor.as_deref(), budget)
                    }
                }
        $crate::bindings::poll::export!(Component with_types_in $crate::bindings::poll);
            }
        };
    };
}
