//! Secrets, and where they are kept.
//!
//! A grant names the place; the bytes are fetched when they are used and wiped
//! right after. [`Secret`] cannot be printed, compared, copied or serialised
//! by accident.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

/// The most bytes of a secret.
pub const SECRET_BYTES_MAX: usize = 64 << 10;

/// Bytes that only the host sees.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Keeps these bytes. None if they are none, or more than
    /// [`SECRET_BYTES_MAX`].
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        let bytes = Zeroizing::new(bytes);
        (1..=SECRET_BYTES_MAX)
            .contains(&bytes.len())
            .then_some(Self(bytes))
    }

    /// The bytes, for as long as it takes to use them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// Where a secret is kept: `env:NAME`, a variable of the host's environment,
/// or `file:/path`, a file that the host can read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SecretRef {
    /// A variable of the environment.
    Env(String),
    /// A file, by its absolute path.
    File(String),
}

/// Why a text says nothing about where a secret is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` names no secret: write env:NAME or file:/absolute/path")]
pub struct SecretRefError(String);

/// The most characters of a reference.
const REF_CHARS_MAX: usize = 500;

impl FromStr for SecretRef {
    type Err = SecretRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A secret that was given in place of its name must not be repeated.
        let shown = || {
            let scheme = text.split_once(':').map(|(scheme, _)| scheme);
            SecretRefError(match scheme {
                Some(scheme @ ("env" | "file")) => format!("{scheme}:…"),
                _ => "…".to_owned(),
            })
        };
        if text.len() > REF_CHARS_MAX || text.chars().any(char::is_control) {
            return Err(shown());
        }
        match text.split_once(':') {
            Some(("env", name)) if is_variable(name) => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if path.starts_with('/') && path.len() > 1 => {
                Ok(Self::File(path.to_owned()))
            }
            _ => Err(shown()),
        }
    }
}

fn is_variable(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(good) && !name.starts_with(|c: char| c.is_ascii_digit())
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::Env(name) => write!(f, "env:{name}"),
            SecretRef::File(path) => write!(f, "file:{path}"),
        }
    }
}

impl TryFrom<String> for SecretRef {
    type Error = SecretRefError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SecretRef> for String {
    fn from(reference: SecretRef) -> Self {
        reference.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_read_as_they_are_written() {
        for text in ["env:PD_TOKEN", "file:/run/secrets/token"] {
            let reference: SecretRef = text.parse().expect(text);
            assert_eq!(reference.to_string(), text);
        }
        for text in [
            "",
            "env:",
            "env:a b",
            "env:1A",
            "file:token",
            "file:",
            "vault:x",
            "file:/a\nb",
        ] {
            assert!(text.parse::<SecretRef>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_in_place_of_its_name_is_not_repeated() {
        for text in ["hunter2hunter2", "env:hunter2 hunter2"] {
            let error = text.parse::<SecretRef>().expect_err("no reference");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn nothing_and_too_much_are_no_secrets() {
        assert!(Secret::new(Vec::new()).is_none());
        assert!(Secret::new(vec![0; SECRET_BYTES_MAX + 1]).is_none());
        assert_eq!(Secret::new(vec![1]).expect("one").expose(), [1]);
    }
}
