//! The ways to look at a series, and what is seen.

use faultline_robust::{Scale, Side};
use serde::{Deserialize, Serialize};

use crate::season::Period;

/// A change of the variation by less than this, in octaves, is none.
const VARIATION_FLOOR_OCTAVES: f64 = 0.5;
/// The variation of a series that never varied may change by so much.
const VARIATION_UNKNOWN_OCTAVES: f64 = 4.0;
/// Less stillness than this is none, and how much of it a series may show that
/// never stood still.
const STILL_FLOOR_DECADES: f64 = 3.0;
const STILL_UNKNOWN_DECADES: f64 = 6.0;

/// One way to look at a series: a quantity that is near zero while all is
/// well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum View {
    /// The row, against the level of the last few rows.
    Jump,
    /// The mean of a few rows, against the level of the last 64.
    Shift,
    /// The mean of 32 rows, against the level of the last 512.
    Drift,
    /// How much rows differ from one another, against what is usual.
    Variation,
    /// The row, against the profile of the day or week.
    Season,
    /// The mean of a few rows, against the profile.
    SeasonalShift,
    /// The row, against the level of all that is remembered.
    Level,
    /// For how long rows have been the same, against how often they are.
    Stillness,
}

/// How many there are.
pub(crate) const VIEWS: usize = 8;

impl View {
    /// All of them: `ALL[view as usize]` is the view.
    pub(crate) const ALL: [View; VIEWS] = [
        View::Jump,
        View::Shift,
        View::Drift,
        View::Variation,
        View::Season,
        View::SeasonalShift,
        View::Level,
        View::Stillness,
    ];

    /// A word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            View::Jump => "jump",
            View::Shift => "shift",
            View::Drift => "drift",
            View::Variation => "variation",
            View::Season => "season",
            View::SeasonalShift => "seasonal-shift",
            View::Level => "level",
            View::Stillness => "stillness",
        }
    }

    /// Whether it looks at single rows, so that the row's own value can be
    /// shown beside the band it was expected in.
    pub(crate) const fn is_of_rows(self) -> bool {
        matches!(self, View::Jump | View::Season | View::Level)
    }

    /// Whether it compares with a profile.
    pub(crate) const fn is_seasonal(self) -> bool {
        matches!(self, View::Season | View::SeasonalShift)
    }

    /// On what scale its deviations matter, when those of the series itself
    /// matter on this one.
    pub(crate) const fn scale(self, of_series: Scale) -> Scale {
        match self {
            View::Variation => Scale {
                floor: VARIATION_FLOOR_OCTAVES,
                unknown: VARIATION_UNKNOWN_OCTAVES,
            },
            View::Stillness => Scale {
                floor: STILL_FLOOR_DECADES,
                unknown: STILL_UNKNOWN_DECADES,
            },
            _ => of_series,
        }
    }
}

/// What a view saw in a row that is out of the ordinary.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sight {
    /// Which one.
    pub(crate) view: View,
    /// What it looked at: the row's value, a mean of several, the mean
    /// difference between rows ([`View::Variation`]), or for how many rows
    /// nothing changed ([`View::Stillness`]).
    pub(crate) seen: f64,
    /// The band that 98 of 100 rows fall into.
    pub(crate) low: f64,
    /// What was expected.
    pub(crate) expected: f64,
    /// The upper end of the band.
    pub(crate) high: f64,
    /// Which profile the expectation comes from, if it does.
    pub(crate) season: Option<Period>,
    /// In decades.
    pub(crate) surprise: f64,
}

impl Sight {
    /// Above or below what was expected.
    pub(crate) fn side(&self) -> Side {
        Side::of(self.seen - self.expected)
    }
}

/// The band of a view as it was when an episode began, for asking whether a
/// series has come back to it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Watch {
    /// Which view.
    pub(crate) view: View,
    /// What it expected. None for seasonal views, whose expectation moves with
    /// the time of day.
    pub(crate) middle: Option<f64>,
    /// How far below is still normal.
    pub(crate) below: f64,
    /// How far above.
    pub(crate) above: f64,
}
