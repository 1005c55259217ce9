//! How far one quantity usually strays, on each side.
//!
//! A histogram of the sizes of deviations, with bins that grow by a quarter of
//! an octave, and on each side a tail fitted to its largest percent: beyond
//! that the probability falls off as a power of the size, with the exponent
//! of Hill's estimator ("A Simple General Approach to Inference About the Tail
//! of a Distribution", 1975), drawn towards a prior while there is little to
//! estimate it from. This is the peaks-over-threshold method as used for
//! streams by Siffer et al. ("Anomaly Detection in Streams with Extreme Value
//! Theory", KDD 2017), made cheap: no list of peaks is kept and nothing is
//! optimised.
//!
//! In two parts, since a detector has many: a [`Gauge`] judges rows and is
//! small, a [`Histogram`] is larger and needed only when gauges are made anew.
//! [`Tails`](crate::Tails) keeps both.

use serde::{Deserialize, Serialize};

use crate::counts::Counts;
use crate::learning::{ROWS_MIN, is_thinned};
use crate::logarithm::{rough_exp2, rough_log2, rough_log10};

/// Bins a side: 14 octaves, so that 1 and 16,000 have bins of their own.
const BINS: usize = 56;
/// [`BINS`], as bins are computed with.
const BINS_SIGNED: i32 = 56;
/// Bits of the mantissa that a bin distinguishes: 2 make 4 bins an octave.
const MANTISSA_BITS: u32 = 2;
/// The middle of a bin, in octaves above its lower edge.
const BIN_MIDDLE: f64 = 0.125;
/// Where a value that starts a new scale is put: room for smaller ones below
/// it and for larger ones above.
const FIRST_BIN: i32 = BINS_SIGNED / 2;
/// Free bins above the largest value after the scale had to grow.
const HEADROOM_BINS: i32 = 5;
/// Upper bins that must be empty before the scale shrinks.
const SHRINK_EMPTY: usize = 12;
/// By how many bins it does.
const SHRINK_BINS: i32 = 8;

/// The points of a side between which surprise is interpolated, as shares of
/// all rows. The last is where the fitted tail begins.
const POINTS: [f64; 3] = [0.25, 0.05, 0.01];
/// A tail begins at so many rows at least.
const TAIL_ROWS_MIN: f64 = 3.0;
/// A quantity that strayed less often is one of which it is not known how far
/// it strays.
const STRAYED_ROWS_MIN: u32 = 8;
/// The exponent that a tail is taken to have until there is more evidence. A
/// normal distribution has about 6 at its largest percent, latencies and
/// counts 2 to 4.
const EXPONENT_PRIOR: f64 = 4.0;
/// How many rows of the tail that opinion is worth.
const EXPONENT_PRIOR_ROWS: f64 = 5.0;
/// Decades by which the fitted tail may exceed what was observed: beyond, an
/// extrapolation says nothing.
const EXTRAPOLATION_DECADES_MAX: f64 = 6.0;

/// Which way a deviation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// Above what was expected.
    Above,
    /// Below.
    Below,
}

impl Side {
    /// The side of a deviation.
    pub fn of(deviation: f64) -> Self {
        if deviation < 0.0 {
            Side::Below
        } else {
            Side::Above
        }
    }
}

/// The scale on which deviations of a quantity matter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Deviations up to this size count as none.
    pub floor: f64,
    /// The size of deviation that one would expect of a quantity that hardly
    /// ever strayed so far.
    pub unknown: f64,
}

/// What a row adds to a histogram, in 16 bits.
///
/// Histograms take rows in some at a time: to take each in as it comes would
/// cost a cache miss for each quantity of each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Entry(u16);

impl Entry {
    /// Nothing: the row has no such quantity, or is left out.
    pub(crate) const NONE: Entry = Entry(0);
    /// A deviation within the floor.
    pub(crate) const SMALL: Entry = Entry(1);

