//! Dead letters, given to their reader once more after what kept them from being
//! read was mended.

use std::sync::Arc;

use faultline_domain::envelope::{Position, REDRIVE_OF};
use faultline_domain::id::Digest;
use faultline_domain::time::Timestamp;
use faultline_pipeline::{PipelineSettings, Plugins};
use faultline_store::{AlertFilter, Store};
use faultline_test_databases::{Database, on_each_database};
use serde_json::{Value, json};

use crate::fakes::JsonDecoder;
use crate::{World, format, plugins, scope};

fn alert(name: &str, secs: u64) -> Value {
    json!({
        "name": name, "entity": "service/cart", "firing": true, "started": secs, "ended": null,
    })
}

/// A payload with an alert.
fn good(name: &str, secs: u64) -> Value {
    json!({"alerts": [alert(name, secs)]})
}

/// The same, and something that the first version of its reader fails on.
fn bad(name: &str, secs: u64) -> Value {
    json!({"alerts": [alert(name, secs)], "fails": "trap"})
}

impl World {
    /// What somebody does who asks the API to redrive what lies there. Gives
    /// where the copy lies.
    async fn redrive(&self, position: u64, millis: u64) -> u64 {
        let position = Position(position);
        let letters = self.store.dead_letters_at(&scope(), position).await;
        assert!(
            !letters.expect("reads").is_empty(),
            "no letter at {position}"
        );
        let envelope = self.store.envelope_fetch(&scope(), position).await;
        let envelope = envelope.expect("reads").expect("it is kept");
        let arrival = envelope.redriven(Timestamp::from_millis(millis));
        let appended = self.journal.append(vec![arrival]).await;
        appended.expect("appends").0
    }

    /// Goes on with a version of the connector that fails at nothing.
    async fn mend(&mut self) {
        self.plugins = mended();
        let replaced = self.observe.replace_plugins(self.plugins.clone()).await;
        replaced.expect("saves");
        self.correlate.replace_plugins(self.plugins.clone());
    }
}

fn mended() -> Plugins {
    let mut plugins = plugins();
    let reader = plugins.readers.get_mut(&format()).expect("the connector");
    reader.digest = Some(Digest::of(b"fake, mended"));
    reader.decoder = Arc::new(JsonDecoder {
        mended: true,
        ..JsonDecoder::default()
    });
    plugins
}

/// The titles of alerts that fire, and how often each has begun to.
async fn firing(store: &Store) -> Vec<(String, u64)> {
    let filter = AlertFilter {
        firing: Some(true),
        ..AlertFilter::default()
    };
    let alerts = store.alert_list(&scope(), &filter, None, 100).await;
    let alerts = alerts.expect("lists").items.into_iter();
    let mut firing: Vec<_> = alerts.map(|alert| (alert.title, alert.episode)).collect();
    firing.sort_unstable();
    firing
}

fn once(names: &[&str]) -> Vec<(String, u64)> {
    names.iter().map(|name| ((*name).to_owned(), 1)).collect()
}

/// Quarantines the connector: five payloads are its poison, at 1, 3, 5, 7 and 9,
/// and others wait between them; one more comes when it is not called any more.
/// Gives the letters: where they are, and their kind.
async fn quarantined(world: &mut World) -> Vec<(u64, &'static str)> {
    for index in 0..5_u64 {
        let secs = 100 + index * 20;
        let bodies = [
            bad(&format!("poison-{index}"), secs),
            good(&format!("held-{index}"), secs),
        ];
        world.send(secs * 1_000, &bodies).await;
    }
    world.send(190_000, &[good("held-last", 190)]).await;
    world.work().await;
    assert_eq!(
        world.standings().await,
        [("fake".to_owned(), "quarantined")]
    );
    let mut letters: Vec<_> = world
        .letters()
        .await
        .into_iter()
        .map(|(position, _, kind, _)| (position, kind))
        .collect();
    letters.sort_unstable();
    letters
}

