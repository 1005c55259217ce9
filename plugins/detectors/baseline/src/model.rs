//! What one series usually does, and how rare its next row is.
//!
//! A series is looked at in eight ways, each a quantity that is near zero
//! while all is well: how far a row is from where the series was just now, how
//! far the mean of a few rows is from the level of the last hour, and so on
//! (see [`View`]). For each view a tail knows how far it strays in ordinary
//! life, and turns it into a surprise; the surprises are combined, and a
//! rarity knows how often this series reaches such a combination. So nothing
//! is assumed about the distribution, and a result means the same for every
//! series.
//!
//! Every row is learned from: levels follow, tails widen. When an incident is
//! over the model goes back to the levels from before it (see [`Memory`]), so
//! that going back to normal is not taken for the next incident.

use faultline_robust::{Scale, rough_exp2, rough_log2, rough_log10};
use serde::{Deserialize, Serialize};

use crate::interval::Interval;
use crate::recent::{Means, Recent};
use crate::season::{Period, Season};
use crate::usual::{Deviations, Usual, log_variation};
use crate::view::{Sight, VIEWS, View, Watch};

/// What the tails remember: so long, but within these numbers of rows.
const MEMORY_MICROS: f64 = 14.0 * DAY_MICROS;
const MEMORY_ROWS_MIN: f64 = 2_000.0;
const MEMORY_ROWS_MAX: f64 = 15_000.0;
/// Rows after which the number of rows to remember is computed anew.
const MEMORY_EVERY_ROWS: u32 = 64;

/// Rarity is per day, but per so many rows where a day has fewer.
const DAY_MICROS: f64 = 86_400e6;
const SECOND_MICROS: f64 = 1e6;
const REFERENCE_ROWS_MIN: f64 = 288.0;
/// What is less rare than this cannot be rare, whatever the interval: a little
/// less than the decimal logarithm of the number above.
const REFERENCE_DECADES_MIN: f64 = 2.45;

/// Where no floor is known, nothing below this matters.
const FLOOR_MIN: f64 = 1e-9;
/// A series that never changed so far may change by this share of itself
/// without much ado: 3 replicas become 4.
const UNKNOWN_SHARE: f64 = 0.5;
/// Rows that differ by less than this share of the floor are the same.
const STILL_SHARE_OF_FLOOR: f64 = 0.05;
/// An incident of more than one row in so many that are known is forgotten
/// altogether when it is over; of a shorter one the tails keep what they
/// learned. Without the first, a new series that fails twice within its first
/// hour would seem to be one that does. Without the second, one that has a
/// burst every hour would be reported every hour.
const FORGET_SHARE: u32 = 12;
/// Values beyond are cut: their differences must be finite.
const VALUE_MAX: f64 = 1e150;

/// Deviations too small to matter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Floors {
    /// As a share of the series' usual magnitude.
    pub(crate) relative: f64,
    /// In the series' unit.
    pub(crate) absolute: f64,
}

/// The verdict on one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reading {
    /// Minus the decimal logarithm of how many rows as strange as this chance
    /// alone brings in a day; 0 if that is one or more.
    pub(crate) rarity: f64,
    /// What was seen, and the band that it is outside of, if the rarity is above
    /// 0.
    pub(crate) sight: Option<(Sight, Watch)>,
    /// Whether the series is outside the band that is watched.
    pub(crate) outside: bool,
    /// The decimal logarithm of the days for which the series is known.
    pub(crate) known: f64,
}

/// What one series usually does. About 2.7 KB, and 2 KB for its season.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Model {
    first: u64,
    last: u64,
    rows: u32,
    memory_rows: u32,
    interval: Interval,
    recent: Recent,
    usual: Usual,
    season: Season,
}

/// How things stood before an incident, to go back to when it is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Memory {
    rows: u32,
    recent: Recent,
    usual: Usual,
}

/// The quantities of one row, and what each view makes of it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Quantities {
    value: f64,
    means: Means,
    log_variation: f64,
    still: bool,
    stillness: f64,
    profile: Option<(f64, Period)>,
    scale: Scale,
    deviations: Deviations,
}

impl Model {
    /// Nothing known yet.
    pub(crate) fn new() -> Self {
        Self {
            first: 0,
            last: 0,
            rows: 0,
            memory_rows: 0,
            interval: Interval::default(),
            recent: Recent::default(),
            usual: Usual::new(),
            season: Season::default(),
        }
    }

