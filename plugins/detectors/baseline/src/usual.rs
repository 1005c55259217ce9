//! What a series usually does: levels to compare with, and how far each view
//! strays from them.

use faultline_robust::{Gauge, Rarity, Scale, Side, Tails, rough_log2, rough_log10};
use serde::{Deserialize, Serialize};

use crate::level::Level;
use crate::view::{Sight, VIEWS, View, Watch};

/// Windows of the levels, in rows.
const MIDDLE_ROWS: f32 = 64.0;
const SLOW_ROWS: f32 = 512.0;
const MAGNITUDE_ROWS: f32 = 500.0;
const VARIATION_ROWS: f32 = 2_000.0;
const STILL_ROWS: f32 = 2_000.0;

/// The share of its window that a level must cover to be compared with.
const KNOWN_SHARE: f32 = 0.125;

/// How far a row may pull a level, in units of what 98 of 100 rows stray (or,
/// for the base, of what half of them do).
const REACH: f64 = 3.0;
/// Rows that pull levels without bound, for there is no scale yet.
const UNBOUNDED_ROWS: u32 = 32;
/// Rows before it can be said what variation is usual.
const VARIATION_YOUNG_ROWS: u32 = 24;
/// The usual variation is known no better than to this many octaves.
const VARIATION_SCALE_MIN: f64 = 0.07;
/// However seldom two rows are the same, a third may well be: no row adds more
/// than a decade of stillness.
const STILL_SHARE_MIN: f64 = 0.1;
/// The weight, in rows, of levels that begin anew.
const RELEARN_ROWS: f32 = 32.0;

/// Views of a series whose season is not known. The combined surprise is
/// scaled as if there were always so many, so that it does not jump when the
/// season becomes known.
const FULL_VIEWS: f64 = 5.0;
/// What a view of rows may lag behind in surprise and still be the one that
/// people are told about: a row beside its band is easier to understand.
const ROW_VIEW_BONUS: f64 = 1.25;

/// What was learned of a series. About 2.5 KB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Usual {
    rows: u32,
    /// Whether there was a value below zero.
    is_signed: bool,
    /// The mean size of values.
    magnitude: Level,
    middle: Level,
    slow: Level,
    base: Level,
    /// Of [`Recent::variation`](crate::recent::Recent), as a logarithm.
    variation: Level,
    variation_scale: Level,
    /// The share of rows that are the same as the one before.
    still_share: Level,
    tails: Tails<VIEWS>,
    rarity: Rarity,
}

/// The deviations of one row, one for each view that has one.
pub(crate) type Deviations = [Option<f64>; VIEWS];

/// What all views together make of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Judgement {
    /// Minus the decimal logarithm of the share of rows that are as strange.
    pub(crate) decades: f64,
    /// The view to tell people about, and its surprise: the view that is
    /// surprised most, or one that looks at rows and is nearly as much.
    pub(crate) view: Option<(View, f64)>,
    /// The combined surprise.
    combined: f64,
}

impl Usual {
    /// What a view saw in a row of these deviations. `seen` is in the unit of
    /// its deviations. To be asked before the row is learned from: a band that
    /// had learned from the row would be one that the row is in.
    pub(crate) fn sight(&self, view: View, seen: f64, deviation: f64, surprise: f64) -> Sight {
        let gauge = self.gauge(view);
        let expected = seen - deviation;
        Sight {
            view,
            seen,
            low: expected - gauge.limit(Side::Below),
            expected,
            high: expected + gauge.limit(Side::Above),
            season: None,
            surprise,
        }
    }

    /// The band that a view holds for normal, to be asked likewise. Where it is
    /// about rows and what was just before, it is wide enough for the ways in
    /// which the series has been seen to wander.
    pub(crate) fn watch(&self, view: View, expected: f64) -> Watch {
        let limit = |view: View, side: Side| self.gauge(view).limit(side);
        let widest = |side: Side| match view {
            View::Jump | View::Shift => limit(view, side)
                .max(limit(View::Shift, side))
                .max(limit(View::Drift, side)),
            view => limit(view, side),
        };
        Watch {
            view,
            middle: (!view.is_seasonal()).then_some(expected),
            below: widest(Side::Below),
            above: widest(Side::Above),
        }
    }