    /// A deviation that is finite and not zero: 13 bits say which bin, one bit
    /// which side.
    fn of(deviation: f64) -> Self {
        let bits = deviation.to_bits();
        let position = (bits << 1) >> (53 - MANTISSA_BITS);
        let below = bits >> 63;
        Entry(u16::try_from((position.max(1) << 1) | below).unwrap_or(u16::MAX))
    }

    /// 0 for above and 1 for below, and the position of the bin.
    fn side_and_position(self) -> (usize, i32) {
        (usize::from(self.0 & 1), i32::from(self.0 >> 1))
    }
}

/// Steps of an octave and of a decade that gauges distinguish. Edges of bins
/// are multiples of a quarter of an octave, and so are exact.
const STEPS_PER_OCTAVE: f64 = 64.0;
const STEPS_PER_DECADE: f64 = 32.0;
/// Steps of a tail's exponent.
const STEPS_OF_EXPONENT: f64 = 16.0;

/// The rough logarithm of a size, in 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct LogSize(i16);

impl LogSize {
    /// The size zero.
    const ZERO: LogSize = LogSize(i16::MIN);

    /// Rounded up, so that what is within a floor stays within it.
    fn up(rough: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a cast from a floating point number saturates"
        )]
        let steps = (rough * STEPS_PER_OCTAVE).ceil() as i16;
        LogSize(steps.max(i16::MIN + 1))
    }

    fn rough(self) -> f64 {
        f64::from(self.0) * (1.0 / STEPS_PER_OCTAVE)
    }

    fn size(self) -> f64 {
        if self == Self::ZERO {
            0.0
        } else {
            rough_exp2(self.rough())
        }
    }
}

/// The fitted tail of one side. Small numbers in few bits, since all gauges of
/// a series are needed for each of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Fit {
    /// The sizes at [`POINTS`].
    size: [LogSize; 3],
    /// The surprise at these sizes, in steps of a decade.
    surprise: [u8; 3],
    /// Decades of probability per decade of size beyond the last point, in
    /// steps.
    exponent: u8,
}

impl Fit {
    const NONE: Fit = Fit {
        size: [LogSize::ZERO; 3],
        surprise: [0; 3],
        exponent: 0,
    };

    /// In decades, at the rough logarithm of a size.
    fn surprise_at(&self, size: f64) -> f64 {
        let [usual, odd, tail] = self.size.map(LogSize::rough);
        let surprise = |point: usize| f64::from(self.surprise[point]) * (1.0 / STEPS_PER_DECADE);
        if size <= usual {
            0.0
        } else if size > tail {
            let exponent = f64::from(self.exponent) * (1.0 / STEPS_OF_EXPONENT);
            let decades = exponent * (size - tail) * std::f64::consts::LOG10_2;
            surprise(2) + decades.min(EXTRAPOLATION_DECADES_MAX)
        } else if size > odd {
            surprise(1) + (surprise(2) - surprise(1)) * (size - odd) / (tail - odd)
        } else {
            surprise(0) + (surprise(1) - surprise(0)) * (size - usual) / (odd - usual)
        }
    }

    /// Moves the tail out to a size.
    fn begin_at(&mut self, size: LogSize) {
        self.size = self.size.map(|known| known.max(size));
    }
}

/// Judges how surprising deviations of one quantity are. 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauge {
    /// Above and below. By index and not by name, for which side a row is on
    /// cannot be predicted, and a wrong guess costs more than all the rest.
    sides: [Fit; 2],
    /// Half of the rows stray less than this.
    median: LogSize,
    /// 98 of 100 rows stray less than this.
    spread: LogSize,
    /// Rows known when the gauge was made.
    rows: u32,
    /// Length of the current excursion.
    excursion: u16,
}

impl Default for Gauge {
    fn default() -> Self {
        Self {
            sides: [Fit::NONE; 2],
            median: LogSize::ZERO,
            spread: LogSize::ZERO,
            rows: 0,
            excursion: 0,
        }
    }
}

impl Gauge {
    /// Rows that it was made from.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Half of the rows strayed less.
    pub fn median(&self) -> f64 {
        self.median.size()
    }

    /// 98 of 100 rows strayed less.
    pub fn spread(&self) -> f64 {
        self.spread.size()
    }

