//! Values and attributes: `opentelemetry.proto.common.v1.AnyValue` and
//! `KeyValue`, read in place.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::formats::limits::clip;
use crate::formats::wire::{Fields, Unreadable};

/// How deep lists and maps may be nested, in levels.
const NESTING_LEVELS_MAX: usize = 32;

/// A value; lists and maps are read when they are written out.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum AnyValue<'a> {
    Empty,
    Text(Cow<'a, str>),
    Bool(bool),
    Int(i64),
    Double(f64),
    List(&'a [u8]),
    Map(&'a [u8]),
    Bytes(&'a [u8]),
}

/// An attribute.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Attribute<'a> {
    pub(super) key: Cow<'a, str>,
    pub(super) value: AnyValue<'a>,
}

impl<'a> Attribute<'a> {
    /// Reads a `KeyValue`.
    pub(super) fn read(key_value: &'a [u8]) -> Result<Self, Unreadable> {
        let (mut key, mut value) = (Cow::Borrowed(""), AnyValue::Empty);
        for field in Fields::of(key_value) {
            let field = field?;
            match field.number {
                1 => key = field.text()?,
                2 => value = AnyValue::read(field.bytes()?)?,
                _ => {}
            }
        }
        Ok(Self { key, value })
    }
}

impl<'a> AnyValue<'a> {
    /// Reads an `AnyValue`; of several, the last one counts.
    pub(super) fn read(any_value: &'a [u8]) -> Result<Self, Unreadable> {
        let mut value = AnyValue::Empty;
        for field in Fields::of(any_value) {
            let field = field?;
            value = match field.number {
                1 => AnyValue::Text(field.text()?),
                2 => AnyValue::Bool(field.varint()? != 0),
                3 => AnyValue::Int(field.varint()?.cast_signed()),
                4 => AnyValue::Double(field.double()?),
                5 => AnyValue::List(field.bytes()?),
                6 => AnyValue::Map(field.bytes()?),
                7 => AnyValue::Bytes(field.bytes()?),
                _ => continue,
            };
        }
        Ok(value)
    }

    /// As a text: a text is itself, a list or a map is JSON, bytes are Base64.
    /// Stops soon after `bytes_max` bytes.
    pub(super) fn into_text(self, bytes_max: usize) -> Result<Cow<'a, str>, Unreadable> {
        match self {
            AnyValue::Text(text) => Ok(text),
            AnyValue::Empty => Ok(Cow::Borrowed("")),
            AnyValue::Bytes(bytes) => Ok(Cow::Owned(base64(bytes, bytes_max))),
            other => {
                let mut json = JsonText::new(bytes_max);
                json.value(&other, 0)?;
                Ok(Cow::Owned(json.text))
            }
        }
    }
}

/// Attributes as a JSON object. Stops soon after `bytes_max` bytes.
pub(super) fn attributes_as_json<'a>(
    attributes: impl Iterator<Item = Result<&'a [u8], Unreadable>>,
    bytes_max: usize,
) -> Result<String, Unreadable> {
    let mut json = JsonText::new(bytes_max);
    json.map(attributes, 0)?;
    Ok(json.text)
}

/// The beginning of the bytes, in Base64 of at most about `bytes_max` bytes.
fn base64(bytes: &[u8], bytes_max: usize) -> String {
    let end = bytes.len().min(bytes_max);
    data_encoding::BASE64.encode(&bytes[..end])
}

/// JSON that is written until it is long enough; the caller cuts it.
struct JsonText {
    text: String,
    bytes_max: usize,
}

impl JsonText {
    fn new(bytes_max: usize) -> Self {
        Self {
            text: String::new(),
            bytes_max,
        }
    }

    fn is_full(&self) -> bool {
        self.text.len() > self.bytes_max
    }

    fn value(&mut self, value: &AnyValue<'_>, level: usize) -> Result<(), Unreadable> {
        if level > NESTING_LEVELS_MAX {
            return Err(Unreadable::malformed(format!(
                "a value is nested more than {NESTING_LEVELS_MAX} levels deep"
            )));
        }
        match value {
            AnyValue::Empty => self.text.push_str("null"),
            AnyValue::Text(text) => self.string(text),
            AnyValue::Bool(value) => self.display(value),
            AnyValue::Int(value) => self.display(value),
            AnyValue::Double(value) if value.is_finite() => self.display(value),
            AnyValue::Double(value) => self.string(&value.to_string()),
            AnyValue::Bytes(bytes) => self.string(&base64(bytes, self.bytes_max)),
            AnyValue::List(list) => self.list(list, level)?,
            AnyValue::Map(map) => {
                let pairs = crate::formats::wire::repeated(map, 1);
                self.map(pairs, level)?;
            }
        }
        Ok(())
    }

    fn list(&mut self, list: &[u8], level: usize) -> Result<(), Unreadable> {
        self.text.push('[');
        for (index, item) in crate::formats::wire::repeated(list, 1).enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            self.value(&AnyValue::read(item?)?, level + 1)?;
            if self.is_full() {
                return Ok(());
            }
        }
        self.text.push(']');
        Ok(())
    }

    fn map<'a>(
        &mut self,
        pairs: impl Iterator<Item = Result<&'a [u8], Unreadable>>,
        level: usize,
    ) -> Result<(), Unreadable> {
        self.text.push('{');
        for (index, pair) in pairs.enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            let pair = Attribute::read(pair?)?;
            self.string(&pair.key);
            self.text.push(':');
            self.value(&pair.value, level + 1)?;
            if self.is_full() {
                return Ok(());
            }
        }
        self.text.push('}');
        Ok(())
    }

    fn display(&mut self, value: &impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{value}");
    }

    fn string(&mut self, text: &str) {
        let text = clip(text, self.bytes_max);
        match serde_json::to_string(text) {
            Ok(json) => self.text.push_str(&json),
            // Texts can always be written; if not, better none than half.
            Err(_) => self.text.push_str("\"\""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::wire::write;

    fn nested(levels: usize) -> Vec<u8> {
        let mut value = Vec::new();
        write::bytes(&mut value, 1, b"deep");
        for _ in 0..levels {
            let (mut list, mut outer) = (Vec::new(), Vec::new());
            write::bytes(&mut list, 1, &value);
            write::bytes(&mut outer, 5, &list);
            value = outer;
        }
        value
    }

    #[test]
    fn nesting_is_bounded() {
        let text = |levels: usize| {
            let bytes = nested(levels);
            AnyValue::read(&bytes)?
                .into_text(1_000)
                .map(Cow::into_owned)
        };
        assert_eq!(text(2).as_deref(), Ok(r#"[["deep"]]"#));
        assert!(text(NESTING_LEVELS_MAX).is_ok());
        assert!(text(NESTING_LEVELS_MAX + 1).is_err());
        assert!(text(10_000).is_err());
    }

    #[test]
    fn texts_are_written_until_they_are_long_enough() {
        let mut list = Vec::new();
        for _ in 0..10_000 {
            write::bytes(&mut list, 1, &nested(0));
        }
        let text = AnyValue::List(&list).into_text(100).expect("a text");
        assert!((100..200).contains(&text.len()), "{}", text.len());
    }
}
