//! What is usual: how often each alert began in the past.
//!
//! Some alerts fire whenever anything happens, and say nothing about the cause
//! of what happens now; others have never been seen before. Time is cut into
//! *occasions*, each a stretch in which alerts began without a long pause, and
//! for each alert the occasions are counted on which it began. The counts are
//! halved now and then, so that what was usual last month wears off, and the
//! alerts longest unseen are forgotten first when there are too many.

use std::collections::BTreeMap;

use faultline_sdk::Timestamp;
use serde::{Deserialize, Serialize};

/// An occasion ends when nothing began for this long, in seconds…
const PAUSE: u64 = 5 * 60;
/// …or after this long, in seconds.
const LENGTH_MAX: u64 = 30 * 60;
/// After so many occasions the counts are halved.
const OCCASIONS_MAX: u32 = 512;
/// The most alerts that are remembered.
const ALERTS_MAX: usize = 4_096;

/// How often alerts began. Times are in seconds: whole ones take less room.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usual {
    /// The current one included.
    occasions: u32,
    /// When the current one began, and when an alert last did.
    current: (u64, u64),
    /// By the upper half of the alert's key.
    alerts: BTreeMap<u32, Begun>,
}

/// How often one alert began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Begun {
    /// On so many occasions.
    times: u32,
    /// The last time.
    last: u64,
}

impl Usual {
    /// An episode of this alert began. Hearing of it twice changes nothing.
    pub(crate) fn began(&mut self, key: u64, started: Timestamp) {
        let at = seconds(started);
        let (from, last) = self.current;
        let is_next = at > last.saturating_add(PAUSE) || at > from.saturating_add(LENGTH_MAX);
        if self.occasions == 0 || is_next {
            self.occasions += 1;
            self.current = (at, at);
        }
        self.current.1 = self.current.1.max(at);
        let begun = self.alerts.entry(short(key)).or_default();
        let counted = begun.times > 0 && (begun.last >= at || begun.last >= self.current.0);
        if !counted {
            begun.times = (begun.times + 1).min(self.occasions);
        }
        begun.last = begun.last.max(at);
        if self.occasions >= OCCASIONS_MAX {
            self.wear_off();
        }
        if self.alerts.len() > ALERTS_MAX {
            self.forget_oldest();
        }
    }

    /// How unusual an alert is whose current episode began then: 1 for one
    /// that was never seen before, near 0 for one that always fires. It is the
    /// surprise in seeing it, `-ln p`, as a share of the most that could
    /// surprise after so many occasions. The episode itself does not count.
    pub(crate) fn rarity(&self, key: u64, started: Timestamp) -> f64 {
        let (times, occasions) = self.times(key, started);
        let surprise = |times: u32| ((f64::from(occasions) + 1.0) / (f64::from(times) + 0.5)).ln();
        (surprise(times) / surprise(0)).clamp(0.0, 1.0)
    }

    /// On how many occasions it began before, and how many there were.
    pub(crate) fn times(&self, key: u64, started: Timestamp) -> (u32, u32) {
        let occasions = self.occasions.saturating_sub(1);
        let times = self.alerts.get(&short(key)).map_or(0, |begun| {
            let this_one = u32::from(begun.last >= seconds(started));
            begun.times.saturating_sub(this_one)
        });
        (times.min(occasions), occasions)
    }

    fn wear_off(&mut self) {
        self.occasions /= 2;
        for begun in self.alerts.values_mut() {
            begun.times /= 2;
        }
        self.alerts.retain(|_, begun| begun.times > 0);
    }

    /// Makes room for a while: an eighth of those longest unseen.
    fn forget_oldest(&mut self) {
        let mut oldest: Vec<(u64, u32)> = self
            .alerts
            .iter()
            .map(|(key, begun)| (begun.last, *key))
            .collect();
        oldest.sort_unstable();
        for (_, key) in oldest.into_iter().take(ALERTS_MAX / 8) {
            self.alerts.remove(&key);
        }
    }
}

fn seconds(at: Timestamp) -> u64 {
    at / 1_000_000
}

fn short(key: u64) -> u32 {
    u32::try_from(key >> 32).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: u64 = 7 << 32;
    const OTHER: u64 = 8 << 32;
    const HOUR: u64 = 3_600_000_000;

    #[test]
    fn what_always_fires_is_not_rare() {
        let mut usual = Usual::default();
        assert!((usual.rarity(KEY, 0) - 1.0).abs() < 1e-12);
        for hour in 0..20 {
            usual.began(OTHER, hour * HOUR);
            usual.began(OTHER, hour * HOUR + 60_000_000);
        }
        usual.began(KEY, 19 * HOUR + 60_000_000);
        assert_eq!(usual.times(OTHER, 19 * HOUR), (19, 19));
        assert_eq!(usual.times(KEY, 19 * HOUR + 60_000_000), (0, 19));
        assert!(usual.rarity(OTHER, 19 * HOUR) < 0.05);
        assert!((usual.rarity(KEY, 19 * HOUR + 60_000_000) - 1.0).abs() < 1e-12);
        usual.began(KEY, 20 * HOUR);
        assert!(usual.rarity(KEY, 20 * HOUR) < 1.0);
    }

    #[test]
    fn an_occasion_ends_after_a_pause_or_when_it_lasts_too_long() {
        let mut usual = Usual::default();
        for minute in 0..=40 {
            usual.began(minute << 32, minute * 60_000_000);
        }
        assert_eq!(usual.occasions, 2);
        usual.began(99 << 32, 50 * 60_000_000);
        assert_eq!(usual.occasions, 3);
    }

    #[test]
    fn hearing_twice_changes_nothing() {
        let mut usual = Usual::default();
        usual.began(KEY, HOUR);
        usual.began(OTHER, 2 * HOUR);
        let once = usual.clone();
        usual.began(KEY, HOUR);
        usual.began(OTHER, 2 * HOUR);
        assert_eq!(usual, once);
    }

    #[test]
    fn stays_bounded_and_wears_off() {
        let mut usual = Usual::default();
        for n in 0..20_000_u64 {
            usual.began(n << 32, n * HOUR);
        }
        assert!(usual.alerts.len() <= ALERTS_MAX);
        assert!(usual.occasions < OCCASIONS_MAX);
    }
}
