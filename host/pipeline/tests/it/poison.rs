//! Detectors that fail: what made them fail is kept, everything else goes on.

use std::sync::Arc;
use std::time::Duration;

use faultline_domain::time::Timestamp;
use faultline_pipeline::{ObserveSettings, PipelineSettings};
use faultline_store::{AlertFilter, StageName};
use faultline_test_databases::{Database, on_each_database};
use serde_json::json;

use crate::fakes::{CROWDED, FORGETS, LOOPS, TRAPS, Twice};
use crate::{World, plugins, scope};

fn sample(secs: u64, value: f64) -> serde_json::Value {
    json!({"samples": [["load", "host/a", secs, value], ["temperature", "host/b", secs, value.min(50.0)]]})
}

async fn world(database: Database, batch: u32) -> World {
    let mut plugins = plugins();
    plugins.detectors.push(Arc::new(Twice::factory("second")));
    let settings = PipelineSettings {
        observe: ObserveSettings {
            batch_envelopes_max: batch,
            checkpoint_every: Duration::from_secs(5),
            ..ObserveSettings::default()
        },
        ..PipelineSettings::default()
    };
    World::with(database, settings, plugins).await
}

async fn the_envelope_that_makes_a_detector_fail_is_left_out(database: Database) {
    let mut digests = Vec::new();
    for batch in [1, 4, 512] {
        let mut world = world(database, batch).await;
        for secs in 100..140 {
            let value = match secs {
                110 => TRAPS,
                125 => LOOPS,
                130 | 131 => 200.0,
                _ => 1.0,
            };
            world.send(secs * 1_000, &[sample(secs, value)]).await;
        }
        world.wait_until(200_000).await;
        world.work().await;
        let letters: Vec<(u64, String, String)> = world
            .letters()
            .await
            .into_iter()
            .map(|(position, reader, kind, code)| {
                assert_eq!(kind, "poison");
                (position, reader, code)
            })
            .collect();
        let letter =
            |position, reader: &str, code: &str| (position, reader.to_owned(), code.to_owned());
        let expected = [
            letter(26, "detector:twice", "limit.cpu"),
            letter(26, "detector:second", "limit.cpu"),
            letter(11, "detector:twice", "trap"),
            letter(11, "detector:second", "trap"),
        ];
        assert_eq!(letters, expected, "batches of {batch}");
        let alerts = world
            .store
            .alert_list(&scope(), &AlertFilter::default(), None, 10)
            .await;
        let wrong = alerts
            .expect("lists")
            .items
            .into_iter()
            .filter(|a| a.title.contains("wrong"));
        assert_eq!(
            wrong.count(),
            2,
            "both detectors go on and see what is wrong"
        );
        world.crash();
        world.send(210_000, &[sample(210, 1.0)]).await;
        world.wait_until(300_000).await;
        world.work().await;
        digests.push(world.digest().await);
    }
    digests.dedup();
    assert_eq!(digests.len(), 1);
}

async fn one_that_fails_again_and_again_is_quarantined_until_somebody_lets_it_on(
    database: Database,
) {
    let mut world = world(database, 512).await;
    for index in 0..8 {
        let secs = 100 + index * 20;
        world.send(secs * 1_000, &[sample(secs, TRAPS)]).await;
    }
    world.wait_until(300_000).await;
    world.work().await;
    let quarantined = |name: &str| (name.to_owned(), "quarantined");
    let both = [quarantined("second"), quarantined("twice")];
    assert_eq!(world.standings().await, both);
    assert_eq!(world.letters().await.len(), 10, "five each");
    // Neither other plugins nor a restart are a way out.
    let plugins = world.plugins.clone();
    world.observe.replace_plugins(plugins).await.expect("saves");
    world.crash();
    world.send(310_000, &[sample(310, 200.0)]).await;
    world.send(311_000, &[sample(311, 200.0)]).await;
    world.resume(312_000, "twice").await;
    world.send(320_000, &[sample(320, 200.0)]).await;
    world.send(321_000, &[sample(321, 200.0)]).await;
    world.wait_until(330_000).await;
    world.work().await;
    let running = |name: &str| (name.to_owned(), "running");
    let one = [quarantined("second"), running("twice")];
    assert_eq!(world.standings().await, one);
    let alerts = world
        .store
        .alert_list(&scope(), &AlertFilter::default(), None, 10)
        .await;
    let wrong: Vec<Timestamp> = alerts
        .expect("lists")
        .items
        .into_iter()
        .filter(|alert| alert.title.contains("load is wrong"))
        .map(|alert| alert.started)
        .collect();
    assert_eq!(wrong, [Timestamp::from_secs(321)], "what it was shown");
}

async fn one_that_fails_on_many_together_and_on_none_alone_is_not_tried_for_ever(
    database: Database,
) {
    let mut world = world(database, 512).await;
    for round in 0..6 {
        let secs = 100 + round * 20;
        let bodies: Vec<_> = (0..8).map(|index| sample(secs + index, CROWDED)).collect();
        for (body, index) in bodies.iter().zip(0..) {
            world
                .send((secs + index) * 1_000, std::slice::from_ref(body))
                .await;
        }
        world.work().await;
    }
    world.wait_until(300_000).await;
    world.work().await;
    let quarantined = |name: &str| (name.to_owned(), "quarantined");
    let both = [quarantined("second"), quarantined("twice")];
    assert_eq!(world.standings().await, both);
    let letters = world.letters().await;
    assert_eq!(letters.len(), 10, "{letters:?}");
    for (_, _, kind, code) in letters {
        assert_eq!((kind, code.as_str()), ("failure", "trap"));
    }
}

async fn one_whose_state_cannot_be_kept_begins_anew_and_holds_nobody_up(database: Database) {
    let mut world = world(database, 512).await;
    for secs in 100..180 {
        let value = match secs {
            100 => FORGETS,
            170 | 171 => 200.0,
            _ => 1.0,
        };
        world.send(secs * 1_000, &[sample(secs, value)]).await;
        world.work().await;
    }
    let letters = world.letters().await;
    assert!(!letters.is_empty());
    for (_, _, kind, code) in letters {
        assert_eq!((kind, code.as_str()), ("failure", "limit.state"));
    }
    let reached = world
        .store
        .stage_position(&scope(), StageName::Observe)
        .await;
    assert_eq!(reached.expect("reads").position.0, 80);
    let alerts = world
        .store
        .alert_list(&scope(), &AlertFilter::default(), None, 10)
        .await;
    let alerts = alerts.expect("lists").items.into_iter();
    let wrong = alerts.filter(|alert| alert.title.contains("load is wrong"));
    assert_eq!(wrong.count(), 2, "both go on");
}

on_each_database!(
    the_envelope_that_makes_a_detector_fail_is_left_out,
    one_that_fails_again_and_again_is_quarantined_until_somebody_lets_it_on,
    one_that_fails_on_many_together_and_on_none_alone_is_not_tried_for_ever,
    one_whose_state_cannot_be_kept_begins_anew_and_holds_nobody_up,
);
