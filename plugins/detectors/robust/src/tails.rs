//! The tails of several quantities of one series.

use serde::{Deserialize, Serialize};

use crate::array;
use crate::learning::{MEMORY_ROWS_MAX, ROWS_MIN, fit_due};
use crate::tail::{Entry, Gauge, Histogram, Scale};

/// Rows that wait to be counted: with fewer, each costs the cache more, with
/// more, what is rare is learned too late.
const WAITING_ROWS_MAX: usize = 16;
/// How much sooner a row in a tail brings the next fit about than another row
/// does. What is rare must be learned before it is over; but were it learned at
/// once, something that creeps up would at each step be hardly further than it
/// was just before, and never be rare.
const TAIL_FIT_WEIGHT: u32 = 6;

/// How far each of `N` quantities usually strays.
///
/// About 310 bytes a quantity, of which a row touches 34. All of it is state:
/// gauges are made at intervals, so they cannot be made anew from the
/// histograms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tails<const N: usize> {
    #[serde(with = "array")]
    gauges: [Gauge; N],
    waiting: [Row<N>; WAITING_ROWS_MAX],
    waiting_rows: u8,
    /// Rows since the gauges were made, with those in a tail counting more.
    unfitted: u32,
    #[serde(with = "array")]
    histograms: [Histogram; N],
}

/// What one row adds to the histograms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Row<const N: usize>(#[serde(with = "array")] [Entry; N]);

impl<const N: usize> Default for Tails<N> {
    fn default() -> Self {
        Self {
            gauges: [Gauge::default(); N],
            waiting: [Row([Entry::NONE; N]); WAITING_ROWS_MAX],
            waiting_rows: 0,
            unfitted: 0,
            histograms: [Histogram::default(); N],
        }
    }
}

impl<const N: usize> Tails<N> {
    /// What judges a quantity.
    ///
    /// # Panics
    /// If there are not so many quantities.
    pub fn gauge(&self, quantity: usize) -> &Gauge {
        &self.gauges[quantity]
    }

    /// Judges a row, then learns from it: [`Tails::judge`] and [`Tails::learn`]
    /// in one.
    pub fn observe(
        &mut self,
        deviations: &[Option<f64>; N],
        scale: impl Fn(usize) -> Scale,
        memory_rows: u32,
        surprised: impl FnMut(usize, f64),
    ) {
        self.judge(deviations, &scale, surprised);
        self.learn(scale, memory_rows);
    }

    /// Judges a row by the deviations that it has: `surprised` is called with
    /// each quantity's index and surprise, if that is above 0. Deviations within
    /// their scale's floor count as none. [`Tails::learn`] must be called before
    /// the next row; until then gauges show what the row was judged by.
    pub fn judge(
        &mut self,
        deviations: &[Option<f64>; N],
        scale: impl Fn(usize) -> Scale,
        mut surprised: impl FnMut(usize, f64),
    ) {
        let mut in_tail = false;
        let mut row = Row([Entry::NONE; N]);
        for (quantity, deviation) in deviations.iter().enumerate() {
            if let Some(deviation) = deviation {
                let floor = scale(quantity).floor;
                let (surprise, entry, tail) = self.gauges[quantity].observe(*deviation, floor);
                row.0[quantity] = entry;
                in_tail |= tail && entry != Entry::NONE;
                if surprise > 0.0 {
                    surprised(quantity, surprise);
                }
            }
        }
        let place = usize::from(self.waiting_rows) % WAITING_ROWS_MAX;
        self.waiting[place] = row;
        self.waiting_rows += 1;
        self.unfitted += if in_tail { TAIL_FIT_WEIGHT } else { 1 };
    }

    /// Learns from the row that was judged last.
    ///
    /// `memory_rows` is how many rows are remembered, at most 32,000: past
    /// twice as many, all counts are halved.
    pub fn learn(&mut self, scale: impl Fn(usize) -> Scale, memory_rows: u32) {
        let known = self.gauges.first().map_or(0, Gauge::rows);
        let due = self.unfitted >= fit_due(known);
        if due || usize::from(self.waiting_rows) >= WAITING_ROWS_MAX {
            self.take_waiting(memory_rows);
        }
        if due {
            self.unfitted = 0;
            for quantity in 0..N {
                self.histograms[quantity].fit(&mut self.gauges[quantity], scale(quantity));
            }
        }
    }

    fn take_waiting(&mut self, memory_rows: u32) {
        let waiting = usize::from(self.waiting_rows).min(WAITING_ROWS_MAX);
        for quantity in 0..N {
            let histogram = &mut self.histograms[quantity];
            for row in &self.waiting[..waiting] {
                histogram.take(row.0[quantity]);
            }
            if histogram.rows() / 2 >= memory_rows.clamp(ROWS_MIN, MEMORY_ROWS_MAX) {
                histogram.age();
            }
        }
        self.waiting_rows = 0;
    }
}

#[cfg(test)]
mod tests;