    /// The size of deviation, on this side, that one row in a hundred exceeds.
    pub fn limit(&self, side: Side) -> f64 {
        self.sides[side as usize].size[2].size()
    }

    /// How surprising a deviation is: minus the decimal logarithm of the share
    /// of rows that stray as far on the same side. 0 for anything within the
    /// floor or usual.
    pub fn surprise(&self, deviation: f64, floor: f64) -> f64 {
        let size = deviation.abs();
        if size <= floor || self.rows < ROWS_MIN {
            return 0.0;
        }
        self.sides[Side::of(deviation) as usize].surprise_at(rough_log2(size))
    }

    /// As [`Gauge::surprise`], with what the row adds to the histogram, and
    /// whether it is in the tail.
    pub(crate) fn observe(&mut self, deviation: f64, floor: f64) -> (f64, Entry, bool) {
        let size = deviation.abs();
        if size <= floor {
            self.excursion = 0;
            return (0.0, Entry::SMALL, false);
        }
        let entry = Entry::of(deviation);
        if self.rows < ROWS_MIN {
            return (0.0, entry, false);
        }
        let fit = &self.sides[usize::from(deviation < 0.0)];
        let rough = rough_log2(size);
        let surprise = fit.surprise_at(rough);
        if rough <= fit.size[2].rough() {
            self.excursion = 0;
            return (surprise, entry, false);
        }
        self.excursion = self.excursion.saturating_add(1);
        if is_thinned(self.excursion) {
            (surprise, Entry::NONE, true)
        } else {
            (surprise, entry, true)
        }
    }
}

/// The sizes of deviations seen. About 240 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Histogram {
    /// Above and below.
    sides: [Counts<BINS>; 2],
    /// Rows that strayed less than the floor.
    small: u32,
    /// All rows counted.
    rows: u32,
    /// What the lowest bin stands for; none until something strayed.
    origin: Option<i32>,
}

impl Histogram {
    /// Counts a row.
    pub(crate) fn take(&mut self, entry: Entry) {
        match entry {
            Entry::NONE => return,
            Entry::SMALL => self.small += 1,
            entry => {
                let (side, position) = entry.side_and_position();
                let bin = self.bin_for(position);
                self.sides[side].count(bin);
            }
        }
        self.rows += 1;
    }

    /// All rows counted.
    pub(crate) fn rows(&self) -> u32 {
        self.rows
    }

    /// Forgets half, and moves the scale down where everything is small now.
    pub(crate) fn age(&mut self) {
        self.small /= 2;
        self.rows = self.small;
        let mut lowest = 0;
        for side in &mut self.sides {
            side.halve();
            self.rows += side.sum();
            lowest += u32::from(side.0[0]);
        }
        if lowest > self.rows / 4
            && self
                .sides
                .iter()
                .all(|side| side.used() <= BINS - SHRINK_EMPTY)
        {
            self.shift(-SHRINK_BINS);
        }
    }

    /// Makes the gauge anew; where it stands in an excursion is kept.
    pub(crate) fn fit(&self, gauge: &mut Gauge, scale: Scale) {
        let floor = rough_log2(scale.floor.max(f64::MIN_POSITIVE));
        let mut fits = [Fit::NONE; 2];
        let tops = self.sides.map(|side| side.used());
        for ((fit, side), top) in fits.iter_mut().zip(&self.sides).zip(tops) {
            *fit = self.fit_side(side, top, floor);
        }
        let [above, below] = &mut fits;
        if self.rows.saturating_sub(self.small) < STRAYED_ROWS_MIN {
            let unknown = LogSize::up(rough_log2(scale.unknown.max(scale.floor)));
            above.begin_at(unknown);
            below.begin_at(unknown);
        } else if tops[0] == 0 {
            // A side that nothing is known of is taken to be like the other.
            above.begin_at(below.size[2]);
        } else if tops[1] == 0 {
            below.begin_at(above.size[2]);
        }
        let (median, spread) = self.middle(tops[0].max(tops[1]));
        *gauge = Gauge {
            sides: fits,
            median,
            spread,
            rows: self.rows,
            excursion: gauge.excursion,
        };
    }

