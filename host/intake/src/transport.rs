//! Content encodings, undone within limits: gzip (RFC 1952) and snappy's block
//! format, as remote write uses it.

use std::io::Read as _;

use crate::budget::{Full, Reservation};
use crate::limits::{ListenerLimits, RATIO_FREE_BYTES};
use crate::refused::{Reason, Refused};

/// Bytes that are decoded between looks at the limits.
const CHUNK_BYTES: usize = 64 * 1_024;

/// How a body is encoded on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentEncoding {
    Identity,
    Gzip,
    Snappy,
}

impl ContentEncoding {
    /// By the value of `Content-Encoding`; none if it is another.
    pub(crate) fn of(value: &str) -> Option<Self> {
        match value.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(ContentEncoding::Identity),
            "gzip" | "x-gzip" => Some(ContentEncoding::Gzip),
            "snappy" => Some(ContentEncoding::Snappy),
            _ => None,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            ContentEncoding::Identity => "identity",
            ContentEncoding::Gzip => "gzip",
            ContentEncoding::Snappy => "snappy",
        }
    }

    /// The body without its encoding. Reserves what it takes before it takes
    /// it.
    pub(crate) fn undo(
        self,
        body: Vec<u8>,
        limits: &ListenerLimits,
        reservation: &mut Reservation,
    ) -> Result<Vec<u8>, Refused> {
        let bytes_max = bytes_max(body.len(), limits);
        match self {
            ContentEncoding::Identity => Ok(body),
            ContentEncoding::Gzip => gunzip(&body, &bytes_max, reservation),
            ContentEncoding::Snappy => unsnap(&body, &bytes_max, reservation),
        }
    }
}

/// How long a body may become, and why not longer.
struct BytesMax {
    bytes: usize,
    why: String,
}

impl BytesMax {
    fn exceeded(&self) -> Refused {
        Refused::new(Reason::TooLarge, self.why.clone())
    }
}

fn bytes_max(encoded: usize, limits: &ListenerLimits) -> BytesMax {
    let absolute = limits.decoded_body_bytes_max;
    let ratio = limits.decoding_ratio_max;
    let by_ratio = encoded.saturating_mul(ratio).max(RATIO_FREE_BYTES);
    if by_ratio < absolute {
        BytesMax {
            bytes: by_ratio,
            why: format!("the body becomes more than {ratio} times as long when it is decoded"),
        }
    } else {
        BytesMax {
            bytes: absolute,
            why: format!(
                "the body has more than {absolute} bytes when it is decoded; send smaller batches"
            ),
        }
    }
}

pub(crate) fn no_room(full: Full) -> Refused {
    match full {
        Full::All => Refused::new(
            Reason::TooManyBytes,
            "too many bytes are being received at the moment; send it again later",
        ),
        Full::Sender => Refused::new(
            Reason::SenderBytes,
            "too many bytes of this sender are being received at the moment; send one batch \
             after the other",
        ),
    }
}

/// One or several members, and nothing after them.
fn gunzip(
    body: &[u8],
    bytes_max: &BytesMax,
    reservation: &mut Reservation,
) -> Result<Vec<u8>, Refused> {
    let mut decoder = flate2::bufread::MultiGzDecoder::new(body);
    let mut out = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = decoder.read(&mut chunk).map_err(|error| {
            Refused::new(
                Reason::Malformed,
                format!("the body is not valid gzip: {error}"),
            )
        })?;
        if read == 0 {
            return Ok(out);
        }
        if out.len() + read > bytes_max.bytes {
            return Err(bytes_max.exceeded());
        }
        reservation.grow(read).map_err(no_room)?;
        out.extend_from_slice(&chunk[..read]);
    }
}

