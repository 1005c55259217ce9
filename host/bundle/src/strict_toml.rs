//! TOML that says what it means: an unknown key or word is an error, with the
//! place and the nearest known one.

use std::fmt;

use serde::de::DeserializeOwned;

/// How alike an unknown word must be to a known one to be suggested, from 0 to
/// 1 (Jaro-Winkler).
const LIKENESS_MIN: f64 = 0.75;

/// Where something is wrong with a text, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The name of the file, as the reader was told.
    pub file: String,
    /// Line and column, from 1; none where the text as a whole is meant.
    pub place: Option<(usize, usize)>,
    /// What is wrong, in a sentence.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => {
                write!(f, "{}:{line}:{column}: {}", self.file, self.message)
            }
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl std::error::Error for Problem {}

/// Reads a document. The type must deny unknown fields for them to be found.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Problem> {
    toml::from_str(text).map_err(|error| Problem {
        file: file.to_owned(),
        place: error.span().map(|span| place(text, span.start)),
        message: with_suggestion(error.message()),
    })
}

/// Line and column of a byte, from 1.
pub fn place(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}

/// The most alike of the known words, if any is alike at all.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// `serde` says which words it knows: "unknown field `x`, expected `a` or `b`"
/// and "…, expected one of `a`, `b`, `c`" (`serde::de::Error::unknown_field`
/// and `unknown_variant`), and so do rules. The nearest of them is what was
/// probably meant.
pub fn with_suggestion(message: &str) -> String {
    let is_unknown = ["field", "variant", "method", "scheme"]
        .iter()
        .any(|what| message.starts_with(&format!("unknown {what}")));
    let mut words = message.split('`').skip(1).step_by(2);
    let suggestion = if is_unknown {
        words.next().and_then(|unknown| nearest(unknown, words))
    } else {
        None
    };
    let sentence = message.trim_end().replace('\n', " ");
    match suggestion {
        Some(known) => format!("{sentence}; did you mean `{known}`?"),
        None => sentence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsed")]
    struct Inner {
        memory: String,
        cpu: Option<String>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsed")]
    struct Outer {
        limits: Inner,
    }

    fn problem(text: &str) -> String {
        parse::<Outer>("plugin.toml", text)
            .expect_err("a problem")
            .to_string()
    }

    #[test]
    fn names_the_place_and_the_nearest_word() {
        let message = problem("[limits]\nmemroy = \"1MiB\"\n");
        assert!(
            message.starts_with("plugin.toml:2:1: unknown field `memroy`"),
            "{message}"
        );
        assert!(message.ends_with("did you mean `memory`?"), "{message}");
        let message = problem("[limits]\nmemory = 3\n");
        assert!(message.starts_with("plugin.toml:2:10:"), "{message}");
        let message = problem("[limits\n");
        assert!(message.starts_with("plugin.toml:1:"), "{message}");
        let message = problem("[limits]\nxyz = 1\nmemory = \"\"");
        assert!(!message.contains("did you mean"), "{message}");
    }

    #[test]
    fn counts_lines_and_columns_in_characters() {
        assert_eq!(place("ab\nçd", 5), (2, 2));
        assert_eq!(place("", 0), (1, 1));
        assert_eq!(place("a", 99), (1, 2));
    }
}
