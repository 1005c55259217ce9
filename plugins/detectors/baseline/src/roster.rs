//! The series that are watched, by their number.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use faultline_sdk::Series;
use serde::{Deserialize, Serialize, Serializer};

use crate::watched::Watched;

/// Series without rows for so long make room for others.
const SILENT_MICROS: u64 = 86_400_000_000;

/// What became of an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is watched.
    Watched,
    /// There is no room.
    Full,
}

/// The watched series. The index is made anew when they are read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "Vec<Watched>")]
pub(crate) struct Roster {
    series: Vec<Watched>,
    index: HashMap<u32, usize, BuildHasherDefault<IdHasher>>,
}

impl Roster {
    /// Watches a series, or goes on watching it if it is the same as before.
    /// `now` is the latest event time seen.
    pub(crate) fn admit(&mut self, series: &Series, most: usize, now: u64) -> Admission {
        if let Some(&slot) = self.index.get(&series.id) {
            let watched = &mut self.series[slot];
            if !watched.is(series) {
                *watched = Watched::new(series, now);
            }
            return Admission::Watched;
        }
        if self.series.len() >= most {
            return Admission::Full;
        }
        self.index.insert(series.id, self.series.len());
        self.series.push(Watched::new(series, now));
        Admission::Watched
    }

    /// The series of this number.
    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut Watched> {
        let slot = *self.index.get(&id)?;
        self.series.get_mut(slot)
    }

    /// Whether the series of this number is watched.
    pub(crate) fn has(&self, id: u32) -> bool {
        self.index.contains_key(&id)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    /// Drops the series that have been silent for long. This looks at all of
    /// them, so it is for once in a while and not for each announcement.
    pub(crate) fn drop_silent(&mut self, now: u64) {
        self.series
            .retain(|watched| !watched.is_idle(now, SILENT_MICROS));
        self.index = index(&self.series);
    }
}

fn index(series: &[Watched]) -> HashMap<u32, usize, BuildHasherDefault<IdHasher>> {
    series
        .iter()
        .enumerate()
        .map(|(slot, watched)| (watched.id(), slot))
        .collect()
}

impl From<Vec<Watched>> for Roster {
    fn from(series: Vec<Watched>) -> Self {
        let index = index(&series);
        Self { series, index }
    }
}

impl Serialize for Roster {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.series.serialize(serializer)
    }
}

/// Spreads the numbers that the host gives out: they are no secret, and come
/// from nobody who would want them to collide. The default hasher costs more
/// than the rest of the look-up.
#[derive(Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        // Knuth's multiplicative hash: 2^64 divided by the golden ratio.
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }
}

#[cfg(test)]
mod tests {
    use faultline_sdk::Entity;

    use super::*;

    fn series(id: u32, name: &str) -> Series {
        Series::new(name, "1", Entity::new("service", "a")).with_id(id)
    }

    #[test]
    fn keeps_to_its_size_and_prefers_the_living() {
        let day = SILENT_MICROS;
        let mut roster = Roster::default();
        assert_eq!(roster.admit(&series(7, "a"), 2, 0), Admission::Watched);
        assert_eq!(roster.admit(&series(9, "b"), 2, 0), Admission::Watched);
        assert_eq!(roster.admit(&series(9, "b"), 2, 0), Admission::Watched);
        assert_eq!(roster.admit(&series(11, "c"), 2, 0), Admission::Full);
        let rules = crate::config::Config::default().rules();
        let floors = crate::config::Config::default().floors("1");
        roster.drop_silent(SILENT_MICROS - 1);
        assert_eq!(roster.len(), 2);
        let living = roster.get_mut(9).expect("watched");
        living.observe(3 * day, 1.0, floors, &rules);
        roster.drop_silent(3 * day);
        assert_eq!(
            roster.admit(&series(11, "c"), 2, 3 * day),
            Admission::Watched
        );
        assert!(!roster.has(7));
        // What was announced just now has had no time to be silent.
        roster.drop_silent(3 * day + 1);
        assert!(roster.has(11));
        assert_eq!(roster.get_mut(9).map(|watched| watched.id()), Some(9));
        assert_eq!(roster.len(), 2);
    }

    #[test]
    fn a_number_that_is_given_to_another_series_begins_anew() {
        let mut roster = Roster::default();
        roster.admit(&series(1, "a"), 2, 0);
        let rules = crate::config::Config::default().rules();
        let floors = crate::config::Config::default().floors("1");
        let watched = roster.get_mut(1).expect("watched");
        watched.observe(5, 1.0, floors, &rules);
        roster.admit(&series(1, "a"), 2, 0);
        assert_eq!(roster.get_mut(1).map(|watched| watched.last()), Some(5));
        roster.admit(&series(1, "b"), 2, 0);
        assert_eq!(roster.get_mut(1).map(|watched| watched.last()), Some(0));
    }
}