/// The block format states its length in advance.
fn unsnap(
    body: &[u8],
    bytes_max: &BytesMax,
    reservation: &mut Reservation,
) -> Result<Vec<u8>, Refused> {
    let malformed = |error: snap::Error| {
        Refused::new(
            Reason::Malformed,
            format!("the body is not valid snappy (block format): {error}"),
        )
    };
    let length = snap::raw::decompress_len(body).map_err(malformed)?;
    if length > bytes_max.bytes {
        return Err(bytes_max.exceeded());
    }
    reservation.grow(length).map_err(no_room)?;
    snap::raw::Decoder::new()
        .decompress_vec(body)
        .map_err(malformed)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;
    use crate::budget::Budget;

    const LIMITS: fn() -> ListenerLimits = || ListenerLimits {
        decoded_body_bytes_max: 4 << 20,
        decoding_ratio_max: 20,
        ..ListenerLimits::default()
    };

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn snappy(bytes: &[u8]) -> Vec<u8> {
        snap::raw::Encoder::new()
            .compress_vec(bytes)
            .expect("short")
    }

    fn undo(encoding: ContentEncoding, body: &[u8]) -> Result<Vec<u8>, Refused> {
        let mut reservation = Budget::new(8 << 20).reservation();
        encoding.undo(body.to_vec(), &LIMITS(), &mut reservation)
    }

    fn reason(encoding: ContentEncoding, body: &[u8]) -> Reason {
        undo(encoding, body).expect_err("refused").reason
    }

    #[test]
    fn undoes_what_was_done() {
        let text = b"to be or not to be".repeat(1_000);
        assert_eq!(undo(ContentEncoding::Gzip, &gzip(&text)), Ok(text.clone()));
        assert_eq!(
            undo(ContentEncoding::Snappy, &snappy(&text)),
            Ok(text.clone())
        );
        assert_eq!(undo(ContentEncoding::Identity, &text), Ok(text));
        let members = [gzip(b"a"), gzip(b"b")].concat();
        assert_eq!(undo(ContentEncoding::Gzip, &members), Ok(b"ab".to_vec()));
    }

    #[test]
    fn what_is_damaged_is_malformed() {
        let whole = gzip(b"to be or not to be");
        for end in 1..whole.len() {
            assert_eq!(
                reason(ContentEncoding::Gzip, &whole[..end]),
                Reason::Malformed
            );
        }
        let and_more = [&whole[..], b"more"].concat();
        assert_eq!(reason(ContentEncoding::Gzip, &and_more), Reason::Malformed);
        let whole = snappy(&b"to be or not to be".repeat(10));
        for end in 0..whole.len() {
            assert_eq!(
                reason(ContentEncoding::Snappy, &whole[..end]),
                Reason::Malformed
            );
        }
        assert_eq!(
            reason(ContentEncoding::Snappy, b"not snappy"),
            Reason::Malformed
        );
    }

    #[test]
    fn bombs_are_not_set_off() {
        let zeros = vec![0; 64 << 20];
        let bomb = gzip(&zeros);
        assert_eq!(reason(ContentEncoding::Gzip, &bomb), Reason::TooLarge);
        // Short texts may shrink as much as they like.
        let short = vec![0; 1 << 20];
        assert_eq!(undo(ContentEncoding::Gzip, &gzip(&short)), Ok(short));
        assert_eq!(
            reason(ContentEncoding::Snappy, &snappy(&zeros)),
            Reason::TooLarge
        );
        // Claims 4 GiB in five bytes.
        let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        assert_eq!(reason(ContentEncoding::Snappy, &claim), Reason::TooLarge);
    }

    #[test]
    fn memory_is_reserved_before_it_is_taken() {
        let budget = Budget::new(100);
        let mut reservation = budget.reservation();
        let body = gzip(&[7; 1_000]);
        let refused = ContentEncoding::Gzip.undo(body, &LIMITS(), &mut reservation);
        assert_eq!(refused.expect_err("no room").reason, Reason::TooManyBytes);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for encoding in [ContentEncoding::Gzip, ContentEncoding::Snappy] {
                let _ = undo(encoding, &bytes);
            }
            let mut gzip_like = vec![0x1f, 0x8b, 8, 0];
            gzip_like.extend(&bytes);
            let _ = undo(ContentEncoding::Gzip, &gzip_like);
        }
    }
}
