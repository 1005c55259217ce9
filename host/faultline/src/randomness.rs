//! The one place that asks for what nobody can guess.

use std::io;

/// Fills bytes with it.
///
/// # Errors
/// If the operating system has none.
pub(crate) fn fill(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(io::Error::from)
}
