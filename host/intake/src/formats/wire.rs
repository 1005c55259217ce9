//! Protocol Buffers, read in place: fields as they stand in the bytes, nothing
//! copied and nothing built.
//!
//! Why not a generated decoder: it builds a structure for every message, and an
//! empty message is two bytes on the wire and some hundred in memory. A payload
//! within its limit could so take a hundred times its size. Here memory is
//! taken by what is kept, which has limits of its own.
//!
//! Field numbers and wire types are those of the Protocol Buffers encoding
//! (<https://protobuf.dev/programming-guides/encoding/>). Groups, which proto3
//! does not have, are refused.

use std::borrow::Cow;

use faultline_domain::fault::Fault;

/// Why a payload cannot be read at all, and where.
///
/// In a box, for it travels beside every field that is read, and what is wide
/// is slow to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable(Box<Details>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Details {
    code: &'static str,
    /// From the outside in, joined with dots; empty at the top.
    place: String,
    what: String,
}

impl Unreadable {
    /// Bytes that do not have the shape that they should have.
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::over("malformed", what)
    }

    /// Well-formed, but more than `limit` allows. The code begins with
    /// `limit.`.
    pub(crate) fn over(limit: &'static str, what: impl Into<String>) -> Self {
        Self(Box::new(Details {
            code: limit,
            place: String::new(),
            what: what.into(),
        }))
    }

    fn within(mut self, field: &str, index: usize) -> Self {
        let inner = &self.0.place;
        let dot = if inner.is_empty() { "" } else { "." };
        self.0.place = format!("{field}[{index}]{dot}{inner}");
        self
    }
}

impl From<Unreadable> for Fault {
    fn from(unreadable: Unreadable) -> Self {
        let Details { code, place, what } = *unreadable.0;
        if place.is_empty() {
            Fault::never(code, what)
        } else {
            Fault::never(code, format!("{place}: {what}"))
        }
    }
}

/// Says where an error was, on its way out.
pub(crate) trait Within {
    /// It was in the item `index` of this field.
    #[must_use]
    fn within(self, field: &str, index: usize) -> Self;
}

impl<T> Within for Result<T, Unreadable> {
    fn within(self, field: &str, index: usize) -> Self {
        self.map_err(|unreadable| unreadable.within(field, index))
    }
}

/// What follows a field's number.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// One field of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Field<'a> {
    /// Its number in the schema.
    pub(crate) number: u32,
    value: Value<'a>,
}

impl<'a> Field<'a> {
    /// A nested message, or bytes.
    pub(crate) fn bytes(self) -> Result<&'a [u8], Unreadable> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.mismatch("bytes")),
        }
    }

    /// A text; what is not UTF-8 in it is replaced. The specification would
    /// have the whole payload refused, but senders in C++ and Go do send such
    /// texts, and a log line in Latin-1 is worth more than none.
    pub(crate) fn text(self) -> Result<Cow<'a, str>, Unreadable> {
        self.bytes().map(String::from_utf8_lossy)
    }

    /// An integer, an enumeration or a Boolean.
    pub(crate) fn varint(self) -> Result<u64, Unreadable> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => Err(self.mismatch("an integer")),
        }
    }

    /// Eight bytes that are an unsigned integer.
    pub(crate) fn fixed64(self) -> Result<u64, Unreadable> {
        match self.value {
            Value::Fixed64(bits) => Ok(bits),
            _ => Err(self.mismatch("a 64-bit number")),
        }
    }

    /// Eight bytes that are a floating point number.
    pub(crate) fn double(self) -> Result<f64, Unreadable> {
        self.fixed64().map(f64::from_bits)
    }

    fn mismatch(self, expected: &str) -> Unreadable {
        let got = match self.value {
            Value::Varint(_) => "an integer",
            Value::Fixed64(_) => "a 64-bit number",
            Value::Bytes(_) => "bytes",
            Value::Fixed32(_) => "a 32-bit number",
        };
        Unreadable::malformed(format!(
            "field {} should be {expected}, and is {got}",
            self.number
        ))
    }
}

