//! Memory for bodies: bytes that may be held at once by all requests together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::shares::{OverShare, Seat};

/// A number of bytes that can be reserved.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: usize,
    reserved: AtomicUsize,
}

/// There is no room for so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// For nobody.
    All,
    /// The sender has its share.
    Sender,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes_max,
            reserved: AtomicUsize::new(0),
        })
    }

    /// A reservation of nothing, which can grow, by nobody in particular.
    #[cfg(test)]
    pub(crate) fn reservation(self: &Arc<Self>) -> Reservation {
        Reservation {
            budget: Arc::clone(self),
            seat: None,
            bytes: 0,
        }
    }

    /// A reservation of nothing, which can grow within the sender's share.
    pub(crate) fn reservation_of(self: &Arc<Self>, seat: Seat) -> Reservation {
        Reservation {
            budget: Arc::clone(self),
            seat: Some(seat),
            bytes: 0,
        }
    }

    /// Bytes that are reserved now.
    #[cfg(test)]
    pub(crate) fn reserved(&self) -> usize {
        self.reserved.load(Ordering::Relaxed)
    }
}

/// Bytes that are reserved until this is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    seat: Option<Seat>,
    bytes: usize,
}

impl Reservation {
    /// Reserves more.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        if let Some(seat) = &mut self.seat {
            seat.grow(bytes).map_err(|OverShare| Full::Sender)?;
        }
        let grown = |reserved: usize| {
            let grown = reserved.checked_add(bytes)?;
            (grown <= self.budget.bytes_max).then_some(grown)
        };
        let reserved = &self.budget.reserved;
        // Only a count: it orders nothing else.
        reserved
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown)
            .map_err(|_| Full::All)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget
            .reserved
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_comes_back() {
        let budget = Budget::new(10);
        let mut first = budget.reservation();
        assert_eq!(first.grow(6), Ok(()));
        let mut second = budget.reservation();
        assert_eq!(second.grow(5), Err(Full::All));
        assert_eq!(second.grow(usize::MAX), Err(Full::All));
        assert_eq!(second.grow(4), Ok(()));
        drop(first);
        assert_eq!(budget.reserved(), 4);
        assert_eq!(second.grow(6), Ok(()));
    }
}
