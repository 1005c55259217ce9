//! Requests in, senders or refusals out.

use axum::http::HeaderValue;
use faultline_domain::access::Role;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

fn record(id: &str, purpose: Purpose) -> TokenRecord {
    TokenRecord {
        id: id.to_owned(),
        name: id.to_owned(),
        purpose,
        hash: Digest::of(format!("secret-{id}").as_bytes()),
        created: Timestamp::ZERO,
        created_by: "local:root".to_owned(),
        expires: None,
        revoked: None,
    }
}

fn access() -> Access {
    let source = SourceName::new("checkout").expect("a name");
    let mut expired = record("expired", Purpose::Ingest(None));
    expired.expires = Some(NOW);
    let mut revoked = record("revoked", Purpose::Ingest(None));
    revoked.revoked = Some(Timestamp::ZERO);
    let tokens = TokenTable::default();
    tokens.replace([
        record("plain", Purpose::Ingest(None)),
        record("named", Purpose::Ingest(Some(source))),
        record("api", Purpose::Api(Role::Admin)),
        expired,
        revoked,
    ]);
    Access::Tokens(Arc::new(tokens))
}

/// The sender's key and source, or the status.
fn check(name: &'static str, value: &str, uri: &'static str, expected: &str) {
    let mut headers = HeaderMap::new();
    if !name.is_empty() {
        headers.insert(name, HeaderValue::from_str(value).expect("a value"));
    }
    for (places, counts) in [
        (TokenPlaces::HeadersAndQuery, true),
        (TokenPlaces::Headers, !uri.contains('?')),
    ] {
        let credentials = Credentials::of(&headers, &Uri::from_static(uri), places);
        let shown = match access().admit(&credentials, None, NOW) {
            Ok(sender) => {
                let source = sender.source.map_or_else(String::new, String::from);
                format!("{}:{source}", sender.rate_key)
            }
            Err(refused) => refused.reason.status().as_u16().to_string(),
        };
        let expected = if counts { expected } else { "401" };
        assert_eq!(shown, expected, "{name} {value} {uri}");
    }
}

#[test]
fn a_token_stands_where_senders_can_put_it() {
    let basic = |pair: &str| format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes()));
    check("authorization", "Bearer secret-plain", "/", "plain:");
    check(
        "authorization",
        "bearer  secret-named",
        "/",
        "named:checkout",
    );
    check("authorization", &basic("any:secret-plain"), "/", "plain:");
    check("authorization", &basic(":secret-plain"), "/", "plain:");
    check("x-faultline-token", "secret-named", "/", "named:checkout");
    check("", "", "/hooks/x?a=b&token=secret-plain", "plain:");
}

#[test]
fn nothing_else_is_a_token() {
    check("", "", "/", "401");
    check("authorization", "Bearer", "/", "401");
    check("authorization", "Bearer secret-none", "/", "401");
    check("authorization", "Bearer plain", "/", "401");
    check("authorization", "Basic !!!", "/", "401");
    check("authorization", "Digest secret-plain", "/", "401");
    check("authorization", "Bearer secret-api", "/", "401");
    check("authorization", "Bearer secret-expired", "/", "401");
    check("authorization", "Bearer secret-revoked", "/", "401");
    check("cookie", "secret-plain", "/", "401");
    check("", "", "/hooks/x?token=", "401");
}

#[test]
fn replacing_counts_at_once() {
    let tokens = Arc::new(TokenTable::default());
    let access = Access::Tokens(Arc::clone(&tokens));
    let credentials = Credentials {
        token: Some("secret-a".to_owned()),
        is_web_page: true,
    };
    let admitted = || access.admit(&credentials, None, NOW).is_ok();
    assert!(!admitted());
    tokens.replace([record("a", Purpose::Ingest(None))]);
    assert!(admitted());
    tokens.replace([]);
    assert!(!admitted());
}

#[test]
fn an_open_listener_knows_senders_by_address() {
    let from = "127.0.0.1:4000".parse().expect("an address");
    let admitted = |headers: &HeaderMap| {
        let uri = Uri::from_static("/hooks/x");
        let credentials = Credentials::of(headers, &uri, TokenPlaces::HeadersAndQuery);
        Access::Open.admit(&credentials, Some(from), NOW)
    };
    let mut headers = HeaderMap::new();
    let sender = admitted(&headers).expect("admitted");
    assert_eq!(sender.rate_key, "127.0.0.1");
    headers.insert("origin", HeaderValue::from_static("https://example.com"));
    let refused = admitted(&headers).expect_err("a web page");
    assert_eq!(refused.reason, Reason::Forbidden);
}
