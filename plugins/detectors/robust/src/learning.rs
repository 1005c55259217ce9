//! When to learn, and how much from what.
//!
//! An excursion is a run of rows in the tail. In extreme value theory it
//! counts once, since its rows are not independent. Here its first rows count
//! in full and later ones for an eighth, so that an incident of an hour does
//! not teach a tail that incidents are normal, while what lasts or comes back
//! again and again is learned in the end.

/// Nothing is surprising before so many rows.
pub(crate) const ROWS_MIN: u32 = 32;
/// More rows cannot be remembered: counters have 16 bits, and hold twice as
/// many before they are halved.
pub(crate) const MEMORY_ROWS_MAX: u32 = 32_000;
/// Rows of an excursion that count in full.
const EXCURSION_FULL_ROWS: u16 = 4;
/// Of the later ones, one in so many counts.
const EXCURSION_THINNING: u16 = 8;
/// An excursion that lasts longer is no excursion.
const EXCURSION_ROWS_MAX: u16 = 288;
/// A fit is due after a 32nd of the rows known, within these bounds.
const FIT_SHARE: u32 = 32;
const FIT_ROWS_MIN: u32 = 16;
const FIT_ROWS_MAX: u32 = 256;

/// Whether the n-th row of an excursion is left out.
pub(crate) fn is_thinned(nth: u16) -> bool {
    nth > EXCURSION_FULL_ROWS && nth < EXCURSION_ROWS_MAX && !nth.is_multiple_of(EXCURSION_THINNING)
}

/// Rows between two fits when so many are known.
pub(crate) fn fit_due(rows: u32) -> u32 {
    (rows / FIT_SHARE).clamp(FIT_ROWS_MIN, FIT_ROWS_MAX)
}
