//! What an instance may do: fixed when it starts.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Grant, GrantError, Request, Use};
use crate::attach::Place;
use crate::network::{canonical, special};
use crate::rule::{Destination, Rule};
use crate::secret::SecretRef;
use crate::time::Timestamp;

/// What an instance may do: fixed when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Effective {
    allowed: BTreeMap<String, Allowed>,
}

/// One capability, as it was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// What for.
    pub using: Use,
    /// From when on not any more.
    pub expires: Option<Timestamp>,
    /// Of `http`: which requests.
    pub rules: Vec<Rule>,
    /// Of `http`: networks into which names may lead beside the open internet.
    pub networks: Vec<IpNet>,
    /// Of `secret` and `secret-reveal`: where it is kept.
    pub secret: Option<SecretRef>,
    /// Of `secret`: the capabilities whose requests it may go with, and where
    /// it goes there.
    pub attach: Option<(Vec<String>, Place)>,
}

/// What allows a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit<'a> {
    /// The id of the capability.
    pub capability: &'a str,
    /// The rule.
    pub rule: &'a Rule,
    /// The secret that was named: where it is kept, and where it goes.
    pub secret: Option<(&'a SecretRef, &'a Place)>,
    networks: &'a [IpNet],
}

impl Effective {
    /// What follows from the requests and the grants, with a configuration of
    /// which `setting` gives what a key holds, as text.
    ///
    /// # Errors
    /// All the reasons why the instance cannot start: a required capability
    /// that is not granted as it is asked for, any that this host cannot
    /// enforce, a grant of what was not asked for.
    pub fn resolve(
        requested: &[Request],
        granted: &[Grant],
        setting: &dyn Fn(&str) -> Option<String>,
        now: Timestamp,
    ) -> Result<Self, Vec<GrantError>> {
        let mut errors = Vec::new();
        let mut allowed = BTreeMap::new();
        for request in requested {
            let grant = granted.iter().find(|grant| grant.capability == request.id);
            match Allowed::of(request, grant, setting, now) {
                Ok(capability) => {
                    allowed.insert(request.id.clone(), capability);
                }
                Err(error) if error.waits_for_consent() && !request.required => {}
                Err(error) => errors.push(error),
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

    /// The capability that allows this use now; none if nothing does.
    pub fn allows(&self, using: Use, now: Timestamp) -> Option<&str> {
        self.allowed
            .iter()
            .find(|(_, allowed)| allowed.using == using && !allowed.is_expired(now))
            .map(|(id, _)| id.as_str())
    }

    /// All capabilities, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Allowed)> {
        self.allowed
            .iter()
            .map(|(id, allowed)| (id.as_str(), allowed))
    }

    /// Where a secret is kept that may be computed with, or seen, now. One that
    /// goes with requests was granted for these and nothing else.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn secret(&self, id: &str, using: Use, now: Timestamp) -> Result<&SecretRef, String> {
        let reference = self.kept(id, using, now)?;
        if self.allowed.get(id).is_some_and(|it| it.attach.is_some()) {
            return Err(format!(
                "the secret `{id}` goes with requests, and is not one to compute with"
            ));
        }
        Ok(reference)
    }

    /// Where a secret is kept that was granted for this use.
    fn kept(&self, id: &str, using: Use, now: Timestamp) -> Result<&SecretRef, String> {
        let shown: String = id.chars().take(40).collect();
        let allowed = self
            .allowed
            .get(id)
            .filter(|allowed| allowed.using == using)
            .ok_or_else(|| format!("the {using} `{}` was not granted", shown.escape_default()))?;
        if allowed.is_expired(now) {
            return Err(format!("the grant of `{id}` has expired"));
        }
        let secret = allowed.secret.as_ref();
        secret.ok_or_else(|| format!("the grant of `{id}` names no secret"))
    }

    /// What allows a request now, with the named secret if there is one.
    ///
    /// # Errors
    /// Why nothing does, in words.
    pub fn permit(
        &self,
        destination: &Destination,
        secret: Option<&str>,
        now: Timestamp,
    ) -> Result<Permit<'_>, String> {
        let secret = match secret {
            None => None,
            Some(id) => {
                let reference = self.kept(id, Use::Secret, now)?;
                let attach = self.allowed.get(id).and_then(|found| found.attach.as_ref());
                let (to, place) = attach.ok_or_else(|| {
                    format!("the secret `{id}` is attached to no request: it is only computed with")
                })?;
                Some((id, to, reference, place))
            }
        };
        let mut expired = None;
        let mut unattached = None;
        for (capability, allowed) in &self.allowed {
            let Some(rule) = allowed.rules.iter().find(|rule| rule.matches(destination)) else {
                continue;
            };
            if allowed.is_expired(now) {
                expired = Some(capability);
                continue;
            }
            if let Some((_, to, ..)) = &secret
                && !to.contains(capability)
            {
                unattached = Some(capability);
                continue;
            }
            return Ok(Permit {
                capability,
                rule,
                secret: secret.map(|(_, _, reference, place)| (reference, place)),
                networks: &allowed.networks,
            });
        }
        Err(match (secret, unattached, expired) {
            (Some((id, ..)), Some(capability), _) => {
                format!("the secret `{id}` is not attached to `{capability}`")
            }
            (_, _, Some(capability)) => format!("the grant of `{capability}` has expired"),
            _ if !self
                .allowed
                .values()
                .any(|allowed| allowed.using == Use::Http) =>
            {
                "`http` was not granted".to_owned()
            }
            _ => format!("no rule allows {destination} and this path"),
        })
    }

