//! From a combined surprise to one that is comparable across series.
//!
//! Surprises of several views of one series hang together in a way that
//! differs from series to series, so their combination is no probability. What
//! it means is learned: how often a series reaches which combined surprise,
//! with an exponential tail beyond the largest two percent. (A surprise is a
//! logarithm of a probability, so an exponential tail is what a calibrated one
//! has, with rate 1; the estimated rate says how far from that it is.) The
//! idea is that of the anomaly likelihood of Lavin and Ahmad ("Evaluating
//! Real-time Anomaly Detection Algorithms", 2015), with a tail in place of
//! their normal distribution.

use serde::{Deserialize, Serialize};

use crate::counts::Counts;
use crate::learning::{MEMORY_ROWS_MAX, ROWS_MIN, fit_due, is_thinned};
use crate::logarithm::rough_log10;

/// Bins of a quarter of a decade: combined surprises up to 16 are told apart.
const BINS: usize = 64;
const BINS_PER_DECADE: f64 = 4.0;
/// Where the fitted tail begins, as a share of all rows, and in rows at least.
const TAIL_SHARE: f64 = 0.02;
const TAIL_ROWS_MIN: f64 = 3.0;
/// The rate of a calibrated surprise, and how many rows of the tail it takes
/// to say otherwise. A high weight: the rate decides how unlikely something is
/// that was never seen, and a handful of rows should not.
const RATE_PRIOR: f64 = 1.0;
const RATE_PRIOR_ROWS: f64 = 100.0;

/// Decades by which the fitted tail may exceed what was observed.
const EXTRAPOLATION_DECADES_MAX: f64 = 6.0;
/// What is unheard of surprises some three views alike, and a combination of
/// three is the root of 3 as large as each of them. A tail begins at what the
/// least thing unheard of amounts to, or its being unheard of would count
/// twice: in the surprise, and in how rare that surprise is.
const UNHEARD_OF: f64 = 1.732;

/// How much sooner a row in the tail brings the next fit about.
const EXCURSION_FIT_WEIGHT: u32 = 16;

/// How often a series reaches which combined surprise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rarity {
    counts: Counts<BINS>,
    rows: u32,
    /// Where the tail begins, how rare that is in decades, and the tail's rate.
    threshold: f32,
    decades: f32,
    rate: f32,
    excursion: u16,
    unfitted: u32,
}

impl Default for Rarity {
    fn default() -> Self {
        Self::new()
    }
}

impl Rarity {
    /// Nothing known.
    pub const fn new() -> Self {
        Self {
            counts: Counts::new(),
            rows: 0,
            threshold: 0.0,
            decades: 0.0,
            rate: 1.0,
            excursion: 0,
            unfitted: 0,
        }
    }

    /// Minus the decimal logarithm of the share of rows whose combined
    /// surprise is as large.
    pub fn decades(&self, surprise: f64) -> f64 {
        if self.rows < ROWS_MIN {
            return 0.0;
        }
        let threshold = f64::from(self.threshold);
        let decades = f64::from(self.decades);
        if surprise >= threshold {
            let beyond = f64::from(self.rate) * (surprise - threshold);
            decades + beyond.min(EXTRAPOLATION_DECADES_MAX)
        } else {
            decades * surprise / threshold
        }
    }

    /// Learns from a combined surprise; the arguments are those of
    /// [`Tails::observe`](crate::Tails::observe).
    pub fn learn(&mut self, surprise: f64, memory_rows: u32) {
        let mut fit_weight = 1;
        if self.rows >= ROWS_MIN && surprise > f64::from(self.threshold) {
            self.excursion = self.excursion.saturating_add(1);
            if is_thinned(self.excursion) {
                return;
            }
            fit_weight = EXCURSION_FIT_WEIGHT;
        } else {
            self.excursion = 0;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast from a floating point number saturates"
        )]
        let bin = (surprise * BINS_PER_DECADE) as usize;
        self.counts.count(bin.min(BINS - 1));
        self.rows += 1;
        if self.rows / 2 >= memory_rows.clamp(ROWS_MIN, MEMORY_ROWS_MAX) {
            self.counts.halve();
            self.rows = self.counts.sum();
        }
        self.unfitted += fit_weight;
        if self.unfitted >= fit_due(self.rows) {
            self.unfitted = 0;
            self.refit();
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "bins are few, and decades need no more digits than f32 has"
    )]
    fn refit(&mut self) {
        let rows = f64::from(self.rows);
        let most = (rows * TAIL_SHARE).max(TAIL_ROWS_MIN);
        let mut bin = BINS;
        let mut beyond = 0.0;
        let mut sum = 0.0;
        while bin > 0 && beyond + f64::from(self.counts.0[bin - 1]) <= most {
            bin -= 1;
            let here = f64::from(self.counts.0[bin]);
            beyond += here;
            sum += here * (bin as f64 + 0.5) / BINS_PER_DECADE;
        }
        let decades = rough_log10(rows + 1.0) - rough_log10(beyond + 0.5);
        let threshold = (bin as f64 / BINS_PER_DECADE).max(decades * UNHEARD_OF);
        let excess = (sum - beyond * threshold).max(0.0) * std::f64::consts::LN_10;
        let rate = (beyond + RATE_PRIOR_ROWS) / (excess + RATE_PRIOR_ROWS / RATE_PRIOR);
        let rate = if beyond > 0.0 {
            rate.min(1.0)
        } else {
            1.0 / UNHEARD_OF
        };
        self.threshold = threshold as f32;
        self.decades = decades as f32;
        self.rate = rate as f32;
    }
}

#[cfg(test)]
mod tests;
