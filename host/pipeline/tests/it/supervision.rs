//! Connectors and correlators that fail, and what one sender may take of what
//! all share.

use std::sync::Arc;
use std::time::Duration;

use faultline_domain::entity::Entity;
use faultline_domain::envelope::Position;
use faultline_domain::labels::Labels;
use faultline_domain::severity::Severity;
use faultline_domain::signal::{AlertReport, StatedSeverity};
use faultline_domain::supervision::SupervisionPolicy;
use faultline_domain::time::Timestamp;
use faultline_pipeline::{ObserveSettings, PipelineSettings, Progress};
use faultline_store::{AlertFilter, HostEnvelope, StageName};
use faultline_test_databases::Database;
use serde_json::{Value, json};

use crate::fakes::{ByEntity, JsonDecoder};
use crate::{World, arrival, format, plugins, scope};

fn settings(batch: u32, supervision: SupervisionPolicy) -> PipelineSettings {
    let mut settings = PipelineSettings::default();
    settings.observe.batch_envelopes_max = batch;
    settings.observe.checkpoint_every = Duration::from_secs(30);
    settings.observe.supervision = supervision.clone();
    settings.correlate.supervision = supervision;
    settings
}

fn alert(name: &str, firing: bool, at: u64) -> Value {
    let alert = json!({
        "name": name, "entity": "service/cart", "firing": firing, "started": at,
        "ended": (!firing).then_some(at),
    });
    json!({"alerts": [alert]})
}

async fn firing(world: &World) -> Vec<String> {
    let filter = AlertFilter {
        firing: Some(true),
        ..AlertFilter::default()
    };
    let list = world.store.alert_list(&scope(), &filter, None, 100).await;
    let mut titles: Vec<String> = list
        .expect("lists")
        .items
        .into_iter()
        .map(|alert| alert.title)
        .collect();
    titles.sort_unstable();
    titles
}

