//! The stages from end to end, with plugins in process and time moved by hand.

mod clock;
#[path = "../../../store/tests/it/crash.rs"]
mod crash;
mod crashes;
mod fakes;
mod history;
mod lives;
mod poison;
mod polls;
mod redrive;
mod supervision;
mod telemetry;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use faultline_domain::envelope::{Arrival, Format};
use faultline_domain::id::{Digest, InstanceName, ScopeName, SourceName};
use faultline_domain::incident::Incident;
use faultline_domain::incidents::Command;
use faultline_domain::time::Timestamp;
use faultline_pipeline::{
    CommandEnvelope, CorrelateStage, Counters, ObserveStage, PipelineSettings, Plugins, Reader,
};
use faultline_store::{CommitWatch, IncidentFilter, Journal, LetterFilter, Location, Store};
use faultline_test_databases::{Database, Place};
use serde_json::Value;

/// A journal, its stages, and the folder that they are in.
struct World {
    store: Store,
    journal: Journal,
    settings: PipelineSettings,
    plugins: Plugins,
    observe: ObserveStage,
    correlate: CorrelateStage,
    place: Place,
}

impl World {
    async fn new(database: Database) -> Self {
        Self::with(database, PipelineSettings::default(), plugins()).await
    }

    async fn with(database: Database, settings: PipelineSettings, plugins: Plugins) -> Self {
        let place = fresh(database).await;
        Self::over(place, settings, plugins, None).await
    }

    /// Over what is in a place; with somebody who is told of commits.
    async fn over(
        place: Place,
        settings: PipelineSettings,
        plugins: Plugins,
        watch: Option<CommitWatch>,
    ) -> Self {
        let store = store(&place).await;
        let store = match watch {
            Some(watch) => store.watched(watch),
            None => store,
        };
        let journal = Journal::open(store.clone(), scope())
            .await
            .expect("a journal");
        let (observe, correlate) = stages(&store, &settings, &plugins);
        Self {
            store,
            journal,
            settings,
            plugins,
            observe,
            correlate,
            place,
        }
    }

    /// Appends one envelope for each of these bodies, received at this time.
    async fn send(&self, millis: u64, bodies: &[Value]) {
        let arrivals = bodies.iter().map(|body| arrival(millis, body)).collect();
        self.journal.append(arrivals).await.expect("appends");
    }

    /// Notes that it is so late.
    async fn wait_until(&self, millis: u64) {
        let clock = Arrival {
            format: Format::Clock,
            ..arrival(millis, &Value::Null)
        };
        self.journal.append(vec![clock]).await.expect("appends");
    }

    /// Lets both stages do all that there is to do.
    async fn work(&mut self) {
        self.observe.drain().await.expect("observes");
        self.correlate.drain().await.expect("correlates");
    }

    /// As after a crash: nothing is left but what was committed.
    fn crash(&mut self) {
        (self.observe, self.correlate) = stages(&self.store, &self.settings, &self.plugins);
    }

    async fn incidents(&self) -> Vec<Incident> {
        let page = self
            .store
            .incident_list(&scope(), &IncidentFilter::default(), None, 100)
            .await;
        let mut incidents = Vec::new();
        for listed in page.expect("lists").items {
            let incident = self.store.incident_fetch(&scope(), listed.id).await;
            incidents.push(incident.expect("reads").expect("is there"));
        }
        incidents
    }

    /// Lets an instance be called again, by an act at this time.
    async fn resume(&self, millis: u64, instance: &str) {
        let at = Timestamp::from_millis(millis);
        resume(&self.journal, instance, at).await;
    }

    /// Where all instances that failed stand.
    async fn standings(&self) -> Vec<(String, &'static str)> {
        standings(&self.store).await
    }

    /// All dead letters: position, reader, kind, code.
    async fn letters(&self) -> Vec<(u64, String, &'static str, String)> {
        let filter = LetterFilter::default();
        let scope = scope();
        let letters = self.store.dead_letter_list(&scope, &filter, None, 500);
        let letters = letters.await.expect("lists").items.into_iter();
        letters
            .map(|it| (it.position.0, it.reader, it.kind.as_str(), it.code))
            .collect()
    }

    async fn digest(&self) -> String {
        let digest = self.store.history_digest(&scope()).await;
        digest.expect("reads").to_string()
    }
}

/// A place that nobody has used.
async fn fresh(database: Database) -> Place {
    database
        .fresh(async |url| {
            let store = Store::open(&at_url(&url)).await.expect("a store");
            store.close().await;
        })
        .await
}

/// The store of a place.
/// Lets an instance be called again, by an act at this time.
async fn resume(journal: &Journal, instance: &str, at: Timestamp) {
    let instance = InstanceName::new(instance).expect("a name");
    let act = CommandEnvelope {
        person: "dana".to_owned(),
        command: Command::Resume { instance },
    };
    let arrival = act.into_arrival(at);
    journal.append(vec![arrival]).await.expect("appends");
}

/// Where all instances that failed stand.
async fn standings(store: &Store) -> Vec<(String, &'static str)> {
    let supervisors = store.supervision_list(&scope()).await;
    let supervisors = supervisors.expect("lists").into_iter();
    supervisors
        .map(|(name, it)| (name.to_string(), it.standing().as_str()))
        .collect()
}

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

fn stages(
    store: &Store,
    settings: &PipelineSettings,
    plugins: &Plugins,
) -> (ObserveStage, CorrelateStage) {
    let counters = Arc::new(Counters::default());
    let observe = ObserveStage::new(
        store.clone(),
        scope(),
        settings.observe.clone(),
        plugins.clone(),
        Arc::clone(&counters),
    );
    let correlate = CorrelateStage::new(
        store.clone(),
        scope(),
        settings.correlate.clone(),
        plugins.clone(),
        counters,
    );
    (observe, correlate)
}

fn plugins() -> Plugins {
    let reader = Reader {
        decoder: Arc::new(fakes::JsonDecoder::default()),
        family: "test".to_owned(),
        digest: Some(Digest::of(b"fake")),
        resolve_timeout: Some(Duration::from_secs(300)),
    };
    Plugins {
        readers: [(format(), reader)].into(),
        pollers: BTreeMap::new(),
        detectors: vec![Arc::new(fakes::Twice::factory("twice"))],
        detector_shards: 1,
        correlators: vec![Arc::new(fakes::ByEntity::new())],
    }
}

fn scope() -> ScopeName {
    ScopeName::default_scope()
}

fn format() -> Format {
    Format::Connector(InstanceName::new("fake").expect("a name"))
}

fn arrival(millis: u64, body: &Value) -> Arrival {
    Arrival {
        source: SourceName::new("test").expect("a name"),
        format: format(),
        content_type: "application/json".to_owned(),
        headers: Vec::new(),
        body: body.to_string().into_bytes(),
        received: Timestamp::from_millis(millis),
    }
}
