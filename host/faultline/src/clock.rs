//! The one place that reads the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use faultline_domain::time::Timestamp;

/// Now. Before 1970 it is 1970: nothing sensible can be done there, and
/// nothing should break.
pub(crate) fn now() -> Timestamp {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_micros(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX))
}
