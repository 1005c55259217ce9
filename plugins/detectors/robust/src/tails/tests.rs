use proptest::prelude::*;

use super::*;

const SCALE: Scale = Scale {
    floor: 0.01,
    unknown: 0.5,
};

fn feed(
    tails: &mut Tails<2>,
    rows: impl IntoIterator<Item = [Option<f64>; 2]>,
) -> Vec<(usize, f64)> {
    let mut surprises = Vec::new();
    for row in rows {
        tails.observe(
            &row,
            |_| SCALE,
            2_000,
            |quantity, surprise| {
                surprises.push((quantity, surprise));
            },
        );
    }
    surprises
}

#[test]
fn each_quantity_has_a_tail_of_its_own() {
    let mut tails = Tails::<2>::default();
    feed(
        &mut tails,
        (0..1_000).map(|row| {
            let size = 1.0 + f64::from(row % 10) / 10.0;
            [Some(size), Some(size * 1_000.0)]
        }),
    );
    let surprises = feed(&mut tails, [[Some(1_000.0), Some(1_000.0)]]);
    assert_eq!(surprises.len(), 1);
    assert_eq!(surprises[0].0, 0);
    assert!(surprises[0].1 > 5.0);
}

#[test]
fn a_quantity_that_is_absent_learns_nothing() {
    let mut tails = Tails::<2>::default();
    feed(&mut tails, (0..1_000).map(|_| [Some(1.0), None]));
    assert_eq!(tails.gauge(1).rows(), 0);
    assert!(tails.gauge(0).rows() > 900);
}

#[test]
fn is_read_as_it_was_written() {
    let mut tails = Tails::<2>::default();
    feed(
        &mut tails,
        (0..777).map(|row| [Some(f64::from(row % 13)), Some(-f64::from(row % 5))]),
    );
    let bytes = postcard::to_allocvec(&tails).expect("it can be written");
    assert_eq!(postcard::from_bytes::<Tails<2>>(&bytes), Ok(tails));
}

proptest! {
    /// Whatever comes: no panic, and surprises are finite and not negative.
    #[test]
    fn takes_anything(
        rows in proptest::collection::vec(
            proptest::array::uniform2(proptest::option::of(-1e300..1e300_f64)),
            1..600,
        ),
        exponents in proptest::collection::vec(-300..300_i32, 1..600),
    ) {
        let mut tails = Tails::<2>::default();
        let scaled = rows.iter().zip(exponents.iter().cycle()).map(|(row, exponent)| {
            row.map(|value| value.map(|value| value / 1e300 * 10_f64.powi(*exponent)))
        });
        for (_, surprise) in feed(&mut tails, scaled) {
            prop_assert!(surprise.is_finite() && surprise >= 0.0);
        }
    }
}