#[tokio::test]
async fn a_connector_that_fails_is_left_alone_and_its_payloads_wait() {
    let mut digests = Vec::new();
    for batch in [1, 4, 512] {
        let settings = settings(batch, SupervisionPolicy::default());
        let mut world = World::with(Database::Sqlite, settings, plugins()).await;
        for index in 0..5_u64 {
            let secs = 100 + index * 20;
            let bodies = [
                alert(&format!("before-{index}"), true, secs),
                json!({"fails": "trap"}),
            ];
            world.send(secs * 1_000, &bodies).await;
            world
                .send(secs * 1_000, &[alert("within", true, secs)])
                .await;
        }
        world.send(200_000, &[alert("after", true, 200)]).await;
        world.wait_until(201_000).await;
        world.work().await;
        assert_eq!(
            world.standings().await,
            [("fake".to_owned(), "quarantined")]
        );
        let letters = world.letters().await;
        let of_kind = |kind: &str| letters.iter().filter(|it| it.2 == kind).count();
        assert_eq!(of_kind("poison"), 5, "{letters:?}");
        assert_eq!(of_kind("held"), 6, "{letters:?}");
        assert_eq!(letters[0].3, "quarantined");
        assert!(letters.iter().any(|it| it.3 == "backing-off"));
        let expected: Vec<String> = (0..5).map(|index| format!("before-{index}")).collect();
        assert_eq!(firing(&world).await, expected);

        world.crash();
        world.send(210_000, &[alert("still", true, 210)]).await;
        world.resume(211_000, "fake").await;
        world.send(212_000, &[alert("again", true, 212)]).await;
        world.wait_until(213_000).await;
        world.work().await;
        assert_eq!(world.standings().await, [("fake".to_owned(), "running")]);
        let now = firing(&world).await;
        assert!(now.contains(&"again".to_owned()) && !now.contains(&"still".to_owned()));
        digests.push(world.digest().await);
    }
    digests.dedup();
    assert_eq!(digests.len(), 1, "whatever the batches are");
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_wait_changes_nothing() {
    let patient = SupervisionPolicy {
        backoff_first: Duration::from_secs(30),
        backoff_max: Duration::from_secs(60),
        ..SupervisionPolicy::default()
    };
    let mut digests = Vec::new();
    for crash in [false, true] {
        let mut world =
            World::with(Database::Sqlite, settings(3, patient.clone()), plugins()).await;
        for secs in 100..200_u64 {
            let body = if secs % 40 == 10 {
                json!({"fails": "memory"})
            } else {
                alert(&format!("at-{secs}"), true, secs)
            };
            world.send(secs * 1_000, &[body]).await;
            if crash && secs % 7 == 0 {
                world.work().await;
                world.crash();
            }
        }
        world.wait_until(201_000).await;
        world.work().await;
        digests.push((world.digest().await, world.standings().await));
    }
    assert_eq!(digests[0], digests[1]);
}

#[tokio::test]
async fn one_that_is_not_called_costs_nothing() {
    let decoder = Arc::new(JsonDecoder::default());
    let mut plugins = plugins();
    if let Some(reader) = plugins.readers.get_mut(&format()) {
        reader.decoder = Arc::clone(&decoder) as Arc<_>;
    }
    let strict = SupervisionPolicy {
        failures_max: 1,
        ..SupervisionPolicy::default()
    };
    let mut world = World::with(Database::Sqlite, settings(512, strict), plugins).await;
    let bodies: Vec<Value> = (0..400).map(|_| json!({"fails": "trap"})).collect();
    world.send(100_000, &bodies).await;
    world.work().await;
    let given = decoder.given.load(std::sync::atomic::Ordering::Relaxed);
    // One call together, and the first of them alone.
    assert_eq!(given, 65);
}

#[tokio::test]
async fn what_comes_alone_is_given_once() {
    let decoder = Arc::new(JsonDecoder::default());
    let mut plugins = plugins();
    if let Some(reader) = plugins.readers.get_mut(&format()) {
        reader.decoder = Arc::clone(&decoder) as Arc<_>;
    }
    let settings = settings(512, SupervisionPolicy::default());
    let mut world = World::with(Database::Sqlite, settings, plugins).await;
    for (given, body) in [
        (1, json!({"fails": "trap"})),
        (2, alert("a", true, 200)),
        (3, json!({"fails": "memory"})),
    ] {
        world.send(given * 100_000, &[body]).await;
        world.work().await;
        let so_far = decoder.given.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(so_far as u64, given, "an envelope, a call");
    }
    assert_eq!(world.letters().await.len(), 2);
}

#[tokio::test]
async fn a_correlator_that_fails_is_left_alone() {
    let mut plugins = plugins();
    plugins.correlators.insert(0, Arc::new(ByEntity::failing()));
    plugins.correlators.truncate(1);
    let mut world = World::with(
        Database::Sqlite,
        settings(512, SupervisionPolicy::default()),
        plugins,
    )
    .await;
    for index in 0..8_u64 {
        let secs = 100 + index * 20;
        let body = alert(&format!("a{index}"), true, secs);
        world.send(secs * 1_000, &[body]).await;
        world.wait_until(secs * 1_000 + 200).await;
        world.work().await;
        world.crash();
    }
    let quarantined = [("by-entity".to_owned(), "quarantined")];
    assert_eq!(world.standings().await, quarantined);
    let letters = world.letters().await;
    assert_eq!(letters.len(), 5, "{letters:?}");
    assert_eq!(letters[0].1, "correlator:by-entity");
    assert_eq!(letters[0].2, "poison");

    // Mended, under the same name: another component begins anew; here it is
    // the same, and somebody has to say so.
    world.plugins.correlators = vec![Arc::new(ByEntity::new())];
    world.crash();
    world.send(300_000, &[alert("b", true, 300)]).await;
    world.wait_until(300_200).await;
    world.work().await;
    assert_eq!(world.standings().await, quarantined);
    world.resume(301_000, "by-entity").await;
    world.send(302_000, &[alert("c", true, 302)]).await;
    world.wait_until(302_200).await;
    world.work().await;
    assert_eq!(
        world.standings().await,
        [("by-entity".to_owned(), "running")]
    );
    assert_eq!(world.incidents().await.len(), 1);
}

#[tokio::test]
async fn what_is_stopped_in_the_middle_leaves_nothing_behind() {
    let mut world = World::new(Database::Sqlite).await;
    world
        .send(
            100_000,
            &[alert("a", true, 100), json!({"fails": "stopped"})],
        )
        .await;
    let stopped = world.observe.step().await.expect("steps");
    assert_eq!(stopped, Progress::Stopped);
    let reached = world
        .store
        .stage_position(&scope(), StageName::Observe)
        .await;
    assert_eq!(reached.expect("reads").position, Position::START);
    assert!(world.letters().await.is_empty(), "it is nobody's fault");
    let mut others = world.plugins.clone();
    others.readers.clear();
    world.observe.replace_plugins(others).await.expect("saves");
    world.work().await;
    assert_eq!(world.letters().await.len(), 2, "nobody reads them any more");
}

#[tokio::test]
async fn one_source_can_have_so_many_alerts_and_no_more() {
    let settings = PipelineSettings {
        observe: ObserveSettings {
            alerts_firing_max: 4,
            alerts_firing_per_source_max: 3,
            ..ObserveSettings::default()
        },
        ..PipelineSettings::default()
    };
    let mut world = World::with(Database::Sqlite, settings, plugins()).await;
    let send = async |world: &mut World, source: &str, millis: u64, name: &str, firing: bool| {
        let mut arrival = arrival(millis, &alert(name, firing, millis / 1_000));
        arrival.source = source.parse().expect("a name");
        world.journal.append(vec![arrival]).await.expect("appends");
        world.work().await;
        // The counts are those of the alerts that are there.
        world.crash();
    };
    for (index, name) in (0..).zip(["a", "b", "c", "d", "e"]) {
        send(&mut world, "loud", 100_000 + index, name, true).await;
    }
    assert_eq!(firing(&world).await, ["a", "b", "c"]);
    send(&mut world, "quiet", 101_000, "q", true).await;
    send(&mut world, "quiet", 102_000, "r", true).await;
    assert_eq!(firing(&world).await, ["a", "b", "c", "q"]);
    // What fires is heard of, and what ends makes room.
    send(&mut world, "loud", 103_000, "a", true).await;
    send(&mut world, "loud", 104_000, "b", false).await;
    send(&mut world, "loud", 105_000, "d", true).await;
    assert_eq!(firing(&world).await, ["a", "c", "d", "q"]);
    let over: Vec<(String, u64)> = world
        .store
        .source_list(&scope())
        .await
        .expect("lists")
        .into_iter()
        .map(|source| (source.name.to_string(), source.over_limit))
        .collect();
    assert_eq!(over, [("loud".to_owned(), 2), ("quiet".to_owned(), 1)]);
    let mut codes: Vec<String> = world.letters().await.into_iter().map(|it| it.3).collect();
    codes.sort_unstable();
    let per_source = "limit.alerts-firing-per-source".to_owned();
    assert_eq!(
        codes,
        [
            "limit.alerts-firing".to_owned(),
            per_source.clone(),
            per_source
        ]
    );
}

#[tokio::test]
async fn there_are_so_many_edges_and_no_more() {
    let settings = PipelineSettings {
        observe: ObserveSettings {
            edges_max: 2,
            ..ObserveSettings::default()
        },
        ..PipelineSettings::default()
    };
    let mut world = World::with(Database::Sqlite, settings, plugins()).await;
    let edge = |to: &str| json!({"edges": [["service/a", to]]});
    let bodies = ["service/b", "service/c", "service/d", "service/b"].map(edge);
    world.send(100_000, &bodies).await;
    world.work().await;
    let edges = world
        .store
        .topology_at(&scope(), Position(10), Timestamp::ZERO)
        .await;
    assert_eq!(edges.expect("reads").len(), 2);
    let letters = world.letters().await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!((letters[0].0, letters[0].3.as_str()), (3, "limit.edges"));
}

#[tokio::test]
async fn what_the_host_says_of_itself_is_an_alert_like_any_other() {
    let mut world = World::new(Database::Sqlite).await;
    let report = |firing: bool, at: u64| {
        let labels: Labels = [("condition", "plugin-quarantined"), ("instance", "eye")]
            .into_iter()
            .collect();
        HostEnvelope {
            alerts: vec![AlertReport {
                identity: labels.clone(),
                firing,
                title: "the plugin eye is quarantined".to_owned(),
                severity: StatedSeverity::from(Severity::High),
                started: Timestamp::from_secs(at),
                ended: (!firing).then(|| Timestamp::from_secs(at)),
                entities: vec![Entity::new("plugin", "eye").expect("an entity")],
                labels,
                annotations: Labels::default(),
                link: None,
            }],
        }
    };
    let arrivals = vec![
        report(true, 100).into_arrival(Timestamp::from_secs(100)),
        report(true, 100).into_arrival(Timestamp::from_secs(101)),
    ];
    world.journal.append(arrivals).await.expect("appends");
    world.wait_until(102_000).await;
    world.work().await;
    assert_eq!(firing(&world).await, ["the plugin eye is quarantined"]);
    let incidents = world.incidents().await;
    assert_eq!(incidents.len(), 1);
    let end = report(false, 103).into_arrival(Timestamp::from_secs(103));
    world.journal.append(vec![end]).await.expect("appends");
    world.wait_until(200_000).await;
    world.work().await;
    assert!(firing(&world).await.is_empty());
}
