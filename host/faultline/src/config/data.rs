//! Where things are kept.

use std::path::PathBuf;
use std::time::Duration;

use faultline_domain::id::ScopeName;
use faultline_store::{BadUrl, Connections, Location, PostgresqlUrl};
use serde::{Deserialize, Serialize, Serializer};

/// The most bytes of a node's name.
const NODE_BYTES_MAX: usize = 64;

/// The shortest and the longest lifetime of a lease: shorter, and a busy
/// machine loses its leases; longer, and work stands still for as long.
const LEASE_MIN: Duration = Duration::from_secs(1);
const LEASE_MAX: Duration = Duration::from_secs(3_600);

/// `[data]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct DataConfig {
    /// The folder of this process: of the embedded databases, and of what
    /// commands on this machine find the server by.
    pub(crate) folder: PathBuf,
    /// A database that several processes may share, instead of the embedded
    /// ones.
    pub(crate) database: Database,
    /// Connections to it, for writing and for reading.
    pub(crate) write_connections: u32,
    pub(crate) read_connections: u32,
    /// What this process is called among those that share the database; empty
    /// for a name made of the machine's and of the folder.
    pub(crate) node: String,
    /// After so long without a sign of life, another process takes over.
    #[serde(with = "humantime_serde")]
    pub(crate) lease: Duration,
    /// The environment or tenant that this process works for.
    pub(crate) scope: ScopeName,
}

/// The URL of a database, or an empty text for the embedded ones.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Database(pub(crate) Option<PostgresqlUrl>);

impl TryFrom<String> for Database {
    type Error = BadUrl;
    fn try_from(text: String) -> Result<Self, BadUrl> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        text.parse().map(|url| Self(Some(url)))
    }
}

impl Serialize for Database {
    /// Without the password.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(url) => url.serialize(serializer),
            None => serializer.serialize_str(""),
        }
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        let Connections { writers, readers } = Connections::default();
        Self {
            folder: PathBuf::from("faultline-data"),
            database: Database::default(),
            write_connections: writers,
            read_connections: readers,
            node: String::new(),
            lease: Duration::from_secs(10),
            scope: ScopeName::default_scope(),
        }
    }
}

impl DataConfig {
    pub(super) fn check(&self) -> Option<String> {
        let connections = [
            ("write-connections", self.write_connections),
            ("read-connections", self.read_connections),
        ];
        for (key, count) in connections {
            if !(1..=1_000).contains(&count) {
                return Some(format!("[data] {key} is {count}; it can be 1 to 1000"));
            }
        }
        if self.node.len() > NODE_BYTES_MAX || self.node.contains(char::is_control) {
            return Some(format!(
                "[data] node must be a name of at most {NODE_BYTES_MAX} bytes"
            ));
        }
        if !(LEASE_MIN..=LEASE_MAX).contains(&self.lease) {
            return Some(format!(
                "[data] lease is {}; it can be {} to {}",
                humantime::format_duration(self.lease),
                humantime::format_duration(LEASE_MIN),
                humantime::format_duration(LEASE_MAX),
            ));
        }
        None
    }

    /// Where the store is.
    pub(crate) fn location(&self) -> Location {
        match &self.database.0 {
            None => Location::Folder(self.folder.clone()),
            Some(url) => Location::Postgresql {
                url: url.clone(),
                connections: Connections {
                    writers: self.write_connections,
                    readers: self.read_connections,
                },
            },
        }
    }
}
