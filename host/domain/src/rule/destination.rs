//! Where a request goes, as far as rules speak of it.

use std::fmt;
use std::net::IpAddr;

use thiserror::Error;
use url::Url;

use super::{Method, Scheme, path};
use crate::network::canonical;

/// The most characters of a URL.
const URL_CHARS_MAX: usize = 8 << 10;

/// A host, by name or by address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// Lower case, without a dot at the end.
    Name(String),
    /// In canonical form.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Address(address) => write!(f, "{address}"),
        }
    }
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub(super) method: Method,
    pub(super) scheme: Scheme,
    pub(super) host: Host,
    pub(super) port: u16,
    /// Decoded once.
    pub(super) segments: Vec<Vec<u8>>,
    url: Url,
}

/// Why a URL or a method is refused before any rule is asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct DestinationError(&'static str);

/// What is said of a host that is written in another way than it is read.
const ODD_HOST: &str = "the host is spelled in an odd way: write a name in lower-case ASCII \
                        without a dot at its end, or an address in its usual form";

impl Destination {
    /// Reads a method and an absolute URL.
    ///
    /// What is written must be what is read: a URL that a parser would have to
    /// mend (white space, backslashes, octal addresses, other scripts, empty
    /// ports) is refused, since the next parser could mend it otherwise.
    ///
    /// # Errors
    /// What is wrong with it. Nothing of the URL is repeated.
    pub fn parse(method: &str, url: &str) -> Result<Self, DestinationError> {
        let method = Method::of(method).ok_or(DestinationError(
            "the method is none of GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS, in capitals",
        ))?;
        Self::to(method, url)
    }

    /// As [`Destination::parse`], of a method that was read already.
    ///
    /// # Errors
    /// As there.
    pub fn to(method: Method, url: &str) -> Result<Self, DestinationError> {
        if url.len() > URL_CHARS_MAX {
            return Err(DestinationError("the URL has more than 8192 characters"));
        }
        let unsafe_byte = |byte: u8| {
            !byte.is_ascii_graphic()
                || matches!(
                    byte,
                    b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}'
                )
        };
        if url.bytes().any(unsafe_byte) {
            return Err(DestinationError(
                "the URL has characters that do not belong into one: percent-encode them, and \
                 write a host of another script in its `xn--` form",
            ));
        }
        if url.contains('#') {
            return Err(DestinationError("the URL has a fragment"));
        }
        let (scheme, rest) = match url.split_once("://") {
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("http", rest)) => (Scheme::Http, rest),
            _ => {
                return Err(DestinationError(
                    "the URL begins neither with `https://` nor with `http://`",
                ));
            }
        };
        let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
        if authority.contains('@') {
            return Err(DestinationError("the URL has user info"));
        }
        let parsed = Url::parse(url).map_err(|_| DestinationError("the URL cannot be read"))?;
        let (host, port) = parse_authority(&parsed, authority, scheme)?;
        Ok(Self {
            method,
            scheme,
            host,
            port,
            segments: path::segments(parsed.path()),
            url: parsed,
        })
    }

    /// Where a redirect leads to, with the method to be used there: the `Location`
    /// is taken relative to this URL.
    ///
    /// # Errors
    /// As [`Destination::parse`].
    pub fn redirected(&self, location: &str, method: Method) -> Result<Self, DestinationError> {
        if location.bytes().any(|byte| !byte.is_ascii_graphic()) || location.contains('\\') {
            return Err(DestinationError(
                "the redirect leads to a URL with characters that do not belong into one",
            ));
        }
        let mut joined = match location.split_once("://") {
            // Absolute: what is written must be what is read.
            Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                let location = location.split('#').next().unwrap_or_default();
                return Self::to(method, location);
            }
            _ => self
                .url
                .join(location)
                .map_err(|_| DestinationError("the redirect leads to no URL"))?,
        };
        joined.set_fragment(None);
        Self::to(method, joined.as_str())
    }

    /// As if another host stood in its URL: for rules to be asked about, not to
    /// be sent.
    pub(super) fn with_host(&self, host: Host) -> Self {
        Self {
            host,
            ..self.clone()
        }
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, as they are sent.
    pub fn path_and_query(&self) -> &str {
        &self.url[url::Position::BeforePath..url::Position::AfterQuery]
    }

    /// The names in the query, decoded.
    pub fn query_names(&self) -> impl Iterator<Item = String> {
        self.url.query_pairs().map(|(name, _)| name.into_owned())
    }

    /// The host as it stands in a URL and in `Host`, with the port if it is not
    /// the scheme's own.
    pub fn authority(&self) -> String {
        let host = match self.host {
            Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
            ref other => other.to_string(),
        };
        if self.port == self.scheme.port() {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// Scheme, host and port: where secrets belong to.
    pub fn is_same_origin(&self, other: &Self) -> bool {
        (self.scheme, &self.host, self.port) == (other.scheme, &other.host, other.port)
    }
}

/// The method, the origin and nothing of the path or the query, which may hold
/// what is nobody's business.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, scheme) = (self.method.as_str(), self.scheme.as_str());
        write!(f, "{method} {scheme}://{}", self.authority())
    }
}

fn parse_authority(
    parsed: &Url,
    authority: &str,
    scheme: Scheme,
) -> Result<(Host, u16), DestinationError> {
    let odd = || DestinationError(ODD_HOST);
    let after_host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let (host, port) = match authority[after_host..].find(':') {
        Some(colon) => {
            let (host, port) = authority.split_at(after_host + colon);
            let number = port[1..].parse::<u16>().ok().filter(|port| *port > 0);
            let number = number.filter(|number| number.to_string() == port[1..]);
            let number = number.ok_or(DestinationError("the URL has an odd port"))?;
            (host, number)
        }
        None => (authority, scheme.port()),
    };
    match parsed.host() {
        Some(url::Host::Domain(name)) if name == host => parse_name(name)
            .map(|name| (Host::Name(name), port))
            .map_err(|_| odd()),
        Some(url::Host::Ipv4(address)) if address.to_string() == host => {
            Ok((Host::Address(IpAddr::V4(address)), port))
        }
        Some(url::Host::Ipv6(address)) if parsed.host_str() == Some(host) => {
            Ok((Host::Address(canonical(IpAddr::V6(address))), port))
        }
        _ => Err(odd()),
    }
}

/// A host name: labels of a-z, 0-9, `-` and `_`.
pub(super) fn parse_name(text: &str) -> Result<String, String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_number = text
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if text.len() > 253 || !text.split('.').all(label) || last_is_number {
        return Err(format!(
            "`{text}` is no host: write a name in lower-case ASCII, `*.` and a name, or a network"
        ));
    }
    Ok(text.to_owned())
}
