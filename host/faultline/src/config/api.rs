//! The API's listener.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// `[api]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct ApiConfig {
    /// Where people and programs reach the API.
    pub(crate) listen: SocketAddr,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7717)),
        }
    }
}
