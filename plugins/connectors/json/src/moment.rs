//! Times, in the many ways in which senders write them.

use std::fmt;

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, FixedOffset, NaiveDateTime};
use faultline_sdk::text::clip;
use faultline_sdk::{Fault, Timestamp, time};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::{Deserialize, Deserializer, de};

use crate::path::Scope;
use crate::text::Text;

/// Go's `time.Time{}`, which programs in Go write for "no time".
const GO_ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// The most that is quoted of a text that is no time.
const QUOTED_CHARACTERS_MAX: usize = 40;

/// A time that is read from each item.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moment {
    value: Text,
    format: Format,
}

#[derive(Debug, Clone, PartialEq)]
enum Format {
    /// A number is an epoch whose unit follows from its size; anything else is
    /// RFC 3339.
    Auto,
    Rfc3339,
    /// So many microseconds are one unit, or so many units one microsecond.
    Epoch(Unit),
    /// In the notation of `strftime`, with the offset for texts without one.
    Strftime {
        format: String,
        offset: FixedOffset,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl Moment {
    /// The time of an item; none if it is missing, or zero in one of the ways
    /// in which programs write "no time".
    pub(crate) fn of(&self, scope: &Scope<'_>) -> Result<Option<Timestamp>, Fault> {
        let Some(text) = self.value.of(scope) else {
            return Ok(None);
        };
        let text = text.trim();
        let is_zero = text.parse::<f64>().is_ok_and(|number| number == 0.0);
        if text.is_empty() || is_zero || text == GO_ZERO_TIME {
            return Ok(None);
        }
        self.format.read(text).map(Some)
    }
}

impl Format {
    fn read(&self, text: &str) -> Result<Timestamp, Fault> {
        match self {
            Format::Auto => match text.parse::<f64>() {
                Ok(number) => epoch(text, Unit::of_magnitude(number.abs())),
                Err(_) => time::rfc3339(text),
            },
            Format::Rfc3339 => time::rfc3339(text),
            Format::Epoch(unit) => epoch(text, *unit),
            Format::Strftime { format, offset } => {
                let micros = DateTime::parse_from_str(text, format)
                    .map(|time| time.timestamp_micros())
                    .or_else(|_| {
                        let local = NaiveDateTime::parse_from_str(text, format)?;
                        let utc = local.and_utc().timestamp_micros();
                        Ok(utc - i64::from(offset.local_minus_utc()) * 1_000_000)
                    })
                    .map_err(|error: chrono::ParseError| {
                        bad(text, &format!("is not of the format `{format}` ({error})"))
                    })?;
                time::from_micros(micros)
                    .ok_or_else(|| bad(text, "does not lie between 1970 and 2255"))
            }
        }
    }
}

impl Unit {
    /// Seconds up to the year 5138, milliseconds up to the year 5138, and so
    /// on: a number of one unit is taken for another only for times close to
    /// 1970.
    fn of_magnitude(number: f64) -> Self {
        if number < 1e11 {
            Unit::Seconds
        } else if number < 1e14 {
            Unit::Milliseconds
        } else if number < 1e17 {
            Unit::Microseconds
        } else {
            Unit::Nanoseconds
        }
    }

    fn microseconds(self) -> f64 {
        match self {
            Unit::Seconds => 1e6,
            Unit::Milliseconds => 1e3,
            Unit::Microseconds => 1.0,
            Unit::Nanoseconds => 1e-3,
        }
    }
}

/// A whole number is computed with as such, for nanoseconds exceed what a
/// floating point number holds exactly.
fn epoch(text: &str, unit: Unit) -> Result<Timestamp, Fault> {
    let whole = text.parse::<i64>().ok().and_then(|number| match unit {
        Unit::Seconds => number.checked_mul(1_000_000),
        Unit::Milliseconds => number.checked_mul(1_000),
        Unit::Microseconds => Some(number),
        Unit::Nanoseconds => Some(number / 1_000),
    });
    let micros = match whole {
        Some(micros) => Some(micros),
        None => text
            .parse::<f64>()
            .map_err(|_| bad(text, "is not a number"))
            .map(|number| whole_number(number * unit.microseconds()))?,
    };
    micros
        .and_then(time::from_micros)
        .ok_or_else(|| bad(text, "does not lie between 1970 and 2255"))
}

fn whole_number(number: f64) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is within the bounds of a timestamp is exact in both"
    )]
    (0.0..9e15).contains(&number).then(|| number.round() as i64)
}

fn bad(text: &str, what: &str) -> Fault {
    Fault::malformed(format!(
        "the time `{}` {what}",
        clip(text, QUOTED_CHARACTERS_MAX)
    ))
}

/// The long form.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Fields {
    value: Text,
    #[serde(default = "Fields::format_default")]
    format: String,
    #[serde(default = "Fields::offset_default")]
    utc_offset: String,
}

impl Fields {
    fn format_default() -> String {
        "auto".to_owned()
    }

    fn offset_default() -> String {
        "+00:00".to_owned()
    }
}

