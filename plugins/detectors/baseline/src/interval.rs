//! How often a series is sampled, found out from its rows.

use serde::{Deserialize, Serialize};

/// Rows over which the interval is averaged.
const WINDOW_ROWS: f64 = 50.0;
/// Steps outside these factors count as if they were at them: a gap does not
/// make the interval long.
const STEP_FACTOR: f64 = 2.0;
/// A step of more intervals than this is a gap. Jitter and a missed scrape are
/// none.
const GAP_INTERVALS: f64 = 3.0;

/// The usual time between two rows.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Interval {
    /// Microseconds; 0 before the second row.
    micros: f64,
    steps: u16,
}

impl Interval {
    /// Takes the time since the row before, and gives the number of rows that
    /// seem to be missing: 0 unless there is a gap.
    pub(crate) fn step(&mut self, micros: f64) -> f32 {
        if self.steps == 0 {
            self.micros = micros;
            self.steps = 1;
            return 0.0;
        }
        let usual = self.micros;
        let bounded = micros.clamp(usual / STEP_FACTOR, usual * STEP_FACTOR);
        self.steps = self.steps.saturating_add(1);
        self.micros += (bounded - usual) / f64::from(self.steps).min(WINDOW_ROWS);
        if micros <= usual * GAP_INTERVALS {
            return 0.0;
        }
        #[expect(clippy::cast_possible_truncation, reason = "an estimate")]
        let missed = (micros / usual - 1.0).min(1e9) as f32;
        missed
    }

    /// Microseconds; at least one.
    pub(crate) fn micros(&self) -> f64 {
        self.micros.max(1.0)
    }

    /// Rows in so many microseconds.
    pub(crate) fn rows_in(&self, micros: f64) -> f64 {
        micros / self.micros()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_found_in_spite_of_gaps_and_jitter() {
        let mut interval = Interval::default();
        let mut gaps = 0;
        // The very first step is a gap, as after a restart.
        for micros in std::iter::once(900e6).chain((0..400).map(|row| match row % 40 {
            0 => 600e6,
            odd if odd % 2 == 1 => 14e6,
            _ => 16e6,
        })) {
            gaps += u32::from(interval.step(micros) > 0.0);
        }
        let seconds = interval.micros() / 1e6;
        assert!((14.0..17.0).contains(&seconds), "{seconds} s");
        assert!((9..=12).contains(&gaps), "{gaps} gaps");
    }
}
