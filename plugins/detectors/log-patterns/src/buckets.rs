//! Counts in the buckets of time that are still open.
//!
//! Lines of a source come a little out of order, so a bucket stays open for
//! some buckets after its end, or until a tick says that event time has passed
//! it. Lines that come later still count in the oldest bucket that is open.

use serde::{Deserialize, Serialize};

/// How many buckets are open at a time.
pub(crate) const OPEN_BUCKETS: u64 = 4;
const OPEN: usize = 4;

/// One count for each open bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Counts([u32; OPEN]);

impl Counts {
    /// One more in a bucket, which is open.
    pub(crate) fn add(&mut self, bucket: u64) {
        let count = &mut self.0[place(bucket)];
        *count = count.saturating_add(1);
    }

    /// Takes out what is in a bucket that closes.
    pub(crate) fn take(&mut self, bucket: u64) -> u32 {
        std::mem::take(&mut self.0[place(bucket)])
    }

    /// Adds what is in others.
    pub(crate) fn absorb(&mut self, other: Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
    }
}

fn place(bucket: u64) -> usize {
    usize::try_from(bucket % OPEN_BUCKETS).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_open_bucket_has_a_count_of_its_own() {
        let mut counts = Counts::default();
        for bucket in [7, 8, 8, 9, 10, 10, 10] {
            counts.add(bucket);
        }
        assert_eq!(
            [7, 8, 9, 10].map(|bucket| counts.take(bucket)),
            [1, 2, 1, 3]
        );
        assert_eq!(counts.take(11), 0);
    }
}
