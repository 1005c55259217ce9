//! The same journal gives the same history: in batches of any size, with any
//! number of shards, and with crashes at any point.

use std::path::{Path, PathBuf};
use std::time::Duration;

use faultline_pipeline::{ObserveSettings, PipelineSettings, Progress};
use faultline_test_databases::{Database, Place, on_each_database};
use serde_json::{Value, json};

use crate::fakes::WRONG;
use crate::{World, plugins};

/// How many payloads a timeline has.
const ENVELOPES: usize = 400;

/// A small generator of numbers (Marsaglia, "Xorshift RNGs", 2003), so that a
/// failure can be run again.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What came in during some minutes: when, and what.
pub(crate) fn timeline(seed: u64, count: usize) -> Vec<(u64, Value)> {
    let mut random = Random(seed);
    let mut millis = 100_000;
    (0..count)
        .map(|_| {
            millis += random.below(700);
            let secs = millis / 1_000;
            let host = format!("host/{}", random.below(4));
            let body = match random.below(10) {
                0 => {
                    let ended = (random.below(2) == 0).then_some(secs);
                    json!({"alerts": [{"name": format!("a{}", random.below(5)), "entity": host,
                           "firing": ended.is_none(), "started": secs - 1, "ended": ended}]})
                }
                1 => json!({"changes": [{"id": format!("c{millis}"), "entity": host, "at": secs}]}),
                2 => json!("unreadable"),
                3 => {
                    let id = u8::try_from(random.below(200)).expect("small") + 1;
                    json!({"spans": [{"id": id, "parent": id - 1, "service": host,
                           "client": random.below(2) == 0, "end": secs, "failed": false}]})
                }
                _ => {
                    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                    let value = random.below(3) as f64 * WRONG;
                    let series = format!("m{}", random.below(6));
                    json!({"samples": [[series, host, secs, value], ["n_total", host, secs, value]]})
                }
            };
            (millis, body)
        })
        .collect()
}

pub(crate) fn settings(batch: u32) -> PipelineSettings {
    PipelineSettings {
        observe: ObserveSettings {
            batch_envelopes_max: batch,
            checkpoint_every: Duration::from_secs(20),
            ..ObserveSettings::default()
        },
        ..PipelineSettings::default()
    }
}

async fn filled(database: Database, seed: u64, batch: u32, shards: u32) -> World {
    let mut plugins = plugins();
    plugins.detector_shards = shards;
    let world = World::with(database, settings(batch), plugins).await;
    for (millis, body) in timeline(seed, ENVELOPES) {
        world.send(millis, &[body]).await;
    }
    world.wait_until(3_000_000).await;
    world
}

async fn batches_of_any_size_and_any_number_of_shards(database: Database) {
    let mut reference = None;
    for (batch, shards) in [(512, 1), (1, 1), (7, 1), (64, 3)] {
        let mut world = filled(database, 11, batch, shards).await;
        world.work().await;
        assert!(world.incidents().await.len() > 3, "something happened");
        let digest = world.digest().await;
        let expected = reference.get_or_insert_with(|| digest.clone());
        assert_eq!(digest, *expected, "batches of {batch}, {shards} shards");
    }
}

async fn crashes_at_any_point(database: Database) {
    let mut undisturbed = filled(database, 5, 16, 2).await;
    undisturbed.work().await;
    let expected = undisturbed.digest().await;
    for seed in [1, 2, 3] {
        let mut random = Random(seed);
        let mut world = filled(database, 5, 16, 2).await;
        loop {
            let observed = world.observe.step().await.expect("observes");
            if random.below(3) == 0 {
                world.correlate.step().await.expect("correlates");
            }
            if random.below(4) == 0 {
                world.crash();
            }
            if observed == Progress::Idle {
                break;
            }
        }
        world.work().await;
        assert_eq!(world.digest().await, expected, "seed {seed}");
    }
}

/// The tables as they lie on the disk at this moment.
fn tables(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    ["state.db", "state.db-wal"]
        .map(|name| folder.join(name))
        .into_iter()
        .map(|path| {
            let content = std::fs::read(&path).expect("can be read");
            (path, content)
        })
        .collect()
}

/// The tables are those of some moment before, the journal is that of now.
async fn cut_power(world: World, tables: &[(PathBuf, Vec<u8>)]) -> World {
    let World {
        store,
        settings,
        plugins,
        place,
        ..
    } = world;
    store.close().await;
    for (path, content) in tables {
        std::fs::write(path, content).expect("can be written");
    }
    World::over(place, settings, plugins, None).await
}

#[tokio::test]
async fn what_a_power_cut_takes_of_the_tables_is_derived_again() {
    let mut undisturbed = filled(Database::Sqlite, 5, 16, 2).await;
    undisturbed.work().await;
    let expected = undisturbed.digest().await;
    for seed in [1, 2, 3] {
        let mut random = Random(seed);
        let mut world = filled(Database::Sqlite, 5, 16, 2).await;
        let Place::Folder(folder) = &world.place else {
            panic!("SQLite is in a folder");
        };
        let folder = folder.path().to_owned();
        let (mut on_disk, mut cuts) = (tables(&folder), 0);
        loop {
            let observed = world.observe.step().await.expect("observes");
            if random.below(2) == 0 {
                world.correlate.step().await.expect("correlates");
            }
            match random.below(8) {
                0 => {
                    world = cut_power(world, &on_disk).await;
                    cuts += 1;
                }
                1..4 => on_disk = tables(&folder),
                _ if observed == Progress::Idle => break,
                _ => {}
            }
        }
        world.work().await;
        assert!(cuts > 0, "seed {seed}");
        assert_eq!(world.digest().await, expected, "seed {seed}");
    }
}

async fn reading_along_as_it_comes(database: Database) {
    let mut at_once = filled(database, 7, 512, 1).await;
    at_once.work().await;
    let mut along = World::with(database, settings(512), plugins()).await;
    for (millis, body) in timeline(7, ENVELOPES) {
        along.send(millis, &[body]).await;
        along.work().await;
    }
    along.wait_until(3_000_000).await;
    along.work().await;
    assert_eq!(along.digest().await, at_once.digest().await);
}

#[tokio::test]
async fn both_databases_give_the_same_history() {
    let mut digests = Vec::new();
    for database in [Database::Sqlite, Database::Postgresql] {
        let mut world = filled(database, 11, 64, 2).await;
        world.work().await;
        assert!(world.incidents().await.len() > 3, "something happened");
        digests.push(world.digest().await);
    }
    assert_eq!(digests[0], digests[1]);
}

on_each_database!(
    batches_of_any_size_and_any_number_of_shards,
    crashes_at_any_point,
    reading_along_as_it_comes,
);
