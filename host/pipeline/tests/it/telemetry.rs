//! From samples and spans to findings, alerts and edges.

use faultline_domain::alert::Origin;
use faultline_domain::time::Timestamp;
use faultline_store::AlertFilter;
use faultline_test_databases::{Database, on_each_database};
use serde_json::json;

use crate::{World, scope};

async fn a_finding_is_an_alert_with_its_number(database: Database) {
    let mut world = World::new(database).await;
    let sample = |secs: u64, value: f64| json!({"samples": [["load", "host/a", secs, value]]});
    world
        .send(
            100_000,
            &[sample(100, 5.0), sample(101, 200.0), sample(102, 300.0)],
        )
        .await;
    world.wait_until(103_000).await;
    world.work().await;
    let list = async || {
        let list = world
            .store
            .alert_list(&scope(), &AlertFilter::default(), None, 10)
            .await;
        list.expect("lists").items
    };
    let alerts = list().await;
    assert_eq!(alerts.len(), 1);
    let alert = &alerts[0];
    assert_eq!(alert.title, "load is wrong");
    assert_eq!(alert.entities[0].to_string(), "host/a");
    assert_eq!(alert.labels.get("metric"), Some("load"));
    assert_eq!(alert.started, Timestamp::from_secs(102));
    assert!(matches!(&alert.origin, Origin::Detector { instance } if instance.as_str() == "twice"));
    let measured = alert.measurement.as_ref().expect("a number");
    assert_eq!(measured.value, Some(300.0));
    let extra = measured.extra.as_ref().expect("what it said beside");
    assert_eq!(extra.bytes, b"wrong");
    assert_eq!(world.incidents().await.len(), 1);

    world.send(110_000, &[sample(110, 1.0)]).await;
    world.wait_until(111_000).await;
    world.observe.drain().await.expect("observes");
    let list = world
        .store
        .alert_list(&scope(), &AlertFilter::default(), None, 10)
        .await;
    assert!(!list.expect("lists").items[0].is_firing());
}

async fn counters_are_watched_as_rates_and_kept_as_such(database: Database) {
    let mut world = World::new(database).await;
    let sample =
        |secs: u64, value: f64| json!({"samples": [["errors_total", "host/a", secs, value]]});
    // 150 a second, twice.
    let samples = [sample(100, 0.0), sample(110, 1_500.0), sample(120, 3_000.0)];
    world.send(121_000, &samples).await;
    world.wait_until(200_000).await;
    world.work().await;
    let list = world
        .store
        .alert_list(&scope(), &AlertFilter::default(), None, 10)
        .await;
    let alerts = list.expect("lists").items;
    let wrong = alerts
        .iter()
        .find(|a| a.title.contains("wrong"))
        .expect("an alert");
    assert_eq!(wrong.title, "rate(errors_total) is wrong");
    let series = wrong
        .measurement
        .as_ref()
        .and_then(|m| m.series)
        .expect("a series");
    let history = world
        .store
        .sample_list(&scope(), series, Timestamp::ZERO, Timestamp::MAX)
        .await
        .expect("reads");
    let expected = [(110, 150.0), (120, 150.0)];
    assert_eq!(
        history,
        expected.map(|(secs, v)| (Timestamp::from_secs(secs), v))
    );
}

async fn late_samples_are_counted_and_change_nothing(database: Database) {
    let mut world = World::new(database).await;
    let sample = |secs: u64, value: f64| json!({"samples": [["load", "host/a", secs, value]]});
    let samples = [sample(102, 200.0), sample(101, 1.0), sample(103, 200.0)];
    world.send(104_000, &samples).await;
    world.wait_until(105_000).await;
    world.work().await;
    let list = world
        .store
        .alert_list(&scope(), &AlertFilter::default(), None, 10)
        .await;
    assert_eq!(
        list.expect("lists").items.len(),
        1,
        "200 and 200, with nothing in between"
    );
    assert_eq!(
        world.store.source_list(&scope()).await.expect("lists")[0].late,
        1
    );
}

async fn spans_show_edges_and_how_calls_go(database: Database) {
    let mut world = World::new(database).await;
    let span = |id: u8, parent: Option<u8>, service: &str, client: bool, end: u64| {
        json!({"id": id, "parent": parent, "service": service, "client": client,
               "end": end, "failed": id == 4})
    };
    // The server's side comes first, in an envelope of its own.
    let server = json!({"spans": [span(2, Some(1), "service/cart", false, 102)]});
    let client = json!({"spans": [span(1, None, "service/web", true, 103)]});
    let more = json!({"spans": [span(4, None, "service/cart", false, 105)]});
    world.send(105_000, &[server, client, more]).await;
    world.wait_until(300_000).await;
    world.work().await;
    let position = world.journal.head().borrow().position;
    let edges = world
        .store
        .topology_at(&scope(), position, Timestamp::ZERO)
        .await
        .expect("reads");
    let shown: Vec<String> = edges
        .iter()
        .map(|(key, _)| format!("{} {} {}", key.dependent, key.relation, key.provider))
        .collect();
    assert_eq!(shown, ["service/web calls service/cart"]);

    let series = world.store.series_list(&scope()).await.expect("lists");
    let value = async |name: &str, entity: &str| {
        let record = series
            .iter()
            .find(|s| {
                s.def.key.name == name
                    && s.def
                        .key
                        .entity
                        .as_ref()
                        .is_some_and(|e| e.to_string() == entity)
            })
            .unwrap_or_else(|| panic!("no {name}"));
        let samples = world
            .store
            .sample_list(&scope(), record.id, Timestamp::ZERO, Timestamp::MAX)
            .await
            .expect("reads");
        samples[0].1
    };
    assert!((value("requests.rate", "service/cart").await - 0.2).abs() < 1e-9);
    assert!((value("requests.errors", "service/cart").await - 0.5).abs() < 1e-9);
    assert!((value("calls.duration.p50", "service/web").await - 1.0).abs() < 0.02);
}

on_each_database!(
    a_finding_is_an_alert_with_its_number,
    counters_are_watched_as_rates_and_kept_as_such,
    late_samples_are_counted_and_change_nothing,
    spans_show_edges_and_how_calls_go,
);
