//! Pollers: asked on the host's schedule, where they left off, over crashes and
//! as long as they may; and one that asks a real Prometheus, which also sends.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::alerts::{only_alert, sources};
use crate::support::bundles::{built, with_manifest};
use crate::support::programs::free_port;
use crate::support::prometheus;
use crate::support::server::{Server, Site};
use crate::support::shop::Shop;
use crate::support::wait::eventually;

/// An instance that keeps three things and fetches them at each poll.
const KEEPER: &str = "keeper";

/// Installed, allowed to keep things, and asked every second.
fn keeper(site: &Site, server: &Server, bundle: &Path) {
    let bundle = bundle.display().to_string();
    let config = site.scratch("keeper.json");
    fs::write(&config, r#"{"keys": 3}"#).expect("a file");
    let config = config.display().to_string();
    let commands = site.commands();
    commands.text(&["plugin", "install", &bundle, "--instance-config", &config]);
    commands.text(&["plugin", "grant", KEEPER, "state"]);
    let settings = json!({"settings": {"poll_interval": 1}});
    server.put("PUT", "/instances/keeper/settings", &settings);
}

/// Where it stands, once that is so.
fn poll_once(server: &Server, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually(what, || {
        let instance = server.get("/instances/keeper");
        let poll = instance["poll"].clone();
        is_so(&poll)
            .then_some(poll)
            .ok_or_else(|| instance.to_string())
    })
}

/// How many envelopes of it were dealt with.
fn observed(server: &Server) -> Value {
    server.wait_until_worked();
    let sources = server.list("/sources");
    let source = sources.into_iter().find(|source| source["name"] == KEEPER);
    source.expect("it is a source")["envelopes"].clone()
}

#[test]
fn what_is_polled_stands_in_the_journal_once_over_a_crash() {
    let site = Site::new();
    let server = site.serve();
    // It has no use for being asked before it may keep things, and says so.
    let bundle = site.scratch("needy");
    with_manifest("keeper", &bundle, |manifest| {
        manifest.replace("use = \"kv\"\n", "use = \"kv\"\nrequired = true\n")
    });
    keeper(&site, &server, &bundle);
    let pages = |least: u64| move |poll: &Value| poll["pages"].as_u64() >= Some(least);
    let poll = poll_once(&server, "it was polled twice", pages(2));
    assert_eq!(poll["interval_seconds"], 1);
    assert_eq!(
        poll["faults"], 0,
        "it was first asked when it was granted: {poll}"
    );
    // In the midst of whatever it does.
    server.kill();
    let server = site.serve();
    let before = poll["pages"].as_u64().expect("a number");
    poll_once(&server, "it is polled on", pages(before + 3));
    let text = site.commands().text(&["plugin", "poll", KEEPER]);
    assert!(text.contains("keeper fetched "), "{text}");
    let text = site.commands().text(&["plugin", "inspect", KEEPER]);
    assert!(text.contains("every 1 s"), "{text}");
    let metrics = server.metrics();
    let pages = "faultline_poll_pages_total{instance=\"keeper\"}";
    assert!(metrics.contains(pages), "{metrics}");

    server
        .ask("POST", "/instances/keeper/disable", None)
        .expect_success();
    let poll = server.get("/instances/keeper")["poll"].clone();
    let count = |key: &str| poll[key].as_u64().expect("a number");
    assert_eq!(count("envelopes"), 3 * count("pages"));
    assert_eq!(observed(&server), poll["envelopes"]);
    assert_eq!(server.list("/dead-letters"), [] as [Value; 0]);
    let refusal = site.commands().refusal(&["plugin", "poll", KEEPER]);
    assert!(refusal.contains("does not poll"), "{refusal}");
    server.stop(&site);
}

#[test]
fn what_was_taken_back_is_not_used_any_more_when_the_answer_comes() {
    let site = Site::new();
    let server = site.serve();
    keeper(&site, &server, &built("keeper"));
    poll_once(&server, "it was polled", |poll| {
        poll["pages"].as_u64() > Some(0)
    });
    site.commands().text(&["plugin", "revoke", KEEPER, "state"]);
    // Its capability is optional: it is asked on, and is told that it may not.
    let poll = poll_once(&server, "it is refused", |poll| {
        poll["faults_in_a_row"].as_u64() > Some(0)
    });
    assert_eq!(poll["last_fault"]["code"], "denied");
    let pages = poll["pages"].clone();
    let refusal = site.commands().refusal(&["plugin", "poll", KEEPER]);
    assert!(refusal.contains("fetched nothing: denied"), "{refusal}");
    let poll = poll_once(&server, "it stays so", |poll| {
        poll["faults"].as_u64() > Some(1)
    });
    assert_eq!(poll["pages"], pages);
    assert!(poll["lag_seconds"].as_f64() > Some(0.0), "{poll}");
    // Allowed again, it is asked at once and goes on.
    site.commands().text(&["plugin", "grant", KEEPER, "state"]);
    poll_once(&server, "it goes on", |poll| poll["faults_in_a_row"] == 0);
    server.stop(&site);
}

/// The poller, which is also the source that its alerts come through.
const POLLER: &str = "prometheus";

/// Where the same alerts come through that Prometheus sends.
const SENDER: &str = "alertmanager-api";

#[test]
fn an_alert_is_polled_and_a_restart_in_between_loses_nothing_and_doubles_nothing() {
    // Where Prometheus sends to is the same after a restart.
    let site = Site::with_config(&format!(
        "[api]\nlisten = \"127.0.0.1:0\"\n[intake]\nlisten = \"127.0.0.1:{}\"\n",
        free_port()
    ));
    let server = site.serve();
    let shop = Shop::open();
    let (mut prometheus, url) = prometheus::start(&site, &server, &shop, |_| {});

    let body = json!({
        "name": POLLER,
        "plugin": "faultline/prometheus",
        "config": {"url": url, "external-labels": {"region": "test"}},
        "settings": {"poll_interval": 1},
    });
    let made = server.put("POST", "/instances", &body);
    assert_eq!(made["state"], "pending-grant", "{made}");
    let refused = server.ask("POST", "/instances/prometheus/poll", Some(&json!({})));
    assert_eq!(refused.status, 409, "nobody has allowed it to ask anything");
    let grant = json!({"reason": "it is the server of this test"});
    server.put("PUT", "/instances/prometheus/grants/api", &grant);
    let polled = eventually("the poller has caught up", || {
        prometheus.assert_alive();
        let instance = server.get("/instances/prometheus");
        let has_polled = instance["poll"]["caught_up"].is_string();
        has_polled
            .then(|| instance.clone())
            .ok_or_else(|| instance.to_string())
    });
    assert_eq!(polled["poll"]["interval_seconds"], 1);

    shop.set_failing(true);
    let both = BTreeMap::from([(SENDER.to_owned(), true), (POLLER.to_owned(), true)]);
    let alert = alert_once(&server, "the alert fires from both sources", |alert| {
        alert["state"] == "firing" && sources(alert) == both
    });
    assert_eq!(alert["title"], "The shop takes no orders");
    assert_eq!(alert["severity"], "critical");
    assert_eq!(alert["entities"], json!(["service/shop"]));

    // In the midst of whatever it does: while it polls every second.
    server.kill();
    let server = site.serve();
    let before = server.get("/instances/prometheus")["poll"]["pages"].as_u64();
    eventually("it polls on", || {
        let poll = server.get("/instances/prometheus")["poll"].clone();
        let goes_on = poll["pages"].as_u64() > before;
        goes_on.then_some(()).ok_or_else(|| poll.to_string())
    });
    let text = site.commands().text(&["plugin", "poll", POLLER]);
    assert!(text.contains("prometheus fetched "), "{text}");
    let text = site.commands().text(&["plugin", "inspect", POLLER]);
    assert!(text.contains("every 1 s"), "{text}");

    shop.set_failing(false);
    let alert = alert_once(&server, "the poller says that it ended", |alert| {
        alert["state"] == "resolved" && sources(alert).get(POLLER) == Some(&false)
    });
    assert_eq!(alert["episode"], 1, "it fired once: {alert}");
    let metrics = server.api.send(
        "GET",
        "/metrics",
        &[("authorization", &format!("Bearer {}", server.admin_token))],
        None,
    );
    assert!(
        metrics.text().contains("faultline_poll_pages"),
        "the metrics are described"
    );
    // What was fetched stands in the journal once: the counts agree.
    server
        .ask("POST", "/instances/prometheus/disable", None)
        .expect_success();
    server.wait_until_worked();
    let envelopes = server.get("/instances/prometheus")["poll"]["envelopes"].clone();
    let source = server
        .list("/sources")
        .into_iter()
        .find(|source| source["name"] == POLLER)
        .expect("it is a source");
    assert_eq!(source["envelopes"], envelopes);
    assert_eq!(server.list("/dead-letters"), [] as [Value; 0]);

    // Whom nothing is granted to asks nothing.
    server
        .ask("POST", "/instances/prometheus/enable", None)
        .expect_success();
    server
        .ask("DELETE", "/instances/prometheus/grants/api", None)
        .expect_success();
    let refused = server.ask("POST", "/instances/prometheus/poll", Some(&json!({})));
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(prometheus.terminate().success());
    server.stop(&site);
}

#[test]
fn a_server_that_does_not_answer_is_shown_and_asked_again() {
    let site = Site::new();
    let server = site.serve();
    let url = format!("http://127.0.0.1:{}", free_port());
    let body = json!({"name": POLLER, "plugin": "faultline/prometheus", "config": {"url": url}});
    server.put("POST", "/instances", &body);
    let grant = json!({"reason": "a test"});
    server.put("PUT", "/instances/prometheus/grants/api", &grant);
    let instance = eventually("the fault is shown", || {
        let instance = server.get("/instances/prometheus");
        let has_failed = instance["poll"]["faults"].as_u64() > Some(0);
        has_failed
            .then(|| instance.clone())
            .ok_or_else(|| instance.to_string())
    });
    let poll = &instance["poll"];
    assert_eq!(poll["caught_up"], Value::Null);
    assert!(
        poll["last_fault"]["message"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
    assert!(poll["next"].as_str() > poll["last"].as_str());
    let refusal = site.commands().refusal(&["plugin", "poll", POLLER]);
    assert!(refusal.contains("fetched nothing"), "{refusal}");
    // Nothing is held against it; it is asked less often, and at once if
    // somebody knows that the server is there again.
    let instance = server.wait_for_instance(POLLER, "backing-off");
    let reason = instance["reason"].as_str().expect("a text");
    assert!(reason.contains("was refused"), "{reason}");
    assert_eq!(instance["supervision"]["failures"], 0, "{instance}");
    let before = instance["poll"]["faults"].as_u64();
    site.commands().text(&["plugin", "resume", POLLER]);
    eventually("it was asked at once", || {
        let poll = server.get("/instances/prometheus")["poll"].clone();
        let was_asked = poll["faults"].as_u64() > before;
        was_asked.then_some(()).ok_or_else(|| poll.to_string())
    });
    server.stop(&site);
}

#[test]
fn a_poller_that_keeps_failing_is_quarantined_with_its_cursor_and_mended() {
    let site = Site::new();
    let server = site.serve();
    keeper(&site, &server, &built("keeper"));
    poll_once(&server, "it was polled", |poll| {
        poll["pages"].as_u64() > Some(0)
    });
    // More than it has room for.
    let greedy = json!({"config": {"keys": 1_000_000, "value_bytes": 1_000}});
    server.put("PUT", "/instances/keeper/config", &greedy);
    let instance = server.wait_for_instance(KEEPER, "quarantined");
    let reason = instance["reason"].as_str().expect("a text");
    assert!(reason.contains("limit.memory"), "{reason}");
    assert!(reason.contains("on cursor "), "{reason}");
    assert!(
        reason.contains("faultline plugin resume keeper"),
        "{reason}"
    );
    let poll = &instance["poll"];
    assert_eq!(poll["next"], Value::Null, "{poll}");
    assert_eq!(poll["faults_in_a_row"], 3, "{poll}");
    assert!(
        poll["cursor_bytes"].as_u64() > Some(0),
        "the poison is kept"
    );
    let refusal = site.commands().refusal(&["plugin", "poll", KEEPER]);
    assert!(refusal.contains("it is quarantined"), "{refusal}");
    let text = site.commands().text(&["plugin", "inspect", KEEPER]);
    assert!(text.contains("next not before it is resumed"), "{text}");
    eventually("an alert of Faultline's own says so", || {
        let alerts = server.list("/alerts?entity=plugin/keeper");
        let found = alerts.iter().any(|alert| {
            alert["title"] == "the plugin keeper is quarantined" && alert["state"] == "firing"
        });
        found.then_some(()).ok_or_else(|| format!("{alerts:?}"))
    });

    // It stays so over a restart.
    server.stop(&site);
    let server = site.serve();
    let instance = server.wait_for_instance(KEEPER, "quarantined");
    assert_eq!(instance["poll"]["faults"], poll["faults"], "{instance}");
    let modest = json!({"config": {"keys": 3}});
    server.put("PUT", "/instances/keeper/config", &modest);
    server.wait_for_instance(KEEPER, "running");
    let pages = poll["pages"].as_u64();
    poll_once(&server, "it goes on", |poll| poll["pages"].as_u64() > pages);
    server.stop(&site);
}

/// The alert that senders report, once it looks as it should.
fn alert_once(server: &Server, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually(what, || {
        let alert = only_alert(server)?;
        is_so(&alert)
            .then(|| alert.clone())
            .ok_or_else(|| alert.to_string())
    })
}
