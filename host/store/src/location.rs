//! Where a store is: in a folder of this machine, or on a PostgreSQL server.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};
use sqlx::any::AnyConnectOptions;
use sqlx::postgres::PgSslMode;
use thiserror::Error;

use crate::error::StoreError;

/// What a URL may say beside its parts; see `faultline.toml`. A parameter that
/// is not among these is refused: one that was ignored could be the one that
/// asks for TLS.
const PARAMETERS: [&str; 7] = [
    "application_name",
    "host",
    "options",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
];

/// Those of them that name files.
const FILES: [&str; 3] = ["sslcert", "sslkey", "sslrootcert"];

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In the two SQLite files of a folder, which one process works with.
    Folder(PathBuf),
    /// In a PostgreSQL database, which several processes may share.
    Postgresql {
        /// Which one.
        url: PostgresqlUrl,
        /// How many connections this process may keep.
        connections: Connections,
    },
}

impl Location {
    /// A PostgreSQL database, with as many connections as usual.
    pub fn postgresql(url: PostgresqlUrl) -> Self {
        Self::Postgresql {
            url,
            connections: Connections::default(),
        }
    }

    /// What sort of database it is.
    pub const fn kind(&self) -> DatabaseKind {
        match self {
            Location::Folder(_) => DatabaseKind::Sqlite,
            Location::Postgresql { .. } => DatabaseKind::Postgresql,
        }
    }
}

impl From<&Path> for Location {
    fn from(folder: &Path) -> Self {
        Self::Folder(folder.to_owned())
    }
}

impl From<&PathBuf> for Location {
    fn from(folder: &PathBuf) -> Self {
        Self::Folder(folder.clone())
    }
}

impl From<&Location> for Location {
    fn from(location: &Location) -> Self {
        location.clone()
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Folder(folder) => folder.display().fmt(f),
            Location::Postgresql { url, .. } => url.fmt(f),
        }
    }
}

/// The databases that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    /// Embedded: files of one process.
    Sqlite,
    /// A server, which processes share.
    Postgresql,
}

impl DatabaseKind {
    /// One word, as shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            DatabaseKind::Sqlite => "sqlite",
            DatabaseKind::Postgresql => "postgresql",
        }
    }

    /// Whether several processes may work with it at the same time.
    pub const fn is_shared(self) -> bool {
        matches!(self, DatabaseKind::Postgresql)
    }
}

/// How many connections to a server one process keeps at most. All are made
/// when they are first needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// For transactions that write tables. Two more are for the journal.
    pub writers: u32,
    /// For everything that only reads.
    pub readers: u32,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            writers: 4,
            readers: 8,
        }
    }
}

/// The URL of a PostgreSQL database. It may hold a password, which is never
/// shown: what is printed, logged or serialised is the URL without it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PostgresqlUrl(String);

/// Why a text is no such URL. Never quotes more of it than a parameter's name:
/// what is in the wrong place may be the password.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadUrl {
    /// Not a URL at all.
    #[error("is not a URL ({0}): it looks like postgres://USER:PASSWORD@HOST:5432/DATABASE")]
    Malformed(String),
    /// A URL of something else.
    #[error("begins with `{0}:`; the URL of a PostgreSQL database begins with `postgres://`")]
    Scheme(String),
    /// Which database is not said.
    #[error("does not say which database: postgres://USER@HOST/DATABASE")]
    NoDatabase,
    /// A parameter that is not known.
    #[error("has a parameter `{0}`; known are {known}", known = PARAMETERS.join(", "))]
    Parameter(String),
    /// A word for `sslmode` that is none.
    #[error(
        "has an sslmode that is none of disable, allow, prefer, require, verify-ca, verify-full"
    )]
    SslMode,
}

impl PostgresqlUrl {
    /// As the driver takes it.
    pub(crate) fn options(&self) -> Result<AnyConnectOptions, sqlx::Error> {
        let mut options = AnyConnectOptions::from_str(&self.0)?;
        let url = &mut options.database_url;
        if !url
            .query_pairs()
            .any(|(name, _)| name == "application_name")
        {
            url.query_pairs_mut()
                .append_pair("application_name", "faultline");
        }
        Ok(options)
    }

