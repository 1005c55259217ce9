//! A kind of line: its words, and where it varies.

use serde::{Deserialize, Serialize};

use crate::scan::{Kind, Token};

/// How a part that varies is written.
pub(crate) const WILDCARD: &str = "<*>";
/// The most bytes of a template's text. Longer lines are told apart by all
/// their tokens, but shown cut.
const TEXT_BYTES_MAX: usize = 1_024;

/// About what a token takes when it is saved: its hash, and where it stands.
const TOKEN_BYTES: usize = 9;

/// A kind of line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Template {
    kinds: Vec<Kind>,
    /// The first line that was seen of it, with the spans of its tokens.
    text: String,
    spans: Vec<(u16, u16)>,
}

impl Template {
    /// The kind that a line is of, as far as one line can tell.
    pub(crate) fn of_line(line: &str, tokens: &[Token]) -> Self {
        let text = line
            .get(..line.floor_char_boundary(TEXT_BYTES_MAX))
            .unwrap_or_default();
        let end = text.len();
        let clamp = |at: u32| {
            let at = usize::try_from(at).unwrap_or(usize::MAX).min(end);
            u16::try_from(at).unwrap_or(u16::MAX)
        };
        Self {
            kinds: tokens.iter().map(|token| token.kind).collect(),
            text: text.to_owned(),
            spans: tokens
                .iter()
                .map(|token| (clamp(token.start), clamp(token.end)))
                .collect(),
        }
    }

    /// About how many bytes it takes when it is saved.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len() + self.kinds.len() * TOKEN_BYTES
    }

    /// Its tokens.
    pub(crate) fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// Whether a line with these tokens is of this kind.
    pub(crate) fn matches(&self, tokens: &[Token]) -> bool {
        self.kinds.len() == tokens.len()
            && self.kinds.iter().zip(tokens).all(|(kind, token)| {
                *kind == token.kind || (*kind == Kind::Variable && !token.kind.is_mark())
            })
    }

    /// Where it differs from a line with these tokens: the places, if that is
    /// in words and variables only, and not in marks.
    pub(crate) fn differs(&self, tokens: &[Token], places: &mut Vec<usize>) -> bool {
        places.clear();
        if self.kinds.len() != tokens.len() {
            return false;
        }
        for (place, (kind, token)) in self.kinds.iter().zip(tokens).enumerate() {
            if *kind == token.kind {
                continue;
            }
            if kind.is_mark() || token.kind.is_mark() {
                return false;
            }
            places.push(place);
        }
        true
    }

    /// Whether it is as these tokens are everywhere but at these places, which
    /// ascend.
    pub(crate) fn is_same_but_at(&self, tokens: &[Token], places: &[usize]) -> bool {
        let mut places = places.iter().peekable();
        self.kinds.len() == tokens.len()
            && self
                .kinds
                .iter()
                .zip(tokens)
                .enumerate()
                .all(|(place, (kind, token))| {
                    let may_differ = places.next_if_eq(&&place).is_some();
                    *kind == token.kind || (may_differ && !kind.is_mark())
                })
    }

    /// From now on it varies at these places.
    pub(crate) fn vary_at(&mut self, places: &[usize]) {
        for place in places {
            if let Some(kind) = self.kinds.get_mut(*place) {
                *kind = Kind::Variable;
            }
        }
    }

    /// The line with `<*>` for what varies.
    pub(crate) fn text(&self) -> String {
        let mut shown = String::with_capacity(self.text.len());
        let mut last = 0;
        for (kind, (start, end)) in self.kinds.iter().zip(&self.spans) {
            let (start, end) = (usize::from(*start), usize::from(*end));
            if *kind != Kind::Variable || start == end {
                continue;
            }
            shown.push_str(self.text.get(last..start).unwrap_or_default());
            shown.push_str(WILDCARD);
            last = end;
        }
        shown.push_str(self.text.get(last..).unwrap_or_default());
        shown
    }
}
