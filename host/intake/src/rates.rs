//! How often and how much each sender sends.
//!
//! The generic cell rate algorithm (ITU-T I.371, annex A), in which a rate is
//! one number: the time at which all that was sent would have been sent, had
//! the sender kept to its rate. It may lie ahead of the clock by the burst.
//!
//! What a request costs in bytes is known only when it was read. So a sender
//! that is not over its rate may send a request of any size, and then has to
//! wait for as long as that request was worth.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use faultline_domain::time::Timestamp;

use crate::limits::ListenerLimits;

/// A number of things a second, in the long run and at once.
#[derive(Debug, Clone, Copy)]
struct Rate {
    per_second: u64,
    burst: u64,
}

impl Rate {
    /// How long this many things take.
    fn time_of(self, count: u64) -> Duration {
        let micros = u128::from(count) * 1_000_000 / u128::from(self.per_second.max(1));
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

/// What one sender has sent at one rate: when it is even again.
#[derive(Debug, Clone, Copy, Default)]
struct Meter {
    even_at: Timestamp,
}

impl Meter {
    /// How long to wait until more may be sent; none if that is now.
    fn wait(self, rate: Rate, now: Timestamp) -> Option<Duration> {
        let ahead = self.even_at.since(now);
        let wait = ahead.checked_sub(rate.time_of(rate.burst))?;
        (!wait.is_zero()).then_some(wait)
    }

    fn charge(&mut self, rate: Rate, count: u64, now: Timestamp) {
        self.even_at = self.even_at.max(now).plus(rate.time_of(count));
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Sender {
    requests: Meter,
    bytes: Meter,
}

impl Sender {
    fn is_even(&self, now: Timestamp) -> bool {
        self.requests.even_at <= now && self.bytes.even_at <= now
    }
}

/// The rates of all senders.
#[derive(Debug)]
pub(crate) struct Rates {
    requests: Rate,
    bytes: Rate,
    senders_max: usize,
    senders: Mutex<Senders>,
}

#[derive(Debug, Default)]
struct Senders {
    known: HashMap<String, Sender>,
    /// All that there is no room for.
    others: Sender,
}

impl Rates {
    pub(crate) fn new(limits: &ListenerLimits) -> Self {
        Self {
            requests: Rate {
                per_second: u64::from(limits.sender_requests_per_second_max),
                burst: u64::from(limits.sender_requests_burst_max),
            },
            bytes: Rate {
                per_second: limits.sender_bytes_per_second_max,
                burst: limits.sender_bytes_burst_max,
            },
            senders_max: limits.senders_max,
            senders: Mutex::default(),
        }
    }

    /// Admits a request and counts it, or says how long to wait.
    pub(crate) fn admit(&self, sender: &str, now: Timestamp) -> Result<(), Duration> {
        self.with(sender, now, |meters| {
            let requests = meters.requests.wait(self.requests, now);
            let bytes = meters.bytes.wait(self.bytes, now);
            if let Some(wait) = requests.max(bytes) {
                return Err(wait);
            }
            meters.requests.charge(self.requests, 1, now);
            Ok(())
        })
    }

    /// Counts the bytes of a request that was admitted.
    pub(crate) fn charge(&self, sender: &str, bytes: usize, now: Timestamp) {
        self.with(sender, now, |meters| {
            meters.bytes.charge(self.bytes, bytes as u64, now);
        });
    }

    fn with<T>(&self, sender: &str, now: Timestamp, act: impl FnOnce(&mut Sender) -> T) -> T {
        // Meters are valid whatever a panicking thread left them at.
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = senders.known.get_mut(sender) {
            return act(known);
        }
        if senders.known.len() >= self.senders_max {
            senders.known.retain(|_, known| !known.is_even(now));
        }
        if senders.known.len() >= self.senders_max {
            return act(&mut senders.others);
        }
        act(senders.known.entry(sender.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates() -> Rates {
        Rates::new(&ListenerLimits {
            sender_requests_per_second_max: 2,
            sender_requests_burst_max: 3,
            sender_bytes_per_second_max: 100,
            sender_bytes_burst_max: 1_000,
            senders_max: 2,
            ..ListenerLimits::default()
        })
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    #[test]
    fn requests_have_a_rate_and_a_burst() {
        let rates = rates();
        let admitted = |millis| rates.admit("a", at(millis));
        for _ in 0..4 {
            assert_eq!(admitted(0), Ok(()));
        }
        assert_eq!(admitted(0), Err(Duration::from_millis(500)));
        assert_eq!(admitted(499), Err(Duration::from_millis(1)));
        assert_eq!(admitted(500), Ok(()));
        assert_eq!(admitted(500), Err(Duration::from_millis(500)));
        assert_eq!(rates.admit("b", at(500)), Ok(()));
    }

    #[test]
    fn bytes_are_paid_for_afterwards() {
        let rates = rates();
        rates.charge("a", 5_000, at(0));
        assert_eq!(rates.admit("a", at(0)), Err(Duration::from_secs(40)));
        assert_eq!(rates.admit("a", at(40_000)), Ok(()));
    }

    #[test]
    fn senders_without_room_share_a_rate() {
        let rates = rates();
        for sender in ["a", "b"] {
            rates.charge(sender, 5_000, at(0));
        }
        rates.charge("c", 5_000, at(0));
        assert!(rates.admit("d", at(0)).is_err());
        // A minute later nobody owes anything, and there is room again.
        assert_eq!(rates.admit("d", at(60_000)), Ok(()));
        assert_eq!(rates.admit("e", at(60_000)), Ok(()));
    }
}
