//! What is the matter with a database, in a word that operators can look up.

use std::fmt;

use crate::error::StoreError;

/// What is the matter with a database. Each has a word, the same in status,
/// logs and metrics, under which `host/OPERATIONS.md` says the way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trouble {
    /// There is no space left where it writes.
    DiskFull,
    /// Another process keeps it from being written.
    Locked,
    /// Nobody answers, or not in time.
    Unreachable,
    /// Its file is not where it was, or is another one.
    Gone,
    /// What it holds cannot be read, or is not what was written.
    Damaged,
    /// It may only be read.
    ReadOnly,
    /// The operating system refused to read or write.
    Io,
    /// Anything else.
    Refused,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::DiskFull,
        Self::Locked,
        Self::Unreachable,
        Self::Gone,
        Self::Damaged,
        Self::ReadOnly,
        Self::Io,
        Self::Refused,
    ];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DiskFull => "disk-full",
            Self::Locked => "locked",
            Self::Unreachable => "unreachable",
            Self::Gone => "gone",
            Self::Damaged => "damaged",
            Self::ReadOnly => "read-only",
            Self::Io => "io-error",
            Self::Refused => "refused",
        }
    }

    /// What to do about it, in a sentence.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::DiskFull => {
                "free some space where the database is, or let `[retention]` keep less; it goes \
                 on by itself then"
            }
            Self::Locked => {
                "end what else has the database open for writing; it goes on by itself then"
            }
            Self::Unreachable => {
                "see to it that the database runs and can be reached; it goes on by itself then"
            }
            Self::Gone => {
                "put the file back where it was; if it was replaced on purpose, start Faultline \
                 again"
            }
            Self::Damaged => {
                "end Faultline, see what is lost with `faultline journal check`, and save the \
                 rest with `faultline journal repair --to FOLDER`"
            }
            Self::ReadOnly => "let Faultline write to the database and its folder",
            Self::Io => {
                "look at the disk, its quota, and the limits of the process (`ulimit -f`); it \
                 goes on by itself then"
            }
            Self::Refused => "the log of the server says more",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl StoreError {
    /// What is the matter with the database; none if the matter is with what
    /// it was asked.
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Database(error) => Some(of(error)),
            Self::KeptOut { trouble, .. } => Some(*trouble),
            Self::NoAnswer => Some(Trouble::Unreachable),
            Self::Gone { .. } => Some(Trouble::Gone),
            Self::Corrupt { .. } => Some(Trouble::Damaged),
            _ => None,
        }
    }
}

/// What is the matter, by what the driver says.
pub(crate) fn of(error: &sqlx::Error) -> Trouble {
    match error {
        sqlx::Error::Database(error) => error
            .code()
            .map_or(Trouble::Refused, |code| of_code(code.as_ref())),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Trouble::Unreachable,
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Trouble::Damaged,
        _ => Trouble::Refused,
    }
}

/// By the code of the database: five letters or digits are a SQLSTATE of
/// PostgreSQL (appendix A of its manual), fewer digits an extended result code
/// of SQLite (<https://sqlite.org/rescode.html>), whose last byte says what sort
/// of error it is.
fn of_code(code: &str) -> Trouble {
    if code.len() == 5 {
        return match code {
            "53100" => Trouble::DiskFull,
            "53300" | "57P01" | "57P02" | "57P03" => Trouble::Unreachable,
            "55P03" | "40P01" => Trouble::Locked,
            "XX001" | "XX002" => Trouble::Damaged,
            "25006" => Trouble::ReadOnly,
            "58030" => Trouble::Io,
            _ if code.starts_with("08") => Trouble::Unreachable,
            _ => Trouble::Refused,
        };
    }
    match code.parse::<u32>().map(|code| code & 0xff) {
        Ok(5 | 6) => Trouble::Locked,
        Ok(8) => Trouble::ReadOnly,
        Ok(10) => Trouble::Io,
        Ok(11 | 26) => Trouble::Damaged,
        Ok(13) => Trouble::DiskFull,
        Ok(14) => Trouble::Gone,
        _ => Trouble::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_databases_have_the_same_words() {
        for (code, word) in [
            ("13", "disk-full"),
            ("53100", "disk-full"),
            ("5", "locked"),
            // SQLITE_BUSY_SNAPSHOT
            ("517", "locked"),
            ("57P01", "unreachable"),
            ("08006", "unreachable"),
            ("11", "damaged"),
            ("XX001", "damaged"),
            // SQLITE_IOERR_WRITE
            ("778", "io-error"),
            ("14", "gone"),
            ("1", "refused"),
            ("42601", "refused"),
        ] {
            assert_eq!(of_code(code).as_str(), word, "{code}");
        }
    }
}
