//! What one sender may hold of what all share: requests that are being
//! answered, and bytes that are being received or wait for the journal. Without
//! a share, one sender with many slow requests would leave no room for others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::ListenerLimits;

/// What each sender holds.
#[derive(Debug)]
pub(crate) struct Shares {
    requests_max: usize,
    bytes_max: usize,
    /// Those that hold anything: never more than there are requests.
    held: Mutex<HashMap<String, Held>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Held {
    requests: usize,
    bytes: usize,
}

/// The sender holds its share already.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OverShare;

impl Shares {
    pub(crate) fn new(limits: &ListenerLimits) -> Arc<Self> {
        Arc::new(Self {
            requests_max: limits.sender_requests_in_flight_max,
            bytes_max: limits.sender_bytes_in_flight_max,
            held: Mutex::default(),
        })
    }

    /// A request of a sender begins.
    pub(crate) fn enter(self: &Arc<Self>, sender: &str) -> Result<Seat, OverShare> {
        let mut held = self.held();
        let of_sender = held.entry(sender.to_owned()).or_default();
        if of_sender.requests >= self.requests_max {
            return Err(OverShare);
        }
        of_sender.requests += 1;
        Ok(Seat {
            shares: Arc::clone(self),
            sender: sender.to_owned(),
            bytes: 0,
        })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        // Counts are valid whatever a panicking thread left them at.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request of a sender, with the bytes that it holds, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    shares: Arc<Shares>,
    sender: String,
    bytes: usize,
}

impl Seat {
    /// Holds more bytes.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), OverShare> {
        let mut held = self.shares.held();
        let of_sender = held.entry(self.sender.clone()).or_default();
        let grown = of_sender.bytes.saturating_add(bytes);
        // One request may be as large as any request may be.
        if grown > self.shares.bytes_max && of_sender.bytes > self.bytes {
            return Err(OverShare);
        }
        of_sender.bytes = grown;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut held = self.shares.held();
        if let Some(of_sender) = held.get_mut(&self.sender) {
            of_sender.requests -= 1;
            of_sender.bytes -= self.bytes;
            if of_sender.requests == 0 {
                held.remove(&self.sender);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sender_leaves_room_for_others() {
        let shares = Shares::new(&ListenerLimits {
            sender_requests_in_flight_max: 2,
            sender_bytes_in_flight_max: 10,
            ..ListenerLimits::default()
        });
        let mut first = shares.enter("a").expect("a place");
        let mut second = shares.enter("a").expect("a place");
        assert_eq!(shares.enter("a").err(), Some(OverShare));
        let mut other = shares.enter("b").expect("a place");
        assert_eq!(first.grow(6), Ok(()));
        assert_eq!(second.grow(5), Err(OverShare));
        assert_eq!(second.grow(4), Ok(()));
        assert_eq!(other.grow(10), Ok(()));
        drop(second);
        drop(first);
        let mut alone = shares.enter("a").expect("a place");
        assert_eq!(alone.grow(100), Ok(()), "one request of any size");
        drop((alone, other));
        assert!(shares.held().is_empty());
    }
}
