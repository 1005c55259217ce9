//! A fixed number of small counters, as one plain array.

use serde::{Deserialize, Serialize};

use crate::array;

/// `N` counters of 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts<const N: usize>(#[serde(with = "array")] pub [u16; N]);

impl<const N: usize> Counts<N> {
    /// All zero.
    pub const fn new() -> Self {
        Self([0; N])
    }

    /// Adds one; stays at the maximum.
    pub fn count(&mut self, bin: usize) {
        if let Some(counter) = self.0.get_mut(bin) {
            *counter = counter.saturating_add(1);
        }
    }

    /// All counters together.
    pub fn sum(&self) -> u32 {
        self.0.iter().map(|&counter| u32::from(counter)).sum()
    }

    /// The number of bins up to the highest that is not zero.
    pub fn used(&self) -> usize {
        self.0
            .iter()
            .rposition(|&counter| counter > 0)
            .map_or(0, |bin| bin + 1)
    }

    /// Halves each counter, so that what is old counts for less.
    pub fn halve(&mut self) {
        for counter in &mut self.0 {
            *counter /= 2;
        }
    }

    /// Moves every counter down by so many bins (up if negative). What would
    /// fall off either end is added to the last bin there.
    pub fn shift_down(&mut self, bins: i32) {
        let last = i32::try_from(N).unwrap_or(i32::MAX) - 1;
        let mut moved = [0_u16; N];
        for (bin, &counter) in (0_i32..).zip(&self.0) {
            let target = bin.saturating_sub(bins).clamp(0, last);
            if let Some(slot) = moved.get_mut(usize::try_from(target).unwrap_or(0)) {
                *slot = slot.saturating_add(counter);
            }
        }
        self.0 = moved;
    }
}

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_without_losing_any() {
        let mut counts = Counts::<4>([1, 2, 3, 4]);
        counts.shift_down(1);
        assert_eq!(counts.0, [3, 3, 4, 0]);
        counts.shift_down(-2);
        assert_eq!(counts.0, [0, 0, 3, 7]);
        counts.shift_down(i32::MIN);
        assert_eq!(counts.0, [0, 0, 0, 10]);
        assert_eq!(counts.sum(), 10);
    }
}
