//! Replay: what is in the journal is all there is. The same journal gives the
//! same history, down to ids, on another machine, in batches of other sizes,
//! with other numbers of shards, and however often the original was cut off.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::alerts::{firing, webhook};
use crate::support::history::History;
use crate::support::server::{Server, Site};
use crate::support::telemetry::{call, gauge, logs, now_micros};
use crate::support::wait::eventually;

const MINUTE_MICROS: u64 = 60_000_000;

/// How many minutes of telemetry there are before the outage, and in it.
const MINUTES_GOOD: u64 = 360;
const MINUTES_BAD: u64 = 12;

/// The resolve delay and the lateness that are configured, and a round of
/// correlation or two.
const DELAYS: Duration = Duration::from_secs(3);

/// A morning at a shop: everything is well for hours, then the database breaks
/// right after it was changed, and others with it.
pub(crate) struct Morning {
    /// When the outage begins.
    outage: u64,
}

impl Morning {
    pub(crate) fn new() -> Self {
        Self {
            outage: now_micros() - MINUTES_BAD * MINUTE_MICROS,
        }
    }

    /// Hours in which nothing happens.
    pub(crate) fn good_hours(&self, server: &Server) {
        let begin = self.outage - MINUTES_GOOD * MINUTE_MICROS;
        for (service, level) in [("shop", 10.0), ("orders", 20.0), ("database", 5.0)] {
            let points: Vec<(u64, f64)> = (0..MINUTES_GOOD)
                .map(|minute| {
                    let at = begin + minute * MINUTE_MICROS;
                    (at, level + wobble(minute))
                })
                .collect();
            for hour in points.chunks(60) {
                server.post_json("/v1/metrics", &gauge(service, "latency", hour));
            }
        }
        for number in 0..20 {
            let at = self.outage - u64::from(20 - number) * MINUTE_MICROS;
            server.post_json("/v1/traces", &call("shop", "orders", at, number * 2));
            server.post_json(
                "/v1/traces",
                &call("orders", "database", at, number * 2 + 1),
            );
            let lines: Vec<String> = (0..15)
                .map(|line| format!("request {} took {} ms", number * 15 + line, 3 + line))
                .collect();
            server.post_json("/v1/logs", &logs("orders", at, 9, &lines));
        }
    }

    /// The change, and what follows from it.
    pub(crate) fn outage(&self, server: &Server) {
        let change = json!({
            "specversion": "1.0",
            "id": "change-1",
            "source": "/deployments",
            "type": "dev.faultline.change",
            "data": {"title": "database 17.2 to production", "entities": ["service/database"]},
        });
        let headers = [("content-type", "application/cloudevents+json")];
        let body = change.to_string();
        server
            .post("/hooks/cloudevents", &headers, body.as_bytes())
            .expect_success();
        for (service, level) in [("shop", 95.0), ("orders", 180.0), ("database", 60.0)] {
            let points: Vec<(u64, f64)> = (0..MINUTES_BAD)
                .map(|minute| (self.outage + minute * MINUTE_MICROS, level + wobble(minute)))
                .collect();
            server.post_json("/v1/metrics", &gauge(service, "latency", &points));
        }
        for service in ["database", "orders", "shop"] {
            server.post_json("/api/v2/alerts", &json!([firing("Slow", service)]));
            server.post_json("/hooks/alertmanager", &webhook("Slow", service, "firing"));
        }
        let lines = ["connection to database refused: too many clients".to_owned()];
        let now = now_micros();
        server.post_json("/v1/logs", &logs("orders", now, 17, &lines));
    }

    /// Everything is well again.
    pub(crate) fn recovery(server: &Server) {
        for service in ["database", "orders", "shop"] {
            let resolved = webhook("Slow", service, "resolved");
            server.post_json("/hooks/alertmanager", &resolved);
        }
    }
}

/// A little up and down, the same each time.
fn wobble(minute: u64) -> f64 {
    let step = u32::try_from(minute * 7 % 13).expect("a small number");
    f64::from(step) / 10.0
}

/// Somebody looks after whatever is open.
pub(crate) fn acknowledge_all(server: &Server) {
    let open = eventually("there is an incident", || {
        let open = server.list("/incidents?phase=open");
        (!open.is_empty()).then_some(open).ok_or_else(String::new)
    });
    for incident in open {
        let id = incident["id"].as_str().expect("an id");
        let answer = server.ask("POST", &format!("/incidents/{id}/acknowledge"), None);
        // It may be done later, or have been merged into another one.
        assert!(
            matches!(answer.status, 200 | 202 | 409),
            "{}",
            answer.text()
        );
    }
}

/// Waits until nothing that senders reported is left open, and all stages have
/// come past the delays that follow.
pub(crate) fn settle(server: &Server) {
    server.wait_until_worked();
    eventually("what senders report is over", || {
        let firing = server.list("/alerts?state=firing&origin=prometheus");
        let is_over = firing.is_empty();
        is_over.then_some(()).ok_or_else(|| format!("{firing:?}"))
    });
    let end = Timestamp::now() + DELAYS;
    eventually("time has passed for all stages", || {
        let stages = server.get("/status")["stages"].clone();
        let has_come = |stage: &Value| {
            let clock = stage["clock"].as_str();
            clock.is_some_and(|clock| clock.parse::<Timestamp>().expect("a time") > end)
        };
        let is_so = stages.as_array().expect("a list").iter().all(has_come);
        is_so.then_some(()).ok_or_else(|| stages.to_string())
    });
}

/// Plays the journal of a site back in new folders, and compares.
fn check_replays(site: &Site) {
    let original = History::of(&site.commands());
    let alerts = original.alerts["items"].as_array().expect("a list");
    let of = |kind: &str| {
        alerts
            .iter()
            .filter(|a| a["origin"]["kind"] == kind)
            .count()
    };
    assert!(of("sender") >= 3, "{alerts:?}");
    assert!(of("detector") >= 1, "{alerts:?}");
    assert!(original.has_incidents(), "no incident");

    let recording = site.scratch("journal.jsonl.zst");
    let recording = recording.display().to_string();
    site.commands().text(&["journal", "export", &recording]);
    for (shards, checkpoint_every) in [(1, "1h"), (3, "1s")] {
        let mut config = std::fs::read_to_string(site.config()).expect("the configuration");
        config = config.replace(
            "checkpoint-every = \"2s\"",
            &format!("checkpoint-every = \"{checkpoint_every}\"\ndetector-shards = {shards}"),
        );
        let again = Site::with_config(&config);
        let imported = again.commands().json(&["journal", "import", &recording]);
        assert_eq!(imported["alerts"], alerts.len(), "{imported}");
        assert_eq!(History::of(&again.commands()), original, "{shards} shards");
    }
}

#[test]
fn a_journal_gives_the_same_history_again() {
    let site = Site::new();
    let server = site.serve();
    let morning = Morning::new();
    morning.good_hours(&server);
    morning.outage(&server);
    acknowledge_all(&server);
    Morning::recovery(&server);
    settle(&server);
    server.stop(&site);
    check_replays(&site);
}

#[test]
fn so_does_one_that_was_cut_off_again_and_again() {
    let site = Site::new();
    let server = site.serve();
    let morning = Morning::new();
    morning.good_hours(&server);
    server.kill();
    let server = site.serve();
    morning.outage(&server);
    server.kill();
    let server = site.serve();
    acknowledge_all(&server);
    server.kill();
    let server = site.serve();
    Morning::recovery(&server);
    settle(&server);
    server.stop(&site);
    check_replays(&site);
}
