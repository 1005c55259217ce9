//! The configuration of this instance.
//!
//! The traits of this kit hand it over parsed: few plugins need this module.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::call;
use crate::Fault;

/// The configuration of a plugin that has none: any key is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// The JSON object as the host gives it: valid against the component's config
/// schema, with the schema's defaults filled in, and without secrets.
pub fn get() -> String {
    call!(
        crate::bindings::host::faultline::plugin::config::get(),
        |fake| fake.config()
    )
}

/// [`get`], parsed.
///
/// # Errors
/// `config`, naming the field, if the configuration does not have the shape
/// that the type asks for.
pub fn read<T: DeserializeOwned>() -> Result<T, Fault> {
    parse(&get())
}

/// Parses a configuration.
///
/// # Errors
/// `config`, naming the field, if it does not have the shape that the type
/// asks for.
pub fn parse<T: DeserializeOwned>(json: &str) -> Result<T, Fault> {
    crate::json::parse(json.as_bytes()).map_err(|error| Fault::config(error.without_position()))
}
