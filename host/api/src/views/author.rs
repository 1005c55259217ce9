//! Who did something.

use faultline_domain::incident as domain;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Time;

/// Who brought something about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Author {
    /// What sort of somebody.
    pub kind: AuthorKind,
    /// The plugin's instance, the person, or `host`.
    #[schema(example = "topology")]
    pub name: String,
    /// Of a plugin: the digest of the component that it was at that time.
    pub digest: Option<String>,
}

/// What sort of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuthorKind {
    /// A correlator proposed it.
    Plugin,
    /// A person, or a program with a token, asked for it.
    Person,
    /// A rule of the host.
    Host,
}

impl From<&domain::Author> for Author {
    fn from(author: &domain::Author) -> Self {
        match author {
            domain::Author::Plugin { instance, digest } => Self {
                kind: AuthorKind::Plugin,
                name: instance.to_string(),
                digest: Some(digest.to_string()),
            },
            domain::Author::Person { name } => Self {
                kind: AuthorKind::Person,
                name: name.clone(),
                digest: None,
            },
            domain::Author::Host => Self {
                kind: AuthorKind::Host,
                name: "host".to_owned(),
                digest: None,
            },
        }
    }
}

/// When something was done, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Act {
    /// Event time.
    pub at: Time,
    /// Who.
    pub by: Author,
}

impl From<&domain::Act> for Act {
    fn from(act: &domain::Act) -> Self {
        Self {
            at: act.at.into(),
            by: (&act.author).into(),
        }
    }
}
