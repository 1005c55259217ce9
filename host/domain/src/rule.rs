//! Rules for requests that go out: which methods, to which hosts and ports,
//! below which paths.
//!
//! `METHODS scheme://host[:ports]/path`, for example
//! `GET,HEAD https://*.example.com/incidents/*/notes`:
//!
//! - methods: a comma list, or `*` for all that there are;
//! - scheme: `https`, or `http` where it is said;
//! - host: a name; `*.name`, all below it but not itself; or the addresses of
//!   a network, `10.0.0.0/8` and `[fd00::/8]`;
//! - ports: one, `8000..8010`, or none for the scheme's own;
//! - path: `*` stands for one segment, `/**` at the end for any rest.
//!
//! Rules of a manifest can leave the host open: [`RuleTemplate`].
//!
//! The grammar is closed and small, so that it can be decided whether one rule
//! allows all that another does ([`Rule::includes`]). Paths are compared
//! segment by segment after percent-decoding, once, and dot segments are gone
//! by then. What a server could read as more than one segment, or as a step
//! up, matches no wildcard.

mod destination;
mod path;
mod template;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::network::canonical;

pub use destination::{Destination, DestinationError, Host};
pub use path::PathPattern;
pub use template::RuleTemplate;

/// The most characters of a rule.
pub const RULE_CHARS_MAX: usize = 500;

/// The methods that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "RFC 9110, section 9, and RFC 5789")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

impl Method {
    /// All of them. Not `CONNECT` and `TRACE`, which are for proxies.
    pub const ALL: [Method; 7] = [
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Patch,
        Method::Delete,
        Method::Options,
    ];

    /// As it is sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
        }
    }

    /// The method of this name, in capitals.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }
}

/// Encrypted or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port where none is written.
    pub const fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// Why a text is no rule. The words that were expected are part of the
/// message, so that the nearest can be suggested.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct RuleError(pub(crate) String);

/// Which requests are allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rule {
    /// Sorted, each once, never empty.
    methods: Vec<Method>,
    scheme: Scheme,
    host: HostPattern,
    ports: Ports,
    path: PathPattern,
}

/// Which hosts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum HostPattern {
    /// This name.
    Name(String),
    /// Names below this one.
    Below(String),
    /// Addresses of this network.
    Network(IpNet),
}

/// Which ports, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Ports {
    first: u16,
    last: u16,
}

impl Rule {
    /// The rule that allows this request and as little as possible beside it,
    /// out of all that this rule allows: one method, one host, one port. The
    /// path stays as the rule has it. None if this rule does not allow it.
    #[must_use]
    pub fn narrowed_to(&self, method: Method, host: &Host, port: u16) -> Option<Self> {
        let narrowed = Self {
            methods: vec![method],
            scheme: self.scheme,
            host: match host {
                Host::Name(name) => HostPattern::Name(name.clone()),
                Host::Address(address) => HostPattern::Network(IpNet::from(*address)),
            },
            ports: Ports {
                first: port,
                last: port,
            },
            path: self.path.clone(),
        };
        self.includes(&narrowed).then_some(narrowed)
    }

    /// This rule with another list of methods beside its own. None if it
    /// differs from the other in more than that.
    #[must_use]
    pub fn joined_with(&self, other: &Self) -> Option<Self> {
        let mut methods = self.methods.clone();
        methods.extend(&other.methods);
        methods.sort_unstable();
        methods.dedup();
        let joined = Self {
            methods,
            ..self.clone()
        };
        let same = Self {
            methods: other.methods.clone(),
            ..self.clone()
        };
        (same == *other).then_some(joined)
    }

    /// Whether it allows this request.
    pub fn matches(&self, destination: &Destination) -> bool {
        self.methods.contains(&destination.method)
            && self.scheme == destination.scheme
            && self.ports.contain(destination.port)
            && self.host.matches(&destination.host)
            && self.path.matches(&destination.segments)
    }

    /// Whether it allows requests like this one, which were sent to a name, to
    /// go to this address.
    pub fn admits(&self, destination: &Destination, address: IpAddr) -> bool {
        matches!(self.host, HostPattern::Network(_))
            && self.matches(&destination.with_host(Host::Address(canonical(address))))
    }

