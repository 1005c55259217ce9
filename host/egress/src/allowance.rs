//! How much may go out and come in: in one call of a guest, and in a minute.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use faultline_domain::plugin::{Limit, Limits};
use faultline_domain::time::Timestamp;
use tokio::sync::Semaphore;

const MINUTE_MICROS: u64 = 60_000_000;

/// What all guests of an instance share.
#[derive(Debug)]
pub struct Quota {
    bytes_max: u64,
    state: Mutex<(Timestamp, u64)>,
    pub(crate) connections: Semaphore,
}

impl Quota {
    /// Nothing used yet.
    pub fn new(limits: &Limits) -> Self {
        let connections = usize::try_from(limits.http_connections).unwrap_or(usize::MAX);
        Self {
            bytes_max: limits.http_bytes_per_minute,
            state: Mutex::new((Timestamp::ZERO, 0)),
            connections: Semaphore::new(connections.clamp(1, Semaphore::MAX_PERMITS)),
        }
    }

    fn take(&self, bytes: u64, now: Timestamp) -> Result<(), Reached> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, used) = *state;
        // A clock that was set back begins a minute, too.
        let age = now.as_micros().checked_sub(began.as_micros());
        let (began, used) = match age {
            Some(age) if age < MINUTE_MICROS => (began, used),
            _ => (now, 0),
        };
        if used.saturating_add(bytes) > self.bytes_max {
            *state = (began, used);
            return Err(Reached {
                limit: Limit::HttpMinute,
                most: self.bytes_max,
            });
        }
        *state = (began, used + bytes);
        Ok(())
    }
}

/// What a call may still use.
#[derive(Debug)]
pub struct Allowance {
    limits: Limits,
    requests: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    pub(crate) quota: Arc<Quota>,
}

/// A limit, and how much it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) limit: Limit,
    pub(crate) most: u64,
}

impl Allowance {
    /// What a call that begins may use.
    pub fn new(limits: &Limits, quota: Arc<Quota>) -> Self {
        Self {
            limits: *limits,
            requests: AtomicU64::new(limits.http_requests),
            sent: AtomicU64::new(limits.http_sent_bytes),
            received: AtomicU64::new(limits.http_received_bytes),
            quota,
        }
    }

    /// The most bytes of one response's body.
    pub(crate) fn body_max(&self) -> usize {
        usize::try_from(self.limits.http_body_bytes).unwrap_or(usize::MAX)
    }

    pub(crate) fn connections_max(&self) -> u64 {
        self.limits.http_connections
    }

    pub(crate) fn request(&self) -> Result<(), Reached> {
        take(
            &self.requests,
            1,
            Limit::HttpRequests,
            self.limits.http_requests,
        )
    }

    pub(crate) fn send(&self, bytes: usize, now: Timestamp) -> Result<(), Reached> {
        let bytes = bytes as u64;
        let most = self.limits.http_sent_bytes;
        take(&self.sent, bytes, Limit::HttpSent, most)?;
        self.quota.take(bytes, now)
    }

    /// So many bytes came over the wire.
    pub(crate) fn receive(&self, bytes: usize, now: Timestamp) -> Result<(), Reached> {
        self.quota.take(bytes as u64, now)
    }

    /// So many bytes go to the guest.
    pub(crate) fn unpack(&self, bytes: usize) -> Result<(), Reached> {
        let most = self.limits.http_received_bytes;
        take(&self.received, bytes as u64, Limit::HttpReceived, most)
    }
}

fn take(left: &AtomicU64, amount: u64, limit: Limit, most: u64) -> Result<(), Reached> {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(amount)
    })
    .map(|_| ())
    .map_err(|_| Reached { limit, most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_is_used_until_the_minute_is_over() {
        let limits = Limits {
            http_requests: 2,
            http_sent_bytes: 10,
            http_bytes_per_minute: 15,
            ..Limits::default()
        };
        let quota = Arc::new(Quota::new(&limits));
        let first = Allowance::new(&limits, Arc::clone(&quota));
        let at = Timestamp::from_secs;
        assert!(first.request().is_ok() && first.request().is_ok());
        assert_eq!(
            first.request().expect_err("third").limit,
            Limit::HttpRequests
        );
        assert!(first.send(10, at(100)).is_ok());
        assert_eq!(
            first.send(1, at(100)).expect_err("over").limit,
            Limit::HttpSent
        );
        let second = Allowance::new(&limits, quota);
        assert_eq!(
            second.send(6, at(159)).expect_err("over").limit,
            Limit::HttpMinute
        );
        assert!(second.receive(6, at(160)).is_ok(), "another minute");
        assert!(second.receive(6, at(1)).is_ok(), "the clock was set back");
    }
}
