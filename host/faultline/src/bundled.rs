//! The plugins that come with the binary.

use anyhow::{Context, Result};
use faultline_bundle::Bundle;

/// The files of each, by path.
static BUNDLED: &[&[(&str, &[u8])]] = include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

/// All bundled plugins.
///
/// # Errors
/// If one of them is not in order, which is a mistake in how this binary was
/// built.
pub(crate) fn bundled() -> Result<Vec<Bundle>> {
    BUNDLED
        .iter()
        .map(|files| {
            let files = files
                .iter()
                .map(|(path, content)| ((*path).to_owned(), content.to_vec()))
                .collect();
            Bundle::from_files(files).context("reading a plugin that comes with this binary")
        })
        .collect()
}