    /// The usual time between rows, in microseconds.
    pub(crate) fn interval_micros(&self) -> f64 {
        self.interval.micros()
    }

    /// What the series did up to now, for [`Model::memory`].
    pub(crate) fn recent(&self) -> Recent {
        self.recent
    }

    /// Judges a row and learns from it. Times must ascend. While an episode is
    /// open, the band that it watches is given.
    pub(crate) fn observe(
        &mut self,
        time: u64,
        value: f64,
        floors: Floors,
        watch: Option<&Watch>,
    ) -> Reading {
        let value = value.clamp(-VALUE_MAX, VALUE_MAX);
        self.advance(time, value);
        let quantities = self.quantities(time, value, floors);
        let outside = watch.is_some_and(|watch| quantities.is_outside(watch));
        let judgement = self.usual.judge(&quantities.deviations, quantities.scale);
        let rarity = self.rarity(judgement.decades);
        let sight = judgement
            .view
            .filter(|_| rarity > 0.0)
            .map(|(view, surprise)| self.sight(view, surprise, &quantities));
        self.usual
            .learn(&judgement, quantities.scale, self.memory_rows);

        let floor = quantities.scale.floor;
        let (reach, season_reach) = self.usual.reaches(floor);
        self.recent
            .follow(value, &quantities.means, reach, quantities.still);
        self.usual.follow(
            value,
            quantities.log_variation,
            quantities.still,
            floor,
            self.memory_rows,
        );
        self.season.learn(time, value, season_reach);
        let age = micros_between(self.first, time).max(SECOND_MICROS);
        Reading {
            rarity,
            sight,
            outside,
            known: rough_log10(age / DAY_MICROS),
        }
    }

    /// How things stand, but for what the series did just now: that is to be
    /// as it was before the incident.
    pub(crate) fn memory(&self, recent: Recent) -> Memory {
        Memory {
            rows: self.rows,
            recent,
            usual: self.usual.clone(),
        }
    }

    /// The incident is over.
    pub(crate) fn recover(&mut self, memory: Memory) {
        let incident_rows = self.rows.saturating_sub(memory.rows);
        self.recent = memory.recent;
        if incident_rows > memory.usual.rows() / FORGET_SHARE {
            self.usual = memory.usual;
        } else {
            self.usual.restore_levels(&memory.usual);
        }
    }

    /// Takes what the series does now for normal.
    pub(crate) fn relearn(&mut self, floors: Floors) {
        let floor = self.scale(floors).floor;
        let log_variation =
            log_variation(self.recent.variation.value(), floor * STILL_SHARE_OF_FLOOR);
        self.usual.relearn(self.recent.long.value(), log_variation);
    }

    /// The time, and what it means for levels that were not fed meanwhile.
    fn advance(&mut self, time: u64, value: f64) {
        if self.rows == 0 {
            self.first = time;
            self.recent.begin(value);
            self.usual.begin(value);
        } else {
            let missed = self.interval.step(micros_between(self.last, time));
            if missed > 0.0 {
                self.recent.miss(missed);
                self.usual.miss(missed);
            }
        }
        if self.rows.is_multiple_of(MEMORY_EVERY_ROWS) {
            self.memory_rows = memory_rows(&self.interval);
        }
        self.last = time;
        self.rows = self.rows.saturating_add(1);
    }

    fn scale(&self, floors: Floors) -> Scale {
        let magnitude = self.usual.magnitude();
        Scale {
            floor: (floors.relative * magnitude)
                .max(floors.absolute)
                .max(FLOOR_MIN),
            unknown: UNKNOWN_SHARE * magnitude,
        }
    }

