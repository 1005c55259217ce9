//! From a line to the words that say what kind of line it is.
//!
//! One pass over the bytes. What varies from line to line of the same kind
//! (numbers, addresses, times, paths, identifiers, quoted text) becomes a
//! [`Kind::Variable`]; words stay, as hashes; marks such as `=` and `(` stay
//! as they are, for they hold a line's shape together. No regular expressions:
//! each would be a pass of its own, and what a variable looks like is told by
//! a few counts over its characters.

use serde::{Deserialize, Serialize};

use crate::hash::{mix, word_hash};

/// The most bytes of a line that are looked at.
pub(crate) const LINE_BYTES_MAX: usize = 4_096;
/// The most tokens of a line that are looked at.
pub(crate) const TOKENS_MAX: usize = 160;
/// The most bytes between two quotes that belong together.
const QUOTED_BYTES_MAX: usize = 256;

/// One part of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    /// What sort of part, and which.
    pub(crate) kind: Kind,
    /// Where it stands in the line.
    pub(crate) start: u32,
    /// Where it ends.
    pub(crate) end: u32,
}

/// What sort of part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// What varies.
    Variable,
    /// A word, by its hash.
    Word(u32),
    /// A word that ends in a digit or two, such as `eth0`, by the hash of it
    /// all and of what stands before the digits.
    Numbered(u32, u32),
    /// A mark.
    Mark(u8),
}

impl Kind {
    /// A number for the kind, the same for the same kind.
    fn code(self) -> u64 {
        match self {
            Kind::Variable => 0x100,
            Kind::Word(hash) | Kind::Numbered(hash, _) => u64::from(hash) | 0x200_0000_0000,
            Kind::Mark(mark) => u64::from(mark),
        }
    }

    /// Whether it is a word, and so may turn out to vary.
    pub(crate) fn is_word(self) -> bool {
        matches!(self, Kind::Word(_) | Kind::Numbered(..))
    }

    /// Whether it is a mark.
    pub(crate) fn is_mark(self) -> bool {
        matches!(self, Kind::Mark(_))
    }
}

/// Two hashes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hashes {
    /// Of all tokens.
    pub(crate) skeleton: u64,
    /// Of the marks and where they stand: lines of one kind have the same.
    pub(crate) shape: u64,
}

/// The hashes of a line's tokens.
pub(crate) fn hashes(tokens: &[Token]) -> Hashes {
    let count = tokens.len() as u64;
    let mut hashes = Hashes {
        skeleton: count,
        shape: count,
    };
    for token in tokens {
        hashes.skeleton = mix(hashes.skeleton, token.kind.code());
        hashes.shape = mix(hashes.shape, shape_code(token.kind));
    }
    hashes
}

/// As the shape of [`hashes`], of a template's tokens.
pub(crate) fn shape(kinds: &[Kind]) -> u64 {
    let count = kinds.len() as u64;
    kinds
        .iter()
        .fold(count, |hash, kind| mix(hash, shape_code(*kind)))
}

fn shape_code(kind: Kind) -> u64 {
    match kind {
        Kind::Mark(mark) => u64::from(mark),
        _ => 0,
    }
}

/// What a byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Class {
    /// Letters, `_`, and everything beyond ASCII.
    Letter,
    Digit,
    /// Spaces and control characters.
    Space,
    /// A token of its own.
    Mark,
    /// Part of a word if letters or digits stand around it.
    Joiner,
    Quote,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Letter; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        classes[byte as usize] = match byte {
            b'0'..=b'9' => Class::Digit,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Class::Letter,
            0..=b' ' | 127 => Class::Space,
            b'"' | b'\'' | b'`' => Class::Quote,
            b'=' | b',' | b';' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'<' | b'>' | b'|'
            | b':' => Class::Mark,
            _ => Class::Joiner,
        };
        byte += 1;
    }
    classes
};

fn class(byte: u8) -> Class {
    CLASSES[usize::from(byte)]
}