    /// Whether it allows every request that the other allows.
    pub fn includes(&self, other: &Self) -> bool {
        other
            .methods
            .iter()
            .all(|method| self.methods.contains(method))
            && self.scheme == other.scheme
            && self.ports.first <= other.ports.first
            && other.ports.last <= self.ports.last
            && self.host.includes(&other.host)
            && self.path.includes(&other.path)
    }

    /// What both allow, where one includes the other. Two rules that overlap
    /// otherwise have none: neither was asked for by whoever wrote the other.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        if self.includes(other) {
            Some(other.clone())
        } else if other.includes(self) {
            Some(self.clone())
        } else {
            None
        }
    }
}

impl Ports {
    fn contain(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

/// Whether a name is below another, and not that one itself.
fn is_below(name: &str, above: &str) -> bool {
    name.strip_suffix(above)
        .and_then(|rest| rest.strip_suffix('.'))
        .is_some_and(|rest| !rest.is_empty())
}

impl HostPattern {
    fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Name(name), Host::Name(other)) => name == other,
            (Self::Below(above), Host::Name(other)) => is_below(other, above),
            (Self::Network(network), Host::Address(address)) => {
                network.contains(&canonical(*address))
            }
            (Self::Name(_) | Self::Below(_), Host::Address(_))
            | (Self::Network(_), Host::Name(_)) => false,
        }
    }

    fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(name), Self::Name(other)) => name == other,
            (Self::Below(above), Self::Name(other)) => is_below(other, above),
            (Self::Below(above), Self::Below(other)) => above == other || is_below(other, above),
            (Self::Network(network), Self::Network(other)) => network.contains(other),
            _ => false,
        }
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (methods, target) = split(text)?;
        let methods = parse_methods(methods)?;
        let (scheme, rest) = parse_scheme(target)?;
        let (host, rest) = parse_host(rest)?;
        let slash = rest.find('/').ok_or_else(|| {
            RuleError("a rule ends with a path: `/**` for all that there is".to_owned())
        })?;
        let (ports, path) = rest.split_at(slash);
        let rule = Self {
            methods,
            scheme,
            host,
            ports: parse_ports(ports, scheme)?,
            path: path.parse()?,
        };
        // It is kept as it is written, which must be read again.
        if rule.to_string().len() > RULE_CHARS_MAX {
            return Err(RuleError(format!(
                "a rule has {RULE_CHARS_MAX} characters at most, percent-encoded where need be"
            )));
        }
        Ok(rule)
    }
}

/// Methods and target.
fn split(text: &str) -> Result<(&str, &str), RuleError> {
    if text.len() > RULE_CHARS_MAX {
        return Err(RuleError(format!(
            "a rule has {RULE_CHARS_MAX} characters at most"
        )));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return Err(RuleError(
            "a rule is of printable ASCII: write a name of another script in its `xn--` form"
                .to_owned(),
        ));
    }
    match text.split_once(' ') {
        Some((methods, target)) if !target.contains(' ') && !target.is_empty() => {
            Ok((methods, target))
        }
        _ => Err(RuleError(
            "a rule is methods, one space, and where to, as in `GET https://api.example.com/**`"
                .to_owned(),
        )),
    }
}

fn parse_methods(text: &str) -> Result<Vec<Method>, RuleError> {
    if text == "*" {
        return Ok(Method::ALL.to_vec());
    }
    let mut methods = Vec::new();
    for word in text.split(',') {
        let method = Method::of(word).ok_or_else(|| {
            let known: Vec<String> = Method::ALL
                .iter()
                .map(|method| format!("`{}`", method.as_str()))
                .collect();
            RuleError(format!(
                "unknown method `{word}`, expected `*` or a comma list of {}",
                known.join(", ")
            ))
        })?;
        methods.push(method);
    }
    methods.sort_unstable();
    methods.dedup();
    Ok(methods)
}

fn parse_scheme(target: &str) -> Result<(Scheme, &str), RuleError> {
    match target.split_once("://") {
        Some(("https", rest)) => Ok((Scheme::Https, rest)),
        Some(("http", rest)) => Ok((Scheme::Http, rest)),
        Some((other, _)) => Err(RuleError(format!(
            "unknown scheme `{other}`, expected `https` or `http`"
        ))),
        None => Err(RuleError(format!(
            "`{target}` has no scheme: write `https://` before it"
        ))),
    }
}