    /// Refuses files that cannot be read: the driver would say that there is no
    /// such file, and not which.
    ///
    /// # Errors
    /// If there is one.
    pub(crate) fn check_files(&self) -> Result<(), StoreError> {
        let options = AnyConnectOptions::from_str(&self.0)?;
        for (name, value) in options.database_url.query_pairs() {
            // What is in such a file may also stand in the URL itself.
            if !FILES.contains(&&*name) || value.trim_start().starts_with("-----BEGIN") {
                continue;
            }
            File::open(&*value).map_err(|error| {
                StoreError::Unsuitable(format!(
                    "`{name}` in the URL names the file {value}, which cannot be read: {error}"
                ))
            })?;
        }
        Ok(())
    }
}

impl FromStr for PostgresqlUrl {
    type Err = BadUrl;
    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let parsed = AnyConnectOptions::from_str(text).map_err(|error| {
            let reason = match error {
                sqlx::Error::Configuration(reason) => reason.to_string(),
                _ => "it cannot be read".to_owned(),
            };
            BadUrl::Malformed(reason)
        })?;
        let url = parsed.database_url;
        if !["postgres", "postgresql"].contains(&url.scheme()) {
            // What stands before a colon may be a user's name, but no secret.
            return Err(BadUrl::Scheme(url.scheme().chars().take(20).collect()));
        }
        if url.path().trim_matches('/').is_empty() {
            return Err(BadUrl::NoDatabase);
        }
        for (name, value) in url.query_pairs() {
            if !PARAMETERS.contains(&&*name) {
                return Err(BadUrl::Parameter(name.chars().take(40).collect()));
            }
            if name == "sslmode" && value.parse::<PgSslMode>().is_err() {
                return Err(BadUrl::SslMode);
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for PostgresqlUrl {
    type Error = BadUrl;
    fn try_from(text: String) -> Result<Self, BadUrl> {
        text.parse()
    }
}

impl fmt::Display for PostgresqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(options) = AnyConnectOptions::from_str(&self.0) else {
            return f.write_str("postgres:");
        };
        let mut url = options.database_url;
        // Fails for URLs that cannot have one.
        let _ = url.set_password(None);
        // Parameters name files and hosts, and `options` may be anything.
        let host = url
            .query_pairs()
            .find_map(|(name, value)| (name == "host").then(|| value.into_owned()));
        url.set_query(None);
        if let Some(host) = host {
            url.query_pairs_mut().append_pair("host", &host);
        }
        f.write_str(url.as_str())
    }
}

impl fmt::Debug for PostgresqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for PostgresqlUrl {
    /// Without the password.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let url: PostgresqlUrl =
            "postgres://faultline:s3cr%40t@db.example:5433/faultline?sslmode=verify-full&host=/run/pg"
                .parse()
                .expect("a URL");
        let location = Location::postgresql(url.clone());
        for shown in [
            url.to_string(),
            format!("{url:?}"),
            serde_json::to_string(&url).expect("JSON"),
            location.to_string(),
            format!("{location:?}"),
        ] {
            assert!(!shown.contains("s3cr"), "{shown}");
            assert!(
                shown.contains("faultline@db.example:5433/faultline"),
                "{shown}"
            );
        }
    }

    #[test]
    fn says_what_is_wrong_and_no_more() {
        let cases = [
            ("s3cret", "is not a URL"),
            ("mysql://me:s3cret@db/x", "begins with `mysql:`"),
            ("postgres://me:s3cret@db", "which database"),
            ("postgres://me:s3cret@db/", "which database"),
            ("postgres://me:s3cret@db:port/x", "is not a URL"),
            ("postgres://me@db/x?sslmod=s3cret", "parameter `sslmod`"),
            ("postgres://me@db/x?password=s3cret", "parameter `password`"),
            ("postgres://me@db/x?sslmode=s3cret", "an sslmode"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<PostgresqlUrl>().expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("s3cret"), "{text}: {error}");
        }
    }
}
