//! A morning's work, ended on either side of every commit that it comes by, and
//! gone on with: everything there is afterwards is what there is without any
//! crash, ids included.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use faultline_domain::envelope::{Envelope, Position};
use faultline_domain::id::InstanceName;
use faultline_domain::incidents::Command;
use faultline_domain::time::Timestamp;
use faultline_pipeline::{CommandEnvelope, PipelineSettings, Plugins};
use faultline_store::{
    CommitWatch, KvChange, KvEntry, Retention, SourceRecord, StageName, StagePosition,
};
use faultline_test_databases::{Database, Place, on_each_database};
use serde_json::Value;

use crate::crash::Crash;
use crate::history::{settings, timeline};
use crate::{World, plugins, scope};

/// How many payloads come in, and how many at once.
const ENVELOPES: usize = 60;
const TOGETHER: usize = 6;

/// One thing after another.
enum Deed {
    /// Payloads come in, in one commit.
    Send(Vec<(u64, Value)>),
    /// Somebody looks after the first incident that is open.
    Acknowledge(u64),
    /// It is so late.
    Wait(u64),
    /// The stages take a step each.
    Work,
    /// The observe stage saves its state.
    Save,
    /// A plugin writes down how often it was called.
    Count,
    /// What is old goes.
    Sweep(u64),
}

fn morning() -> Vec<Deed> {
    let mut deeds = Vec::new();
    let payloads = timeline(5, ENVELOPES);
    let last = payloads.last().map_or(0, |(millis, _)| *millis);
    for (number, together) in payloads.chunks(TOGETHER).enumerate() {
        deeds.push(Deed::Send(together.to_vec()));
        deeds.push(Deed::Work);
        match number {
            3 => deeds.push(Deed::Count),
            5 => deeds.push(Deed::Acknowledge(together[TOGETHER - 1].0 + 1)),
            // What may go depends on what was saved.
            7 => deeds.extend([Deed::Save, Deed::Sweep(together[0].0)]),
            _ => {}
        }
    }
    deeds.push(Deed::Count);
    deeds.push(Deed::Wait(last + 3_000_000));
    deeds.push(Deed::Work);
    deeds
}

fn counter() -> InstanceName {
    InstanceName::new("counter").expect("a name")
}

impl World {
    /// Does it, or what is left of it to do: it may have been cut off.
    async fn carry_out(&mut self, deed: &Deed, head: Position) {
        let now = self.store.journal_head(&scope()).await.expect("reads");
        let is_sent = now.position > head;
        match deed {
            // The sender asks again until it is told that it was taken. Here it
            // knows what was, so that there is only one history to compare.
            Deed::Send(_) | Deed::Acknowledge(_) | Deed::Wait(_) if is_sent => {}
            Deed::Send(payloads) => {
                let arrivals = payloads
                    .iter()
                    .map(|(millis, body)| crate::arrival(*millis, body));
                let appended = self.journal.append(arrivals.collect()).await;
                appended.expect("appends");
            }
            Deed::Acknowledge(millis) => {
                let incidents = self.incidents().await;
                let incident = incidents.first().expect("something happened").id;
                let command = CommandEnvelope {
                    person: "dana".to_owned(),
                    command: Command::Acknowledge { incident },
                };
                let arrival = command.into_arrival(Timestamp::from_millis(*millis));
                self.journal.append(vec![arrival]).await.expect("appends");
            }
            Deed::Wait(millis) => self.wait_until(*millis).await,
            Deed::Work => self.work().await,
            Deed::Save => {
                // One that has just begun has nothing to save.
                self.work().await;
                self.observe.save().await.expect("saves");
            }
            Deed::Count => {
                let known = self.kv().await;
                let version = known.first().map_or(0, |entry| entry.version);
                // Once for each envelope, however often it is tried.
                let value = now.position.0.to_be_bytes().to_vec();
                if known.first().is_some_and(|entry| entry.value == value) {
                    return;
                }
                let change = KvChange {
                    key: "calls".to_owned(),
                    value: Some(value),
                    if_version: Some(version),
                };
                let written = self.store.kv_commit(&counter(), &[change], 1_000).await;
                written.expect("writes");
            }
            Deed::Sweep(millis) => {
                let keeps = Retention {
                    journal: Duration::from_secs(10),
                    ..Retention::default()
                };
                let now = Timestamp::from_millis(*millis);
                self.store
                    .sweep(&scope(), &keeps, now)
                    .await
                    .expect("sweeps");
            }
        }
    }

    async fn kv(&self) -> Vec<KvEntry> {
        let entries = self.store.kv_scan(&counter(), "", None, 10).await;
        entries.expect("reads")
    }
}

/// All that anybody could miss, or find twice.
#[derive(Debug, PartialEq)]
struct Everything {
    envelopes: Vec<Envelope>,
    /// Alerts, transitions, changes, edges, incidents, their events, and dead
    /// letters, ids included.
    history: String,
    sources: Vec<SourceRecord>,
    samples: Vec<Vec<(Timestamp, u64)>>,
    kv: Vec<KvEntry>,
    stages: [StagePosition; 2],
}

impl Everything {
    async fn of(world: &World) -> Self {
        let store = &world.store;
        let position = async |stage| {
            let position = store.stage_position(&scope(), stage).await;
            position.expect("reads")
        };
        let mut samples = Vec::new();
        for series in store.series_list(&scope()).await.expect("lists") {
            let all = store
                .sample_list(&scope(), series.id, Timestamp::ZERO, Timestamp::MAX)
                .await
                .expect("lists");
            let all: Vec<_> = all
                .into_iter()
                .map(|(at, value)| (at, value.to_bits()))
                .collect();
            samples.push(all);
        }
        Self {
            envelopes: store
                .envelope_list(&scope(), Position::START, 4_000, usize::MAX)
                .await
                .expect("lists"),
            history: world.digest().await,
            sources: store.source_list(&scope()).await.expect("lists"),
            samples,
            kv: world.kv().await,
            stages: [
                position(StageName::Observe).await,
                position(StageName::Correlate).await,
            ],
        }
    }
}