    /// The fit of one side, of which only the bins below `top` hold any rows.
    fn fit_side(&self, counts: &Counts<BINS>, top: usize, floor: f64) -> Fit {
        let rows = f64::from(self.rows);
        let log_rows = rough_log10(rows + 1.0);
        let mut fit = Fit::NONE;
        let mut bin = top;
        // Where nothing lies between what is usual and what is not, a tail
        // begins with the latter.
        let mut lowest = top;
        let mut beyond = 0.0;
        let mut sum_of_sizes = 0.0;
        for point in (0..POINTS.len()).rev() {
            let is_tail = point == POINTS.len() - 1;
            let mut most = rows * POINTS[point];
            if is_tail {
                most = most.max(TAIL_ROWS_MIN);
            }
            while bin > 0 && beyond + f64::from(counts.0[bin - 1]) <= most {
                bin -= 1;
                let here = f64::from(counts.0[bin]);
                if here > 0.0 {
                    lowest = bin;
                    beyond += here;
                    sum_of_sizes += here * (rough_log2(self.edge(bin)) + BIN_MIDDLE);
                }
            }
            let size = rough_log2(self.edge(lowest)).max(floor);
            fit.size[point] = LogSize::up(size);
            fit.surprise[point] = steps((log_rows - rough_log10(beyond + 0.5)) * STEPS_PER_DECADE);
            if is_tail {
                let excess = ((sum_of_sizes - beyond * size) * std::f64::consts::LN_2).max(0.0);
                let exponent = (beyond + EXPONENT_PRIOR_ROWS)
                    / (excess + EXPONENT_PRIOR_ROWS / EXPONENT_PRIOR);
                fit.exponent = steps(exponent * STEPS_OF_EXPONENT);
            }
        }
        fit
    }

    /// The sizes that half of the rows stay within, and 98 of 100, on both
    /// sides together: upper edges of bins, or 0.
    fn middle(&self, top: usize) -> (LogSize, LogSize) {
        let [above, below] = &self.sides;
        let rows = f64::from(self.rows);
        let mut beyond = 0.0;
        let mut spread = LogSize::ZERO;
        for bin in (0..top).rev() {
            beyond += f64::from(above.0[bin]) + f64::from(below.0[bin]);
            if spread == LogSize::ZERO && beyond > rows * 0.02 {
                spread = LogSize::up(rough_log2(self.edge(bin + 1)));
            }
            if beyond > rows * 0.5 {
                return (LogSize::up(rough_log2(self.edge(bin + 1))), spread);
            }
        }
        (LogSize::ZERO, spread)
    }

    /// The bin for a position, after moving the scale up if it is beyond it.
    fn bin_for(&mut self, position: i32) -> usize {
        let origin = *self.origin.get_or_insert(position - FIRST_BIN);
        let mut bin = position - origin;
        if bin >= BINS_SIGNED {
            let by = bin - (BINS_SIGNED - HEADROOM_BINS);
            self.shift(by);
            bin -= by;
        }
        usize::try_from(bin).unwrap_or(0)
    }

    fn shift(&mut self, bins: i32) {
        for side in &mut self.sides {
            side.shift_down(bins);
        }
        self.origin = self.origin.map(|origin| origin + bins);
    }

    /// The lower edge of a bin.
    fn edge(&self, bin: usize) -> f64 {
        let bin = i32::try_from(bin).unwrap_or(BINS_SIGNED);
        let position = (self.origin.unwrap_or(0) + bin).clamp(1 << MANTISSA_BITS, 0x1fff);
        f64::from_bits(u64::from(position.unsigned_abs()) << (52 - MANTISSA_BITS))
    }
}

/// A number of steps, rounded; what is beyond 255 is 255.
fn steps(number: f64) -> u8 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from a floating point number saturates"
    )]
    let steps = (number + 0.5) as u8;
    steps
}

#[cfg(test)]
mod tests;
