//! Names and ids. Names are chosen by people; ids that describe derived things
//! are derived: hashed from what they identify, never drawn, so that the same
//! journal always gives the same ids.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// A name outside the shape that names have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{what} `{given}` must be 1 to {max} of a-z, 0-9, `-`, `_` and `.`, beginning with a letter or digit"
)]
pub struct BadName {
    what: &'static str,
    given: String,
    max: usize,
}

fn check_name(what: &'static str, given: &str, max: usize) -> Result<(), BadName> {
    let shape = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let good = given.len() <= max
        && given.chars().all(shape)
        && given.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if good {
        return Ok(());
    }
    Err(BadName {
        what,
        given: given.chars().take(2 * max).collect(),
        max,
    })
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the shape of the name.
            ///
            /// # Errors
            /// If it is empty, too long, or has characters that names do not have.
            pub fn new(name: impl Into<String>) -> Result<Self, BadName> {
                let name = name.into();
                check_name($what, &name, $max)?;
                Ok(Self(name))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(name: String) -> Result<Self, BadName> {
                Self::new(name)
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadName;
            fn from_str(name: &str) -> Result<Self, BadName> {
                Self::new(name)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// An environment or tenant: the unit of order and of scale.
    ScopeName, "scope", 40
}
name! {
    /// Where envelopes come from: a sender, an ingest token's name, a connector.
    SourceName, "source", 80
}
name! {
    /// An installed component with one configuration.
    InstanceName, "instance", 60
}

impl ScopeName {
    /// The scope of an installation that knows no other.
    pub fn default_scope() -> Self {
        Self("default".to_owned())
    }
}

/// Sixteen bytes of a SHA-256 over what a thing is made of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Hash16([u8; 16]);

impl Hash16 {
    /// Hashes the parts so that no two lists of parts look alike: each is
    /// preceded by its length.
    fn of<'a>(kind: &str, parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = Sha256::new();
        let mut absorb = |part: &[u8]| {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        };
        absorb(kind.as_bytes());
        for part in parts {
            absorb(part);
        }
        let full = hasher.finalize();
        let mut half = [0; 16];
        half.copy_from_slice(&full[..16]);
        Self(half)
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    fn text(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }
}

/// A text that is not an id of this kind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{given}` is not {what}: expected {prefix}_ and 32 hexadecimal digits")]
pub struct BadId {
    what: &'static str,
    prefix: &'static str,
    given: String,
}

macro_rules! derived_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Hash16);

        impl $name {
            /// The id of what these parts describe.
            pub fn derive<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
                Self(Hash16::of($prefix, parts))
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(Hash16::parse)
                    .map(Self)
                    .ok_or_else(|| BadId {
                        what: $what,
                        prefix: $prefix,
                        given: text.chars().take(80).collect(),
                    })
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.text())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

derived_id! {
    /// The fingerprint of an alert: family and identity, hashed.
    AlertId, "alr", "an alert's id"
}
derived_id! {
    /// A change: family and the sender's id, hashed.
    ChangeId, "chg", "a change's id"
}
derived_id! {
    /// An incident: the scope and the episodes that founded it, hashed.
    IncidentId, "inc", "an incident's id"
}

/// The SHA-256 of some content: a component, a bundle, a plan.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Wraps a digest that was computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first twelve hexadecimal digits, for people.
    pub fn short(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0[..6])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Digest {
    type Err = BadId;
    fn from_str(text: &str) -> Result<Self, BadId> {
        text.strip_prefix("sha256:")
            .and_then(|hex| data_encoding::HEXLOWER.decode(hex.as_bytes()).ok())
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .map(Self)
            .ok_or_else(|| BadId {
                what: "a digest",
                prefix: "sha256",
                given: text.chars().take(80).collect(),
            })
    }
}

impl TryFrom<String> for Digest {
    type Error = BadId;
    fn try_from(text: String) -> Result<Self, BadId> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_one_another() {
        let joined = AlertId::derive([b"ab".as_slice(), b"c"]);
        let split = AlertId::derive([b"a".as_slice(), b"bc"]);
        assert_ne!(joined, split);
    }

    #[test]
    fn ids_read_back_what_they_print() {
        let id = IncidentId::derive([b"x".as_slice()]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("inc_0".parse::<IncidentId>().is_err());
        assert!(id.to_string().parse::<AlertId>().is_err());
        let digest = Digest::of(b"component");
        assert_eq!(digest.to_string().parse(), Ok(digest));
    }

    #[test]
    fn names_have_a_shape() {
        assert!(InstanceName::new("baseline-2").is_ok());
        for bad in ["", "-a", "A", "a b", "a/b", &"x".repeat(61)] {
            let error = InstanceName::new(bad).expect_err(bad);
            assert!(error.to_string().contains("instance"), "{error}");
        }
    }
}
