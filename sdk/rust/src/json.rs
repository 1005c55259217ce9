//! JSON from outside, with errors that name the field.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Fault;
use crate::text::clip;

/// Reads a whole document. Nesting is limited to 128 levels.
///
/// # Errors
/// `malformed`, naming the field and the place, if the bytes are not JSON or
/// do not have the shape that the type asks for.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    parse(bytes).map_err(|error| Fault::malformed(error.to_string()))
}

/// Reads one part of a document that was read as a [`Value`] before. Lists are
/// best read in two steps, so that one bad item costs only itself.
///
/// # Errors
/// `malformed`, naming the field, if it does not have the shape that the type
/// asks for.
pub fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, Fault> {
    serde_path_to_error::deserialize(value)
        .map_err(BadJson::from)
        .map_err(|error| Fault::malformed(error.to_string()))
}

/// Why JSON could not be read: where in the document, and what was wrong.
#[derive(Debug)]
pub(crate) struct BadJson {
    path: String,
    reason: serde_json::Error,
}

/// The most characters of a path that a message quotes.
const PATH_CHARACTERS_MAX: usize = 200;

/// How `serde_path_to_error` writes the path to the document as a whole.
const DOCUMENT: &str = ".";

/// How it writes the path to something that is not a field.
const UNKNOWN: &str = "?";

impl BadJson {
    /// The message without line and column, for documents that nobody sees
    /// written out.
    pub(crate) fn without_position(&self) -> String {
        let message = self.to_string();
        match message.rsplit_once(" at line ") {
            Some((message, _)) => message.to_owned(),
            None => message,
        }
    }
}

impl fmt::Display for BadJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path != DOCUMENT && self.path != UNKNOWN {
            write!(f, "`{}`: ", clip(&self.path, PATH_CHARACTERS_MAX))?;
        }
        self.reason.fmt(f)
    }
}

impl From<serde_path_to_error::Error<serde_json::Error>> for BadJson {
    fn from(error: serde_path_to_error::Error<serde_json::Error>) -> Self {
        Self {
            path: error.path().to_string(),
            reason: error.into_inner(),
        }
    }
}

pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BadJson> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer)?;
    deserializer.end().map_err(|reason| BadJson {
        path: DOCUMENT.to_owned(),
        reason,
    })?;
    Ok(value)
}
