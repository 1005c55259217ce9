//! Rows of the audit log that would say the same again and again: a guest can
//! fail, or try what it may not, ten thousand times a second, and each row is a
//! commit that others wait for.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The same is put on the audit log at most this often; how many there were
/// meanwhile stands in the next row.
const ROW_EVERY: Duration = Duration::from_secs(10);

/// The most sorts that are told apart; all beyond are one.
const SORTS_MAX: usize = 256;

/// What was put on the audit log a moment ago, by sort.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    by_sort: Mutex<BTreeMap<String, Repeated>>,
}

/// One sort since its last row.
#[derive(Debug)]
struct Repeated {
    row_at: Instant,
    unwritten: u64,
}

impl Repeats {
    /// Whether it is time for a row about something of this sort; with how many
    /// there were without one since the last.
    pub(crate) fn row_due(&self, sort: &str, now: Instant) -> Option<u64> {
        let mut by_sort = self.by_sort.lock().unwrap_or_else(PoisonError::into_inner);
        if by_sort.len() >= SORTS_MAX && !by_sort.contains_key(sort) {
            by_sort.retain(|_, repeated| {
                repeated.unwritten > 0 || now.duration_since(repeated.row_at) < ROW_EVERY
            });
        }
        let is_one_too_many = by_sort.len() >= SORTS_MAX && !by_sort.contains_key(sort);
        let sort = if is_one_too_many { "" } else { sort };
        match by_sort.get_mut(sort) {
            Some(repeated) if now.duration_since(repeated.row_at) < ROW_EVERY => {
                repeated.unwritten += 1;
                None
            }
            Some(repeated) => {
                repeated.row_at = now;
                Some(std::mem::take(&mut repeated.unwritten))
            }
            None => {
                let repeated = Repeated {
                    row_at: now,
                    unwritten: 0,
                };
                by_sort.insert(sort.to_owned(), repeated);
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_in_a_while_and_counted_meanwhile() {
        let repeats = Repeats::default();
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
    fn however_many_sorts_there_are_they_take_no_more_room() {
        let repeats = Repeats::default();
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
        // Those that are over make room.
        assert!(rows(20_000, start + Duration::from_secs(20)) > 1);
        let kept = repeats.by_sort.lock().expect("no panic").len();
        assert!(kept <= SORTS_MAX + 1, "{kept}");
    }
}
