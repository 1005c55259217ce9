//! Plugin bundles, as their authors write them and operators install them:
//! the manifest, the files, the digest that names them, and the rules that an
//! instance's configuration must meet.
//!
//! Nothing here runs a component, or knows how one is run. What a manifest
//! asks for that this host cannot enforce refuses the whole bundle: nothing is
//! ignored.

mod bundle;
mod config_schema;
mod limits;
mod manifest;
pub mod strict_toml;

pub use bundle::{BUNDLE_BYTES_MAX, BUNDLE_FILES_MAX, Bundle, BundleError};
pub use config_schema::{ConfigError, ConfigSchema, setting};
pub use limits::LimitRequests;
pub use manifest::{API_VERSION, Component, Manifest, ManifestError, PluginId};
