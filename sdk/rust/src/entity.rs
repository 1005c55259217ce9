//! Entities and attributes: names for what can fail, and for what is said of
//! it.

use std::fmt;

use crate::{Attribute, Entity, Fault};

impl Entity {
    /// `service` and `checkout` make `service/checkout`. The host refuses an
    /// entity with an empty part; see [`Entity::parse`] for input from outside.
    pub fn new(kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            name: name.into(),
        }
    }

    /// From `kind/name`; the name may itself contain slashes.
    ///
    /// # Errors
    /// `malformed`, if either part is missing.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        match text.trim().split_once('/') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() => Ok(Self::new(kind, name)),
            _ => Err(Fault::malformed(format!(
                "an entity needs a kind and a name, as in `service/checkout`; got `{text}`"
            ))),
        }
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl Attribute {
    /// A name and its value.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
        }
    }
}

impl<K: Into<String>, V: Into<String>> From<(K, V)> for Attribute {
    fn from((key, value): (K, V)) -> Self {
        Self::new(key, value)
    }
}

/// What can be asked of any list of attributes.
pub trait Attributes {
    /// The value of the last attribute with this key: where a key stands
    /// twice, the host keeps the last as well.
    fn value_of(&self, key: &str) -> Option<&str>;
}

impl Attributes for [Attribute] {
    fn value_of(&self, key: &str) -> Option<&str> {
        self.iter()
            .rev()
            .find(|attribute| attribute.key == key)
            .map(|attribute| attribute.value.as_str())
    }
}
