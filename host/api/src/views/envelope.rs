//! Payloads as they came.

use data_encoding::BASE64;
use faultline_domain::envelope as domain;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Time;

/// The most bytes of a body that are shown.
const BODY_SHOWN_BYTES_MAX: usize = 1 << 20;

/// A payload as it lies in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Envelope {
    /// Where it lies.
    pub position: u64,
    /// Who sent it.
    pub source: String,
    /// Who can read it.
    #[schema(example = "alertmanager-alerts")]
    pub format: String,
    /// The media type without parameters; empty if none was given.
    pub content_type: String,
    /// Headers that were kept. Never credentials.
    pub headers: Vec<EnvelopeHeader>,
    /// When it arrived.
    pub received: Time,
    /// The payload.
    pub body: EnvelopeBody,
}

/// A header that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnvelopeHeader {
    /// In lower case.
    pub name: String,
    /// As it was sent.
    pub value: String,
}

/// A payload, or the beginning of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnvelopeBody {
    /// How `text` is to be read.
    pub encoding: BodyEncoding,
    /// The first mebibyte of it.
    pub text: String,
    /// How long the whole of it is.
    pub bytes: u64,
    /// Whether there is more of it than is shown.
    pub truncated: bool,
}

/// How bytes are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BodyEncoding {
    /// As they are.
    #[serde(rename = "utf-8")]
    Utf8,
    /// RFC 4648, section 4.
    Base64,
}

impl From<domain::Envelope> for Envelope {
    fn from(envelope: domain::Envelope) -> Self {
        let arrival = envelope.arrival;
        Self {
            position: envelope.position.0,
            source: arrival.source.to_string(),
            format: arrival.format.to_string(),
            content_type: arrival.content_type,
            headers: arrival
                .headers
                .into_iter()
                .map(|(name, value)| EnvelopeHeader { name, value })
                .collect(),
            received: arrival.received.into(),
            body: EnvelopeBody::of(&arrival.body),
        }
    }
}

impl EnvelopeBody {
    fn of(body: &[u8]) -> Self {
        let shown = &body[..body.len().min(BODY_SHOWN_BYTES_MAX)];
        let truncated = shown.len() < body.len();
        let text = match std::str::from_utf8(shown) {
            Ok(text) => Some(text),
            // Cut off in the middle of a character.
            Err(error) if truncated && error.error_len().is_none() => {
                std::str::from_utf8(&shown[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        let (encoding, text) = match text {
            Some(text) => (BodyEncoding::Utf8, text.to_owned()),
            None => (BodyEncoding::Base64, BASE64.encode(shown)),
        };
        Self {
            encoding,
            text,
            bytes: body.len() as u64,
            truncated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_what_they_are() {
        let text = EnvelopeBody::of("grün".as_bytes());
        assert_eq!(
            (text.encoding, text.text.as_str()),
            (BodyEncoding::Utf8, "grün")
        );
        let bytes = EnvelopeBody::of(&[0xff, 0]);
        assert_eq!(
            (bytes.encoding, bytes.text.as_str()),
            (BodyEncoding::Base64, "/wA=")
        );
        let mut long = vec![b'a'; BODY_SHOWN_BYTES_MAX - 1];
        long.extend("ü".as_bytes());
        let long = EnvelopeBody::of(&long);
        assert_eq!(long.encoding, BodyEncoding::Utf8);
        assert!(long.truncated);
        assert_eq!(long.text.len(), BODY_SHOWN_BYTES_MAX - 1);
    }
}
