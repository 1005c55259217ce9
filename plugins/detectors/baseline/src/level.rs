//! A level that follows a series at its own pace.

use serde::{Deserialize, Serialize};

/// An exponentially weighted mean.
///
/// While it is young it is the plain mean of what it has seen, so that it
/// starts where the series is and not at zero.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Level {
    value: f64,
    /// How many rows' weight it has, up to its window.
    age: f32,
}

impl Level {
    /// The level; 0 before the first row.
    pub(crate) fn value(&self) -> f64 {
        self.value
    }

    /// How many rows' weight it has, up to its window.
    pub(crate) fn age(&self) -> f32 {
        self.age
    }

    /// What the level would be after this row.
    pub(crate) fn with(&self, target: f64, window: f32) -> f64 {
        self.value + (target - self.value) / f64::from((self.age + 1.0).min(window))
    }

    /// Follows one row, but no further than as if it were `reach` away: one
    /// outlier moves the level no more than any other row does (the filter of
    /// Gelper, Fried and Croux, "Robust Forecasting with Exponential and
    /// Holt-Winters Smoothing", 2010).
    pub(crate) fn follow(&mut self, target: f64, window: f32, reach: f64) {
        self.age = (self.age + 1.0).min(window);
        let step = (target - self.value).clamp(-reach, reach);
        self.value += step / f64::from(self.age);
    }

    /// Takes the mean that [`Level::with`] gave for one row more.
    pub(crate) fn become_mean(&mut self, mean: f64, window: f32) {
        self.age = (self.age + 1.0).min(window);
        self.value = mean;
    }

    /// Counts for less after so many rows that did not come.
    pub(crate) fn miss(&mut self, rows: f32, window: f32) {
        self.age /= 1.0 + rows / window;
    }

    /// Begins anew from here, with the weight of so many rows.
    pub(crate) fn restart(&mut self, value: f64, rows: f32) {
        self.value = value;
        self.age = rows;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_as_a_mean_and_goes_on_as_an_average_that_forgets() {
        let mut level = Level::default();
        for value in [2.0, 4.0, 6.0] {
            level.follow(value, 10.0, f64::MAX);
        }
        assert!((level.value() - 4.0).abs() < 1e-12);
        for _ in 0..200 {
            level.follow(10.0, 10.0, f64::MAX);
        }
        assert!((level.value() - 10.0).abs() < 1e-6);
    }

    #[test]
    fn follows_no_further_than_its_reach() {
        let mut level = Level::default();
        for _ in 0..10 {
            level.follow(0.0, 10.0, f64::MAX);
        }
        level.follow(1e9, 10.0, 5.0);
        assert!((level.value() - 0.5).abs() < 1e-12);
    }

    #[test]
    fn moves_on_faster_after_a_gap() {
        let mut level = Level::default();
        for _ in 0..100 {
            level.follow(0.0, 10.0, f64::MAX);
        }
        let mut gapped = level;
        gapped.miss(1000.0, 10.0);
        assert!((gapped.with(10.0, 10.0) - 10.0).abs() < 1.0);
        assert!((level.with(10.0, 10.0) - 1.0).abs() < 1e-9);
    }
}
