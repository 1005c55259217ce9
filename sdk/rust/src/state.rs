//! Saved state: what a plugin remembers from one life to the next.
//!
//! A state is any type that `serde` can write, in the postcard format behind a
//! header: a magic number, a checksum of all that follows, the name that the
//! plugin chose and the version of the state's shape. The header is what lets
//! a plugin refuse a state that is not its own, or that is damaged, before it
//! has changed anything; postcard by itself would read almost any bytes as
//! something.
//!
//! States can have many megabytes, so nothing is copied in sealing and opening.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Blob, Fault};

/// The media type of states that travel as a [`Blob`].
pub const MEDIA_TYPE: &str = "application/vnd.faultline.state.v1";

/// The first bytes of every state: `FLST`, and the version of this header.
const MAGIC: [u8; 5] = *b"FLST\x01";

/// The bytes of the checksum, little-endian.
const CHECKSUM_BYTES: usize = 8;

/// A state whose header has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// The version of the state's shape.
    pub version: u32,
    /// The state itself, as [`to_bytes`] wrote it.
    pub bytes: &'a [u8],
}

/// Puts a state behind a header.
///
/// # Errors
/// `state`, if the type refuses to be written; see [`to_bytes`].
pub fn seal<T: Serialize>(name: &str, version: u32, state: &T) -> Result<Vec<u8>, Fault> {
    let unsealed = [MAGIC.as_slice(), &[0; CHECKSUM_BYTES]].concat();
    let unsealed = append(unsealed, &(name, version))?;
    let mut sealed = append(unsealed, state)?;
    if let Some((place, contents)) = sealed
        .get_mut(MAGIC.len()..)
        .and_then(|rest| rest.split_first_chunk_mut())
    {
        *place = checksum(contents);
    }
    Ok(sealed)
}

/// Reads the header of a state, and checks that it is one of this name.
///
/// # Errors
/// `state`, if the bytes are not a state, are damaged, or belong to another
/// plugin.
pub fn open<'a>(name: &str, sealed: &'a [u8]) -> Result<Sealed<'a>, Fault> {
    let (sum, contents) = sealed
        .strip_prefix(&MAGIC)
        .and_then(|rest| rest.split_first_chunk())
        .ok_or_else(|| Fault::state("these bytes are not a saved state of this kit"))?;
    let damaged = || Fault::state("the saved state is damaged");
    if *sum != checksum(contents) {
        return Err(damaged());
    }
    let ((owner, version), bytes) =
        postcard::take_from_bytes::<(&str, u32)>(contents).map_err(|_| damaged())?;
    if owner != name {
        return Err(Fault::state(format!(
            "the state was saved by `{owner}` and this is `{name}`: states cannot be exchanged \
             between plugins"
        )));
    }
    Ok(Sealed { version, bytes })
}

/// Writes a value in the postcard format, without a header.
///
/// # Errors
/// `state`, if the type refuses to be written: postcard cannot write sequences
/// whose length is not known in advance, nor `#[serde(flatten)]`.
pub fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, Fault> {
    append(Vec::new(), value)
}

fn append<T: Serialize>(bytes: Vec<u8>, value: &T) -> Result<Vec<u8>, Fault> {
    postcard::to_extend(value, bytes)
        .map_err(|error| Fault::state(format!("the state cannot be written: {error}")))
}

/// Reads what [`to_bytes`] wrote. For use in `migrate`, with the type as it
/// was in that version.
///
/// # Errors
/// `state`, if the bytes are anything else or go on after the value.
pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(Fault::state(format!(
            "{} bytes are left over after the saved state: its shape changed without a new \
             STATE_VERSION",
            rest.len()
        ))),
        Err(error) => Err(Fault::state(format!(
            "the saved state cannot be read ({error}): its shape changed without a new \
             STATE_VERSION"
        ))),
    }
}

/// Reads a state of the current version, and hands those of earlier versions
/// to `migrate`.
pub(crate) fn restore<T: DeserializeOwned>(
    name: &str,
    version: u32,
    sealed: &[u8],
    migrate: impl FnOnce(u32, &[u8]) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let state = open(name, sealed)?;
    if state.version > version {
        return Err(Fault::state(format!(
            "the state was saved in version {} and this plugin knows versions up to {version}: \
             install the newer plugin again, or reset the state of this instance",
            state.version
        )));
    }
    if state.version == version {
        from_bytes(state.bytes)
    } else {
        migrate(state.version, state.bytes)
    }
}

/// What `migrate` answers unless a plugin knows better.
pub(crate) fn unknown_version(found: u32, known: u32) -> Fault {
    Fault::state(format!(
        "the state was saved in version {found}, which version {known} cannot go on from: reset \
         the state of this instance"
    ))
}

/// Unwraps a blob that holds a state.
pub(crate) fn of_blob(blob: &Blob) -> Result<&[u8], Fault> {
    if blob.media_type == MEDIA_TYPE {
        Ok(&blob.bytes)
    } else {
        Err(Fault::state(format!(
            "the state has the media type `{}`; this plugin reads `{MEDIA_TYPE}`",
            blob.media_type
        )))
    }
}

/// FNV-1a (draft-eastlake-fnv), taking eight bytes at a time instead of one,
/// begun with the length, and with the upper half mixed into the lower, which
/// multiplication alone does not do. It guards against damage, not against
/// forgery.
fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    for (place, byte) in last.iter_mut().zip(rest) {
        *place = *byte;
    }
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64;
    for word in words.iter().chain([&last]) {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(PRIME);
        hash ^= hash >> 32;
    }
    hash.to_le_bytes()
}
