//! Event time: microseconds since the Unix epoch, UTC.
//!
//! There is no clock here. Time comes in with the data.

use chrono::{DateTime, Utc};

use crate::text::clip;
use crate::{Fault, Timestamp};

/// The most that is quoted of a text that is no time.
const QUOTED_CHARACTERS_MAX: usize = 40;

/// The microseconds of a millisecond.
pub const MILLISECOND: Timestamp = 1_000;
/// The microseconds of a second.
pub const SECOND: Timestamp = 1_000_000;
/// The microseconds of a minute.
pub const MINUTE: Timestamp = 60 * SECOND;
/// The microseconds of an hour.
pub const HOUR: Timestamp = 60 * MINUTE;
/// The microseconds of a day.
pub const DAY: Timestamp = 24 * HOUR;

/// The latest time there is, in the year 2255: 2^53 - 1 microseconds, since
/// some languages hold them as floating point numbers.
pub const TIMESTAMP_MAX: Timestamp = (1 << 53) - 1;

/// Reads `2026-03-01T12:00:00.123+01:00` (RFC 3339, section 5.6); what is finer
/// than a microsecond is cut off.
///
/// # Errors
/// `malformed`, if the text is no such time, or one before 1970 or after 2255.
pub fn rfc3339(text: &str) -> Result<Timestamp, Fault> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|error| {
        Fault::malformed(format!(
            "`{}` is not a time of RFC 3339, as `2026-03-01T12:00:00Z` is: {error}",
            clip(text, QUOTED_CHARACTERS_MAX)
        ))
    })?;
    from_micros(time.timestamp_micros()).ok_or_else(|| {
        Fault::malformed(format!(
            "`{}` does not lie between 1970 and 2255",
            clip(text, QUOTED_CHARACTERS_MAX)
        ))
    })
}

/// Writes a time as RFC 3339 does, in UTC, with as many decimals as it needs.
pub fn to_rfc3339(time: Timestamp) -> String {
    i64::try_from(time)
        .ok()
        .and_then(DateTime::<Utc>::from_timestamp_micros)
        .map_or_else(
            || format!("{time} µs"),
            |time| time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
        )
}

/// A time that is within what a [`Timestamp`] may be.
pub fn from_micros(micros: i64) -> Option<Timestamp> {
    u64::try_from(micros)
        .ok()
        .filter(|micros| *micros <= TIMESTAMP_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times_of_many_spellings() {
        let noon = 1_772_366_400 * SECOND;
        for (text, expected) in [
            ("2026-03-01T12:00:00Z", noon),
            ("2026-03-01T13:00:00+01:00", noon),
            ("2026-03-01T12:00:00.000001Z", noon + 1),
            ("2026-03-01T12:00:00.123456789Z", noon + 123_456),
            ("1970-01-01T00:00:00Z", 0),
        ] {
            assert_eq!(rfc3339(text), Ok(expected), "{text}");
        }
        assert_eq!(to_rfc3339(noon), "2026-03-01T12:00:00Z");
        assert_eq!(to_rfc3339(noon + 1), "2026-03-01T12:00:00.000001Z");
        assert_eq!(
            to_rfc3339(noon + 500 * MILLISECOND),
            "2026-03-01T12:00:00.500Z"
        );
    }

    #[test]
    fn refuses_what_is_not_a_time() {
        for text in [
            "",
            "yesterday",
            "2026-03-01",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "2026-13-01T12:00:00Z",
        ] {
            assert!(rfc3339(text).is_err(), "{text}");
        }
    }
}