    /// Whether a request that is permitted may go to this address.
    ///
    /// # Errors
    /// What is special about the address, if no network was granted for it.
    pub fn admit(
        &self,
        destination: &Destination,
        permit: &Permit<'_>,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(), &'static str> {
        let Some(special) = special(address) else {
            return Ok(());
        };
        let canonical = canonical(address);
        let by_network = permit
            .networks
            .iter()
            .any(|network| network.contains(&canonical));
        let by_rule = || {
            let mut in_force = self.allowed.values().filter(|a| !a.is_expired(now));
            in_force.any(|allowed| {
                let mut rules = allowed.rules.iter();
                rules.any(|rule| rule.admits(destination, address))
            })
        };
        if by_network || by_rule() {
            Ok(())
        } else {
            Err(special)
        }
    }
}

impl Allowed {
    fn of(
        request: &Request,
        grant: Option<&Grant>,
        setting: &dyn Fn(&str) -> Option<String>,
        now: Timestamp,
    ) -> Result<Self, GrantError> {
        let (id, using) = (request.id.clone(), request.using);
        if !using.is_enforced() {
            return Err(GrantError::NotEnforced { id, using });
        }
        let Some(grant) = grant else {
            let reason = request.reason.clone();
            return Err(GrantError::Missing { id, using, reason });
        };
        let asked = request.asked(setting).map_err(GrantError::Setting)?;
        if grant.is_expired(now) {
            return Err(GrantError::Expired { id, using });
        }
        if !asked.is_no_more_than(&grant.terms.asked) {
            return Err(GrantError::Changed { id, using });
        }
        // Not trusted because it was checked when it was stored.
        let rules: Vec<Rule> = asked
            .rules
            .iter()
            .flat_map(|rule| {
                let granted = grant.terms.rules.iter();
                granted.filter_map(|granted| rule.intersection(granted))
            })
            .collect();
        if using == Use::Http && rules.is_empty() {
            return Err(GrantError::Changed { id, using });
        }
        let needs_secret = matches!(using, Use::Secret | Use::SecretReveal);
        if needs_secret && grant.terms.secret.is_none() {
            return Err(GrantError::NoSecret { id, using });
        }
        Ok(Self {
            using,
            expires: grant.expires,
            rules,
            networks: grant.terms.networks.clone(),
            secret: grant.terms.secret.clone().filter(|_| needs_secret),
            attach: request
                .attach
                .as_ref()
                .map(|attach| (attach.to().to_vec(), attach.place().clone())),
        })
    }

    fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}