/// The fields of a message, in the order in which they stand. Ends after the
/// first error.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Of these bytes.
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Unreadable> {
        // Nearly all keys and lengths have one byte.
        if let [first, rest @ ..] = self.rest
            && *first < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(*first));
        }
        self.varint_long()
    }

    fn varint_long(&mut self) -> Result<u64, Unreadable> {
        let mut value = 0_u64;
        for (index, byte) in self.rest.iter().take(10).enumerate() {
            // The tenth byte has room for one bit.
            if index == 9 && *byte > 1 {
                return Err(Unreadable::malformed("an integer of more than 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(Unreadable::malformed("the payload ends within an integer"))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Unreadable> {
        let split = usize::try_from(length)
            .ok()
            .and_then(|length| self.rest.split_at_checked(length));
        let Some((taken, rest)) = split else {
            return Err(Unreadable::malformed(format!(
                "a field of {length} bytes where {} are left",
                self.rest.len()
            )));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(Unreadable::malformed(format!(
                "a field of {N} bytes where {} are left",
                self.rest.len()
            )));
        };
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    fn field(&mut self) -> Result<Field<'a>, Unreadable> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3)
            .ok()
            .filter(|number| (1..1 << 29).contains(number))
            .ok_or_else(|| Unreadable::malformed(format!("{} is not a field number", key >> 3)))?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            other => {
                return Err(Unreadable::malformed(format!(
                    "field {number} is of wire type {other}, which is not one of proto3"
                )));
            }
        };
        Ok(Field { number, value })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Unreadable>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// The nested messages in the field of this number; others are passed over.
pub(crate) fn repeated(
    message: &[u8],
    number: u32,
) -> impl Iterator<Item = Result<&[u8], Unreadable>> {
    Fields::of(message).filter_map(move |field| match field {
        Ok(field) if field.number == number => Some(field.bytes()),
        Ok(_) => None,
        Err(unreadable) => Some(Err(unreadable)),
    })
}

/// Writing, for what is answered and for what is carried over from JSON.
pub(crate) mod write {
    /// An integer in base 128.
    pub(crate) fn varint(out: &mut Vec<u8>, mut value: u64) {
        loop {
            let [bits, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                return out.push(bits & 0x7f);
            }
            out.push(bits | 0x80);
        }
    }

    /// The key of a field, before its value.
    pub(crate) fn key(out: &mut Vec<u8>, number: u32, wire_type: u64) {
        varint(out, u64::from(number) << 3 | wire_type);
    }

    /// An integer, an enumeration or a Boolean.
    pub(crate) fn integer(out: &mut Vec<u8>, number: u32, value: u64) {
        key(out, number, 0);
        varint(out, value);
    }

    /// Eight bytes.
    pub(crate) fn fixed64(out: &mut Vec<u8>, number: u32, bits: u64) {
        key(out, number, 1);
        out.extend_from_slice(&bits.to_le_bytes());
    }

    /// Text, bytes, or a message that is complete.
    pub(crate) fn bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
        key(out, number, 2);
        varint(out, bytes.len() as u64);
        out.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Field<'_>>, Unreadable> {
        Fields::of(bytes).collect()
    }

    fn refused(bytes: &[u8], because: &str) {
        let fault = Fault::from(read(bytes).expect_err("unreadable"));
        assert!(fault.message.contains(because), "{fault}");
    }

    #[test]
    fn reads_what_is_written() {
        let mut message = Vec::new();
        write::integer(&mut message, 1, u64::MAX);
        write::fixed64(&mut message, 15, 1.5_f64.to_bits());
        write::bytes(&mut message, 16, b"text");
        message.extend([5 << 3 | 5, 1, 0, 0, 0]);
        let fields = read(&message).expect("fields");
        assert_eq!(fields[0].varint(), Ok(u64::MAX));
        assert_eq!(fields[1].double(), Ok(1.5));
        assert_eq!(fields[2].text().as_deref(), Ok("text"));
        assert_eq!(fields[3].value, Value::Fixed32(1));
        assert_eq!(
            fields.iter().map(|field| field.number).collect::<Vec<_>>(),
            [1, 15, 16, 5]
        );
    }

    #[test]
    fn refuses_what_is_cut_off_or_is_no_proto3() {
        refused(&[0x08], "ends within an integer");
        refused(&[0x08, 0x80], "ends within an integer");
        refused(
            &[
                0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,
            ],
            "64 bits",
        );
        refused(&[0x09, 1, 2], "8 bytes where 2 are left");
        refused(&[0x0a, 5, 1], "5 bytes where 1 are left");
        refused(&[0x00, 1], "not a field number");
        refused(&[0x0b], "wire type 3");
        let mut huge = vec![0x0a];
        write::varint(&mut huge, u64::MAX);
        refused(&huge, "are left");
    }

    #[test]
    fn says_where_it_was() {
        let error: Result<(), _> = Err(Unreadable::malformed("no"));
        let fault = Fault::from(error.within("inner", 2).within("outer", 0).expect_err("no"));
        assert_eq!(fault.message, "outer[0].inner[2]: no");
    }

    proptest! {
        #[test]
        fn ends_whatever_the_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let fields = Fields::of(&bytes).count();
            prop_assert!(fields <= bytes.len());
        }

        #[test]
        fn integers_read_back(value in any::<u64>(), number in 1_u32..1 << 29) {
            let mut message = Vec::new();
            write::integer(&mut message, number, value);
            let fields = read(&message).expect("fields");
            prop_assert_eq!(fields, vec![Field { number, value: Value::Varint(value) }]);
        }
    }
}
