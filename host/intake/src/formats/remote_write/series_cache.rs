//! Series that were met in earlier payloads.
//!
//! A sender names the same series in every request. Making a definition of
//! their labels is most of the work of decoding, and the same labels always
//! give the same one, so it is kept by the labels' bytes. This changes nothing
//! but the time that decoding takes.

use std::collections::HashMap;
use std::hash::RandomState;

use super::Definition;
use crate::formats::series::Unmet;

/// What an entry takes in memory: its labels as a key and as a definition, with
/// what the allocator and the tree of labels add; estimated from above.
fn entry_bytes(label_bytes: usize) -> usize {
    4 * label_bytes + 512
}

/// A bounded memory of definitions, in two generations: what is asked for is
/// kept in the younger one; when that is full it becomes the older one, and
/// what was not asked for in the meantime is forgotten.
pub(super) struct SeriesCache {
    hasher: RandomState,
    generation_bytes_max: usize,
    young: Generation,
    young_bytes: usize,
    old: Generation,
}

/// By the hash of the labels' bytes; of those that share one, the first.
type Generation = HashMap<u64, (Box<[u8]>, Definition)>;

impl SeriesCache {
    /// Takes about this many bytes of memory at most.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            generation_bytes_max: bytes_max / 2,
            young: HashMap::new(),
            young_bytes: 0,
            old: HashMap::new(),
        }
    }

    /// What hashes are to be made with.
    pub(super) fn hasher(&self) -> RandomState {
        self.hasher.clone()
    }

    /// The definition of a series, if it was met lately.
    pub(super) fn find(&mut self, unmet: &Unmet<'_>) -> Option<Definition> {
        if let Some((bytes, definition)) = self.young.get(&unmet.hash) {
            return (**bytes == *unmet.bytes).then(|| definition.clone());
        }
        let (bytes, _) = self.old.get(&unmet.hash)?;
        if **bytes != *unmet.bytes {
            return None;
        }
        let (_, definition) = self.old.remove(&unmet.hash)?;
        self.keep(unmet, &definition);
        Some(definition)
    }

    /// Remembers the definition of a series.
    pub(super) fn keep(&mut self, unmet: &Unmet<'_>, definition: &Definition) {
        let entry_bytes = entry_bytes(unmet.bytes.len());
        if self.young_bytes + entry_bytes > self.generation_bytes_max {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += entry_bytes;
        self.young
            .entry(unmet.hash)
            .or_insert_with(|| (unmet.bytes.as_ref().into(), definition.clone()));
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn unmet(number: u64) -> Unmet<'static> {
        Unmet {
            hash: number,
            bytes: Cow::Owned(number.to_le_bytes().to_vec()),
        }
    }

    #[test]
    fn forgets_what_is_not_asked_for() {
        let mut cache = SeriesCache::new(20 * entry_bytes(8));
        for number in 0..100 {
            assert!(cache.find(&unmet(number)).is_none());
            cache.keep(&unmet(number), &Definition::Bucket);
            assert!(cache.find(&unmet(0)).is_some(), "at {number}");
            assert!(cache.young.len() + cache.old.len() <= 20);
        }
        assert!(cache.find(&unmet(50)).is_none());
    }

    #[test]
    fn a_shared_hash_is_not_a_shared_series() {
        let mut cache = SeriesCache::new(1 << 20);
        cache.keep(&unmet(1), &Definition::Bucket);
        let mut other = unmet(2);
        other.hash = 1;
        assert!(cache.find(&other).is_none());
        cache.keep(&other, &Definition::Bucket);
        assert!(cache.find(&unmet(1)).is_some());
    }
}
