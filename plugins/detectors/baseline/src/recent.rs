//! What a series did just now.

use serde::{Deserialize, Serialize};

use crate::level::Level;

/// Windows of the levels, in rows.
const FAST_ROWS: f32 = 6.0;
const SHORT_ROWS: f32 = 4.0;
const LONG_ROWS: f32 = 32.0;
const VARIATION_ROWS: f32 = 12.0;
const SEASONAL_ROWS: f32 = 12.0;

/// The share of its window that a mean must cover to be worth something.
const KNOWN_SHARE: f32 = 0.5;

/// The last rows, in a few numbers.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Recent {
    /// The last row.
    pub(crate) value: f64,
    /// Where the series is, outliers aside: the next row is expected here.
    pub(crate) fast: Level,
    /// The mean of a few rows.
    pub(crate) short: Level,
    /// The mean of more of them.
    pub(crate) long: Level,
    /// The mean difference between neighbours.
    pub(crate) variation: Level,
    /// The mean deviation from the profile.
    pub(crate) seasonal: Level,
    /// Rows in a row that were the same as the one before.
    pub(crate) still_rows: u32,
}

/// The means as they are with one row more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Means {
    pub(crate) short: f64,
    pub(crate) long: f64,
    pub(crate) variation: f64,
    pub(crate) seasonal: Option<f64>,
    /// Whether each is a mean of enough rows to be compared with anything:
    /// after a gap it takes some.
    pub(crate) short_known: bool,
    pub(crate) long_known: bool,
    pub(crate) seasonal_known: bool,
}

impl Recent {
    /// Begins with the first row.
    pub(crate) fn begin(&mut self, value: f64) {
        self.value = value;
        self.fast.restart(value, 1.0);
    }

    /// Counts for less after so many rows that did not come.
    pub(crate) fn miss(&mut self, rows: f32) {
        self.fast.miss(rows, FAST_ROWS);
        self.short.miss(rows, SHORT_ROWS);
        self.long.miss(rows, LONG_ROWS);
        self.seasonal.miss(rows, SEASONAL_ROWS);
    }

    /// Where the row is expected; none right after a gap.
    pub(crate) fn expected(&self) -> Option<f64> {
        (self.fast.age() >= 1.0).then(|| self.fast.value())
    }

    /// The means with this row, which deviates so much from the profile if
    /// there is one.
    pub(crate) fn means_with(&self, value: f64, seasonal: Option<f64>) -> Means {
        Means {
            short: self.short.with(value, SHORT_ROWS),
            long: self.long.with(value, LONG_ROWS),
            variation: self
                .variation
                .with((value - self.value).abs(), VARIATION_ROWS),
            seasonal: seasonal.map(|deviation| self.seasonal.with(deviation, SEASONAL_ROWS)),
            short_known: self.short.age() >= SHORT_ROWS * KNOWN_SHARE,
            long_known: self.long.age() >= LONG_ROWS * KNOWN_SHARE,
            seasonal_known: self.seasonal.age() >= SEASONAL_ROWS * KNOWN_SHARE,
        }
    }

    /// Takes the row in. `still` says that it is the same as the one before.
    pub(crate) fn follow(&mut self, value: f64, means: &Means, reach: f64, still: bool) {
        self.fast.follow(value, FAST_ROWS, reach);
        self.short.become_mean(means.short, SHORT_ROWS);
        self.long.become_mean(means.long, LONG_ROWS);
        self.variation.become_mean(means.variation, VARIATION_ROWS);
        if let Some(seasonal) = means.seasonal {
            self.seasonal.become_mean(seasonal, SEASONAL_ROWS);
        }
        self.still_rows = if still {
            self.still_rows.saturating_add(1)
        } else {
            0
        };
        self.value = value;
    }
}
