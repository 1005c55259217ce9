//! Hashes of words: fast, and the same everywhere.

/// 2^64 divided by the golden ratio, odd.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Takes one number into a hash.
pub(crate) fn mix(hash: u64, number: u64) -> u64 {
    let mixed = (hash ^ number).wrapping_mul(SPREAD);
    mixed ^ (mixed >> 29)
}

/// The hash of a word, in 32 bits: eight bytes at a time, in the manner of
/// `FxHash`. Who writes logs could make words collide; all that comes of it is
/// that two of their own lines look alike.
pub(crate) fn word_hash(word: &[u8]) -> u32 {
    let mut hash = word.len() as u64;
    let mut chunks = word.chunks_exact(8);
    for chunk in &mut chunks {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(chunk);
        hash = mix(hash, u64::from_le_bytes(bytes));
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let mut bytes = [0; 8];
        bytes[..rest.len()].copy_from_slice(rest);
        hash = mix(hash, u64::from_le_bytes(bytes));
    }
    u32::try_from(hash >> 32).unwrap_or(0)
}

/// The hash of several texts, each with its length before it: FNV-1a, 64 bits.
pub(crate) fn identity<'a>(parts: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes();
        for byte in length.iter().chain(part.as_bytes()) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash
}
