//! Drives connectors and pollers natively, through the same code as in a
//! component.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::testkit::FakeHost;
use crate::{Connector, Decoded, Envelope, Fault, Page, Poller};

/// What a connector with this configuration answers to an envelope.
///
/// # Errors
/// What the connector answers.
pub fn decode<C: Connector>(
    config: &serde_json::Value,
    envelope: &Envelope,
) -> Result<Decoded, Fault> {
    let host = FakeHost::new().with_config(config);
    host.run(|| crate::connector::decode::<C>(std::slice::from_ref(envelope)))
        .swap_remove(0)
}

/// What a poller on this host fetches after a cursor, which goes in and comes
/// out as the host keeps it.
///
/// # Errors
/// What the poller answers.
pub fn poll<P: Poller>(
    host: &FakeHost,
    cursor: Option<&P::Cursor>,
    budget: u32,
) -> Result<Page<P::Cursor>, Fault> {
    let cursor = cursor.map(written);
    let page = host.run(|| crate::poller::poll::<P>(cursor.as_deref(), budget))?;
    Ok(Page {
        envelopes: page.envelopes,
        cursor: read_back(&page.cursor),
        more: page.more,
        next_poll_ms: page.next_poll_ms,
    })
}

fn written(cursor: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(cursor).expect("a cursor can be written as JSON")
}

fn read_back<T: DeserializeOwned>(cursor: &[u8]) -> T {
    serde_json::from_slice(cursor).expect("a cursor that was written can be read")
}
