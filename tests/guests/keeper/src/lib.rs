//! A poller that keeps what its configuration says and answers with what it
//! then finds.

use faultline_sdk::kv::{self, Change};
use faultline_sdk::{Connector, Decoded, Envelope, Fault, Page, Poller, export_poller};
use serde::Deserialize;

/// What to keep.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many keys.
    pub keys: u32,
    /// Bytes of each value.
    pub value_bytes: usize,
    /// Whether to try it while decoding, when there is no state.
    pub while_decoding: bool,
}

struct Keeper;

impl Connector for Keeper {
    type Config = Config;

    fn decode(config: &Config, _: &Envelope) -> Result<Decoded, Fault> {
        if config.while_decoding {
            kv::get("key")?;
        }
        Decoded::builder().finish()
    }
}

impl Poller for Keeper {
    type Cursor = u64;

    fn poll(config: &Config, cursor: Option<u64>, budget: u32) -> Result<Page<u64>, Fault> {
        let changes: Vec<Change> = (0..config.keys)
            .map(|key| Change::set(format!("key/{key:03}"), vec![7; config.value_bytes]))
            .collect();
        kv::commit(&changes)?;
        let found = kv::scan("key/", None, budget)?;
        let envelopes = found
            .into_iter()
            .map(|entry| Envelope {
                content_type: "text/plain".to_owned(),
                headers: Vec::new(),
                body: format!("{} at {}", entry.key, entry.version).into_bytes(),
                received: 0,
            })
            .collect();
        Ok(Page::new(cursor.unwrap_or(0) + 1, envelopes))
    }
}

export_poller!(Keeper);
