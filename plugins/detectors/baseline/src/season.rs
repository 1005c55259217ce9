//! What is usual at this time of the day and of the week.
//!
//! Two profiles of bins, in UTC: 96 quarters of an hour for the day, 168 hours
//! for the week. The day's is used once a day has been seen, the week's after
//! two weeks; until then Saturdays look like Fridays. A profile knows levels
//! only: how far a series strays from its profile is learned by a tail.
//!
//! Rows are averaged for as long as a bin lasts, and only then does the bin
//! learn: a profile that followed the rows of today would find nothing odd in
//! them.

use faultline_robust::array;
use serde::{Deserialize, Serialize};

const DAY_MICROS: u64 = 86_400_000_000;
const WEEK_MICROS: u64 = 7 * DAY_MICROS;
const DAY_BIN_MICROS: u64 = 900_000_000;
const WEEK_BIN_MICROS: u64 = 3_600_000_000;
const DAY_BINS: usize = 96;
const WEEK_BINS: usize = 168;
/// How long a series must be known before a profile is used.
const DAY_AFTER_MICROS: u64 = DAY_MICROS;
const WEEK_AFTER_MICROS: u64 = 2 * WEEK_MICROS;
/// Days, and weeks, that a bin remembers.
const DAY_MEMORY: u8 = 14;
const WEEK_MEMORY: u8 = 8;
/// A bin's first visits count in full, however far rows are off.
const TRUSTED_VISITS: u8 = 2;

/// The profiles of one series: about 2 KB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Season {
    day: Profile<DAY_BINS>,
    week: Profile<WEEK_BINS>,
}

/// Which profile an expectation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Period {
    /// The time of the day.
    Day,
    /// The hour of the week.
    Week,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Profile<const N: usize> {
    /// The bin that lasts, and the rows of this visit: their number, and the
    /// sum of what they are above the bin's level.
    current: u16,
    rows: u32,
    excess: f64,
    #[serde(with = "array")]
    bins: [Bin; N],
}

/// The mean over the visits to a bin.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Bin {
    level: f32,
    visits: u8,
}

impl Default for Season {
    fn default() -> Self {
        Self {
            day: Profile::new(),
            week: Profile::new(),
        }
    }
}

impl Season {
    /// What is usual at this time, in a series first seen so long ago. None if
    /// it is not known yet.
    pub(crate) fn expected(&self, time: u64, age_micros: u64) -> Option<(f64, Period)> {
        if age_micros > WEEK_AFTER_MICROS
            && let Some(level) = self.week.level(week_bin(time))
        {
            return Some((level, Period::Week));
        }
        if age_micros > DAY_AFTER_MICROS {
            let level = self.day.level(day_bin(time))?;
            return Some((level, Period::Day));
        }
        None
    }

    /// Learns from a row, but no more than as if it were `reach` away from
    /// what the profile says.
    pub(crate) fn learn(&mut self, time: u64, value: f64, reach: f64) {
        self.day.learn(day_bin(time), value, reach, DAY_MEMORY);
        self.week.learn(week_bin(time), value, reach, WEEK_MEMORY);
    }
}

impl<const N: usize> Profile<N> {
    const fn new() -> Self {
        Self {
            current: 0,
            rows: 0,
            excess: 0.0,
            bins: [Bin {
                level: 0.0,
                visits: 0,
            }; N],
        }
    }

    fn level(&self, bin: u16) -> Option<f64> {
        let bin = self.bins.get(usize::from(bin))?;
        (bin.visits > 0).then_some(f64::from(bin.level))
    }

    fn learn(&mut self, bin: u16, value: f64, reach: f64, memory: u8) {
        if bin != self.current {
            self.end_visit(memory);
            self.current = bin;
        }
        let Some(bin) = self.bins.get(usize::from(bin)) else {
            return;
        };
        let excess = value - f64::from(bin.level);
        self.excess += if bin.visits < TRUSTED_VISITS {
            excess
        } else {
            excess.clamp(-reach, reach)
        };
        self.rows = self.rows.saturating_add(1);
    }

    fn end_visit(&mut self, memory: u8) {
        if self.rows > 0
            && let Some(bin) = self.bins.get_mut(usize::from(self.current))
        {
            bin.visits = bin.visits.saturating_add(1).min(memory);
            let step = self.excess / f64::from(self.rows) / f64::from(bin.visits);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "half the memory, and no profile is known to seven digits"
            )]
            let level = (f64::from(bin.level) + step) as f32;
            bin.level = level.clamp(f32::MIN, f32::MAX);
        }
        self.rows = 0;
        self.excess = 0.0;
    }
}

fn day_bin(time: u64) -> u16 {
    u16::try_from(time % DAY_MICROS / DAY_BIN_MICROS).unwrap_or(0)
}

fn week_bin(time: u64) -> u16 {
    u16::try_from(time % WEEK_MICROS / WEEK_BIN_MICROS).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARTER: u64 = DAY_BIN_MICROS;

    #[test]
    fn knows_the_day_after_a_day_and_the_week_after_two() {
        let mut season = Season::default();
        let value = |row: u64| f64::from(u8::try_from(row % 96 / 4).unwrap_or(0));
        let weekend = |row: u64| if row / 96 % 7 >= 5 { 100.0 } else { 0.0 };
        for row in 0..96 * 15 {
            let time = row * QUARTER;
            let seen = value(row) + weekend(row);
            match season.expected(time, time) {
                None => assert!(row <= 96),
                Some((level, Period::Day)) => {
                    assert!((97..=96 * 14).contains(&row));
                    assert!(row >= 96 * 5 || (level - seen).abs() < 1e-3);
                }
                Some((level, Period::Week)) => {
                    assert!(row > 96 * 14);
                    assert!((level - seen).abs() < 1e-3, "{level} for {seen}");
                }
            }
            season.learn(time, seen, f64::MAX);
        }
    }

    #[test]
    fn one_day_does_not_spoil_a_bin() {
        let mut season = Season::default();
        for day in 0..20 {
            season.learn(day * DAY_MICROS, 10.0, 1.0);
            season.learn(day * DAY_MICROS + QUARTER, 10.0, 1.0);
        }
        season.learn(20 * DAY_MICROS, 1e6, 1.0);
        season.learn(20 * DAY_MICROS + QUARTER, 10.0, 1.0);
        let (level, _) = season
            .expected(21 * DAY_MICROS, 3 * DAY_MICROS)
            .expect("known by now");
        assert!((level - 10.0).abs() < 0.1);
    }

    #[test]
    fn the_rows_of_a_visit_are_judged_by_those_before_it() {
        let mut season = Season::default();
        for day in 0..3 {
            for row in 0..100 {
                let time = day * DAY_MICROS + row * 1_000_000;
                if day == 2 {
                    let (level, _) = season.expected(time, time).expect("known by now");
                    assert!((level - 10.0).abs() < 1e-6);
                }
                season.learn(time, if day == 2 { 20.0 } else { 10.0 }, f64::MAX);
            }
            season.learn(day * DAY_MICROS + QUARTER, 0.0, f64::MAX);
        }
    }

    #[test]
    fn takes_values_that_f32_cannot_hold() {
        let mut season = Season::default();
        for (row, value) in [1e150, -1e150, 1e150].into_iter().enumerate() {
            let row = u64::try_from(row).expect("a small number");
            season.learn(row * DAY_MICROS, value, f64::MAX);
            season.learn(row * DAY_MICROS + QUARTER, value, f64::MAX);
        }
        assert!(season.day.bins.iter().all(|bin| bin.level.is_finite()));
    }
}
