//! What tests on both databases are made of: one text of a test, run on SQLite
//! in a folder and on a database of a real PostgreSQL server.
//!
//! A test takes a [`Database`] and asks for an empty [`Place`];
//! [`on_each_database!`] makes two tests of it. The server is started by the
//! first test of a process that needs it, and ends with the process, however
//! that ends.

mod authority;
mod postgresql;

use std::path::Path;

use tempfile::TempDir;

pub use authority::{Authority, Identity};
pub use postgresql::{End, Server, WITH_PASSWORD};

/// What a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// Embedded, in a folder.
    Sqlite,
    /// On the server of this process's tests.
    Postgresql,
}

/// Somewhere that nobody has used yet. A folder goes with it; a database on the
/// server stays until the server ends.
#[derive(Debug)]
pub enum Place {
    /// A folder.
    Folder(TempDir),
    /// A database, by its URL.
    Url(String),
}

impl Database {
    /// An empty folder, or a database that `prepare` has filled: it is called
    /// once in a process, with the URL of the database that others are copied
    /// from, and leaves no connection to it behind.
    ///
    /// # Panics
    /// If there is no room for a folder, or no PostgreSQL.
    pub async fn fresh(self, prepare: impl AsyncFnOnce(String)) -> Place {
        match self {
            Database::Sqlite => Place::Folder(tempfile::tempdir().expect("a folder")),
            Database::Postgresql => Place::Url(Server::shared().copy(prepare).await),
        }
    }
}

impl Place {
    /// The folder, of a place that is one.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Place::Folder(folder) => Some(folder.path()),
            Place::Url(_) => None,
        }
    }

    /// The URL, of a place that has one.
    pub fn url(&self) -> Option<&str> {
        match self {
            Place::Folder(_) => None,
            Place::Url(url) => Some(url),
        }
    }
}

/// Makes two tests of each of these functions, which take a [`Database`]:
/// `sqlite::name` and `postgresql::name`. A function that is not listed is dead
/// code, so that none is forgotten.
#[macro_export]
macro_rules! on_each_database {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::Database::Sqlite).await;
            })+
        }
        mod postgresql {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::Database::Postgresql).await;
            })+
        }
    };
}
