//! Poller for the alerts of a Prometheus server, or of what has the same API:
//! Thanos Ruler, Mimir, vmalert.
//!
//! It asks `/api/v1/alerts` for what is active, and reports all that fires at
//! each poll. The tricky thing is the end of an alert, which the API does not
//! show: see `cursor` and `fetch`. An alert's identity is its whole label
//! set, external labels included, and its family is `prometheus`: an alert that
//! is polled here and sent by the same server, directly or through Alertmanager,
//! is one alert with several sources.

mod api;
mod config;
mod cursor;
mod decode;
mod fetch;
mod payload;
#[cfg(test)]
mod tests;

use faultline_sdk::{Connector, Decoded, Envelope, Fault, Page, Poller, export_poller};

pub use crate::config::{Authorization, Config, EntityRule};
pub use crate::cursor::Cursor;

/// The poller.
#[derive(Debug)]
pub struct Prometheus;

impl Connector for Prometheus {
    type Config = Config;

    fn decode(config: &Config, envelope: &Envelope) -> Result<Decoded, Fault> {
        decode::decode(config, envelope)
    }
}

impl Poller for Prometheus {
    type Cursor = Cursor;

    fn poll(config: &Config, cursor: Option<Cursor>, budget: u32) -> Result<Page<Cursor>, Fault> {
        let (found, cursor) = fetch::fetch(config, cursor.as_ref())?;
        let envelopes = found
            .into_bodies(budget)?
            .into_iter()
            // The host knows the time.
            .map(|body| Envelope::new("application/json", body, 0))
            .collect();
        Ok(Page::new(cursor, envelopes))
    }
}

export_poller!(Prometheus);
