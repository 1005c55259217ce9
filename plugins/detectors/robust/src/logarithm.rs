//! Logarithms that give the same bits everywhere, and cost next to nothing.
//!
//! What `f64::log2` gives depends on the platform's mathematics library, and a
//! component has another one than a native build. These read the bits of the
//! number, and need only multiplication and addition, which IEEE 754 defines
//! exactly. They are rough, which does not matter to statistics: a probability
//! within six per cent is as good as an exact one.

/// 2^52: what the exponent counts in, among the bits of a number.
const EXPONENT_UNIT: f64 = 4_503_599_627_370_496.0;
/// The exponent of 1, among the bits.
const EXPONENT_OF_ONE: f64 = 1023.0;
/// A little less than the bits of the largest finite number.
const LARGEST_BITS: f64 = 9.218e18;

/// The logarithm to base 2 of a positive, normal number: exact at powers of 2
/// and linear between them, so up to 0.087 too small.
///
/// The bits of a floating point number, read as an integer, are just that. It
/// is strictly monotonic. What is not positive gives something very small or
/// very large, but never fails.
pub fn rough_log2(value: f64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "the last ten bits of a mantissa do not matter here"
    )]
    let bits = value.to_bits() as f64;
    bits / EXPONENT_UNIT - EXPONENT_OF_ONE
}

/// The logarithm to base 10: as [`rough_log2`], up to 0.026 too small.
pub fn rough_log10(value: f64) -> f64 {
    rough_log2(value) * std::f64::consts::LOG10_2
}

/// The inverse of [`rough_log2`].
pub fn rough_exp2(rough: f64) -> f64 {
    let bits = (rough + EXPONENT_OF_ONE) * EXPONENT_UNIT;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the bits of positive, finite numbers"
    )]
    f64::from_bits(bits.clamp(0.0, LARGEST_BITS) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_close_to_the_logarithm() {
        let mut value = 1e-300;
        while value < 1e300 {
            let error = f64::log2(value) - rough_log2(value);
            assert!((-1e-9..0.0872).contains(&error), "log2({value})");
            value *= 1.37;
        }
        assert!((rough_log10(1000.0) - 3.0).abs() < 0.026);
    }

    #[test]
    fn undoes_itself() {
        for value in [1e-300, 0.1, 1.0, 1.5, 3.0, 1e9, 1e300] {
            let again = rough_exp2(rough_log2(value));
            assert!((again / value - 1.0).abs() < 1e-9, "{again} for {value}");
        }
    }

    #[test]
    fn never_fails() {
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-310] {
            assert!(rough_exp2(rough_log2(value)).is_finite());
        }
        assert!(rough_exp2(f64::INFINITY).is_finite());
        assert!(rough_exp2(-5000.0) >= 0.0);
    }
}
