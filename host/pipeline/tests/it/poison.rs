//! Detectors that fail: what made them fail is kept, everything else goes on.

use std::sync::Arc;
use std::time::Duration;

use faultline_domain::id::InstanceName;
use faultline_pipeline::{ObserveSettings, PipelineSettings};
use faultline_store::AlertFilter;
use serde_json::json;

use crate::fakes::{LOOPS, TRAPS, Twice};
use crate::{World, plugins, scope};

fn sample(secs: u64, value: f64) -> serde_json::Value {
    json!({"samples": [["load", "host/a", secs, value], ["temperature", "host/b", secs, value.min(50.0)]]})
}

async fn world(batch: u32) -> World {
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
    World::with(settings, plugins).await
}

#[tokio::test]
async fn the_envelope_that_makes_a_detector_fail_is_left_out() {
    let mut digests = Vec::new();
    for batch in [1, 4, 512] {
        let mut world = world(batch).await;
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
        let letters = world.store.dead_letter_list(&scope(), None, 10).await;
        let letters: Vec<(u64, String, String)> = letters
            .expect("lists")
            .items
            .into_iter()
            .map(|l| (l.position.0, l.reader, l.code))
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

#[tokio::test]
async fn one_that_fails_again_and_again_is_suspended() {
    let mut world = world(512).await;
    for secs in 100..120 {
        world.send(secs * 1_000, &[sample(secs, TRAPS)]).await;
    }
    world.wait_until(130_000).await;
    world.work().await;
    let suspended: Vec<&str> = world
        .observe
        .suspended()
        .keys()
        .map(InstanceName::as_str)
        .collect();
    assert_eq!(suspended, ["second", "twice"]);
    let letters = world.store.dead_letter_list(&scope(), None, 100).await;
    assert_eq!(letters.expect("lists").items.len(), 10, "five each");
    let plugins = world.plugins.clone();
    world.observe.replace_plugins(plugins).await.expect("saves");
    assert!(world.observe.suspended().is_empty(), "a new chance");
}
