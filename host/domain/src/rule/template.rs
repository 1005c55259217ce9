//! Rules as manifests have them: the host can come from the configuration.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{
    Destination, Host, Method, Rule, RuleError, Scheme, parse_methods, parse_scheme, split,
};

/// A rule in which `{config.key}` may stand for the host, as in
/// `GET https://{config.host}/api/**`, or for everything before the path, as
/// in `GET {config.url}/api/**`.
///
/// In the first case the configuration holds a host, with a port or without;
/// in the second one a URL, whose path, if it has one, comes before that of
/// the rule. An address in the configuration makes a rule for that address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RuleTemplate {
    text: String,
    open: Open,
}

/// What the configuration decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Open {
    Nothing(Rule),
    /// The host, and the port unless the rule has one.
    Host {
        key: String,
        scheme: Scheme,
        after: String,
    },
    /// Scheme, host, port, and where the path begins.
    Origin {
        key: String,
        after: String,
    },
}

impl RuleTemplate {
    /// The key of the configuration that it needs, if any.
    pub fn key(&self) -> Option<&str> {
        match &self.open {
            Open::Nothing(_) => None,
            Open::Host { key, .. } | Open::Origin { key, .. } => Some(key),
        }
    }

    /// The rule that it is with this configuration. `setting` gives what a key
    /// holds, as text.
    ///
    /// # Errors
    /// If the key holds nothing, or nothing that a rule could be made of.
    pub fn resolve(&self, setting: &dyn Fn(&str) -> Option<String>) -> Result<Rule, RuleError> {
        let (key, scheme, after) = match &self.open {
            Open::Nothing(rule) => return Ok(rule.clone()),
            Open::Host { key, scheme, after } => (key, Some(*scheme), after),
            Open::Origin { key, after } => (key, None, after),
        };
        let value = setting(key)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
            .ok_or_else(|| {
                RuleError(format!(
                    "the rule `{self}` needs `{key}`, which the configuration does not have"
                ))
            })?;
        let problem = |why: &str| {
            RuleError(format!(
                "the rule `{self}` cannot be made of what the configuration has as `{key}`: {why}"
            ))
        };
        let url = match scheme {
            Some(scheme) if value.contains(['/', '?', '*']) => {
                let scheme = scheme.as_str();
                return Err(problem(&format!(
                    "it must be a host, as in what comes after `{scheme}://`"
                )));
            }
            Some(scheme) => format!("{}://{value}/", scheme.as_str()),
            None => value,
        };
        if url.contains(['?', '*']) {
            return Err(problem("it has a query or a wildcard"));
        }
        let at = Destination::to(Method::Get, &url).map_err(|error| problem(&error.to_string()))?;
        let methods = self.text.split(' ').next().unwrap_or_default();
        let host = match at.host() {
            Host::Name(name) => name.clone(),
            Host::Address(IpAddr::V4(address)) => format!("{address}/32"),
            Host::Address(IpAddr::V6(address)) => format!("[{address}/128]"),
        };
        let port = match after.strip_prefix(':') {
            Some(_) if at.port() != at.scheme().port() => {
                return Err(problem("both have a port"));
            }
            Some(_) => String::new(),
            None => format!(":{}", at.port()),
        };
        let prefix = match scheme {
            Some(_) => "",
            None => at.path_and_query().trim_end_matches('/'),
        };
        let scheme = at.scheme().as_str();
        format!("{methods} {scheme}://{host}{port}{prefix}{after}")
            .parse()
            .map_err(|error: RuleError| problem(&error.0))
    }
}

impl FromStr for RuleTemplate {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (methods, target) = split(text)?;
        let open = if target.starts_with('{') {
            let (key, after) = parse_key(target)?;
            let after = after.to_owned();
            Open::Origin { key, after }
        } else {
            let (scheme, rest) = parse_scheme(target)?;
            if rest.starts_with('{') {
                let (key, after) = parse_key(rest)?;
                let after = after.to_owned();
                Open::Host { key, scheme, after }
            } else {
                Open::Nothing(text.parse()?)
            }
        };
        // Whatever the configuration will hold, the rest must be in order.
        let (scheme, after) = match &open {
            Open::Nothing(_) => ("", ""),
            Open::Host { scheme, after, .. } => (scheme.as_str(), after.as_str()),
            Open::Origin { after, .. } if after.starts_with(':') => {
                return Err(RuleError(format!(
                    "`{target}`: the port is a part of what the configuration holds"
                )));
            }
            Open::Origin { after, .. } => ("https", after.as_str()),
        };
        parse_methods(methods)?;
        if !scheme.is_empty() {
            format!("{methods} {scheme}://config.invalid{after}").parse::<Rule>()?;
        }
        Ok(Self {
            text: text.to_owned(),
            open,
        })
    }
}

/// The key of `{config.key}`, and what comes after it.
fn parse_key(text: &str) -> Result<(String, &str), RuleError> {
    let parsed = text
        .strip_prefix("{config.")
        .and_then(|rest| rest.split_once('}'))
        .filter(|(key, _)| {
            let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
            !key.is_empty() && key.bytes().all(good)
        });
    let (key, after) = parsed.ok_or_else(|| {
        RuleError(format!(
            "`{text}`: what the configuration decides is written `{{config.key}}`"
        ))
    })?;
    // Anything else would be a part of the host or of the port that the
    // configuration holds: `0` after `http://prometheus:80` makes port 800.
    if !after.is_empty() && !after.starts_with(['/', ':']) {
        return Err(RuleError(format!(
            "`{text}`: what the configuration decides ends where the path begins, or the port of \
             a host: write `/` or `:` after `{{config.{key}}}`"
        )));
    }
    Ok((key.to_owned(), after))
}

impl fmt::Display for RuleTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for RuleTemplate {
    type Error = RuleError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RuleTemplate> for String {
    fn from(template: RuleTemplate) -> Self {
        template.text
    }
}