async fn what_waited_is_read_after_the_connector_was_resumed(database: Database) {
    let mut world = World::new(database).await;
    let letters = quarantined(&mut world).await;
    let of_kind = |wanted: &str| -> Vec<u64> {
        let of_kind = letters.iter().filter(|(_, kind)| *kind == wanted);
        of_kind.map(|(position, _)| *position).collect()
    };
    assert_eq!(of_kind("poison"), [1, 3, 5, 7, 9]);
    let held = of_kind("held");
    assert!(held.contains(&2) && held.contains(&11), "{held:?}");
    let before = firing(&world.store).await;

    // Redriven too soon, it waits again, in a letter of its own.
    let again = world.redrive(11, 195_000).await;
    world.work().await;
    assert_eq!(firing(&world.store).await, before);
    let at_copy = world.store.dead_letters_at(&scope(), Position(again)).await;
    assert_eq!(at_copy.expect("reads")[0].kind.as_str(), "held");

    world.resume(200_000, "fake").await;
    let mut copies = Vec::new();
    for position in held {
        copies.push((position, world.redrive(position, 201_000).await));
    }
    world.work().await;
    let names = [
        "held-0",
        "held-1",
        "held-2",
        "held-3",
        "held-4",
        "held-last",
    ];
    assert_eq!(
        firing(&world.store).await,
        once(&names),
        "each has begun once"
    );
    assert_eq!(world.standings().await, [("fake".to_owned(), "running")]);
    for (position, copy) in copies {
        let fetch = async |position| {
            let found = world
                .store
                .envelope_fetch(&scope(), Position(position))
                .await;
            found.expect("reads").expect("it is kept").arrival
        };
        let (first, copy) = (fetch(position).await, fetch(copy).await);
        assert_eq!((copy.body, copy.format), (first.body, first.format));
        let header = (REDRIVE_OF.to_owned(), position.to_string());
        assert!(copy.headers.contains(&header), "{:?}", copy.headers);
    }
    // Redriven by mistake, what was read since is a duplicate and changes nothing.
    world.redrive(2, 202_000).await;
    world.work().await;
    assert_eq!(firing(&world.store).await, once(&names));
}

async fn poison_is_read_by_a_version_that_can(database: Database) {
    let mut world = World::new(database).await;
    quarantined(&mut world).await;
    // The same version fails on it again, when somebody lets it.
    world.resume(200_000, "fake").await;
    let copy = world.redrive(1, 201_000).await;
    world.work().await;
    let at_copy = world.store.dead_letters_at(&scope(), Position(copy)).await;
    assert_eq!(at_copy.expect("reads")[0].kind.as_str(), "poison");
    assert_eq!(
        world.standings().await,
        [("fake".to_owned(), "backing-off")]
    );

    world.mend().await;
    let mut last = 0;
    for position in [1, 3, 5, 7, 9] {
        last = world.redrive(position, 210_000).await;
    }
    world.work().await;
    let firing = firing(&world.store).await;
    let read: Vec<_> = firing
        .iter()
        .filter(|(name, _)| name.starts_with("poison"))
        .cloned()
        .collect();
    let names = ["poison-0", "poison-1", "poison-2", "poison-3", "poison-4"];
    assert_eq!(read, once(&names));
    assert!(world.standings().await.is_empty(), "it begins anew");
    // The letters stay, as what was: nothing is to be done about them any more.
    let letters = world.letters().await;
    assert!(letters.iter().any(|letter| letter.0 == 1));
    assert!(letters.iter().all(|letter| letter.0 < last - 4));
}

async fn a_crash_after_each_step_changes_nothing(database: Database) {
    let mut digests = Vec::new();
    for crashes in [false, true] {
        let mut world = World::with(database, PipelineSettings::default(), plugins()).await;
        quarantined(&mut world).await;
        if crashes {
            world.crash();
        }
        world.mend().await;
        for position in [1, 2, 3, 11] {
            world.redrive(position, 210_000).await;
            if crashes {
                world.work().await;
                world.crash();
            }
        }
        world.wait_until(220_000).await;
        world.work().await;
        digests.push(world.digest().await);
    }
    assert_eq!(digests[0], digests[1]);
}

on_each_database!(
    what_waited_is_read_after_the_connector_was_resumed,
    poison_is_read_by_a_version_that_can,
    a_crash_after_each_step_changes_nothing,
);
