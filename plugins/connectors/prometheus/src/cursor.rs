//! The cursor: which alerts fired at the last poll, so that their end can be
//! told.
//!
//! The API shows what is active and nothing else. So the end of an alert is
//! that it is not there any more, and the cursor remembers what was: as many
//! alerts as fit into what the host keeps, compressed, since label sets have
//! much in common. Those that do not fit are reported with an end that holds
//! unless they are reported again.

use std::collections::BTreeMap;
use std::io::Read;

use data_encoding::BASE64;
use faultline_sdk::Fault;
use flate2::Compression;
use flate2::read::{DeflateDecoder, DeflateEncoder};
use serde::{Deserialize, Serialize};

/// The most bytes of the text in the cursor, which may have 64 KiB as a whole.
const TEXT_BYTES_MAX: usize = 64_000;

/// The most bytes that it unfolds to. Label sets shrink to a thirtieth at best,
/// so that more would not fit anyway.
const UNFOLDED_BYTES_MAX: usize = 2 << 20;

/// As the host keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// [`Tracked`] as JSON, deflated (RFC 1951), in Base64.
    tracked: String,
}

/// The alerts that are remembered, by their labels.
pub(crate) type Tracked = BTreeMap<Labels, Remembered>;

/// A label set.
pub(crate) type Labels = BTreeMap<String, String>;

/// What is remembered of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// Since when it is active, as the API says it.
    pub(crate) active_at: String,
    /// It was not there at the last poll, and neither was its rule: perhaps the
    /// server had only begun.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) missed: bool,
}

/// A row of the text.
#[derive(Serialize, Deserialize)]
struct Row(Labels, Remembered);

impl Cursor {
    /// Remembers as much as fits. Gives back the labels of what does not: the
    /// last in order.
    pub(crate) fn of(tracked: &Tracked) -> Result<(Self, Vec<Labels>), Fault> {
        let rows: Vec<Row> = tracked
            .iter()
            .map(|(labels, remembered)| Row(labels.clone(), remembered.clone()))
            .collect();
        let mut bytes = 0;
        let mut kept = 0;
        for row in &rows {
            bytes += written(row)?.len() + 1;
            if bytes >= UNFOLDED_BYTES_MAX {
                break;
            }
            kept += 1;
        }
        loop {
            let text = pack(&rows[..kept])?;
            if text.len() <= TEXT_BYTES_MAX {
                let left: Vec<Labels> = rows[kept..].iter().map(|row| row.0.clone()).collect();
                return Ok((Self { tracked: text }, left));
            }
            // About as many as fit, and a little less, so that this ends soon.
            kept = (kept * TEXT_BYTES_MAX / text.len()).min(kept - 1) * 19 / 20;
        }
    }

    /// What it remembers.
    pub(crate) fn tracked(&self) -> Result<Tracked, Fault> {
        let bad = |why: String| {
            Fault::state(format!(
                "the saved cursor cannot be read ({why}): poll from the start"
            ))
        };
        let packed = BASE64
            .decode(self.tracked.as_bytes())
            .map_err(|error| bad(error.to_string()))?;
        let mut text = Vec::new();
        DeflateDecoder::new(packed.as_slice())
            .take(UNFOLDED_BYTES_MAX as u64)
            .read_to_end(&mut text)
            .map_err(|error| bad(error.to_string()))?;
        let rows: Vec<Row> =
            serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        Ok(rows
            .into_iter()
            .map(|Row(labels, remembered)| (labels, remembered))
            .collect())
    }
}

fn pack(rows: &[Row]) -> Result<String, Fault> {
    let text = written(&rows)?;
    let mut packed = Vec::new();
    DeflateEncoder::new(text.as_slice(), Compression::default())
        .read_to_end(&mut packed)
        .map_err(|error| unwritten(&error))?;
    Ok(BASE64.encode(&packed))
}

fn written(value: &impl Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(value).map_err(|error| unwritten(&error))
}

fn unwritten(error: &dyn std::error::Error) -> Fault {
    Fault::state(format!("the cursor cannot be written: {error}"))
}
