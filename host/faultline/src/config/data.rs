//! Where things are kept.

use std::path::PathBuf;

use faultline_domain::id::ScopeName;
use serde::{Deserialize, Serialize};

/// `[data]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct DataConfig {
    /// The folder of the embedded databases.
    pub(crate) folder: PathBuf,
    /// The environment or tenant that this process works for.
    pub(crate) scope: ScopeName,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("faultline-data"),
            scope: ScopeName::default_scope(),
        }
    }
}
