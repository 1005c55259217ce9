//! How far the work is behind the journal.
//!
//! Appending is faster than working on what was appended. When the distance
//! grows beyond a limit, senders are told to wait: most of them can, and what
//! they hold back they hold in order.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use faultline_domain::envelope::Position;

use crate::limits::ListenerLimits;

/// Marks that are kept to tell bytes from positions. When there are more, every
/// second one goes, and they are made half as often: the bytes of a long
/// backlog are known less exactly.
const MARKS_MAX: usize = 4_096;

/// Envelopes and bytes in the journal that nobody has worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Distance {
    /// Envelopes.
    pub envelopes: u64,
    /// Bytes of those that were appended since this process began.
    pub bytes: u64,
}

impl Distance {
    /// Whether it is so far that nothing more should come in for now.
    pub const fn is_over(&self, limits: &ListenerLimits) -> bool {
        self.envelopes > limits.backlog_envelopes_max || self.bytes > limits.backlog_bytes_max
    }
}

/// Keeps account of what was appended and of what was worked on. Shared:
/// intake
/// and whoever polls tell the one, and whoever moves the observe stage the other.
#[derive(Debug)]
pub struct Backlog(Mutex<Account>);

#[derive(Debug)]
struct Account {
    head: Position,
    worked: Position,
    bytes_appended: u64,
    bytes_worked: u64,
    /// Where the journal ended, and the bytes that were appended by then.
    marks: VecDeque<(Position, u64)>,
    /// Envelopes from one mark to the next.
    mark_envelopes: u64,
}

impl Backlog {
    /// Begins at the end of the journal and at the position of the work.
    pub fn new(head: Position, worked: Position) -> Self {
        Self(Mutex::new(Account {
            head: head.max(worked),
            worked,
            bytes_appended: 0,
            bytes_worked: 0,
            marks: VecDeque::new(),
            mark_envelopes: 1,
        }))
    }

    /// All envelopes up to this position have been worked on.
    pub fn worked(&self, position: Position) {
        let mut account = self.account();
        account.worked = account.worked.max(position);
        // Others may append too: the clock, people.
        account.head = account.head.max(position);
        while let Some((end, bytes)) = account.marks.front().copied() {
            if end > position {
                break;
            }
            account.bytes_worked = bytes;
            account.marks.pop_front();
        }
        if account.worked == account.head {
            account.bytes_worked = account.bytes_appended;
            account.marks.clear();
            account.mark_envelopes = 1;
        }
    }

    /// The journal ends at this position or after it: others may append, too.
    pub fn ends_at(&self, head: Position) {
        let mut account = self.account();
        account.head = account.head.max(head);
    }

    /// The journal ends at this position now, with this many bytes more.
    pub fn appended(&self, head: Position, bytes: u64) {
        let mut account = self.account();
        account.head = account.head.max(head);
        account.bytes_appended += bytes;
        let marked = account.marks.back().map_or(0, |(position, _)| position.0);
        if head.0 < marked + account.mark_envelopes {
            return;
        }
        let mark = (head, account.bytes_appended);
        account.marks.push_back(mark);
        if account.marks.len() > MARKS_MAX {
            account.mark_envelopes *= 2;
            let mut keep = false;
            account.marks.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }

    /// How far the work is behind.
    pub fn distance(&self) -> Distance {
        let account = self.account();
        Distance {
            envelopes: account.head.0 - account.worked.0,
            bytes: account.bytes_appended - account.bytes_worked,
        }
    }

    fn account(&self) -> std::sync::MutexGuard<'_, Account> {
        // Counts are valid whatever a panicking thread left them at.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(backlog: &Backlog) -> (u64, u64) {
        let Distance { envelopes, bytes } = backlog.distance();
        (envelopes, bytes)
    }

    #[test]
    fn appending_widens_it_and_work_narrows_it() {
        let backlog = Backlog::new(Position(10), Position(4));
        assert_eq!(distance(&backlog), (6, 0));
        backlog.appended(Position(12), 200);
        backlog.appended(Position(13), 50);
        assert_eq!(distance(&backlog), (9, 250));
        backlog.worked(Position(11));
        assert_eq!(distance(&backlog), (2, 250));
        backlog.worked(Position(12));
        assert_eq!(distance(&backlog), (1, 50));
        backlog.worked(Position(20));
        assert_eq!(distance(&backlog), (0, 0));
    }

    #[test]
    fn a_long_backlog_takes_little_memory() {
        let backlog = Backlog::new(Position(0), Position(0));
        for position in 1..=50_000 {
            backlog.appended(Position(position), 1);
        }
        assert!(backlog.account().marks.len() <= MARKS_MAX);
        backlog.worked(Position(25_000));
        let (envelopes, bytes) = distance(&backlog);
        assert_eq!(envelopes, 25_000);
        assert!((25_000..25_100).contains(&bytes), "{bytes}");
        backlog.worked(Position(50_000));
        assert_eq!(distance(&backlog), (0, 0));
        backlog.appended(Position(50_001), 7);
        assert_eq!(distance(&backlog), (1, 7));
    }
}
