//! Points in time, as data. Nothing here reads a clock.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Microseconds since the Unix epoch, UTC: the one unit of time in Faultline.
///
/// Kept within 2^53, since some guest languages hold integers as floating
/// point numbers; [`Timestamp::from_micros`] clamps.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The epoch; also "no time" in comparisons, as everything comes after it.
    pub const ZERO: Timestamp = Timestamp(0);
    /// 2^53 - 1: in the year 2255.
    pub const MAX: Timestamp = Timestamp((1 << 53) - 1);

    /// From microseconds; what exceeds [`Timestamp::MAX`] becomes it.
    pub const fn from_micros(micros: u64) -> Self {
        if micros > Self::MAX.0 {
            Self::MAX
        } else {
            Self(micros)
        }
    }

    /// From milliseconds, as Prometheus counts.
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_micros(millis.saturating_mul(1_000))
    }

    /// From whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self::from_micros(secs.saturating_mul(1_000_000))
    }

    /// From nanoseconds, as OpenTelemetry counts; the rest is cut off.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self::from_micros(nanos / 1_000)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// For columns of signed 64-bit integers; cannot overflow below 2^53.
    pub const fn as_i64(self) -> i64 {
        self.0.cast_signed()
    }

    /// From a database column; what is negative becomes [`Timestamp::ZERO`].
    pub const fn from_i64(micros: i64) -> Self {
        if micros < 0 {
            Self::ZERO
        } else {
            Self::from_micros(micros.cast_unsigned())
        }
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// This much later, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self::from_micros(self.0.saturating_add(micros(duration)))
    }

    /// This much earlier, at least [`Timestamp::ZERO`].
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }

    /// The start of the step that this falls into, counted from the epoch.
    #[must_use]
    pub fn floor(self, step: Duration) -> Self {
        let step = micros(step).max(1);
        Self(self.0 - self.0 % step)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// RFC 3339 in UTC, with microseconds only where there are any.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.0 / 86_400_000_000, self.0 % 86_400_000_000);
        let (year, month, day) = civil_from_days(days);
        let (secs, micros) = (rest / 1_000_000, rest % 1_000_000);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
            secs / 3_600,
            secs / 60 % 60,
            secs % 60
        )?;
        match micros {
            0 => {}
            m if m % 1_000 == 0 => write!(f, ".{:03}", m / 1_000)?,
            m => write!(f, ".{m:06}")?,
        }
        f.write_str("Z")
    }
}

/// Days since the epoch to a date of the proleptic Gregorian calendar, by
/// counting in eras of 400 years that begin on 1 March (Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms").
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_rfc_3339() {
        let show = |micros| Timestamp::from_micros(micros).to_string();
        assert_eq!(show(0), "1970-01-01T00:00:00Z");
        assert_eq!(show(951_782_400_000_000), "2000-02-29T00:00:00Z");
        assert_eq!(show(1_767_225_599_999_000), "2025-12-31T23:59:59.999Z");
        assert_eq!(show(1_767_225_600_000_001), "2026-01-01T00:00:00.000001Z");
    }

    #[test]
    fn stays_exact_for_guests_that_count_in_doubles() {
        let max = Timestamp::from_micros(u64::MAX);
        #[expect(clippy::cast_precision_loss, reason = "the point of the test")]
        let double = max.as_micros() as f64;
        assert_eq!(format!("{double}"), max.as_micros().to_string());
    }
}
