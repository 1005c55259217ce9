//! Use of secrets without sight of them.
//!
//! Needs the capability `secret` that names them.

use super::call;
use crate::Fault;

/// The HMAC-SHA-256 (RFC 2104) of `data` under the secret: 32 bytes.
///
/// # Errors
/// `denied`, if the secret is not granted.
pub fn hmac_sha256(secret: &str, data: &[u8]) -> Result<Vec<u8>, Fault> {
    call!(
        crate::bindings::host::faultline::plugin::secrets::hmac_sha256(secret, data),
        |fake| fake.secret_hmac_sha256(secret, data)
    )
}

/// Whether the candidate is the secret, compared in constant time.
///
/// # Errors
/// `denied`, if the secret is not granted.
pub fn equals(secret: &str, candidate: &[u8]) -> Result<bool, Fault> {
    call!(
        crate::bindings::host::faultline::plugin::secrets::equals(secret, candidate),
        |fake| fake.secret_equals(secret, candidate)
    )
}

/// The secret itself. Needs the capability `secret-reveal` that names it, which
/// operators grant less readily than `secret`: prefer not to need it.
///
/// # Errors
/// `denied`, if the sight of the secret is not granted.
pub fn reveal(secret: &str) -> Result<Vec<u8>, Fault> {
    call!(
        crate::bindings::host::faultline::plugin::secrets_reveal::reveal(secret),
        |fake| fake.secret_reveal(secret)
    )
}
