//! How many there usually are in a bucket of time.

use serde::{Deserialize, Serialize};

/// Buckets over which the usual number is averaged.
const WINDOW_BUCKETS: f64 = 240.0;
/// How far a bucket may pull the average, in units of the usual stray.
const REACH: f64 = 3.0;
/// Buckets that pull it without bound, for there is no scale yet.
const UNBOUNDED_BUCKETS: f64 = 10.0;
/// From the mean absolute deviation to the standard deviation, if normal.
const STANDARD: f64 = 1.253;

/// The usual number, on a scale on which a Poisson count strays by 1 whatever
/// its mean (Anscombe, "The Transformation of Poisson, Binomial and
/// Negative-Binomial Data", 1948).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rate {
    level: f64,
    stray: f64,
    /// The first bucket that is not yet taken in, and how many were.
    next: u64,
    taken: f64,
}

impl Rate {
    /// Of something that did not occur in these many buckets before this one.
    pub(crate) fn unheard_of(next: u64, buckets: f64) -> Self {
        Self {
            level: scaled(0.0),
            stray: 0.0,
            next,
            taken: buckets,
        }
    }

    /// Buckets taken in.
    pub(crate) fn known_buckets(&self) -> f64 {
        self.taken
    }

    /// Takes in that there were none in any bucket before this one.
    pub(crate) fn advance(&mut self, bucket: u64) {
        let empty = bucket.saturating_sub(self.next);
        if empty == 0 {
            return;
        }
        let kept = power(1.0 - 1.0 / self.window(), empty);
        let away = (scaled(0.0) - self.level).abs();
        self.level = scaled(0.0) + (self.level - scaled(0.0)) * kept;
        self.stray = away.min(self.stray) * (1.0 - kept) + self.stray * kept;
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let empty = empty as f64;
        self.taken += empty;
        self.next = bucket;
    }

    /// How far a number is from the usual, in units of what it usually strays,
    /// which is never less than chance alone makes it.
    pub(crate) fn deviation(&self, count: u32) -> f64 {
        (scaled(f64::from(count)) - self.level) / self.scale()
    }

    /// Takes in a bucket, after [`Rate::advance`].
    pub(crate) fn take(&mut self, bucket: u64, count: u32) {
        let away = scaled(f64::from(count)) - self.level;
        let reach = if self.taken < UNBOUNDED_BUCKETS {
            f64::MAX
        } else {
            REACH * self.scale()
        };
        self.taken += 1.0;
        let window = self.window();
        self.level += away.clamp(-reach, reach) / window;
        self.stray += (away.abs().min(reach) - self.stray) / window;
        self.next = bucket.saturating_add(1);
    }

    /// The number that deviates so much; at least 0.
    pub(crate) fn count_at(&self, deviation: f64) -> f64 {
        let half = (0.5 * (self.level + deviation * self.scale())).max(0.0);
        (half * half - 0.375).max(0.0)
    }

    /// Learns nothing from the buckets before this one.
    pub(crate) fn skip_to(&mut self, bucket: u64) {
        self.next = self.next.max(bucket);
    }

    /// Takes over from a rate of something that turned out to be the same.
    pub(crate) fn absorb(&mut self, other: &Self) {
        let sum = self.count_at(0.0) + other.count_at(0.0);
        self.level = scaled(sum);
        self.stray = self.stray.max(other.stray);
        self.taken = self.taken.max(other.taken);
        self.next = self.next.max(other.next);
    }

    fn window(&self) -> f64 {
        self.taken.clamp(1.0, WINDOW_BUCKETS)
    }

    fn scale(&self) -> f64 {
        (self.stray * STANDARD).max(1.0)
    }
}

/// How far a count is from what was expected, in units of what chance alone
/// makes it stray.
pub(crate) fn poisson_deviation(count: f64, expected: f64) -> f64 {
    scaled(count) - scaled(expected)
}

fn scaled(count: f64) -> f64 {
    2.0 * (count + 0.375).sqrt()
}

/// By squaring: the platform's own function may differ in the last digit.
fn power(base: f64, exponent: u64) -> f64 {
    let (mut result, mut base, mut exponent) = (1.0, base, exponent);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result *= base;
        }
        base *= base;
        exponent >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poisson_count_strays_by_one() {
        let mut rate = Rate::unheard_of(0, 0.0);
        for bucket in 0..500 {
            let count = [90, 110, 100, 95, 105][usize::try_from(bucket % 5).expect("0 to 4")];
            rate.advance(bucket);
            rate.take(bucket, count);
        }
        assert!((95.0..105.0).contains(&rate.count_at(0.0)));
        assert!(rate.deviation(100).abs() < 0.3);
        assert!((2.5..3.5).contains(&rate.deviation(132)));
        assert!((120.0..145.0).contains(&rate.count_at(3.0)));
        assert!(rate.count_at(-1e6) == 0.0);
    }

    #[test]
    fn empty_buckets_need_not_be_taken_one_by_one() {
        let mut rate = Rate::unheard_of(0, 0.0);
        for bucket in 0..300 {
            rate.advance(bucket);
            rate.take(bucket, 50);
        }
        let mut slow = rate;
        for bucket in 300..400 {
            slow.take(bucket, 0);
        }
        rate.advance(400);
        // Taken by itself an empty bucket is an outlier, which is bounded.
        assert!(rate.count_at(0.0) <= slow.count_at(0.0) + 1.0);
        rate.advance(400_000);
        assert!(rate.count_at(0.0) < 0.01);
        assert!(rate.known_buckets() > 399_000.0);
    }

    #[test]
    fn an_outlier_moves_it_little() {
        let mut rate = Rate::unheard_of(0, 0.0);
        for bucket in 0..100 {
            rate.take(bucket, 10);
        }
        rate.take(100, 1_000_000);
        assert!((9.0..12.0).contains(&rate.count_at(0.0)));
    }

    #[test]
    fn buckets_that_are_skipped_teach_nothing() {
        let mut rate = Rate::unheard_of(0, 0.0);
        for bucket in 0..100 {
            rate.take(bucket, 10);
        }
        let before = rate.count_at(0.0);
        rate.skip_to(200);
        rate.advance(200);
        assert!((rate.count_at(0.0) - before).abs() < 1e-9);
    }
}
