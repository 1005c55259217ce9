//! Where the host puts a secret into a request.

use std::fmt;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The most characters of a header's or parameter's name, and of a format.
const TEXT_CHARS_MAX: usize = 200;

/// Headers that the host writes itself, in lower case. What a guest said in
/// them could make two readers see two requests, or send it elsewhere.
pub const HOST_HEADERS: [&str; 13] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Whether a header, given in lower case, is the host's own.
pub fn is_host_header(name: &str) -> bool {
    HOST_HEADERS.contains(&name) || name.starts_with("proxy-") || name.starts_with("x-forwarded-")
}

/// A secret's place in requests, as the manifest has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Attach {
    /// The ids of the `http` capabilities whose requests it may go with.
    to: Vec<String>,
    place: Place,
}

/// Where in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// A header. `{}` in the format stands for the secret, `{base64}` for the
    /// secret in base64.
    Header {
        /// In lower case.
        name: String,
        /// Where the secret stands in the value.
        format: String,
    },
    /// A parameter of the query.
    Query {
        /// Its name.
        name: String,
    },
}

/// Why a secret cannot be attached so.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct AttachError(String);

const RAW: &str = "{}";
const ENCODED: &str = "{base64}";

impl Attach {
    /// A secret in a header, or, where no header is named, in the query.
    ///
    /// # Errors
    /// What is wrong with it, and the remedy.
    pub fn new(
        to: Vec<String>,
        header: Option<&str>,
        format: Option<&str>,
        query: Option<&str>,
    ) -> Result<Self, AttachError> {
        let problem = |text: String| Err(AttachError(text));
        if to.is_empty() {
            return problem("`to` names no capability that the secret may go with".to_owned());
        }
        let place = match (header, query) {
            (Some(name), None) => Place::Header {
                name: header_name(name)?,
                format: checked_format(format.unwrap_or(RAW))?,
            },
            (None, Some(_)) if format.is_some() => {
                return problem("`format` goes with `header` only".to_owned());
            }
            (None, Some(name)) => Place::Query {
                name: query_name(name)?,
            },
            _ => return problem("name a `header` or a `query` parameter, and one only".to_owned()),
        };
        Ok(Self { to, place })
    }

    /// The ids of the capabilities whose requests it may go with.
    pub fn to(&self) -> &[String] {
        &self.to
    }

    /// Where in a request.
    pub fn place(&self) -> &Place {
        &self.place
    }
}

impl Place {
    /// The value that the header or parameter gets.
    pub fn fill(&self, secret: &Secret) -> Zeroizing<Vec<u8>> {
        let Place::Header { format, .. } = self else {
            return Zeroizing::new(secret.expose().to_vec());
        };
        let encoded = format.contains(ENCODED);
        let mark = if encoded { ENCODED } else { RAW };
        let (before, after) = format.split_once(mark).unwrap_or((format, ""));
        let mut value = Zeroizing::new(before.as_bytes().to_vec());
        if encoded {
            let text = Zeroizing::new(BASE64.encode(secret.expose()));
            value.extend_from_slice(text.as_bytes());
        } else {
            value.extend_from_slice(secret.expose());
        }
        value.extend_from_slice(after.as_bytes());
        value
    }
}

impl fmt::Display for Attach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Header { name, format } => write!(f, "header `{name}: {format}`")?,
            Place::Query { name } => write!(f, "query parameter `{name}`")?,
        }
        write!(f, " to {}", self.to.join(", "))
    }
}

fn header_name(name: &str) -> Result<String, AttachError> {
    // RFC 9110, section 5.6.2: token.
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || name.len() > TEXT_CHARS_MAX || !name.bytes().all(token) {
        return Err(AttachError(format!("`{name}` is no name of a header")));
    }
    let name = name.to_ascii_lowercase();
    if is_host_header(&name) {
        return Err(AttachError(format!(
            "the header `{name}` is the host's own"
        )));
    }
    Ok(name)
}

fn query_name(name: &str) -> Result<String, AttachError> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if name.is_empty() || name.len() > TEXT_CHARS_MAX || !name.bytes().all(good) {
        return Err(AttachError(format!(
            "`{name}` is no name of a parameter: use a-z, 0-9, `-`, `.` and `_`"
        )));
    }
    Ok(name.to_owned())
}

fn checked_format(format: &str) -> Result<String, AttachError> {
    let good = |c: char| c == ' ' || c.is_ascii_graphic();
    let places = format.matches(RAW).count() + format.matches(ENCODED).count();
    let braces = format.matches(['{', '}']).count();
    if places != 1 || braces != 2 || format.len() > TEXT_CHARS_MAX || !format.chars().all(good) {
        return Err(AttachError(format!(
            "`{}` must have `{RAW}` or `{ENCODED}` once, where the secret goes, as in `Bearer {RAW}`",
            format.escape_default()
        )));
    }
    Ok(format.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_header(name: &str, format: &str) -> Result<Attach, AttachError> {
        Attach::new(vec!["api".to_owned()], Some(name), Some(format), None)
    }

    #[test]
    fn a_secret_stands_where_the_format_says() {
        let secret = Secret::new(b"user:pass".to_vec()).expect("a secret");
        let cases = [
            ("Bearer {}", "Bearer user:pass"),
            ("Basic {base64}", "Basic dXNlcjpwYXNz"),
            ("Token token={} x", "Token token=user:pass x"),
        ];
        for (format, expected) in cases {
            let attach = in_header("Authorization", format).expect(format);
            assert_eq!(*attach.place().fill(&secret), expected.as_bytes());
        }
        assert_eq!(
            in_header("X-Key", "{}").expect("good").to_string(),
            "header `x-key: {}` to api"
        );
    }

    #[test]
    fn what_cannot_be_attached_is_refused() {
        for (name, format) in [
            ("Host", "{}"),
            ("Proxy-Authorization", "{}"),
            ("a b", "{}"),
            ("", "{}"),
            ("X", "none"),
            ("X", "{} {}"),
            ("X", "{}{base64}"),
            ("X", "{x} {}"),
            ("X", "{}\r\nY: z"),
        ] {
            assert!(in_header(name, format).is_err(), "{name} {format}");
        }
        let to = || vec!["api".to_owned()];
        assert!(Attach::new(to(), None, None, None).is_err());
        assert!(Attach::new(to(), Some("x"), None, Some("y")).is_err());
        assert!(Attach::new(to(), None, Some("{}"), Some("y")).is_err());
        assert!(Attach::new(Vec::new(), None, None, Some("y")).is_err());
        assert!(Attach::new(to(), None, None, Some("a&b")).is_err());
    }
}