    /// Nothing known.
    pub(crate) fn new() -> Self {
        Self {
            rows: 0,
            is_signed: false,
            magnitude: Level::default(),
            middle: Level::default(),
            slow: Level::default(),
            base: Level::default(),
            variation: Level::default(),
            variation_scale: Level::default(),
            still_share: Level::default(),
            tails: Tails::default(),
            rarity: Rarity::new(),
        }
    }

    /// Begins with the first row.
    pub(crate) fn begin(&mut self, value: f64) {
        for level in [&mut self.middle, &mut self.slow, &mut self.base] {
            level.restart(value, 1.0);
        }
    }

    /// Rows that were learned from.
    pub(crate) fn rows(&self) -> u32 {
        self.rows
    }

    /// Whether there was a value below zero.
    pub(crate) fn is_signed(&self) -> bool {
        self.is_signed
    }

    /// The mean size of values.
    pub(crate) fn magnitude(&self) -> f64 {
        self.magnitude.value()
    }

    /// The level that [`View::Shift`] compares with; none if too little is
    /// known of it, as after a gap.
    pub(crate) fn middle(&self) -> Option<f64> {
        (self.middle.age() >= MIDDLE_ROWS * KNOWN_SHARE).then(|| self.middle.value())
    }

    /// The level that [`View::Drift`] compares with, likewise.
    pub(crate) fn slow(&self) -> Option<f64> {
        (self.slow.age() >= SLOW_ROWS * KNOWN_SHARE).then(|| self.slow.value())
    }

    /// The level that [`View::Level`] compares with.
    pub(crate) fn base(&self) -> f64 {
        self.base.value()
    }

    /// The usual variation, as a logarithm; none while too little is known.
    pub(crate) fn variation(&self) -> Option<f64> {
        (self.rows >= VARIATION_YOUNG_ROWS).then(|| self.variation.value())
    }

    /// In decades, how unlikely it is that so many rows are the same, were each
    /// by itself. They are not, which is why a tail judges this number.
    pub(crate) fn stillness(&self, rows: u32) -> f64 {
        let share = self.still_share.value().max(STILL_SHARE_MIN);
        -rough_log10(share) * f64::from(rows)
    }

    /// For how many rows a series would have to be the same to be so still.
    pub(crate) fn rows_of_stillness(&self, decades: f64) -> f64 {
        decades / self.stillness(1).max(f64::MIN_POSITIVE)
    }

    /// Counts for less after so many rows that did not come.
    pub(crate) fn miss(&mut self, rows: f32) {
        self.middle.miss(rows, MIDDLE_ROWS);
        self.slow.miss(rows, SLOW_ROWS);
    }

    /// Judges a row by its deviations; [`Usual::learn`] comes next.
    pub(crate) fn judge(&mut self, deviations: &Deviations, scale: Scale) -> Judgement {
        let mut squares = 0.0;
        let mut most = 0.0;
        let mut told = None;
        self.tails.judge(
            deviations,
            |index| View::ALL[index].scale(scale),
            |index, surprise| {
                let view = View::ALL[index];
                squares += surprise * surprise;
                let bonus = if view.is_of_rows() {
                    ROW_VIEW_BONUS
                } else {
                    1.0
                };
                if surprise * bonus > most {
                    most = surprise * bonus;
                    told = Some((view, surprise));
                }
            },
        );
        // Stillness says nothing of nearly all rows, so it is not counted: it
        // would dilute what the other views have to say.
        let seasonal = deviations[View::Season as usize].is_some();
        let views = if seasonal {
            FULL_VIEWS + 2.0
        } else {
            FULL_VIEWS
        };
        let combined: f64 = (squares * FULL_VIEWS / views).sqrt();
        Judgement {
            decades: self.rarity.decades(combined),
            view: told,
            combined,
        }
    }

