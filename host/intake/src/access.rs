//! Who may send: the bearers of ingest tokens, which are good for nothing else.
//!
//! A token comes as `Authorization: Bearer`, as the password of `Authorization:
//! Basic`, or as `X-Faultline-Token`; and, for hooks, as `?token=`, since many
//! senders of webhooks can be given nothing but an address. It is looked up by
//! its hash, so that how long the search takes says nothing about any token.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::Query;
use axum::http::{HeaderMap, Uri, header};
use faultline_domain::id::{Digest, SourceName};
use faultline_domain::time::Timestamp;
use faultline_store::{Purpose, TokenRecord};
use serde::Deserialize;

use crate::refused::{Reason, Refused};

/// A header for senders that can set headers, but not this one header.
const TOKEN_HEADER: &str = "x-faultline-token";

/// Longer than any token.
const TOKEN_BYTES_MAX: usize = 512;

/// Who may send to a listener.
#[derive(Debug, Clone)]
pub enum Access {
    /// The bearers of these tokens.
    Tokens(Arc<TokenTable>),
    /// Everybody who can reach it, but no web pages, which reach the loopback
    /// address of whoever looks at them; for listeners on such an address only.
    Open,
}

/// The ingest tokens, by their hash. Shared: whoever makes and revokes tokens
/// replaces them, and that counts from the next request on.
#[derive(Debug, Default)]
pub struct TokenTable(RwLock<HashMap<Digest, TokenRecord>>);

impl TokenTable {
    /// Replaces all tokens. Those of other purposes, and those that were
    /// revoked, are not taken.
    pub fn replace(&self, tokens: impl IntoIterator<Item = TokenRecord>) {
        let tokens = tokens
            .into_iter()
            .filter(|token| matches!(token.purpose, Purpose::Ingest(_)))
            .filter(|token| token.revoked.is_none())
            .map(|token| (token.hash, token))
            .collect();
        // Replaced as a whole, so that a panicking thread leaves it complete.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = tokens;
    }

    fn find(&self, token: &str, now: Timestamp) -> Option<Sender> {
        let tokens = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let record = tokens.get(&Digest::of(token.as_bytes()))?;
        let Purpose::Ingest(source) = &record.purpose else {
            return None;
        };
        record.is_valid(now).then(|| Sender {
            rate_key: record.id.clone(),
            source: source.clone(),
        })
    }
}

/// Somebody who may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sender {
    /// Whose rate it counts for.
    pub(crate) rate_key: String,
    /// What it is called, if its token says so.
    pub(crate) source: Option<SourceName>,
}

/// Where a token may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenPlaces {
    Headers,
    HeadersAndQuery,
}

/// What a request says about who sends it.
pub(crate) struct Credentials {
    token: Option<String>,
    /// Browsers say which page sends something (RFC 6454, section 7); other
    /// senders do not.
    is_web_page: bool,
}

impl Credentials {
    pub(crate) fn of(headers: &HeaderMap, uri: &Uri, places: TokenPlaces) -> Self {
        let token = from_authorization(headers)
            .or_else(|| header_text(headers, TOKEN_HEADER).map(str::to_owned))
            .or_else(|| match places {
                TokenPlaces::Headers => None,
                TokenPlaces::HeadersAndQuery => from_query(uri),
            })
            .filter(|token| token.len() <= TOKEN_BYTES_MAX);
        Self {
            token,
            is_web_page: headers.contains_key(header::ORIGIN),
        }
    }
}

impl Access {
    /// Who sends it, if they may.
    pub(crate) fn admit(
        &self,
        credentials: &Credentials,
        from: Option<SocketAddr>,
        now: Timestamp,
    ) -> Result<Sender, Refused> {
        let tokens = match self {
            Access::Tokens(tokens) => tokens,
            Access::Open if credentials.is_web_page => {
                return Err(Refused::new(
                    Reason::Forbidden,
                    "this listener knows no tokens, and takes nothing from web pages therefore",
                ));
            }
            Access::Open => {
                let address = from.map_or_else(String::new, |from| from.ip().to_string());
                return Ok(Sender {
                    rate_key: address,
                    source: None,
                });
            }
        };
        let Some(token) = &credentials.token else {
            return Err(Refused::new(
                Reason::Unauthorised,
                "an ingest token is missing: send it as `Authorization: Bearer …`, as the \
                 password of `Authorization: Basic …`, or as `X-Faultline-Token: …`",
            ));
        };
        tokens.find(token, now).ok_or_else(|| {
            Refused::new(
                Reason::Unauthorised,
                "this is no valid ingest token: it is unknown, has expired, was revoked, or is \
                 one for the API, which is good for nothing here",
            )
        })
    }
}

fn header_text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// RFC 6750, section 2.1, and RFC 7617, section 2. Schemes are named in any
/// case (RFC 9110, section 11.1).
fn from_authorization(headers: &HeaderMap) -> Option<String> {
    let (scheme, rest) = header_text(headers, header::AUTHORIZATION.as_str())?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let pair = data_encoding::BASE64.decode(rest.as_bytes()).ok()?;
        let pair = String::from_utf8(pair).ok()?;
        return pair
            .split_once(':')
            .map(|(_, password)| password.to_owned());
    }
    None
}

#[derive(Deserialize)]
struct TokenQuery {
    token: Option<String>,
}

fn from_query(uri: &Uri) -> Option<String> {
    let Query(query) = Query::<TokenQuery>::try_from_uri(uri).ok()?;
    query.token
}

#[cfg(test)]
mod tests;
