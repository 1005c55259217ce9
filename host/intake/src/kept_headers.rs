//! Which headers of a request an envelope keeps. Nothing but what is named:
//! and never a credential, whatever is named.

use axum::http::HeaderMap;
use thiserror::Error;

/// Kept anyway: attributes of CloudEvents in binary mode, and what says which of a
/// sender's events a webhook is.
const PATTERNS_DEFAULT: &[&str] = &["ce-*", "user-agent", "x-*-event", "x-event-*"];

/// Headers with one of these in their name carry credentials.
const CREDENTIAL_WORDS: &[&str] = &[
    "api-key",
    "apikey",
    "auth",
    "cookie",
    "credential",
    "password",
    "secret",
    "session",
    "signature",
    "token",
];

/// Headers that one envelope keeps at most.
const HEADERS_KEPT_MAX: usize = 32;

/// Bytes of the value of a header that is kept; longer ones are not.
const HEADER_VALUE_BYTES_MAX: usize = 1_024;

/// The names of the headers that envelopes keep.
#[derive(Debug, Clone)]
pub struct KeptHeaders(Vec<Pattern>);

/// Before and after the asterisk; without one, the whole name and nothing.
#[derive(Debug, Clone)]
enum Pattern {
    Exact(String),
    Between(String, String),
}

/// A pattern that names no header that could be kept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadPattern {
    /// It is not the name of a header.
    #[error(
        "`{0}` is no pattern for headers: expected letters, digits and hyphens, and at most one *"
    )]
    NotAName(String),
    /// It names a credential.
    #[error("`{0}` names a credential, and envelopes never keep those")]
    Credential(String),
}

impl KeptHeaders {
    /// Keeps the headers with these names, in which one `*` stands for anything,
    /// beside those that are kept anyway.
    ///
    /// # Errors
    /// If one of them cannot be the name of a header, or is that of a
    /// credential.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, BadPattern> {
        let anyway = PATTERNS_DEFAULT.iter().map(|pattern| (*pattern).to_owned());
        let more = patterns.into_iter();
        let patterns = anyway.chain(more.map(|pattern| pattern.as_ref().to_ascii_lowercase()));
        let patterns = patterns.map(|pattern| {
            let name_like = |c: char| c.is_ascii_alphanumeric() || "-_*".contains(c);
            let has_letters = pattern.contains(|c: char| c.is_ascii_alphanumeric());
            if !has_letters || !pattern.chars().all(name_like) || pattern.matches('*').count() > 1 {
                return Err(BadPattern::NotAName(pattern));
            }
            if is_credential(&pattern) {
                return Err(BadPattern::Credential(pattern));
            }
            Ok(match pattern.split_once('*') {
                Some((before, after)) => Pattern::Between(before.to_owned(), after.to_owned()),
                None => Pattern::Exact(pattern),
            })
        });
        Ok(Self(patterns.collect::<Result<_, _>>()?))
    }

    /// Names and values of what is kept, in the order in which they came.
    pub(crate) fn of(&self, headers: &HeaderMap) -> Vec<(String, String)> {
        headers
            .iter()
            .filter(|(name, _)| self.keeps(name.as_str()))
            .filter(|(_, value)| value.len() <= HEADER_VALUE_BYTES_MAX)
            .filter_map(|(name, value)| {
                let value = std::str::from_utf8(value.as_bytes()).ok()?;
                Some((name.as_str().to_owned(), value.to_owned()))
            })
            .take(HEADERS_KEPT_MAX)
            .collect()
    }

    fn keeps(&self, name: &str) -> bool {
        let matches = |pattern: &Pattern| match pattern {
            Pattern::Exact(exact) => name == exact,
            Pattern::Between(before, after) => name
                .strip_prefix(before.as_str())
                .is_some_and(|rest| rest.ends_with(after.as_str())),
        };
        !is_credential(name) && self.0.iter().any(matches)
    }
}

impl Default for KeptHeaders {
    fn default() -> Self {
        Self::new([""; 0]).expect("the patterns are good, as a test says")
    }
}

fn is_credential(name: &str) -> bool {
    CREDENTIAL_WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn kept(patterns: &KeptHeaders, names: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for name in names {
            let name: HeaderName = name.parse().expect("a name");
            headers.append(name, HeaderValue::from_static("v"));
        }
        let mut kept: Vec<_> = patterns
            .of(&headers)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        kept.sort();
        kept
    }

    #[test]
    fn keeps_what_is_named_and_no_credentials() {
        let names = [
            "Authorization",
            "Ce-Id",
            "Ce-Token",
            "Cookie",
            "User-Agent",
            "X-Api-Key",
            "X-Faultline-Token",
            "X-GitHub-Event",
            "X-Hub-Signature-256",
            "X-Other",
        ];
        let expected = ["ce-id", "user-agent", "x-github-event"];
        assert_eq!(kept(&KeptHeaders::default(), &names), expected);
        let more = KeptHeaders::new(["x-*"]).expect("a pattern");
        let expected = ["ce-id", "user-agent", "x-github-event", "x-other"];
        assert_eq!(kept(&more, &names), expected);
    }

    #[test]
    fn patterns_that_name_credentials_are_refused() {
        for pattern in ["Authorization", "x-gitlab-token", "*-signature"] {
            let refused = KeptHeaders::new([pattern]).expect_err(pattern);
            assert!(matches!(refused, BadPattern::Credential(_)), "{refused}");
        }
        for pattern in ["", "*", "a*b*c", "a b"] {
            let refused = KeptHeaders::new([pattern]).expect_err(pattern);
            assert!(matches!(refused, BadPattern::NotAName(_)), "{refused}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut headers = HeaderMap::new();
        for index in 0..100 {
            let name: HeaderName = format!("ce-a{index}").parse().expect("a name");
            headers.append(name, HeaderValue::from_static("v"));
        }
        let long = HeaderValue::from_str(&"v".repeat(2_000)).expect("a value");
        headers.insert("user-agent", long);
        let kept = KeptHeaders::default().of(&headers);
        assert_eq!(kept.len(), HEADERS_KEPT_MAX);
        assert!(kept.iter().all(|(name, _)| name != "user-agent"));
    }
}
