//! Bodies of answers: counted as they come, unpacked under a cap.

use std::io::Write as _;

use faultline_domain::plugin::Limit;
use faultline_domain::time::Timestamp;
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use hyper::body::Incoming;
use hyper::header::CONTENT_ENCODING;

use crate::allowance::{Allowance, Reached};

/// The most that a body may grow by being unpacked; what compresses better is
/// made to do so.
const RATIO_MAX: u64 = 100;

/// Up to so many bytes it does not matter how they compress.
const RATIO_FROM_BYTES: usize = 1 << 20;

/// A body, as the guest gets it.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) truncated: bool,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) enum BodyError {
    Reached(Reached),
    /// How it is packed is not known here.
    Encoding,
    /// It is not packed as it says.
    Corrupt,
    Broken(hyper::Error),
}

impl From<Reached> for BodyError {
    fn from(reached: Reached) -> Self {
        Self::Reached(reached)
    }
}

/// How a body is packed (RFC 9110, section 8.4.1).
enum Unpack {
    Not(Vec<u8>),
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Deflate(Box<ZlibDecoder<Vec<u8>>>),
}

impl Unpack {
    fn of(headers: &HeaderMap) -> Result<Self, BodyError> {
        let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
        let encoding = match (encodings.next(), encodings.next()) {
            (None, _) => "identity".to_owned(),
            (Some(one), None) => one.to_str().unwrap_or("?").trim().to_ascii_lowercase(),
            // Packed twice is how bombs are made.
            (Some(_), Some(_)) => return Err(BodyError::Encoding),
        };
        match encoding.as_str() {
            "identity" | "" => Ok(Self::Not(Vec::new())),
            "gzip" | "x-gzip" => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))),
            "deflate" => Ok(Self::Deflate(Box::new(ZlibDecoder::new(Vec::new())))),
            _ => Err(BodyError::Encoding),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        let written = match self {
            Self::Not(out) => {
                out.extend_from_slice(bytes);
                Ok(())
            }
            Self::Gzip(out) => out.write_all(bytes),
            Self::Deflate(out) => out.write_all(bytes),
        };
        written.map_err(|_| BodyError::Corrupt)
    }

    fn len(&self) -> usize {
        match self {
            Self::Not(out) => out.len(),
            Self::Gzip(out) => out.get_ref().len(),
            Self::Deflate(out) => out.get_ref().len(),
        }
    }

    fn finish(self) -> Result<Vec<u8>, BodyError> {
        let finished = match self {
            Self::Not(out) => Ok(out),
            Self::Gzip(out) => (*out).finish(),
            Self::Deflate(out) => (*out).finish(),
        };
        finished.map_err(|_| BodyError::Corrupt)
    }

    /// What there is so far.
    fn cut(mut self, at: usize) -> Vec<u8> {
        let mut bytes = match &mut self {
            Self::Not(out) => std::mem::take(out),
            Self::Gzip(out) => std::mem::take(out.get_mut()),
            Self::Deflate(out) => std::mem::take(out.get_mut()),
        };
        bytes.truncate(at);
        bytes
    }
}

/// The most bytes that are unpacked at once: between two looks at the cap they
/// can become a thousand times as many.
const STEP_BYTES: usize = 4 << 10;

/// Reads a body up to the cap. `now` gives the time, for the minute's
/// allowance; `wire` is counted up as bytes come, so that it is right even if
/// this fails.
pub(crate) async fn read(
    headers: &HeaderMap,
    mut incoming: Incoming,
    allowance: &Allowance,
    now: &(dyn Fn() -> Timestamp + Sync),
    wire: &mut usize,
) -> Result<Body, BodyError> {
    let body_max = allowance.body_max();
    let mut unpack = Unpack::of(headers)?;
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(BodyError::Broken)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        *wire += data.len();
        allowance.receive(data.len(), now())?;
        for step in data.chunks(STEP_BYTES) {
            unpack.write(step)?;
            let len = unpack.len();
            if len > RATIO_FROM_BYTES && len as u64 > RATIO_MAX * (*wire as u64) {
                return Err(BodyError::Reached(Reached {
                    limit: Limit::HttpRatio,
                    most: RATIO_MAX,
                }));
            }
            if len > body_max {
                allowance.unpack(body_max)?;
                return Ok(Body {
                    bytes: unpack.cut(body_max),
                    truncated: true,
                });
            }
        }
    }
    // A body that is not there, as after HEAD, is not packed.
    let bytes = if *wire == 0 {
        Vec::new()
    } else {
        unpack.finish()?
    };
    let truncated = bytes.len() > body_max;
    let mut bytes = bytes;
    bytes.truncate(body_max);
    allowance.unpack(bytes.len())?;
    Ok(Body { bytes, truncated })
}
