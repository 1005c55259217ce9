//! Small arithmetic that everything else shares: confidences, rarity, hashes.

/// Nothing here is certain.
pub(crate) const CONFIDENCE_MAX: f64 = 0.95;

/// A count as a number. Counts beyond 2^32 do not occur within the limits.
pub(crate) fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

/// At least one of several independent reasons holds: 1 - (1-a)(1-b)…
/// Monotone in each: more evidence never lowers it.
pub(crate) fn noisy_or(reasons: impl IntoIterator<Item = f64>) -> f64 {
    1.0 - reasons
        .into_iter()
        .fold(1.0, |none, reason| none * (1.0 - reason))
}

/// How much sharing something says that `holders` of `all` have: near 1 for
/// what few of many share, near 0 for what all do. Logarithmic, as inverse
/// document frequency is (Spärck Jones 1972), and smoothed so that two alerts
/// alone in the world prove little to each other.
pub(crate) fn rarity(holders: usize, all: usize) -> f64 {
    let all = number(all.max(holders)) + 1.0;
    if all <= 2.0 {
        return 0.0;
    }
    ((all / (number(holders) + 0.5)).ln() / all.ln()).clamp(0.0, 1.0)
}

/// To two decimals: differences below that mean nothing, and are not shown.
pub(crate) fn rounded(confidence: f64) -> f64 {
    (confidence * 100.0).round() / 100.0
}

/// FNV-1a, 64 bits (draft-eastlake-fnv): names things in the state by eight
/// bytes. The parts are kept apart.
pub(crate) fn hash(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash
}

/// Folds a number into a hash; the order matters.
pub(crate) fn fold(hash: u64, value: u64) -> u64 {
    (hash.rotate_left(5) ^ value).wrapping_mul(0x0000_0100_0000_01b3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_reasons_never_lower_a_confidence() {
        assert!(noisy_or([]) < f64::EPSILON);
        assert!((noisy_or([0.5, 0.5]) - 0.75).abs() < 1e-12);
        assert!(noisy_or([0.7, 0.0]) >= 0.7 - 1e-12);
    }

    #[test]
    fn rare_things_say_more() {
        assert!(rarity(2, 100) > 0.75);
        assert!(rarity(2, 100) > rarity(10, 100));
        assert!(rarity(100, 100) < 0.01);
        assert!(rarity(2, 2) < 0.2);
        assert!(rarity(0, 0) < f64::EPSILON);
        assert!(rarity(9, 3) < 0.1);
    }

    #[test]
    fn hashes_keep_parts_apart() {
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
    }
}
