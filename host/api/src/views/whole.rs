//! Whole numbers, as JSON has them.
//!
//! JSON knows one sort of number, and to JSON Schema all that have no fraction
//! are integers: `60.0` and `6e1` are sixty, and some writers know no other way
//! to say it. What is derived for integers would refuse them.

use std::fmt;

use serde::Deserializer;
use serde::de::{Error, Unexpected, Visitor};

/// For fields that can be left out or null: up to what a signed number holds,
/// which is what is described.
pub(crate) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    deserializer.deserialize_option(OrNull)
}

/// For fields of sixteen bits.
pub(crate) fn whole_16<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let number = deserializer.deserialize_u64(Whole {
        most: u16::MAX.into(),
    })?;
    u16::try_from(number).map_err(D::Error::custom)
}

struct OrNull;

impl<'de> Visitor<'de> for OrNull {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, or null")
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let most = i64::MAX.unsigned_abs();
        deserializer.deserialize_u64(Whole { most }).map(Some)
    }
}

/// 2^63: what is whole and below it is a number of 64 bits.
const BOUND: f64 = 9_223_372_036_854_775_808.0;

/// A whole number up to this.
struct Whole {
    most: u64,
}

impl Visitor<'_> for Whole {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from 0 to {}", self.most)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
        if number > self.most {
            return Err(E::invalid_value(Unexpected::Unsigned(number), &self));
        }
        Ok(number)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<u64, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<u64, E> {
        if number.fract() != 0.0 || !(0.0..BOUND).contains(&number) {
            return Err(E::invalid_value(Unexpected::Float(number), &self));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is whole, not negative, and below 2^63"
        )]
        let number = number as u64;
        self.visit_u64(number)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Fields {
        #[serde(deserialize_with = "whole")]
        large: Option<u64>,
        #[serde(deserialize_with = "whole_16")]
        small: u16,
    }

    fn read(text: &str) -> Result<(Option<u64>, u16), String> {
        let read: Result<Fields, _> = serde_json::from_str(text);
        read.map(|fields| (fields.large, fields.small))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_number_without_a_fraction_is_whole_however_it_is_written() {
        for (text, large, small) in [
            ("{}", None, 0),
            (r#"{"large": null}"#, None, 0),
            (r#"{"large": 60, "small": 7}"#, Some(60), 7),
            (r#"{"large": 60.0, "small": 7.0}"#, Some(60), 7),
            (r#"{"large": 6e1, "small": 65535.0}"#, Some(60), 65_535),
            (r#"{"large": 9223372036854775807}"#, Some((1 << 63) - 1), 0),
        ] {
            assert_eq!(read(text), Ok((large, small)), "{text}");
        }
    }

    #[test]
    fn what_is_not_whole_or_out_of_bounds_is_refused_with_the_bounds() {
        for (text, says) in [
            (r#"{"large": 1.5}"#, "from 0 to 9223372036854775807"),
            (r#"{"large": -1}"#, "from 0 to 9223372036854775807"),
            (r#"{"large": -1.0}"#, "from 0 to 9223372036854775807"),
            (r#"{"large": 1e30}"#, "from 0 to 9223372036854775807"),
            (r#"{"large": 9223372036854775808}"#, "from 0 to"),
            (r#"{"large": 9223372036854775808.0}"#, "from 0 to"),
            (r#"{"large": "60"}"#, "a whole number"),
            (r#"{"small": 65536}"#, "from 0 to 65535"),
            (r#"{"small": 65536.0}"#, "from 0 to 65535"),
            (r#"{"small": null}"#, "from 0 to 65535"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
