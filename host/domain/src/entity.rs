//! Entities: what can fail or be changed.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The most bytes that a kind or a name may have.
pub const ENTITY_PART_BYTES_MAX: usize = 256;

/// A kind and a name, such as `service/checkout`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Entity {
    kind: String,
    name: String,
}

/// Not an entity.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadEntity {
    /// One half of it is missing.
    #[error("an entity needs a kind and a name, as in `service/checkout`; got `{0}`")]
    Incomplete(String),
    /// A kind with a slash would read as another kind.
    #[error("the kind of an entity cannot contain `/`; got `{0}`")]
    SlashInKind(String),
    /// Not every database can hold a NUL.
    #[error("the parts of an entity cannot contain a NUL")]
    Nul,
    /// One half of it is too long to be a name.
    #[error("the parts of an entity have at most {ENTITY_PART_BYTES_MAX} bytes; got {0}")]
    TooLong(usize),
}

impl Entity {
    /// Joins a kind and a name. White space around them is dropped.
    ///
    /// # Errors
    /// If either is empty or too long, or the kind contains a slash, or there is
    /// a NUL in it.
    pub fn new(kind: &str, name: &str) -> Result<Self, BadEntity> {
        let (kind, name) = (kind.trim(), name.trim());
        if kind.is_empty() || name.is_empty() {
            return Err(BadEntity::Incomplete(clip(&format!("{kind}/{name}"))));
        }
        if kind.contains('/') {
            return Err(BadEntity::SlashInKind(clip(kind)));
        }
        if kind.contains('\0') || name.contains('\0') {
            return Err(BadEntity::Nul);
        }
        let longest = kind.len().max(name.len());
        if longest > ENTITY_PART_BYTES_MAX {
            return Err(BadEntity::TooLong(longest));
        }
        Ok(Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
        })
    }

    /// `service`, `host`, …
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The name among things of its kind; may contain slashes.
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl std::str::FromStr for Entity {
    type Err = BadEntity;
    /// From `kind/name`; the name may itself contain slashes.
    fn from_str(text: &str) -> Result<Self, BadEntity> {
        let (kind, name) = text
            .split_once('/')
            .ok_or_else(|| BadEntity::Incomplete(clip(text)))?;
        Self::new(kind, name)
    }
}

impl TryFrom<String> for Entity {
    type Error = BadEntity;
    fn try_from(text: String) -> Result<Self, BadEntity> {
        text.parse()
    }
}

impl From<Entity> for String {
    fn from(entity: Entity) -> String {
        entity.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_prints() {
        for text in ["service/checkout", "pod/shop/cart-0", "host/db-1"] {
            let entity: Entity = text.parse().expect(text);
            assert_eq!(entity.to_string(), text);
        }
    }

    #[test]
    fn refuses_halves() {
        for text in ["", "service", "service/", "/checkout", "service/ "] {
            assert!(text.parse::<Entity>().is_err(), "{text}");
        }
        assert!(Entity::new("a/b", "c").is_err());
        assert_eq!(Entity::new("host", "a\0b"), Err(BadEntity::Nul));
        assert!(Entity::new("host", &"x".repeat(257)).is_err());
    }
}
