//! Series for tests: a seeded generator, and shapes that metrics have.

use crate::config::Config;
use crate::episode::{Episodes, Event};
use crate::model::{Floors, Model};
use crate::watched::Watched;
use faultline_sdk::{Entity, Series};

/// Seconds, as microseconds.
pub(crate) const SECOND: u64 = 1_000_000;
/// Days, as microseconds.
pub(crate) const DAY: u64 = 86_400 * SECOND;
/// A Monday at midnight, long after the epoch.
pub(crate) const START: u64 = 1_699_833_600 * SECOND;

/// `SplitMix64` (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
/// Generators", 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Uniform over 0 to 1, without the 0.
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let high = u32::try_from((z ^ (z >> 31)) >> 32).expect("32 bits");
        (f64::from(high) + 1.0) / 4_294_967_297.0
    }

    /// Standard normal (Box and Muller, 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Poisson, for small means (Knuth).
    pub(crate) fn poisson(&mut self, mean: f64) -> f64 {
        let limit = (-mean).exp();
        let mut count = 0.0;
        let mut product = self.uniform();
        while product > limit {
            count += 1.0;
            product *= self.uniform();
        }
        count
    }
}

/// A daily wave around 100.
pub(crate) fn daily_wave(time: u64) -> f64 {
    let seconds = f64::from(u32::try_from(time % DAY / SECOND).expect("below 86,400"));
    100.0 + 50.0 * (std::f64::consts::TAU * seconds / 86_400.0).sin()
}

/// What a series does, row by row, with the numbers of the rows at which
/// something was said.
pub(crate) struct Run {
    pub(crate) events: Vec<(usize, Event)>,
}

impl Run {
    /// Rows at fixed steps.
    pub(crate) fn of(unit: &str, step: u64, values: impl IntoIterator<Item = f64>) -> Self {
        let times = (0..).map(|row: u64| START + row * step);
        Self::of_rows(unit, times.zip(values))
    }

    /// Any rows.
    pub(crate) fn of_rows(unit: &str, rows: impl IntoIterator<Item = (u64, f64)>) -> Self {
        let config = Config::default();
        let rules = config.rules();
        let floors = config.floors(unit);
        let mut watched = Watched::new(&Series::new("m", unit, Entity::new("service", "a")), 0);
        let events = rows
            .into_iter()
            .enumerate()
            .filter_map(|(row, (time, value))| {
                let event = watched.observe(time, value, floors, &rules)?;
                Some((row, event))
            })
            .collect();
        Self { events }
    }

    /// The rows at which episodes opened.
    pub(crate) fn openings(&self) -> Vec<usize> {
        let opened = |event: &Event| matches!(event, Event::Opened(_));
        self.events
            .iter()
            .filter(|(_, event)| opened(event))
            .map(|(row, _)| *row)
            .collect()
    }
}

/// The rarities of rows, by themselves.
pub(crate) fn rarities(step: u64, values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut model = Model::new();
    let floors = Floors {
        relative: 0.001,
        absolute: 0.0,
    };
    let watch = Episodes::default();
    (0..)
        .zip(values)
        .map(|(row, value)| {
            let time = START + row * step;
            model.observe(time, value, floors, watch.watch()).rarity
        })
        .collect()
}
