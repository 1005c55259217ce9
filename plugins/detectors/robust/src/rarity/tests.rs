use super::*;

/// A generator for tests: `SplitMix64` (Steele, Lea and Flood, 2014).
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    f64::from(u32::try_from((z ^ (z >> 31)) >> 32).unwrap_or(0)) / 4_294_967_296.0
}

/// Feeds surprises whose share falls by a decade for each `decade` of them.
fn exponential(rows: u32, decade: f64) -> Rarity {
    let mut rarity = Rarity::new();
    let mut state = 7;
    for _ in 0..rows {
        let surprise = -f64::log10(1.0 - uniform(&mut state)) * decade;
        rarity.learn(surprise, 15_000);
    }
    rarity
}

#[test]
fn gives_the_share_of_rows_that_are_as_surprising() {
    for decade in [1.732, 2.5, 3.0] {
        let rarity = exponential(20_000, decade);
        for decades in [1.0, 1.7, 2.5, 3.0] {
            let found = rarity.decades(decades * decade);
            assert!(
                (found - decades).abs() < 0.5,
                "{found} for {decades} at {decade} a decade"
            );
        }
    }
}

#[test]
fn is_careful_where_views_do_not_agree() {
    let rarity = exponential(20_000, 1.0);
    for decades in [1.0, 2.0, 3.0, 4.0] {
        let found = rarity.decades(decades);
        assert!((decades - 1.3..decades + 0.1).contains(&found), "{found}");
    }
}

#[test]
fn combinations_that_run_high_are_rarer_than_they_seem() {
    let (calibrated, dependent) = (exponential(5_000, 1.0), exponential(5_000, 2.5));
    assert!(calibrated.decades(6.0) > dependent.decades(6.0) + 1.0);
}

#[test]
fn nothing_is_rare_before_much_is_known() {
    let rarity = exponential(20, 1.0);
    assert!(rarity.decades(16.0) == 0.0);
}

#[test]
fn what_is_unheard_of_does_not_count_twice() {
    let mut rarity = Rarity::new();
    for _ in 0..1_000 {
        rarity.learn(0.0, 15_000);
    }
    let least = 3.3 * UNHEARD_OF;
    assert!((3.2..3.5).contains(&rarity.decades(least)));
    rarity.learn(least, 15_000);
    for _ in 0..100 {
        rarity.learn(0.0, 15_000);
    }
    assert!((2.5..4.0).contains(&rarity.decades(least)));
}

#[test]
fn forgets_what_is_long_ago() {
    let mut rarity = exponential(4_000, 3.0);
    let before = rarity.decades(6.0);
    let mut state = 9;
    for _ in 0..40_000 {
        let surprise = -f64::log10(1.0 - uniform(&mut state));
        rarity.learn(surprise, 2_000);
    }
    assert!(rarity.decades(6.0) > before + 1.0);
}

#[test]
fn is_read_as_it_was_written() {
    let rarity = exponential(777, 1.3);
    let bytes = postcard::to_allocvec(&rarity).expect("it can be written");
    assert!(bytes.len() < 200, "{} bytes", bytes.len());
    assert_eq!(postcard::from_bytes::<Rarity>(&bytes), Ok(rarity));
}