/// Splits a line into tokens, in place of what the list held before. What is
/// beyond the limits is not looked at.
pub(crate) fn scan(line: &[u8], tokens: &mut Vec<Token>) {
    tokens.clear();
    let line = &line[..line.len().min(LINE_BYTES_MAX)];
    let is_json = line.first() == Some(&b'{');
    let mut at = 0;
    while at < line.len() && tokens.len() < TOKENS_MAX {
        match class(line[at]) {
            Class::Space => at += 1,
            Class::Mark => {
                push_mark(tokens, line[at], at);
                at += 1;
            }
            Class::Quote => at = scan_quote(line, at, is_json, tokens),
            Class::Letter | Class::Digit | Class::Joiner => at = scan_word(line, at, tokens),
        }
    }
}

fn push_mark(tokens: &mut Vec<Token>, mark: u8, at: usize) {
    tokens.push(Token {
        kind: Kind::Mark(mark),
        start: offset(at),
        end: offset(at + 1),
    });
}

/// Quoted text varies, unless it is a key, or the line is all of quoted text.
fn scan_quote(line: &[u8], at: usize, is_json: bool, tokens: &mut Vec<Token>) -> usize {
    let quote = line[at];
    let rest = &line[at + 1..];
    let within = &rest[..rest.len().min(QUOTED_BYTES_MAX)];
    let length = within.iter().position(|byte| *byte == quote);
    let Some(length) = length.filter(|length| *length > 0 && !is_json) else {
        push_mark(tokens, quote, at);
        return at + 1;
    };
    let end = at + 1 + length;
    let is_key = line.get(end + 1) == Some(&b':');
    if is_key || is_request(&line[at + 1..end]) {
        push_mark(tokens, quote, at);
        return at + 1;
    }
    push_mark(tokens, quote, at);
    push_variable(tokens, at + 1, end, false);
    push_mark(tokens, quote, end);
    end + 1
}

/// Whether quoted text is the request line of an access log: what was asked
/// for tells kinds of lines apart.
fn is_request(quoted: &[u8]) -> bool {
    const METHODS: [&[u8]; 7] = [
        b"GET ",
        b"POST ",
        b"PUT ",
        b"DELETE ",
        b"HEAD ",
        b"PATCH ",
        b"OPTIONS ",
    ];
    METHODS.iter().any(|method| quoted.starts_with(method))
}

/// What is known of a word after one pass over it.
#[derive(Debug, Clone, Copy, Default)]
struct Census {
    letters: u32,
    digits: u32,
    /// Letters that are no hexadecimal digits.
    beyond_hex: u32,
    slashes: u32,
    dots: u32,
    joiners: u32,
}

fn scan_word(line: &[u8], start: usize, tokens: &mut Vec<Token>) -> usize {
    let mut census = Census::default();
    let mut at = start;
    while at < line.len() {
        let byte = line[at];
        match class(byte) {
            Class::Letter => {
                census.letters += 1;
                census.beyond_hex += u32::from(!byte.is_ascii_hexdigit());
            }
            Class::Digit => census.digits += 1,
            Class::Joiner => {
                census.joiners += 1;
                census.slashes += u32::from(matches!(byte, b'/' | b'\\'));
                census.dots += u32::from(byte == b'.');
            }
            // As in `can't`.
            Class::Quote if byte == b'\'' && at > start && is_letter_at(line, at + 1) => {}
            _ => break,
        }
        at += 1;
    }
    // `db-1.example.org:5432`, `Server.java:120`.
    if census.dots > 0 && census.letters > 0 && is_digit_at(line, at + 1) && line[at] == b':' {
        at += 1;
        while is_digit_at(line, at) {
            at += 1;
        }
        push_variable(tokens, start, at, true);
        return at;
    }
    let mut end = at;
    // A full stop ends a sentence, not a word.
    while end > start + 1 && matches!(line[end - 1], b'.' | b'!' | b'?') {
        end -= 1;
        census.joiners -= 1;
    }
    if census.letters + census.digits == 0 {
        for (place, byte) in (start..end).zip(&line[start..end]) {
            push_mark(tokens, *byte, place);
        }
    } else if is_variable(&line[start..end], census) {
        push_variable(tokens, start, end, true);
    } else {
        let word = &line[start..end];
        if let [.., before] = tokens.as_mut_slice()
            && before.kind == Kind::Variable
            && offset(start) == before.end + 1
            && is_unit(word)
        {
            before.end = offset(end);
            return end;
        }
        let hash = word_hash(word);
        let kind = if census.digits > 0 {
            let stem = word.len() - trailing_digits(word);
            Kind::Numbered(hash, word_hash(&word[..stem]))
        } else {
            Kind::Word(hash)
        };
        tokens.push(Token {
            kind,
            start: offset(start),
            end: offset(end),
        });
    }
    for (place, byte) in (end..at).zip(&line[end..at]) {
        push_mark(tokens, *byte, place);
    }
    at
}

