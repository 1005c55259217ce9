//! Signatures of webhooks: HMAC-SHA-256 over the body as it was sent (RFC 2104),
//! in a header, in hexadecimal digits or Base64. This is what GitHub,
//! PagerDuty, Sentry and many others do.

use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::refused::{Reason, Refused};

/// Signatures in one header that are looked at. There are several while a
/// sender changes its key.
const CANDIDATES_MAX: usize = 8;

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureEncoding {
    /// Hexadecimal digits.
    Hex,
    /// Base64, padded.
    Base64,
}

/// What a hook's requests have to be signed with. Has no `Debug`, for it holds
/// the key.
pub struct Signature {
    /// How it is written.
    pub encoding: SignatureEncoding,
    /// The header that it stands in, lower case. Several may be separated by
    /// commas.
    pub header: String,
    /// What stands before it, such as `sha256=` or `v1=`; may be empty.
    pub prefix: String,
    /// The key that is shared with the sender.
    pub key: Box<[u8]>,
}

impl Signature {
    /// Whether one of the signatures in the header is that of the body.
    pub(crate) fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refused> {
        let candidates = headers
            .get_all(self.header.as_str())
            .into_iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|candidate| candidate.trim().strip_prefix(self.prefix.as_str()))
            .filter_map(|candidate| self.decode(candidate))
            .take(CANDIDATES_MAX);
        for candidate in candidates {
            // A key of any length is a key; and the comparison takes the same
            // time wherever the first difference is.
            let verified = Hmac::<Sha256>::new_from_slice(&self.key)
                .map(|mac| mac.chain_update(body).verify_slice(&candidate));
            if matches!(verified, Ok(Ok(()))) {
                return Ok(());
            }
        }
        Err(Refused::new(
            Reason::Unauthorised,
            format!(
                "header `{}` holds no valid signature of this body: the key at the sender has to \
                 be the one that is configured here",
                self.header
            ),
        ))
    }

    fn decode(&self, candidate: &str) -> Option<Vec<u8>> {
        let encoding = match self.encoding {
            SignatureEncoding::Hex => data_encoding::HEXLOWER_PERMISSIVE,
            SignatureEncoding::Base64 => data_encoding::BASE64,
        };
        encoding.decode(candidate.as_bytes()).ok()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// RFC 4231, test case 2.
    const KEY: &[u8] = b"Jefe";
    const BODY: &[u8] = b"what do ya want for nothing?";
    const HEX: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    fn verified(encoding: SignatureEncoding, value: &str, body: &[u8]) -> bool {
        let signature = Signature {
            encoding,
            header: "x-signature".to_owned(),
            prefix: "v1=".to_owned(),
            key: KEY.into(),
        };
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-signature",
            HeaderValue::from_str(value).expect("a value"),
        );
        signature.verify(&headers, body).is_ok()
    }

    #[test]
    fn the_body_has_to_be_what_was_signed() {
        use SignatureEncoding::{Base64, Hex};
        let hex = format!("v1={HEX}");
        assert!(verified(Hex, &hex, BODY));
        assert!(verified(Hex, &hex.to_uppercase().replace("V1", "v1"), BODY));
        assert!(verified(
            Hex,
            &format!("v1={}, {hex}", "0".repeat(64)),
            BODY
        ));
        assert!(!verified(Hex, &hex, b"something else"));
        assert!(!verified(Hex, HEX, BODY));
        assert!(!verified(Hex, &hex[..20], BODY));
        assert!(!verified(Hex, "", BODY));
        let bytes = data_encoding::HEXLOWER.decode(HEX.as_bytes()).expect("hex");
        let base64 = format!("v1={}", data_encoding::BASE64.encode(&bytes));
        assert!(verified(Base64, &base64, BODY));
        assert!(!verified(Base64, &hex, BODY));
    }
}