/// A morning that is cut off again and again.
struct Morning {
    settings: PipelineSettings,
    plugins: Plugins,
    place: Option<Place>,
    /// What is done, and where the journal ended before what is being done.
    done: usize,
    head: Position,
}

impl Morning {
    async fn new(database: Database) -> Self {
        let mut plugins = plugins();
        plugins.detector_shards = 2;
        Self {
            settings: settings(4),
            plugins,
            place: Some(crate::fresh(database).await),
            done: 0,
            head: Position::START,
        }
    }

    async fn open(&mut self, watch: Option<CommitWatch>) -> World {
        let place = self.place.take().expect("it is closed");
        World::over(place, self.settings.clone(), self.plugins.clone(), watch).await
    }

    /// As after the end of the process, of which nothing is left.
    async fn close(&mut self, world: World) {
        let World { store, place, .. } = world;
        store.close().await;
        self.place = Some(place);
    }

    /// Does what is left to do. Whether it came to the end.
    async fn go_on(&mut self, crash: &Arc<Crash>) -> bool {
        let mut world = self.open(Some(crash.watch())).await;
        let deeds = morning();
        let mut came_to_the_end = true;
        while let Some(deed) = deeds.get(self.done) {
            let carried_out = crash.cut(world.carry_out(deed, self.head)).await;
            if carried_out.is_none() {
                came_to_the_end = false;
                break;
            }
            self.done += 1;
            let head = world.store.journal_head(&scope()).await;
            self.head = head.expect("reads").position;
        }
        self.close(world).await;
        came_to_the_end
    }

    async fn everything(&mut self) -> Everything {
        let mut world = self.open(None).await;
        world.work().await;
        world.observe.save().await.expect("saves");
        let everything = Everything::of(&world).await;
        self.close(world).await;
        everything
    }
}

/// A morning without a crash, and how many sides of commits it comes by.
async fn undisturbed(database: Database) -> (Everything, usize) {
    let mut morning = Morning::new(database).await;
    let never = Crash::after(usize::MAX);
    assert!(morning.go_on(&never).await);
    let everything = morning.everything().await;
    assert!(everything.sources[0].envelopes > 40, "{everything:?}");
    assert_eq!(everything.kv.len(), 1);
    (everything, never.passed.load(Ordering::SeqCst))
}

async fn a_crash_at_any_commit_changes_nothing(database: Database) {
    let (expected, sides) = undisturbed(database).await;
    assert!(sides > 50, "it hardly does anything: {sides}");
    let stride = match database {
        Database::Sqlite => 1,
        // Each of them has a database of its own made on the server.
        Database::Postgresql => 4,
    };
    for number in (0..sides).step_by(stride) {
        let mut morning = Morning::new(database).await;
        let once = Crash::after(number);
        assert!(!morning.go_on(&once).await, "{number} of {sides}: no crash");
        assert!(morning.go_on(&Crash::after(usize::MAX)).await);
        assert_eq!(morning.everything().await, expected, "{number} of {sides}");
    }
}

async fn nor_do_crashes_at_all_of_them(database: Database) {
    let (expected, sides) = undisturbed(database).await;
    // A life that ends with its first commit might only do that one again, and
    // one that ends before its second sweeps the tables for ever: envelopes go
    // only after a commit of the same process that waited for the disk.
    for sides_a_life in [3, 4, 7] {
        let mut morning = Morning::new(database).await;
        let mut lives = 1;
        while !morning.go_on(&Crash::after(sides_a_life)).await {
            lives += 1;
            assert!(
                lives <= sides,
                "it does not come on: {sides_a_life} sides a life"
            );
        }
        assert!(lives > sides / 20, "hardly any crash: {lives}");
        let everything = morning.everything().await;
        assert_eq!(everything, expected, "{sides_a_life} sides a life");
    }
}

async fn what_was_taken_and_not_acknowledged_comes_twice_and_counts_once(database: Database) {
    let payload = || {
        let alert = serde_json::json!({"name": "down", "entity": "service/cart", "firing": true, "started": 90});
        crate::arrival(100_000, &serde_json::json!({"alerts": [alert]}))
    };
    let mut morning = Morning::new(database).await;
    // On the far side of the first commit: the sender never hears of it.
    let crash = Crash::after(1);
    let world = morning.open(Some(crash.watch())).await;
    let appended = crash.cut(world.journal.append(vec![payload()])).await;
    assert!(appended.is_none());
    morning.close(world).await;
    let mut world = morning.open(None).await;
    world
        .journal
        .append(vec![payload()])
        .await
        .expect("appends");
    world.wait_until(200_000).await;
    world.work().await;
    let sources = world.store.source_list(&scope()).await.expect("lists");
    assert_eq!(sources[0].envelopes, 2, "it says how often it came");
    let (firing, all) = world.store.alert_count(&scope()).await.expect("counts");
    assert_eq!((firing, all), (1, 1), "and is one alert");
    assert_eq!(world.incidents().await.len(), 1);
}

on_each_database!(
    a_crash_at_any_commit_changes_nothing,
    nor_do_crashes_at_all_of_them,
    what_was_taken_and_not_acknowledged_comes_twice_and_counts_once,
);