impl TryFrom<Fields> for Moment {
    type Error = String;
    fn try_from(fields: Fields) -> Result<Self, String> {
        let offset: FixedOffset = fields.utc_offset.parse().map_err(|_| {
            format!(
                "`utc-offset`: `{}` is not an offset such as `+02:00`",
                fields.utc_offset
            )
        })?;
        let format = match fields.format.as_str() {
            "auto" => Format::Auto,
            "rfc3339" => Format::Rfc3339,
            "epoch-s" => Format::Epoch(Unit::Seconds),
            "epoch-ms" => Format::Epoch(Unit::Milliseconds),
            "epoch-us" => Format::Epoch(Unit::Microseconds),
            "epoch-ns" => Format::Epoch(Unit::Nanoseconds),
            format if is_strftime(format) => Format::Strftime {
                format: format.to_owned(),
                offset,
            },
            other => {
                return Err(format!(
                    "`format`: `{other}` is none of auto, rfc3339, epoch-s, epoch-ms, epoch-us, \
                     epoch-ns, nor a format such as `%Y-%m-%d %H:%M:%S`"
                ));
            }
        };
        Ok(Self {
            value: fields.value,
            format,
        })
    }
}

fn is_strftime(format: &str) -> bool {
    format.contains('%') && !StrftimeItems::new(format).any(|item| matches!(item, Item::Error))
}

struct MomentVisitor;

impl<'de> de::Visitor<'de> for MomentVisitor {
    type Value = Moment;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a template, a list of templates, or an object with `value` and `format`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Moment, E> {
        Text::deserialize(de::value::StrDeserializer::new(text)).map(Moment::auto)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, items: A) -> Result<Moment, A::Error> {
        Text::deserialize(SeqAccessDeserializer::new(items)).map(Moment::auto)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, members: A) -> Result<Moment, A::Error> {
        let fields = Fields::deserialize(MapAccessDeserializer::new(members))?;
        Moment::try_from(fields).map_err(de::Error::custom)
    }
}

impl Moment {
    fn auto(value: Text) -> Self {
        Self {
            value,
            format: Format::Auto,
        }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MomentVisitor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOON: Timestamp = 1_772_366_400 * time::SECOND;

    fn read(moment: Value, text: &Value) -> Result<Option<Timestamp>, Fault> {
        let item = json!({ "t": text });
        let scope = Scope {
            item: &item,
            outer: &item,
            body: &item,
            headers: &Value::Null,
        };
        let moment: Moment = serde_json::from_value(moment).expect("a moment");
        moment.of(&scope)
    }

    #[test]
    fn guesses_what_can_be_guessed() {
        for (text, expected) in [
            (json!("2026-03-01T12:00:00Z"), NOON),
            (json!(1_772_366_400), NOON),
            (json!("1772366400"), NOON),
            (json!(1_772_366_400.25), NOON + 250_000),
            (json!(1_772_366_400_001_i64), NOON + 1_000),
            (json!(1_772_366_400_000_001_i64), NOON + 1),
            (json!(1_772_366_400_000_001_999_i64), NOON + 1),
        ] {
            assert_eq!(read(json!("{$.t}"), &text), Ok(Some(expected)), "{text}");
        }
    }

    #[test]
    fn zero_is_no_time() {
        for text in [
            json!(null),
            json!(""),
            json!(0),
            json!("0.0"),
            json!(GO_ZERO_TIME),
        ] {
            assert_eq!(read(json!("{$.t}"), &text), Ok(None), "{text}");
        }
    }

    #[test]
    fn reads_the_format_that_is_given() {
        let check = |format: &str, offset: &str, text: Value| {
            let moment = json!({"value": "{$.t}", "format": format, "utc-offset": offset});
            assert_eq!(read(moment, &text), Ok(Some(NOON)), "{format}");
        };
        check("rfc3339", "+00:00", json!("2026-03-01T13:00:00+01:00"));
        check("epoch-s", "+00:00", json!(1_772_366_400));
        check("epoch-ms", "+00:00", json!("1772366400000.0"));
        check("epoch-us", "+00:00", json!(NOON));
        check("epoch-ns", "+00:00", json!("1772366400000000000"));
        check(
            "%Y-%m-%d %H:%M:%S%.f",
            "+02:00",
            json!("2026-03-01 14:00:00.000"),
        );
        check(
            "%d/%b/%Y:%H:%M:%S %z",
            "+02:00",
            json!("01/Mar/2026:07:00:00 -0500"),
        );
    }

    #[test]
    fn refuses_what_is_no_time() {
        for (format, text) in [
            ("auto", json!("soon")),
            ("auto", json!("NaN")),
            ("auto", json!(-5)),
            ("auto", json!(1e300)),
            ("epoch-s", json!("2026-03-01T12:00:00Z")),
            ("epoch-s", json!(i64::MAX)),
            ("rfc3339", json!(1_772_366_400)),
            ("%Y-%m-%d", json!("2026-03-01")),
            ("%Y-%m-%d %H:%M", json!("1926-03-01 12:00")),
        ] {
            let moment = json!({"value": "{$.t}", "format": format});
            let fault = read(moment, &text).expect_err("no time");
            assert_eq!(fault.code, "malformed", "{format} {text}");
        }
    }

    #[test]
    fn bad_formats_are_refused() {
        for moment in [
            json!({"value": "{$.t}", "format": "iso"}),
            json!({"value": "{$.t}", "format": "%Q"}),
            json!({"value": "{$.t}", "utc-offset": "CET"}),
            json!(7),
        ] {
            assert!(
                serde_json::from_value::<Moment>(moment.clone()).is_err(),
                "{moment}"
            );
        }
    }
}
