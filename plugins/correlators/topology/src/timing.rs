//! How much two things say about each other that are apart in time.

/// Clocks of different senders differ by this much, in microseconds.
pub(crate) const SKEW: u64 = 60 * 1_000_000;
/// In this time a change loses half of its suspicion, in microseconds.
const CHANGE_HALF_LIFE: u64 = 30 * 60 * 1_000_000;

/// How much of a relation is left over a distance in time: all of it for what
/// happens at once, half at the end of the window, nothing beyond.
pub(crate) fn closeness(gap: u64, window: u64) -> f64 {
    if gap > window || window == 0 {
        return if gap == 0 { 1.0 } else { 0.0 };
    }
    let share = micros(gap) / micros(window);
    1.0 - 0.5 * share * share
}

/// What is left of the suspicion that a change caused something `age` later.
pub(crate) fn freshness(age: u64) -> f64 {
    (-micros(age) / micros(CHANGE_HALF_LIFE)).exp2()
}

/// This share of a time, in microseconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a window is below 2^53 us and not negative"
)]
pub(crate) fn share_of(time: u64, share: f64) -> u64 {
    (micros(time) * share.clamp(0.0, 1.0)) as u64
}

/// Microseconds as a number; windows are far below 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "what is beyond 2^53 us is further away than any window"
)]
pub(crate) fn micros(duration: u64) -> f64 {
    duration as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closeness_falls_to_half_at_the_end_of_the_window() {
        assert!((closeness(0, 600) - 1.0).abs() < 1e-12);
        assert!((closeness(300, 600) - 0.875).abs() < 1e-12);
        assert!((closeness(600, 600) - 0.5).abs() < 1e-12);
        assert!(closeness(601, 600) < f64::EPSILON);
        assert!((closeness(0, 0) - 1.0).abs() < 1e-12);
    }
}
