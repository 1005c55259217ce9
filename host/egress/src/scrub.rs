//! Secrets that come back: a server may repeat what it was sent.

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER};
use faultline_domain::attach::Place;
use faultline_domain::secret::Secret;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use zeroize::Zeroizing;

/// What stands in the place of a secret.
const MARK: &[u8] = b"[secret]";

/// Shorter ones stand everywhere by chance.
const NEEDLE_BYTES_MIN: usize = 4;

/// The forms in which a secret is likely to come back.
pub(crate) struct Scrub(Vec<Zeroizing<Vec<u8>>>);

impl Scrub {
    /// Of a secret that stands in this place.
    pub(crate) fn new(secret: &Secret, place: &Place) -> Self {
        let raw = secret.expose();
        let encoded = |text: String| Zeroizing::new(text.into_bytes());
        let mut needles = vec![
            place.fill(secret),
            Zeroizing::new(raw.to_vec()),
            encoded(percent_encode(raw, NON_ALPHANUMERIC).to_string()),
            encoded(BASE64.encode(raw)),
            encoded(BASE64_NOPAD.encode(raw)),
            encoded(BASE64URL_NOPAD.encode(raw)),
            encoded(HEXLOWER.encode(raw)),
        ];
        // Within JSON.
        if let Ok(text) = std::str::from_utf8(raw) {
            let quoted = Zeroizing::new(serde_json::Value::from(text).to_string());
            needles.push(Zeroizing::new(quoted.trim_matches('"').as_bytes().to_vec()));
        }
        needles.retain(|needle| needle.len() >= NEEDLE_BYTES_MIN);
        // Longer ones first: one may be a part of another.
        needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        needles.dedup();
        Self(needles)
    }

    /// Whether the secret stands in it.
    pub(crate) fn finds(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|needle| find(bytes, needle).is_some())
    }

    /// The bytes with the secret taken out. Of bytes that were cut, the end may
    /// be the beginning of a secret: it is taken off, too.
    pub(crate) fn clean(&self, bytes: Vec<u8>, was_cut: bool) -> Vec<u8> {
        let mut bytes = bytes;
        for needle in &self.0 {
            if find(&bytes, needle).is_some() {
                bytes = replaced(&bytes, needle);
            }
        }
        if was_cut {
            let tail = self
                .0
                .iter()
                .filter_map(|needle| {
                    (1..needle.len())
                        .rev()
                        .find(|n| bytes.ends_with(&needle[..*n]))
                })
                .max();
            bytes.truncate(bytes.len() - tail.unwrap_or(0));
        }
        bytes
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(at) = bytes.get(from..)?.iter().position(|byte| *byte == first) {
        if bytes[from + at..].starts_with(needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

fn replaced(bytes: &[u8], needle: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = find(rest, needle) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(MARK);
        rest = &rest[at + needle.len()..];
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use faultline_domain::attach::Attach;

    use super::*;

    fn scrub(secret: &str) -> Scrub {
        let attach = Attach::new(vec!["a".to_owned()], Some("x"), Some("Bearer {}"), None);
        let secret = Secret::new(secret.as_bytes().to_vec()).expect("a secret");
        Scrub::new(&secret, attach.expect("good").place())
    }

    fn clean(text: &str, was_cut: bool) -> String {
        let cleaned = scrub("s3cr\"t+key").clean(text.as_bytes().to_vec(), was_cut);
        String::from_utf8(cleaned).expect("text")
    }

    #[test]
    fn a_secret_is_taken_out_in_all_its_forms() {
        for (text, expected) in [
            ("a s3cr\"t+key b", "a [secret] b"),
            ("Bearer s3cr\"t+key", "[secret]"),
            ("k=s3cr%22t%2Bkey&x", "k=[secret]&x"),
            (r#"{"k":"s3cr\"t+key"}"#, r#"{"k":"[secret]"}"#),
            ("czNjciJ0K2tleQ==", "[secret]"),
            ("7333637222742b6b6579", "[secret]"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(clean(text, false), expected);
        }
    }

    #[test]
    fn a_cut_does_not_leave_half_of_it() {
        assert_eq!(clean("xx s3cr\"t+ke", true), "xx ");
        assert_eq!(clean("xx s3cr\"t+ke", false), "xx s3cr\"t+ke");
        assert_eq!(clean("xx Bearer s3c", true), "xx ");
    }

    #[test]
    fn what_stands_everywhere_is_left_alone() {
        let scrub = scrub("e");
        assert_eq!(scrub.clean(b"were".to_vec(), true), b"were");
    }
}
