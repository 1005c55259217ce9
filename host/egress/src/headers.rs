//! Headers of guests, checked, and headers of answers, cleaned.

use faultline_domain::attach::{Place, is_host_header};
use faultline_domain::grant::Effective;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

/// The most headers of a request.
const HEADERS_MAX: usize = 64;

/// The most bytes of all names and values together.
const BYTES_MAX: usize = 32 << 10;

/// What answers are given without: what belongs to the connection, what was
/// undone, and cookies, which would be a store that nobody granted.
const DROPPED: [&str; 8] = [
    "connection",
    "content-encoding",
    "content-length",
    "keep-alive",
    "set-cookie",
    "set-cookie2",
    "trailer",
    "transfer-encoding",
];

/// What is said of the sender, and goes to nobody else on a redirect.
const OF_ORIGIN: [&str; 3] = ["authorization", "cookie", "www-authenticate"];

/// What is said of a body, and goes with it.
const OF_BODY: [&str; 5] = [
    "content-encoding",
    "content-language",
    "content-location",
    "content-type",
    "digest",
];

/// The headers as a guest gave them.
///
/// # Errors
/// What is wrong with them, without their values.
pub(crate) fn checked(
    headers: &[(String, Vec<u8>)],
    grants: &Effective,
) -> Result<HeaderMap, String> {
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if headers.len() > HEADERS_MAX || bytes > BYTES_MAX {
        return Err(format!(
            "the headers are too many or too long: {HEADERS_MAX} with {BYTES_MAX} bytes at most"
        ));
    }
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let shown: String = name.chars().take(60).collect();
        let shown = shown.escape_default();
        // Only what is a token, and a value without line breaks.
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("`{shown}` is no name of a header"))?;
        let value = HeaderValue::from_bytes(value)
            .map_err(|_| format!("the header `{shown}` has a value with control characters"))?;
        if is_host_header(name.as_str()) {
            return Err(format!("the header `{shown}` is the host's own"));
        }
        let stands_in = |place: &Place| matches!(place, Place::Header { name: header, .. } if *header == name.as_str());
        let secret = grants.iter().find(|(_, allowed)| {
            let attach = allowed.attach.as_ref();
            attach.is_some_and(|(_, place)| stands_in(place))
        });
        if let Some((secret, _)) = secret {
            return Err(format!(
                "the header `{shown}` belongs to the secret `{secret}`"
            ));
        }
        map.append(name, value);
    }
    Ok(map)
}

/// For a redirect to another origin.
pub(crate) fn leave_origin(headers: &mut HeaderMap) {
    for name in OF_ORIGIN {
        headers.remove(name);
    }
}

/// For a redirect that goes on without the body.
pub(crate) fn leave_body(headers: &mut HeaderMap) {
    for name in OF_BODY {
        headers.remove(name);
    }
}

/// The headers as the guest gets them.
pub(crate) fn cleaned(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers
        .iter()
        .filter(|(name, _)| !DROPPED.contains(&name.as_str()))
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect()
}
