//! Grants: what a manifest asks for, what the operator allowed, and what
//! follows from both.
//!
//! `effective = requested ∩ granted`, computed once when an instance starts,
//! into a set that nothing can change. Every host function consults it, with
//! the time, since a grant can end. What no plugin at all may do, whoever
//! granted it, the way out checks beside it.
//!
//! A grant remembers what was asked for when it was given. If that becomes more
//! (another version, another host in the configuration), it is void until
//! somebody has looked at it again.

mod effective;

use std::fmt;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::attach::Attach;
use crate::rule::{Rule, RuleError, RuleTemplate};
use crate::secret::SecretRef;
use crate::time::Timestamp;

pub use effective::{Allowed, Effective, Permit};

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
        matches!(self, Use::Http | Use::Secret | Use::SecretReveal | Use::Kv)
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
    /// Of `http`: which requests; at least one rule. Empty for all others.
    #[serde(default)]
    pub rules: Vec<RuleTemplate>,
    /// Of `secret`: where the host puts it into requests; none if it is only
    /// computed with.
    #[serde(default)]
    pub attach: Option<Attach>,
}

impl Request {
    /// Whether it asks for nothing that an earlier version of it did not ask
    /// for: the same use, of no other rules and places.
    pub fn asks_no_more_than(&self, before: &Self) -> bool {
        self.id == before.id
            && self.using == before.using
            && self.rules.iter().all(|rule| before.rules.contains(rule))
            && self.attach == before.attach
    }

    /// What it comes to with a configuration. `setting` gives what a key of
    /// the configuration holds, as text.
    ///
    /// # Errors
    /// If the configuration does not hold what a rule needs.
    pub fn asked(&self, setting: &dyn Fn(&str) -> Option<String>) -> Result<Asked, RuleError> {
        let rules = self.rules.iter().map(|rule| rule.resolve(setting));
        Ok(Asked {
            using: Some(self.using),
            rules: rules.collect::<Result<_, _>>()?,
            attach: self.attach.as_ref().map(ToString::to_string),
        })
    }
}

/// What a capability comes to: what an operator is shown and consents to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// What for; none in grants that were given before this was kept.
    #[serde(default)]
    pub using: Option<Use>,
    /// Of `http`: which requests.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Of `secret`: where it goes, in words.
    #[serde(default)]
    pub attach: Option<String>,
}

impl Asked {
    /// Whether nothing is asked for that was not asked for then.
    pub fn is_no_more_than(&self, then: &Self) -> bool {
        let was_asked = |rule: &Rule| then.rules.iter().any(|other| other.includes(rule));
        let is_same_use = then.using.is_none() || self.using == then.using;
        is_same_use
            && self.rules.iter().all(was_asked)
            // Attached to nothing it can be computed with.
            && self.attach == then.attach
    }
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
    /// From when on it is of no use any more.
    pub expires: Option<Timestamp>,
    /// What is allowed, and what was asked for at the time.
    pub terms: Terms,
}

/// What a grant allows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// What was asked for when it was granted.
    #[serde(default)]
    pub asked: Asked,
    /// Of `http`: which requests, of those that were asked for.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Of `http`: networks that are not of the open internet, into which the
    /// names of these rules may lead.
    #[serde(default)]
    pub networks: Vec<IpNet>,
    /// Of `secret` and `secret-reveal`: where it is kept.
    #[serde(default)]
    pub secret: Option<SecretRef>,
}

impl Grant {
    /// A grant of all that is asked for, for ever.
    pub fn whole(capability: &str, asked: Asked, by: &str, at: Timestamp, reason: &str) -> Self {
        Self {
            capability: capability.to_owned(),
            by: by.to_owned(),
            at,
            reason: reason.to_owned(),
            expires: None,
            terms: Terms {
                rules: asked.rules.clone(),
                asked,
                networks: Vec::new(),
                secret: None,
            },
        }
    }

    /// Whether it is of no use any more.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether it allows all that another grant of the same capability allows.
    pub fn allows_all_of(&self, other: &Self) -> bool {
        let within = |rule: &Rule| self.terms.rules.iter().any(|ours| ours.includes(rule));
        self.capability == other.capability
            && self.expires == other.expires
            && self.terms.secret == other.terms.secret
            && self.terms.networks == other.terms.networks
            && other.terms.rules.iter().all(within)
    }
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
    /// It was granted, but for less than is asked for now.
    #[error(
        "now asks for more with `{id}` ({using}) than when it was granted: look at it with \
         `faultline plugin can` and grant it again"
    )]
    Changed {
        /// Which capability.
        id: String,
        /// What for.
        using: Use,
    },
    /// The grant has ended.
    #[error("the grant of `{id}` ({using}) has expired: grant it again")]
    Expired {
        /// Which capability.
        id: String,
        /// What for.
        using: Use,
    },
    /// It was granted without saying which secret.
    #[error(
        "the grant of `{id}` ({using}) names no secret: grant it again with \
         `--secret {id}=env:NAME` or `--secret {id}=file:/path`"
    )]
    NoSecret {
        /// Which capability.
        id: String,
        /// What for.
        using: Use,
    },
    /// The configuration does not say what it should.
    #[error("{0}")]
    Setting(RuleError),
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

impl GrantError {
    /// Whether somebody who may grant can help.
    pub const fn waits_for_consent(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. }
                | Self::Changed { .. }
                | Self::Expired { .. }
                | Self::NoSecret { .. }
        )
    }
}

#[cfg(test)]
mod tests;
