//! Databases that are opened or refused: by whom, how, and with which remedy.

use std::error::Error;
use std::path::Path;

use faultline_store::{Location, Store};
use faultline_test_databases::{Authority, Database, Place, Server, on_each_database};
use sqlx::AnyPool;

use crate::{Fresh, at_url};

/// Why a database is refused, with all causes.
async fn refusal(location: impl Into<Location>) -> String {
    let Err(error) = Store::open(location).await else {
        panic!("it is opened");
    };
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts.join(": ")
}

async fn opens(url: &str) {
    let opened = Store::open(&at_url(url)).await;
    opened
        .unwrap_or_else(|error| panic!("{url}: {error}: {:?}", error.source()))
        .close()
        .await;
}

async fn a_schema_of_a_later_version_is_refused(database: Database) {
    for (number, name) in ["journal", "state"].into_iter().enumerate() {
        let fresh = Fresh::open(database).await;
        let pool = AnyPool::connect(&fresh.databases()[number]).await;
        let pool = pool.expect("opens");
        let empty = match database {
            Database::Sqlite => "x''",
            Database::Postgresql => "''",
        };
        let later = format!(
            "insert into _sqlx_migrations (version, description, success, checksum, \
             execution_time) values (9000, 'of a later version', true, {empty}, 0)"
        );
        let written = sqlx::query(sqlx::AssertSqlSafe(later)).execute(&pool).await;
        written.expect("writes");
        pool.close().await;
        fresh.store.close().await;
        let location = match &fresh.place {
            Place::Folder(folder) => Location::from(folder.path()),
            Place::Url(url) => at_url(url),
        };
        let refusal = refusal(location).await;
        for part in ["a later version of Faultline", "9000", name] {
            assert!(refusal.contains(part), "{part} in {refusal}");
        }
    }
}

async fn who_only_reads_changes_nothing(database: Database) {
    for (number, name) in ["journal", "state"].into_iter().enumerate() {
        let fresh = Fresh::open(database).await;
        fresh.store.close().await;
        let location = || match &fresh.place {
            Place::Folder(folder) => Location::from(folder.path()),
            Place::Url(url) => at_url(url),
        };
        let opened = Store::open_as_it_is(location()).await;
        opened.expect("it is current").close().await;
        let pool = AnyPool::connect(&fresh.databases()[number]).await;
        let pool = pool.expect("opens");
        let forgotten = sqlx::query("delete from _sqlx_migrations where version > 1")
            .execute(&pool)
            .await;
        forgotten.expect("writes");
        let Err(error) = Store::open_as_it_is(location()).await else {
            panic!("it is opened");
        };
        let refusal = error.to_string();
        for part in ["an earlier version", "`faultline serve`", name] {
            assert!(refusal.contains(part), "{part} in {refusal}");
        }
        let applied: (i64,) = sqlx::query_as("select count(*) from _sqlx_migrations")
            .fetch_one(&pool)
            .await
            .expect("reads");
        assert_eq!(applied, (1,), "it is as it was");
        pool.close().await;
    }
}

on_each_database!(
    a_schema_of_a_later_version_is_refused,
    who_only_reads_changes_nothing,
);

#[tokio::test]
async fn who_only_reads_makes_no_files() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(Store::open_as_it_is(folder.path()).await.is_err());
    let store = Store::open(folder.path()).await.expect("a store");
    store.close().await;
    let state = folder.path().join("state.db");
    std::fs::remove_file(&state).expect("it is there");
    assert!(Store::open_as_it_is(folder.path()).await.is_err());
    assert!(!state.exists());
}

#[tokio::test]
async fn a_server_shows_who_it_is_as_the_url_asks_for_it() {
    let (known, unknown) = (Authority::make(), Authority::make());
    let server = Server::start_with_tls(&known.identity("localhost"));
    let folder = tempfile::tempdir().expect("a folder");
    let [known, unknown] = [("known.pem", &known), ("unknown.pem", &unknown)]
        .map(|(name, authority)| written(&folder.path().join(name), authority.certificate()));
    let at = |host: &str, parameters: &str| {
        let url = server.url_at(&format!("postgres@{host}"), "postgres");
        format!("{url}?{parameters}")
    };

    let full = format!("sslmode=verify-full&sslrootcert={known}");
    let store = Store::open(&at_url(&at("localhost", &full))).await;
    let store = store.expect("it is who it says");
    let with_tls = server.run(
        "postgres",
        "select count(*) > 0, bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid) \
         where application_name = 'faultline'",
    );
    assert_eq!(with_tls.trim(), "t|t", "all connections have TLS");
    store.close().await;
    // Whose name it is, is asked by `verify-full` only.
    let authority = format!("sslmode=verify-ca&sslrootcert={known}");
    opens(&at("127.0.0.1", &authority)).await;
    for mode in ["require", "prefer"] {
        opens(&at("localhost", &format!("sslmode={mode}"))).await;
    }

    let no_tls = "no TLS as the URL asks for it";
    let other = format!("sslmode=verify-full&sslrootcert={unknown}");
    let gone = "sslmode=verify-full&sslrootcert=/nowhere/ca.pem".to_owned();
    for (host, parameters, parts) in [
        // Of the same name as the one that is known.
        ("localhost", other, [no_tls, "invalid peer certificate"]),
        (
            "localhost",
            "sslmode=verify-full".to_owned(),
            [no_tls, "UnknownIssuer"],
        ),
        ("127.0.0.1", full, [no_tls, "not valid for name"]),
        ("localhost", gone, ["`sslrootcert`", "/nowhere/ca.pem"]),
        (
            "localhost",
            "sslmode=disable".to_owned(),
            ["pg_hba.conf", "no encryption"],
        ),
    ] {
        let refusal = refusal(&at_url(&at(host, &parameters))).await;
        for part in parts {
            assert!(refusal.contains(part), "{host} {parameters}: {refusal}");
        }
    }
}

#[tokio::test]
async fn where_tls_is_asked_for_nothing_is_said_without() {
    let url = Server::shared().create();
    for mode in ["require", "verify-ca", "verify-full"] {
        let refusal = refusal(&at_url(&format!("{url}&sslmode={mode}"))).await;
        for part in ["no TLS as the URL asks for it", "does not support TLS"] {
            assert!(refusal.contains(part), "{mode}: {refusal}");
        }
    }
}

/// Writes a file, and gives its name.
fn written(path: &Path, content: &str) -> String {
    std::fs::write(path, content).expect("a file");
    path.display().to_string()
}
