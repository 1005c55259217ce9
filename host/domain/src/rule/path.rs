//! Paths, segment by segment.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::RuleError;

/// What is written as it is in a segment: RFC 3986's `pchar` but `*`, which
/// stands for a segment in a rule.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// The segments of a path after the first slash, each percent-decoded once.
pub(super) fn segments(path: &str) -> Vec<Vec<u8>> {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split('/')
        .map(|segment| percent_decode_str(segment).collect())
        .collect()
}

/// Whether every server takes it for one segment, and for the same. One that
/// decodes twice, takes a backslash for a slash or cuts off what comes after a
/// semicolon must not see another path than the one that was compared.
fn is_plain(segment: &[u8]) -> bool {
    let before_parameters = segment.split(|byte| *byte == b';').next();
    let encoded_again = segment.windows(3).any(|three| {
        three[0] == b'%' && three[1].is_ascii_hexdigit() && three[2].is_ascii_hexdigit()
    });
    !matches!(before_parameters, Some(b"." | b".."))
        && !encoded_again
        && !segment
            .iter()
            .any(|byte| matches!(byte, b'/' | b'\\' | 0..=0x1f | 0x7f))
        && std::str::from_utf8(segment).is_ok()
}

/// Which paths.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathPattern {
    segments: Vec<Segment>,
    /// Whether any rest may follow.
    rest: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Segment {
    /// This one, decoded.
    Is(Vec<u8>),
    /// Any that is plain and not empty.
    Any,
}

impl Segment {
    fn matches(&self, segment: &[u8]) -> bool {
        match self {
            Segment::Is(expected) => expected == segment,
            Segment::Any => !segment.is_empty() && is_plain(segment),
        }
    }

    fn includes(&self, other: &Self) -> bool {
        match other {
            Segment::Is(segment) => self.matches(segment),
            Segment::Any => matches!(self, Segment::Any),
        }
    }
}

impl PathPattern {
    /// Whether it allows this path, given as decoded segments.
    pub(super) fn matches(&self, segments: &[Vec<u8>]) -> bool {
        if segments.len() < self.segments.len() {
            return false;
        }
        let (fixed, rest) = segments.split_at(self.segments.len());
        let fits = self
            .segments
            .iter()
            .zip(fixed)
            .all(|(pattern, segment)| pattern.matches(segment));
        fits && (rest.is_empty() || self.rest) && rest.iter().all(|segment| is_plain(segment))
    }

    /// Whether it allows every path that the other allows.
    pub(super) fn includes(&self, other: &Self) -> bool {
        if other.segments.len() < self.segments.len() || (other.rest && !self.rest) {
            return false;
        }
        let (fixed, rest) = other.segments.split_at(self.segments.len());
        let fits = self
            .segments
            .iter()
            .zip(fixed)
            .all(|(pattern, segment)| pattern.includes(segment));
        fits && (rest.is_empty() || self.rest)
            && rest.iter().all(|segment| match segment {
                Segment::Is(segment) => is_plain(segment),
                Segment::Any => true,
            })
    }
}

impl FromStr for PathPattern {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains(['?', '#', '{', '}', '\\']) {
            return Err(RuleError(format!(
                "the path `{text}` has a character that does not belong into one: rules are about \
                 paths without query and fragment"
            )));
        }
        let (fixed, rest) = match text.strip_suffix("/**") {
            Some(fixed) => (fixed, true),
            None => (text, false),
        };
        let mut pattern = Self {
            segments: Vec::new(),
            rest,
        };
        if rest && fixed.is_empty() {
            return Ok(pattern);
        }
        for raw in fixed.strip_prefix('/').unwrap_or(fixed).split('/') {
            pattern.segments.push(parse_segment(raw)?);
        }
        Ok(pattern)
    }
}

fn parse_segment(raw: &str) -> Result<Segment, RuleError> {
    if raw == "*" {
        return Ok(Segment::Any);
    }
    if raw.contains('*') {
        return Err(RuleError(format!(
            "`{raw}`: `*` stands for a whole segment of the path, and `**` for the rest at its end"
        )));
    }
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            continue;
        }
        let is_hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
        if !is_hex(bytes.next()) || !is_hex(bytes.next()) {
            return Err(RuleError(format!(
                "`{raw}`: `%` is followed by two hexadecimal digits"
            )));
        }
    }
    let segment: Vec<u8> = percent_decode_str(raw).collect();
    if matches!(segment.as_slice(), b"." | b"..") {
        return Err(RuleError(
            "a path has no `.` and `..`: write where it leads".to_owned(),
        ));
    }
    Ok(Segment::Is(segment))
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Any => f.write_str("/*")?,
                Segment::Is(segment) => write!(f, "/{}", percent_encode(segment, SEGMENT))?,
            }
        }
        if self.rest {
            f.write_str("/**")
        } else {
            Ok(())
        }
    }
}
