//! Why a component cannot be loaded.

use faultline_domain::plugin::{Failure, Kind, Limit};
use thiserror::Error;

use crate::imports::ImportError;

/// Why a component cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// It runs into a limit before it runs at all.
    #[error("{message}")]
    Limit {
        /// Which.
        limit: Limit,
        /// With the numbers.
        message: String,
    },
    /// Not WebAssembly, or of a sort that this engine does not run.
    #[error("the component cannot be compiled: {0}")]
    Malformed(String),
    /// The compiler itself failed.
    #[error("the compiler failed: {0}")]
    Compiler(String),
    /// It wants what it must not have.
    #[error("{}", join(.0))]
    Imports(Vec<ImportError>),
    /// It is not what its manifest says.
    #[error("is declared as a {kind}, but does not export faultline:plugin/{interface}@0.1.0")]
    Exports {
        /// What it is declared as.
        kind: Kind,
        /// What it would have to export.
        interface: &'static str,
    },
    /// It has a function that it should have, in another shape.
    #[error("does not fit faultline:plugin@0.1.0: {0}")]
    Shape(String),
    /// This host does not run components of this kind.
    #[error("is {0}, which this version of Faultline does not run")]
    Kind(&'static str),
    /// It complains about its configuration.
    #[error("the component refuses its configuration: {}", .0.join("; "))]
    Config(Vec<String>),
    /// It fails before it does anything.
    #[error("the component cannot be started: {0}")]
    Start(#[from] Failure),
}

impl LoadError {
    pub(crate) fn limit(limit: Limit, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::Limit { limit, message }
    }

    /// One word, the same in errors, metrics and the audit log: the name of a
    /// limit, or what is wrong.
    pub const fn code(&self) -> &'static str {
        match self {
            LoadError::Limit { limit, .. } => limit.as_str(),
            LoadError::Malformed(_) => "malformed",
            LoadError::Compiler(_) => "compiler",
            LoadError::Imports(_) => "import",
            LoadError::Exports { .. } => "export",
            LoadError::Shape(_) => "shape",
            LoadError::Kind(_) => "kind",
            LoadError::Config(_) => "config",
            LoadError::Start(failure) => failure.code(),
        }
    }
}

fn join(errors: &[ImportError]) -> String {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
