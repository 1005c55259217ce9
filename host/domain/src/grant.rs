//! Grants: what a manifest asks for, what the operator allowed, and what
//! follows from both.
//!
//! `effective = requested ∩ granted`, computed once when an instance starts,
//! into a set that nothing can change. Every host function consults it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::time::Timestamp;

/// What a capability lets a component do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Use {
    /// Requests to named destinations.
    Http,
    /// Use of a secret without sight of it.
    Secret,
    /// Sight of a secret.
    SecretReveal,
    /// Small durable state.
    Kv,
    /// Commands that the operator defined.
    Exec,
    /// A folder that the operator named.
    Folder,
}

impl Use {
    /// All uses.
    pub const ALL: [Use; 6] = [
        Use::Http,
        Use::Secret,
        Use::SecretReveal,
        Use::Kv,
        Use::Exec,
        Use::Folder,
    ];

    /// The word that stands for it everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Use::Http => "http",
            Use::Secret => "secret",
            Use::SecretReveal => "secret-reveal",
            Use::Kv => "kv",
            Use::Exec => "exec",
            Use::Folder => "folder",
        }
    }

    /// Whether this host can enforce it. What it cannot enforce it does not
    /// load: a capability is never ignored.
    pub const fn is_enforced(self) -> bool {
        matches!(self, Use::Kv)
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A capability that a manifest asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The name that grants and audit rows use; unique within a component.
    pub id: String,
    /// What for.
    pub using: Use,
    /// Whether the component is of no use without it.
    pub required: bool,
    /// The author's reason, shown to the operator.
    pub reason: String,
}

/// What an operator allowed one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The id of the capability.
    pub capability: String,
    /// Who allowed it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why, in the operator's words.
    pub reason: String,
}

/// Why an instance cannot start yet, or at all.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GrantError {
    /// It waits for consent.
    #[error("needs `{id}` ({using}): {reason}; grant it with `faultline plugin grant`")]
    Missing {
        /// Which capability.
        id: String,
        /// What for.
        using: Use,
        /// The author's reason.
        reason: String,
    },
    /// It asks for what this host cannot enforce.
    #[error("asks for `{id}` ({using}), which this version of Faultline cannot enforce")]
    NotEnforced {
        /// Which capability.
        id: String,
        /// What for.
        using: Use,
    },
    /// A grant for what was never asked for.
    #[error("the grant names `{id}`, which the manifest does not ask for")]
    NotRequested {
        /// Which capability.
        id: String,
    },
}

/// What an instance may do: fixed when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Effective {
    allowed: BTreeMap<String, Use>,
}

impl Effective {
    /// What follows from the requests and the grants.
    ///
    /// # Errors
    /// All the reasons why the instance cannot start: a required capability
    /// that was not granted, any that this host cannot enforce, a grant of
    /// what was not asked for.
    pub fn resolve(requested: &[Request], granted: &[Grant]) -> Result<Self, Vec<GrantError>> {
        let mut errors = Vec::new();
        let mut allowed = BTreeMap::new();
        for request in requested {
            let is_granted = granted.iter().any(|grant| grant.capability == request.id);
            if !request.using.is_enforced() {
                errors.push(GrantError::NotEnforced {
                    id: request.id.clone(),
                    using: request.using,
                });
            } else if is_granted {
                allowed.insert(request.id.clone(), request.using);
            } else if request.required {
                errors.push(GrantError::Missing {
                    id: request.id.clone(),
                    using: request.using,
                    reason: request.reason.clone(),
                });
            }
        }
        for grant in granted {
            if !requested
                .iter()
                .any(|request| request.id == grant.capability)
            {
                errors.push(GrantError::NotRequested {
                    id: grant.capability.clone(),
                });
            }
        }
        if errors.is_empty() {
            Ok(Self { allowed })
        } else {
            Err(errors)
        }
    }

    /// The capability that allows this use; none if nothing does.
    pub fn allows(&self, using: Use) -> Option<&str> {
        self.allowed
            .iter()
            .find(|(_, allowed)| **allowed == using)
            .map(|(id, _)| id.as_str())
    }

    /// All capabilities, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Use)> {
        self.allowed.iter().map(|(id, using)| (id.as_str(), *using))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: &str, using: Use, required: bool) -> Request {
        Request {
            id: id.to_owned(),
            using,
            required,
            reason: "to remember".to_owned(),
        }
    }

    fn grant(capability: &str) -> Grant {
        Grant {
            capability: capability.to_owned(),
            by: "dana".to_owned(),
            at: Timestamp::ZERO,
            reason: String::new(),
        }
    }

    #[test]
    fn nothing_is_allowed_that_was_not_granted() {
        let requested = [request("state", Use::Kv, false)];
        let effective = Effective::resolve(&requested, &[]).expect("optional");
        assert_eq!(effective.allows(Use::Kv), None);
        let effective = Effective::resolve(&requested, &[grant("state")]).expect("granted");
        assert_eq!(effective.allows(Use::Kv), Some("state"));
        assert_eq!(effective.allows(Use::Http), None);
    }

    #[test]
    fn every_reason_is_given() {
        let requested = [
            request("state", Use::Kv, true),
            request("api", Use::Http, false),
        ];
        let errors = Effective::resolve(&requested, &[grant("other")]).expect_err("three");
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 3, "{texts:?}");
        assert!(texts[0].contains("needs `state`"));
        assert!(texts[1].contains("cannot enforce"));
        assert!(texts[2].contains("does not ask for"));
    }
}