/// The host, and what comes after it.
fn parse_host(text: &str) -> Result<(HostPattern, &str), RuleError> {
    if let Some(inner) = text.strip_prefix('[') {
        let (network, rest) = inner
            .split_once(']')
            .ok_or_else(|| RuleError(format!("`{text}` has no closing bracket")))?;
        return Ok((HostPattern::Network(parse_network(network)?), rest));
    }
    let end = text.find([':', '/']).unwrap_or(text.len());
    let (host, rest) = text.split_at(end);
    if host.starts_with(|c: char| c.is_ascii_digit()) && host.parse::<IpAddr>().is_ok() {
        // The prefix is part of it: `10.0.0.0/8:9090/**`.
        let digits = rest.strip_prefix('/').map_or("", |rest| {
            &rest[..rest.find([':', '/']).unwrap_or(rest.len())]
        });
        let network = parse_network(&format!("{host}/{digits}"))?;
        return Ok((HostPattern::Network(network), &rest[1 + digits.len()..]));
    }
    let pattern = match host.strip_prefix("*.") {
        Some(name) => {
            if !name.contains('.') {
                return Err(RuleError(format!(
                    "`{host}` is a whole top-level domain: name at least two labels after `*.`"
                )));
            }
            HostPattern::Below(destination::parse_name(name).map_err(RuleError)?)
        }
        None => HostPattern::Name(destination::parse_name(host).map_err(RuleError)?),
    };
    Ok((pattern, rest))
}

/// A network, such as `10.0.0.0/8`, `10.0.0.5/32` and `fd00::/8`.
///
/// # Errors
/// What is wrong with it, and the remedy.
pub fn parse_network(text: &str) -> Result<IpNet, RuleError> {
    let network: IpNet = text.parse().map_err(|_| {
        RuleError(format!(
            "`{text}` is no network: write addresses with the length of their prefix, as in \
             `10.0.0.5/32`, `10.0.0.0/8` and `[fd00::/8]`"
        ))
    })?;
    if network.trunc() != network {
        return Err(RuleError(format!(
            "`{network}` has bits beyond its prefix: did you mean `{}`?",
            network.trunc()
        )));
    }
    if let IpNet::V6(v6) = network
        && (v6.addr().to_ipv4_mapped().is_some())
    {
        return Err(RuleError(format!(
            "`{network}` is of IPv4: write it as such"
        )));
    }
    Ok(network)
}

fn parse_ports(text: &str, scheme: Scheme) -> Result<Ports, RuleError> {
    let Some(text) = text.strip_prefix(':') else {
        if text.is_empty() {
            let port = scheme.port();
            return Ok(Ports {
                first: port,
                last: port,
            });
        }
        return Err(RuleError(format!("`{text}` does not belong after a host")));
    };
    let port = |text: &str| {
        let port = text.parse::<u16>().ok().filter(|port| *port > 0);
        port.filter(|port| port.to_string() == text).ok_or_else(|| {
            RuleError(format!(
                "`{text}` is no port: write 1 to 65535, or a range as in `8000..8010`"
            ))
        })
    };
    let (first, last) = match text.split_once("..") {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(text)?, port(text)?),
    };
    if first > last {
        return Err(RuleError(format!("the range of ports `{text}` is empty")));
    }
    Ok(Ports { first, last })
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.methods == Method::ALL {
            f.write_str("*")?;
        } else {
            let words: Vec<&str> = self.methods.iter().map(|method| method.as_str()).collect();
            f.write_str(&words.join(","))?;
        }
        write!(f, " {}://", self.scheme.as_str())?;
        match &self.host {
            HostPattern::Name(name) => f.write_str(name)?,
            HostPattern::Below(name) => write!(f, "*.{name}")?,
            HostPattern::Network(IpNet::V4(network)) => write!(f, "{network}")?,
            HostPattern::Network(IpNet::V6(network)) => write!(f, "[{network}]")?,
        }
        let Ports { first, last } = self.ports;
        if first != last {
            write!(f, ":{first}..{last}")?;
        } else if first != self.scheme.port() {
            write!(f, ":{first}")?;
        }
        write!(f, "{}", self.path)
    }
}

impl TryFrom<String> for Rule {
    type Error = RuleError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}

#[cfg(test)]
mod tests;
