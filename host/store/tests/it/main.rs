//! The store through its public surface, on both databases.

mod audit;
mod contents;
mod crash;
mod crashes;
mod damage;
mod journal;
mod kv;
mod lease;
mod opening;
mod people;
mod polls;
mod processes;
mod reading;
mod stages;
mod waiting;

use faultline_domain::audit::{Entry, Stage};
use faultline_domain::id::{ScopeName, SourceName};
use faultline_domain::time::Timestamp;
use faultline_store::{Location, Store};
use faultline_test_databases::{Database, Place};
use sqlx::AnyPool;

/// A store in a place that nobody has used.
struct Fresh {
    store: Store,
    place: Place,
}

impl Fresh {
    async fn open(database: Database) -> Self {
        let place = database
            .fresh(async |url| {
                let store = Store::open(&at_url(&url)).await.expect("a store");
                store.close().await;
            })
            .await;
        Self {
            store: store(&place).await,
            place,
        }
    }

    /// Where the databases are.
    fn databases(&self) -> Vec<String> {
        ["journal", "state"]
            .map(|name| match &self.place {
                Place::Folder(folder) => format!("sqlite://{}/{name}.db", folder.path().display()),
                Place::Url(url) => format!("{url}&options=-csearch_path%3Dfaultline_{name}"),
            })
            .to_vec()
    }

    /// Every row of every table.
    async fn contents(&self) -> String {
        contents::of(&self.databases()).await
    }

    /// As after a restart.
    async fn reopen(self) -> Self {
        self.store.close().await;
        Self {
            store: store(&self.place).await,
            place: self.place,
        }
    }

    /// The tables, behind the store's back.
    async fn tables(&self) -> AnyPool {
        AnyPool::connect(&self.databases()[1]).await.expect("opens")
    }
}

/// Another process's store in the same place.
async fn store(place: &Place) -> Store {
    let location = match place {
        Place::Folder(folder) => Location::from(folder.path()),
        Place::Url(url) => at_url(url),
    };
    Store::open(&location).await.expect("a store")
}

fn at_url(url: &str) -> Location {
    Location::postgresql(url.parse().expect("a URL"))
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
