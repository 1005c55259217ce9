//! Methods of requests, as spans show them.

/// Those that are shown as they are; another one is whatever somebody wrote.
const KNOWN: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// The convention's word for a method that is not known.
pub(crate) const OTHER: &str = "_OTHER";

/// The method, if it is one of those that are known.
pub(crate) fn known(method: &str) -> Option<&'static str> {
    KNOWN.into_iter().find(|known| *known == method)
}
