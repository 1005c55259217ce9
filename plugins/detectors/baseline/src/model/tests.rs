use proptest::prelude::*;

use super::*;
use crate::synthetic::{DAY, Random, SECOND, START, daily_wave, rarities};

const FLOORS: Floors = Floors {
    relative: 0.001,
    absolute: 0.0,
};

/// How many rows are at least this rare, per day.
fn per_day(rarities: &[f64], rarity: f64, days: f64) -> f64 {
    let rows = rarities.iter().filter(|found| **found >= rarity).count();
    f64::from(u32::try_from(rows).expect("few")) / days
}

#[test]
fn rarity_means_what_it_says() {
    type Shape = fn(&mut Random) -> f64;
    let shapes: [(&str, Shape); 4] = [
        ("normal", |random| 100.0 + 10.0 * random.normal()),
        ("log-normal", |random| (0.5 * random.normal()).exp()),
        ("counts", |random| random.poisson(3.0)),
        ("mostly zero", |random| random.poisson(0.05)),
    ];
    let days = 14.0;
    for (name, shape) in shapes {
        let mut once_a_day = 0.0;
        let mut once_in_ten = 0.0;
        for seed in 0..6 {
            let mut random = Random::new(seed);
            let values = (0..14 * 288).map(|_| shape(&mut random));
            let found = rarities(300 * SECOND, values);
            once_a_day += per_day(&found, 0.01, days) / 6.0;
            once_in_ten += per_day(&found, 1.0, days) / 6.0;
        }
        // Within a factor of three of what it says, whatever the distribution.
        assert!((0.25..3.0).contains(&once_a_day), "{name}: {once_a_day}");
        assert!(once_in_ten < 0.6, "{name}: {once_in_ten}");
    }
}

#[test]
fn a_value_is_judged_by_the_time_of_the_day() {
    let mut random = Random::new(1);
    let step = 300 * SECOND;
    let mut values: Vec<f64> = (0..8 * 288)
        .map(|row| daily_wave(START + row * step) + random.normal())
        .collect();
    // At midnight, when 100 is usual: 140 is what noon brings.
    for value in &mut values[7 * 288..7 * 288 + 6] {
        *value += 40.0;
    }
    let found = rarities(step, values);
    let odd = found[7 * 288..7 * 288 + 6]
        .iter()
        .copied()
        .fold(0.0, f64::max);
    assert!(odd > 2.0, "{odd}");
    let waves = per_day(&found[288..7 * 288], 2.0, 6.0);
    assert!(waves < 0.2, "{waves}");
}

#[test]
fn weekends_are_learned() {
    let mut random = Random::new(2);
    let step = 300 * SECOND;
    let values = (0..42 * 288).map(|row| {
        let time = START + row * step;
        let weekend = (time - START) / DAY % 7 >= 5;
        daily_wave(time) * if weekend { 0.4 } else { 1.0 } + random.normal()
    });
    let found = rarities(step, values);
    let later = per_day(&found[28 * 288..], 2.0, 14.0);
    assert!(later < 0.1, "{later}");
}

#[test]
fn deviations_within_the_floor_are_none() {
    let mut random = Random::new(3);
    let values =
        (0..2_000).map(|row| 100.0 + 1e-4 * random.normal() + f64::from(row / 1_500) * 0.05);
    let found = rarities(15 * SECOND, values);
    assert!(found.iter().all(|rarity| *rarity == 0.0));
}

#[test]
fn a_share_near_its_bound_may_fall_a_little_and_not_far() {
    let mut random = Random::new(4);
    let mut values: Vec<f64> = (0..3_000)
        .map(|_| (99.8 + 0.1 * random.normal()).min(100.0))
        .collect();
    values[2_999] = 90.0;
    let found = rarities(15 * SECOND, values);
    assert!(found[2_999] > 2.0, "{}", found[2_999]);
    assert!(per_day(&found[..2_999], 2.0, 0.52) < 4.0);
}

#[test]
fn the_first_rows_are_never_rare() {
    let found = rarities(5 * SECOND, (0..30).map(|row| f64::from(row * row * row)));
    assert!(found.iter().all(|rarity| *rarity == 0.0));
}

#[test]
fn a_gap_is_not_an_anomaly() {
    let mut random = Random::new(5);
    let mut model = Model::new();
    let mut worst: f64 = 0.0;
    for row in 0..3_000_u64 {
        // Down for a day after every thousandth row, and back on another level.
        let restarts = row / 1_000;
        let time = START + row * 15 * SECOND + restarts * DAY;
        let level = [100.0, 104.0, 98.0][usize::try_from(restarts).expect("0 to 2")];
        let reading = model.observe(time, level + 5.0 * random.normal(), FLOORS, None);
        worst = worst.max(reading.rarity);
    }
    // Chance alone brings something that is rarer than once in ten days now and
    // then; a warning would be about the gap.
    assert!(worst < 2.0, "{worst}");
}

#[test]
fn states_are_small_and_read_as_they_were_written() {
    let mut random = Random::new(6);
    let mut model = Model::new();
    for row in 0..6_000 {
        model.observe(
            START + row * 300 * SECOND,
            50.0 + random.normal(),
            FLOORS,
            None,
        );
    }
    let bytes = faultline_sdk::state::to_bytes(&model).expect("it can be written");
    assert!(bytes.len() < 4_096, "{} bytes", bytes.len());
    let read: Model = faultline_sdk::state::from_bytes(&bytes).expect("it can be read");
    assert_eq!(read, model);
}

proptest! {
    /// Whatever comes: no panic, and rarities are finite and not negative.
    #[test]
    fn takes_anything(
        rows in proptest::collection::vec((1..1_000_000_000_000_u64, -1.0..1.0_f64, -320..310_i32), 1..400),
    ) {
        let mut model = Model::new();
        let mut time = 0;
        for (step, value, exponent) in rows {
            time += step;
            let value = value * 10_f64.powi(exponent);
            let reading = model.observe(time, value, FLOORS, None);
            prop_assert!(reading.rarity.is_finite() && reading.rarity >= 0.0);
        }
    }

    /// What is said of a row depends on the rows up to it: the verdicts on a
    /// beginning are the beginning of the verdicts.
    #[test]
    fn is_causal(seed in 0..1_000_u64, cut in 1..900_usize) {
        let values = |rows: usize| {
            let mut random = Random::new(seed);
            (0..rows).map(move |_| random.normal()).collect::<Vec<_>>()
        };
        let all = rarities(15 * SECOND, values(900));
        let some = rarities(15 * SECOND, values(cut));
        prop_assert_eq!(&all[..cut], &some[..]);
    }
}