    fn quantities(&self, time: u64, value: f64, floors: Floors) -> Quantities {
        let scale = self.scale(floors);
        let still_floor = scale.floor * STILL_SHARE_OF_FLOOR;
        let profile = self.season.expected(time, time.saturating_sub(self.first));
        let seasonal = profile.map(|(expected, _)| value - expected);
        let means = self.recent.means_with(value, seasonal);
        let log_variation = log_variation(means.variation, still_floor);
        let still = (value - self.recent.value).abs() <= still_floor;
        let stillness = if still {
            self.usual
                .stillness(self.recent.still_rows.saturating_add(1))
        } else {
            0.0
        };
        let expected = self.recent.expected();
        let middle = self.usual.middle().filter(|_| means.short_known);
        let slow = self.usual.slow().filter(|_| means.long_known);
        let mut deviations = [None; VIEWS];
        let mut see = |view: View, deviation: Option<f64>| deviations[view as usize] = deviation;
        see(View::Jump, expected.map(|expected| value - expected));
        see(View::Shift, middle.map(|middle| means.short - middle));
        see(View::Drift, slow.map(|slow| means.long - slow));
        see(
            View::Variation,
            // A usual variation below the floor is none either.
            self.usual
                .variation()
                .map(|usual| log_variation - usual.max(rough_log2(still_floor))),
        );
        see(View::Season, seasonal);
        see(
            View::SeasonalShift,
            means.seasonal.filter(|_| means.seasonal_known),
        );
        see(View::Level, Some(value - self.usual.base()));
        see(View::Stillness, Some(stillness));
        Quantities {
            value,
            means,
            log_variation,
            still,
            stillness,
            profile,
            scale,
            deviations,
        }
    }

    fn rarity(&self, decades: f64) -> f64 {
        if decades <= REFERENCE_DECADES_MIN {
            return 0.0;
        }
        let rows = self.interval.rows_in(DAY_MICROS).max(REFERENCE_ROWS_MIN);
        (decades - rough_log10(rows)).max(0.0)
    }

    fn sight(&self, view: View, surprise: f64, quantities: &Quantities) -> (Sight, Watch) {
        let deviation = quantities.deviations[view as usize].unwrap_or(0.0);
        let seen = quantities.seen_by(view);
        let watch = self.usual.watch(view, seen - deviation);
        let sight = self.usual.sight(view, seen, deviation, surprise);
        let sight = match view {
            View::Variation => Sight {
                seen: rough_exp2(sight.seen),
                low: rough_exp2(sight.low),
                expected: rough_exp2(sight.expected),
                high: rough_exp2(sight.high),
                ..sight
            },
            view if view.is_seasonal() => Sight {
                season: quantities.profile.map(|(_, period)| period),
                low: self.lowest(sight.low),
                ..sight
            },
            View::Stillness => Sight {
                seen: f64::from(self.recent.still_rows.saturating_add(1)),
                high: self.usual.rows_of_stillness(sight.high),
                ..sight
            },
            _ => Sight {
                low: self.lowest(sight.low),
                ..sight
            },
        };
        (sight, watch)
    }

    /// The lower end of a band, for people: what was never negative is not
    /// expected to be.
    fn lowest(&self, low: f64) -> f64 {
        if self.usual.is_signed() {
            low
        } else {
            low.max(0.0)
        }
    }
}

impl Quantities {
    /// What a view looks at, in the unit of its deviations.
    fn seen_by(&self, view: View) -> f64 {
        match view {
            View::Jump | View::Season | View::Level => self.value,
            View::Shift => self.means.short,
            View::Drift => self.means.long,
            View::Variation => self.log_variation,
            View::SeasonalShift => {
                self.profile.map_or(0.0, |(expected, _)| expected)
                    + self.means.seasonal.unwrap_or(0.0)
            }
            View::Stillness => self.stillness,
        }
    }

    fn is_outside(&self, watch: &Watch) -> bool {
        let deviation = match watch.middle {
            Some(middle) => self.seen_by(watch.view) - middle,
            None => match self.deviations[watch.view as usize] {
                Some(deviation) => deviation,
                None => return false,
            },
        };
        let floor = watch.view.scale(self.scale).floor;
        deviation > watch.above.max(floor) || -deviation > watch.below.max(floor)
    }
}

/// How many rows to remember.
fn memory_rows(interval: &Interval) -> u32 {
    let rows = interval
        .rows_in(MEMORY_MICROS)
        .clamp(MEMORY_ROWS_MIN, MEMORY_ROWS_MAX);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped just above"
    )]
    let rows = rows as u32;
    rows
}

/// Microseconds from one time to a later one.
fn micros_between(earlier: u64, later: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "times are below 2^53")]
    let micros = later.saturating_sub(earlier) as f64;
    micros
}

#[cfg(test)]
mod tests;