fn is_digit_at(line: &[u8], at: usize) -> bool {
    line.get(at).is_some_and(u8::is_ascii_digit)
}

fn is_letter_at(line: &[u8], at: usize) -> bool {
    line.get(at)
        .is_some_and(|byte| class(*byte) == Class::Letter)
}

/// Whether a word varies from line to line of the same kind.
fn is_variable(word: &[u8], census: Census) -> bool {
    if census.slashes > 0 && (word[0] == b'/' || census.slashes >= 2 || census.dots >= 2) {
        return true;
    }
    if census.digits == 0 {
        return census.dots > 0 && is_host(word);
    }
    if census.letters == 0 || word[0].is_ascii_digit() {
        return true;
    }
    if census.beyond_hex == 0 && word.len() >= 4 {
        return true;
    }
    let trailing = trailing_digits(word);
    let inner = usize::try_from(census.digits).unwrap_or(usize::MAX) - trailing;
    // `eth0`, `ssh2`, `jk2_init`: names, not numbers.
    !(trailing <= 2 && inner <= 1 && census.joiners == 0)
}

/// Whether a word with dots in it ends as names of hosts do, and not as those
/// of classes and files.
fn is_host(word: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 20] = [
        b"com",
        b"net",
        b"org",
        b"edu",
        b"gov",
        b"mil",
        b"int",
        b"io",
        b"dev",
        b"app",
        b"cloud",
        b"local",
        b"internal",
        b"lan",
        b"arpa",
        b"cn",
        b"hk",
        b"uk",
        b"de",
        b"eu",
    ];
    let last = word.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    ENDINGS.contains(&last)
}

/// Whether a word is a unit of what was counted before it.
fn is_unit(word: &[u8]) -> bool {
    const UNITS: [&[u8]; 34] = [
        b"B",
        b"KB",
        b"MB",
        b"GB",
        b"TB",
        b"kB",
        b"KiB",
        b"MiB",
        b"GiB",
        b"TiB",
        b"bytes",
        b"ns",
        b"us",
        b"ms",
        b"s",
        b"sec",
        b"secs",
        b"second",
        b"seconds",
        b"msec",
        b"min",
        b"mins",
        b"minute",
        b"minutes",
        b"h",
        b"hour",
        b"hours",
        b"d",
        b"day",
        b"days",
        b"millis",
        b"milliseconds",
        b"micros",
        b"nanos",
    ];
    word.len() <= 12 && UNITS.contains(&word)
}

fn trailing_digits(word: &[u8]) -> usize {
    word.iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count()
}

/// Adds a variable, or lengthens the one before it: what varies often varies
/// in its length, and several variables in a row are one. That holds for
/// addresses and times too, whose parts a colon parts.
fn push_variable(tokens: &mut Vec<Token>, start: usize, end: usize, joins: bool) {
    if joins {
        match tokens.as_mut_slice() {
            [.., before] if before.kind == Kind::Variable => {
                before.end = offset(end);
                return;
            }
            // `<1 sec`, `>99%`.
            [.., mark]
                if matches!(mark.kind, Kind::Mark(b'<' | b'>' | b'~'))
                    && mark.end == offset(start) =>
            {
                mark.kind = Kind::Variable;
                mark.end = offset(end);
                return;
            }
            [.., before, mark]
                if before.kind == Kind::Variable
                    && mark.kind == Kind::Mark(b':')
                    && before.end == mark.start
                    && mark.end == offset(start) =>
            {
                before.end = offset(end);
                tokens.pop();
                return;
            }
            _ => {}
        }
    }
    tokens.push(Token {
        kind: Kind::Variable,
        start: offset(start),
        end: offset(end),
    });
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
