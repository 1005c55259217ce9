use super::*;

const SCALE: Scale = Scale {
    floor: 1e-6,
    unknown: 0.5,
};

/// A histogram of these deviations, and the gauge made from it.
fn learned(deviations: impl IntoIterator<Item = f64>) -> Gauge {
    let mut gauge = Gauge::default();
    let mut histogram = Histogram::default();
    for deviation in deviations {
        let (_, entry, _) = gauge.observe(deviation, SCALE.floor);
        histogram.take(entry);
    }
    histogram.fit(&mut gauge, SCALE);
    gauge
}

/// The quantiles of a distribution with survival function (1 + x)^-exponent.
fn pareto(rows: u32, exponent: f64) -> impl Iterator<Item = f64> {
    (0..rows).map(move |row| ((f64::from(row) + 0.5) / f64::from(rows)).powf(-1.0 / exponent) - 1.0)
}

#[test]
fn surprise_is_the_decimal_logarithm_of_the_share() {
    let gauge = learned(pareto(20_000, 3.0));
    for share in [0.2_f64, 0.05, 0.02, 0.005, 0.001, 1e-4, 1e-5] {
        let deviation = share.powf(-1.0 / 3.0) - 1.0;
        let surprise = gauge.surprise(deviation, 0.0);
        let decades = -share.log10();
        // Sizes are known to a quarter of an octave only.
        assert!((surprise - decades).abs() < 0.5, "{share}: {surprise}");
    }
    assert!(gauge.surprise(0.05, 0.0) == 0.0);
}

#[test]
fn a_heavier_tail_is_less_surprised() {
    let heavy = learned(pareto(5_000, 1.5));
    let light = learned(pareto(5_000, 6.0));
    let exponent = |gauge: &Gauge| f64::from(gauge.sides[0].exponent) / STEPS_OF_EXPONENT;
    assert!((1.3..2.2).contains(&exponent(&heavy)));
    assert!((3.0..7.0).contains(&exponent(&light)));
    let at = |gauge: &Gauge, factor: f64| gauge.surprise(gauge.limit(Side::Above) * factor, 0.0);
    assert!(at(&heavy, 10.0) + 1.0 < at(&light, 10.0));
}

#[test]
fn sides_are_told_apart() {
    let gauge = learned((0..2_000).map(|row| if row % 2 == 0 { 1.0 } else { -100.0 }));
    assert!(gauge.surprise(50.0, 0.0) > 3.0);
    assert!(gauge.surprise(-50.0, 0.0) < 1.0);
}

#[test]
fn a_side_that_nothing_is_known_of_is_like_the_other() {
    let gauge = learned((0..2_000).map(|row| f64::from(row % 10)));
    assert!(gauge.surprise(-5.0, 0.0) == 0.0);
    assert!(gauge.surprise(-50.0, 0.0) > 4.0);
}

#[test]
fn within_the_floor_nothing_is_surprising() {
    let gauge = learned(std::iter::repeat_n(0.0, 500));
    assert!(gauge.surprise(0.4, 0.5) == 0.0);
    // Up to what may be expected of a quantity that never strayed, little is.
    assert!(gauge.surprise(0.4, 1e-6) == 0.0);
    assert!((2.5..3.5).contains(&gauge.surprise(0.51, 1e-6)));
    assert!(gauge.surprise(50.0, 1e-6) > 6.0);
}

#[test]
fn little_is_known_at_first() {
    let gauge = learned((1..=31).map(f64::from));
    assert!(gauge.surprise(1e9, 0.0) == 0.0);
}

#[test]
fn the_scale_follows_up_and_down() {
    let mut gauge = Gauge::default();
    let mut histogram = Histogram::default();
    let mut feed = |size: f64, rows: u32| {
        for row in 0..rows {
            let spread = 1.0 + f64::from(row % 7) / 10.0;
            let (_, entry, _) = gauge.observe(size * spread, 0.0);
            histogram.take(entry);
            if histogram.rows() >= 2_000 {
                histogram.age();
            }
            if row % 64 == 0 {
                histogram.fit(&mut gauge, SCALE);
            }
        }
        gauge.limit(Side::Above)
    };
    assert!((1.0..3.0).contains(&feed(1.0, 3_000)));
    assert!((1e6..3e6).contains(&feed(1e6, 40_000)));
    assert!((1e-3..3e-3).contains(&feed(1e-3, 400_000)));
}

#[test]
fn a_long_excursion_counts_for_less_than_as_many_short_ones() {
    let learned_rows = |excursion_rows: u32| {
        let mut gauge = learned((0..10_000).map(|row| f64::from(row % 10) / 10.0));
        (0..2_000)
            .map(|row| (row / excursion_rows).is_multiple_of(2))
            .filter(|odd| {
                let (_, entry, _) = gauge.observe(if *odd { 30.0 } else { 0.5 }, 0.0);
                *odd && entry != Entry::NONE
            })
            .count()
    };
    assert_eq!(learned_rows(1), 1_000);
    assert_eq!(learned_rows(4), 1_000);
    assert_eq!(learned_rows(200), 5 * (4 + 25));
}
