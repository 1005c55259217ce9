//! What keeps us out of a PostgreSQL database when it is opened, and the way in.
//! What a server says of it names neither.

use std::error::Error;

use sqlx::migrate::MigrateError;

use crate::error::StoreError;
use crate::trouble;

/// An error from opening a database, with the remedy if it is known: it takes a
/// person to see to it, and waiting does not help.
pub(crate) fn kept_out(error: StoreError) -> StoreError {
    let (StoreError::Database(cause)
    | StoreError::Migration {
        source: MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _),
        ..
    }) = &error
    else {
        return error;
    };
    let Some(remedy) = remedy(cause) else {
        return error;
    };
    let trouble = trouble::of(cause);
    let source: Box<dyn Error + Send + Sync> = match error {
        // It says nothing but that something is not as it should be.
        StoreError::Database(cause) => Box::new(cause),
        other => Box::new(other),
    };
    StoreError::KeptOut {
        remedy,
        trouble,
        source,
    }
}

fn remedy(error: &sqlx::Error) -> Option<&'static str> {
    let is_about_tls = match error {
        sqlx::Error::Tls(_) => true,
        // The driver takes what the handshake says for an error of the socket.
        sqlx::Error::Io(error) => {
            let inner = error.get_ref();
            inner.is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>)
        }
        sqlx::Error::Database(error) => return of_code(error.code()?.as_ref()),
        _ => false,
    };
    is_about_tls.then_some(
        "no TLS as the URL asks for it: the server must offer it; with `sslmode=verify-full` its \
         certificate must be for the host in the URL, and from an authority that this machine \
         or the file `sslrootcert` knows",
    )
}

/// By the SQLSTATE (appendix A of PostgreSQL's manual).
fn of_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "28P01" => {
            "the server does not take the password of this user; it can stand in the URL, in \
             `PGPASSWORD` or in `~/.pgpass`"
        }
        "28000" => {
            "the server does not let this user in: the role must be there, may have to be allowed \
             to log in, and `pg_hba.conf` must admit it from here, with or without TLS"
        }
        "3D000" => {
            "there is no such database; `create database … owner … encoding 'UTF8' template \
             template0` makes one"
        }
        // The latter is what is said of a schema that may not be used.
        "42501" | "3F000" => {
            "this user may not make what Faultline needs; let it own the database: `alter \
             database … owner to …`"
        }
        "25006" => {
            "the database can only be read: name the server that can be written to, or see to \
             `default_transaction_read_only`"
        }
        "53300" => {
            "the server has no connection left: raise its `max_connections`, or end what holds \
             them"
        }
        _ => return None,
    })
}
