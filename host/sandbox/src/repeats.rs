//! Rows of the audit log that would say the same again and again: a guest can
//! fail, or try what it may not, ten thousand times a second, and each row is a
//! commit that others wait for.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// After so many rows about the same, the next comes when so much time has passed
/// since the first; how many there were meanwhile stands in it.
const WINDOW: Duration = Duration::from_secs(10);

/// The most sorts that are told apart; all beyond are one.
const SORTS_MAX: usize = 64;

/// The sort of all those beyond.
const OTHERS: &str = "";

/// What was put on the audit log a moment ago, by sort.
#[derive(Debug)]
pub(crate) struct Repeats {
    rows_max: u32,
    by_sort: Mutex<BTreeMap<String, Repeated>>,
}

/// One sort since the first of its latest rows.
#[derive(Debug)]
struct Repeated {
    began: Instant,
    rows: u32,
    unwritten: u64,
}

impl Repeats {
    /// With so many rows about the same within a window; at least one.
    pub(crate) fn new(rows_max: u32) -> Self {
        Self {
            rows_max,
            by_sort: Mutex::default(),
        }
    }

    /// Whether it is time for a row about something of this sort; with how many
    /// there were without one since the last.
    pub(crate) fn row_due(&self, sort: &str, now: Instant) -> Option<u64> {
        let mut by_sort = self.by_sort.lock().unwrap_or_else(PoisonError::into_inner);
        if by_sort.len() >= SORTS_MAX && !by_sort.contains_key(sort) {
            // Those that are over make room; what was not written of them is said
            // together, with the next of those that are not told apart.
            let mut unwritten = 0;
            by_sort.retain(|sort, repeated| {
                let stays = sort == OTHERS || now.duration_since(repeated.began) < WINDOW;
                unwritten += if stays { 0 } else { repeated.unwritten };
                stays
            });
            if unwritten > 0 {
                let others = by_sort.entry(OTHERS.to_owned()).or_insert(Repeated {
                    began: now,
                    rows: 0,
                    unwritten: 0,
                });
                others.unwritten += unwritten;
            }
        }
        let is_one_too_many = by_sort.len() >= SORTS_MAX && !by_sort.contains_key(sort);
        let sort = if is_one_too_many { OTHERS } else { sort };
        let Some(repeated) = by_sort.get_mut(sort) else {
            let repeated = Repeated {
                began: now,
                rows: 1,
                unwritten: 0,
            };
            by_sort.insert(sort.to_owned(), repeated);
            return Some(0);
        };
        if now.duration_since(repeated.began) >= WINDOW {
            (repeated.began, repeated.rows) = (now, 0);
        }
        if repeated.rows >= self.rows_max {
            repeated.unwritten += 1;
            return None;
        }
        repeated.rows += 1;
        Some(std::mem::take(&mut repeated.unwritten))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_in_a_while_and_counted_meanwhile() {
        let repeats = Repeats::new(1);
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(repeats.row_due("a", at(0)), Some(0));
        assert_eq!(repeats.row_due("a", at(1)), None);
        assert_eq!(repeats.row_due("b", at(1)), Some(0));
        assert_eq!(repeats.row_due("a", at(9)), None);
        assert_eq!(repeats.row_due("a", at(10)), Some(2));
        assert_eq!(repeats.row_due("a", at(20)), Some(0));
    }

    #[test]
    fn a_few_of_the_same_are_said_each() {
        let repeats = Repeats::new(3);
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        for second in 0..3 {
            assert_eq!(repeats.row_due("a", at(second)), Some(0));
        }
        assert_eq!(repeats.row_due("a", at(3)), None);
        assert_eq!(repeats.row_due("a", at(11)), Some(1));
        assert_eq!(repeats.row_due("a", at(11)), Some(0));
    }

    #[test]
    fn however_many_sorts_there_are_they_take_no_more_room() {
        let repeats = Repeats::new(1);
        let start = Instant::now();
        let rows = |from: usize, now: Instant| {
            (from..from + 10_000)
                .filter(|sort| repeats.row_due(&sort.to_string(), now).is_some())
                .count()
        };
        // Each of those that there is room for, and one for all others.
        assert_eq!(rows(0, start), SORTS_MAX + 1);
        assert!(rows(10_000, start + Duration::from_secs(5)) == 0);
        let kept = repeats.by_sort.lock().expect("no panic").len();
        assert_eq!(kept, SORTS_MAX + 1);
        // Those that are over make room, even if not all of them was written.
        for sort in 20_000..20_000 + SORTS_MAX {
            let now = start + Duration::from_secs(20);
            repeats.row_due(&sort.to_string(), now);
            repeats.row_due(&sort.to_string(), now);
        }
        let later = start + Duration::from_secs(40);
        assert!(rows(30_000, later) > 1);
        let by_sort = repeats.by_sort.lock().expect("no panic");
        let of_others = by_sort.get(OTHERS).map_or(0, |it| it.unwritten);
        assert!(of_others >= 9_000, "{of_others}");
        assert!(!by_sort.keys().any(|sort| sort == "20000"));
        drop(by_sort);
        let kept = repeats.by_sort.lock().expect("no panic").len();
        assert!(kept <= SORTS_MAX + 1, "{kept}");
    }
}
