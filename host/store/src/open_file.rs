//! Whether a database is still where it was opened.
//!
//! A file that is removed or replaced while it is open goes on taking what is
//! written to it, and with the process it is gone. SQLite does not look in the
//! mode that we use.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// A file that was opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OpenFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl OpenFile {
    /// The file that is there now.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn of(path: &Path) -> Result<Self, StoreError> {
        let metadata = path
            .metadata()
            .map_err(|error| gone(path, &error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    /// Fails if there is another one now, or none.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match self.path.metadata() {
            Ok(metadata) if self.is(&metadata) => Ok(()),
            Ok(_) => Err(gone(&self.path, "it is another file now")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(gone(&self.path, "there is nothing"))
            }
            Err(error) => Err(gone(&self.path, &error.to_string())),
        }
    }

    fn is(&self, metadata: &Metadata) -> bool {
        (self.device, self.inode) == (metadata.dev(), metadata.ino())
    }
}

fn gone(path: &Path, reason: &str) -> StoreError {
    StoreError::Gone {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}