    /// Learns how far the row that was judged strays.
    pub(crate) fn learn(&mut self, judgement: &Judgement, scale: Scale, memory_rows: u32) {
        self.tails
            .learn(|index| View::ALL[index].scale(scale), memory_rows);
        self.rarity.learn(judgement.combined, memory_rows);
    }

    /// How far a row may pull the levels of recent rows, and the profile.
    pub(crate) fn reaches(&self, floor: f64) -> (f64, f64) {
        let recent = self.reach(View::Jump, floor);
        let season = self.gauge(View::Season);
        if season.rows() < UNBOUNDED_ROWS {
            (recent, recent)
        } else {
            (recent, REACH * season.spread().max(floor))
        }
    }

    /// Levels follow the row.
    pub(crate) fn follow(
        &mut self,
        value: f64,
        log_variation: f64,
        still: bool,
        floor: f64,
        memory_rows: u32,
    ) {
        self.rows = self.rows.saturating_add(1);
        self.is_signed |= value < 0.0;
        let reach = self.reach(View::Jump, floor);
        let base_reach = if self.rows < UNBOUNDED_ROWS {
            f64::MAX
        } else {
            REACH * self.gauge(View::Level).median().max(floor)
        };
        self.middle.follow(value, MIDDLE_ROWS, reach);
        self.slow.follow(value, SLOW_ROWS, reach);
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        self.base.follow(value, memory_rows as f32, base_reach);
        self.magnitude.follow(value.abs(), MAGNITUDE_ROWS, f64::MAX);
        let still = f64::from(u8::from(still));
        self.still_share.follow(still, STILL_ROWS, f64::MAX);
        if self.rows > VARIATION_YOUNG_ROWS / 2 {
            self.follow_variation(log_variation);
        }
    }

    /// Takes what the series does now for normal.
    pub(crate) fn relearn(&mut self, value: f64, log_variation: f64) {
        for level in [&mut self.middle, &mut self.slow, &mut self.base] {
            level.restart(value, RELEARN_ROWS);
        }
        self.magnitude.restart(value.abs(), RELEARN_ROWS);
        self.variation.restart(log_variation, RELEARN_ROWS);
    }

    /// Takes the levels of an earlier time, and keeps what the tails learned
    /// since.
    pub(crate) fn restore_levels(&mut self, earlier: &Usual) {
        self.magnitude = earlier.magnitude;
        self.middle = earlier.middle;
        self.slow = earlier.slow;
        self.base = earlier.base;
        self.variation = earlier.variation;
        self.variation_scale = earlier.variation_scale;
        self.still_share = earlier.still_share;
    }

    fn gauge(&self, view: View) -> &Gauge {
        self.tails.gauge(view as usize)
    }

    fn reach(&self, view: View, floor: f64) -> f64 {
        if self.rows < UNBOUNDED_ROWS {
            f64::MAX
        } else {
            REACH * self.gauge(view).spread().max(floor)
        }
    }

    fn follow_variation(&mut self, log_variation: f64) {
        let away = (log_variation - self.variation.value()).abs();
        let reach = if self.rows < UNBOUNDED_ROWS {
            f64::MAX
        } else {
            REACH * self.variation_scale.value().max(VARIATION_SCALE_MIN)
        };
        self.variation.follow(log_variation, VARIATION_ROWS, reach);
        self.variation_scale
            .follow(away.min(reach), VARIATION_ROWS, f64::MAX);
    }
}

/// A variation as a logarithm, since what matters is by which factor it
/// changes. Variations far below the floor are all the same.
pub(crate) fn log_variation(variation: f64, floor: f64) -> f64 {
    rough_log2(variation + floor)
}
