//! The store through its public surface, on the embedded database.

mod audit;
mod contents;
mod crash;
mod crashes;
mod damage;
mod journal;
mod kv;
mod people;
mod polls;
mod reading;
mod stages;

use faultline_domain::audit::{Entry, Stage};
use faultline_domain::id::{ScopeName, SourceName};
use faultline_domain::time::Timestamp;
use faultline_store::Store;
use tempfile::TempDir;

/// A store in a folder that goes with it.
struct Fresh {
    store: Store,
    folder: TempDir,
}

impl Fresh {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).await.expect("a store");
        Self { store, folder }
    }

    /// Where the databases are.
    fn databases(&self) -> Vec<String> {
        ["journal.db", "state.db"]
            .map(|file| format!("sqlite://{}", self.folder.path().join(file).display()))
            .to_vec()
    }

    /// Every row of every table.
    async fn contents(&self) -> String {
        contents::of(&self.databases()).await
    }

    /// As after a restart.
    async fn reopen(self) -> Self {
        self.store.close().await;
        let store = Store::open(self.folder.path()).await.expect("a store");
        Self {
            store,
            folder: self.folder,
        }
    }
}

fn scope() -> ScopeName {
    ScopeName::default_scope()
}

fn source(name: &str) -> SourceName {
    SourceName::new(name).expect("a name")
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn entry(action: &str, secs: u64) -> Entry {
    Entry {
        at: at(secs),
        actor: "person:dana".to_owned(),
        action: action.to_owned(),
        subject: "a test".to_owned(),
        stage: Stage::Event,
        detail: "{}".to_owned(),
    }
}
