//! OTLP in JSON, carried over to protobuf while it is read, so that what it
//! means is written down once (OTLP specification, "JSON Protobuf Encoding").
//!
//! Nothing is built on the way: a message goes to the output as it comes in,
//! with five bytes left free for its length, which is known at its end. The
//! output is at most a few times the input, whatever the input is.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::schema::{Kind, Schema};
use crate::formats::refusal::at_path;
use crate::formats::wire::{Unreadable, write};

/// Bytes of a length, written as long as it can be for 32 bits: a longer
/// spelling of an integer is the same integer.
const LENGTH_BYTES: usize = 5;

/// The protobuf encoding of a JSON payload.
///
/// # Errors
/// If it is not JSON, or a field that is kept does not have the type that it
/// should have; says which field, and where.
pub(super) fn to_protobuf(json: &[u8], schema: &'static Schema) -> Result<Vec<u8>, Unreadable> {
    match convert(json, schema, Tracking::Off) {
        Ok(protobuf) => Ok(protobuf),
        // Keeping track of the path takes time; only who needs it pays for it.
        Err(_) => convert(json, schema, Tracking::On).map_err(Unreadable::malformed),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tracking {
    Off,
    On,
}

fn convert(json: &[u8], schema: &'static Schema, tracking: Tracking) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(json.len());
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let message = Fields {
        schema,
        out: &mut out,
    };
    match tracking {
        Tracking::Off => message
            .deserialize(&mut deserializer)
            .map_err(|error| error.to_string())?,
        Tracking::On => {
            let mut track = serde_path_to_error::Track::new();
            let tracked = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
            message
                .deserialize(tracked)
                .map_err(|error| at_path(&track.path(), error))?;
        }
    }
    deserializer.end().map_err(|error| error.to_string())?;
    Ok(out)
}

/// Writes the fields of an object.
struct Fields<'o> {
    schema: &'static Schema,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key_seed(FieldName(self.schema))? {
            match field {
                Some((number, kind)) => map.next_value_seed(FieldValue {
                    number,
                    kind,
                    out: self.out,
                })?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Finds a field by its name; none if it is passed over.
struct FieldName(&'static Schema);

impl<'de> DeserializeSeed<'de> for FieldName {
    type Value = Option<(u32, Kind)>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for FieldName {
    type Value = Option<(u32, Kind)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        let Schema(fields) = self.0;
        Ok(fields
            .iter()
            .find(|(known, _, _)| *known == name)
            .map(|(_, number, kind)| (*number, *kind)))
    }
}

/// Writes one field. `null` is a field that is not there.
struct FieldValue<'o> {
    number: u32,
    kind: Kind,
    out: &'o mut Vec<u8>,
}

impl FieldValue<'_> {
    fn expected(&self) -> &'static str {
        match self.kind {
            Kind::Message(_) => "an object",
            Kind::Messages(_) => "a list of objects",
            Kind::Text => "a string",
            Kind::Hex => "a string of hexadecimal digits",
            Kind::Base64 => "a string in Base64",
            Kind::Bool => "true or false",
            Kind::Fixed64 => "an integer that is not negative, or a string with one",
            Kind::Integer | Kind::SignedFixed64 => "an integer, or a string with one",
            Kind::Double => "a number, or a string with one",
        }
    }

    fn integer<E: Error>(self, value: i128) -> Result<(), E> {
        let bits = match self.kind {
            Kind::Fixed64 => u64::try_from(value).ok(),
            Kind::SignedFixed64 => i64::try_from(value).ok().map(i64::cast_unsigned),
            // Enumerations, flags and `intValue`: as 64 bits, of whatever sign.
            _ => i64::try_from(value)
                .ok()
                .map(i64::cast_unsigned)
                .or_else(|| u64::try_from(value).ok()),
        };
        let Some(bits) = bits else {
            return Err(E::custom(format_args!(
                "{value} is not {}",
                self.expected()
            )));
        };
        match self.kind {
            Kind::Integer => write::integer(self.out, self.number, bits),
            _ => write::fixed64(self.out, self.number, bits),
        }
        Ok(())
    }

    fn double(self, value: f64) {
        write::fixed64(self.out, self.number, value.to_bits());
    }

    fn is_integer(&self) -> bool {
        matches!(
            self.kind,
            Kind::Integer | Kind::Fixed64 | Kind::SignedFixed64
        )
    }

    /// A message, whose fields `write_fields` writes.
    fn message<E>(
        number: u32,
        out: &mut Vec<u8>,
        write_fields: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E>
    where
        E: Error,
    {
        write::key(out, number, 2);
        let length_at = out.len();
        out.extend_from_slice(&[0; LENGTH_BYTES]);
        write_fields(out)?;
        let length = out.len() - length_at - LENGTH_BYTES;
        let Ok(length) = u32::try_from(length) else {
            return Err(E::custom("a message of more than 4 GiB"));
        };
        for (index, byte) in out[length_at..length_at + LENGTH_BYTES]
            .iter_mut()
            .enumerate()
        {
            let [bits, ..] = (length >> (7 * index)).to_le_bytes();
            let goes_on = if index + 1 < LENGTH_BYTES { 0x80 } else { 0 };
            *byte = bits & 0x7f | goes_on;
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for FieldValue<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FieldValue<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        if !matches!(self.kind, Kind::Bool) {
            return Err(E::invalid_type(serde::de::Unexpected::Bool(value), &self));
        }
        write::integer(self.out, self.number, u64::from(value));
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        match self.kind {
            #[expect(clippy::cast_precision_loss, reason = "the field is a double")]
            Kind::Double => {
                self.double(value as f64);
                Ok(())
            }
            _ if self.is_integer() => self.integer(i128::from(value)),
            _ => Err(E::invalid_type(
                serde::de::Unexpected::Unsigned(value),
                &self,
            )),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        match self.kind {
            #[expect(clippy::cast_precision_loss, reason = "the field is a double")]
            Kind::Double => {
                self.double(value as f64);
                Ok(())
            }
            _ if self.is_integer() => self.integer(i128::from(value)),
            _ => Err(E::invalid_type(serde::de::Unexpected::Signed(value), &self)),
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        match self.kind {
            Kind::Double => {
                self.double(value);
                Ok(())
            }
            // The mapping allows `1.0` and `1e3` for integers.
            #[expect(clippy::cast_possible_truncation, reason = "checked to be whole")]
            _ if self.is_integer() && value.fract() == 0.0 && value.abs() < 1e19 => {
                self.integer(value as i128)
            }
            _ => Err(E::invalid_type(serde::de::Unexpected::Float(value), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let invalid =
            |seed: &Self| E::invalid_value(serde::de::Unexpected::Str(text), &seed.expected());
        match self.kind {
            Kind::Text => write::bytes(self.out, self.number, text.as_bytes()),
            Kind::Hex => {
                let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes());
                let bytes = bytes.map_err(|_| invalid(&self))?;
                write::bytes(self.out, self.number, &bytes);
            }
            Kind::Base64 => {
                let bytes = base64(text).ok_or_else(|| invalid(&self))?;
                write::bytes(self.out, self.number, &bytes);
            }
            Kind::Double => {
                let value = double(text).ok_or_else(|| invalid(&self))?;
                self.double(value);
            }
            _ if self.is_integer() => {
                let value = text.parse::<i128>().map_err(|_| invalid(&self))?;
                return self.integer(value);
            }
            _ => return Err(E::invalid_type(serde::de::Unexpected::Str(text), &self)),
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Kind::Message(schema) = self.kind else {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self));
        };
        Self::message(self.number, self.out, |out| {
            Fields { schema, out }.visit_map(map)
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Kind::Messages(schema) = self.kind else {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self));
        };
        while seq
            .next_element_seed(Item {
                number: self.number,
                schema,
                out: self.out,
            })?
            .is_some()
        {}
        Ok(())
    }
}

/// Writes one object of a list.
struct Item<'o> {
    number: u32,
    schema: &'static Schema,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Item<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Item {
            number,
            schema,
            out,
        } = self;
        FieldValue::message(number, out, |out| {
            Fields { schema, out }.deserialize(deserializer)
        })
    }
}

fn double(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        // `parse` also knows `inf` and `nan`, which the mapping does not.
        digits if digits.ends_with(|c: char| c.is_ascii_digit() || c == '.') => digits.parse().ok(),
        _ => None,
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    data_encoding::BASE64_NOPAD
        .decode(text)
        .or_else(|_| data_encoding::BASE64URL_NOPAD.decode(text))
        .ok()
}
