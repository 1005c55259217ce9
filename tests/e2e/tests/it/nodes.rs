//! Several servers on one PostgreSQL database: each takes in, one works; one
//! that is killed is succeeded, and nothing tells that it was.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use faultline_test_databases::Server as Postgresql;
use serde_json::{Value, json};

use crate::replay::{Morning, acknowledge_all, settle};
use crate::support::alerts::webhook;
use crate::support::bundles::asking_for_state;
use crate::support::history::History;
use crate::support::http::Http;
use crate::support::server::{Server, Site};
use crate::support::wait::{StopsAtEnd, eventually};

/// The least that each sender gets rid of before something is done to a node.
const SENT_MIN: usize = 15;

/// Starts a node, and waits until it reads what Alertmanager sends.
fn serve(site: &Site) -> Server {
    let server = site.serve();
    server.wait_for_instance("alertmanager", "running");
    server
}

/// Who has which lease, as a node sees it.
fn holders(server: &Server) -> BTreeMap<String, Value> {
    let status = server.get("/status");
    let leases = status["leases"].as_array().expect("a list");
    let pairs = leases.iter().map(|lease| {
        let name = lease["name"].as_str().expect("a name").to_owned();
        (name, lease["node"].clone())
    });
    pairs.collect()
}

/// Waits until one node has all leases.
fn wait_until_all_are_of(server: &Server, node: &str) {
    eventually(&format!("{node} has the leases"), || {
        let holders = holders(server);
        let is_so = holders.len() >= 4 && holders.values().all(|holder| holder == node);
        is_so.then_some(()).ok_or_else(|| format!("{holders:?}"))
    });
}

/// Somebody who sends one alert after another, each of a service of its own.
struct Sender {
    name: &'static str,
    intake: Http,
    token: String,
}

impl Sender {
    fn to(name: &'static str, server: &Server) -> Self {
        Self {
            name,
            intake: server.intake.clone(),
            token: server.ingest_token.clone(),
        }
    }

    /// Sends until told to stop or nobody answers, and gives the services whose
    /// alerts were acknowledged.
    fn send(&self, stop: &AtomicBool, acknowledged: &dyn Fn(usize)) -> Vec<String> {
        let bearer = format!("Bearer {}", self.token);
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let mut services = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let service = format!("{}-{}", self.name, services.len());
            let body = webhook("Down", &service, "firing").to_string();
            let path = "/hooks/alertmanager";
            let sent = self
                .intake
                .try_send("POST", path, &headers, Some(body.as_bytes()));
            match sent {
                Ok(answer) => {
                    answer.expect_success();
                    services.push(service);
                    acknowledged(services.len());
                }
                Err(_) => break,
            }
        }
        services
    }
}

/// The alerts that Alertmanager reported, by service.
fn reported(server: &Server) -> BTreeMap<String, Value> {
    let alerts = server.list("/alerts?origin=prometheus");
    let down = alerts.into_iter().map(|alert| {
        let id = alert["id"].as_str().expect("an id");
        server.get(&format!("/alerts/{id}"))
    });
    down.filter(|alert| alert["labels"]["alertname"] == "Down")
        .map(|alert| {
            let service = alert["labels"]["service"].as_str().expect("a service");
            (service.to_owned(), alert)
        })
        .collect()
}

#[test]
fn a_node_that_is_killed_is_succeeded_and_nothing_tells() {
    let database = Postgresql::shared().create();
    let (site_a, site_b) = (Site::on(&database, "a"), Site::on(&database, "b"));
    let server_a = serve(&site_a);
    wait_until_all_are_of(&server_a, "a");
    site_b.keep_compiled(&site_a);
    let mut server_b = serve(&site_b);
    let morning = Morning::new();
    morning.good_hours(&server_a);

    // Both are sent to, and the one that works is killed in the midst of it.
    let stop = AtomicBool::new(false);
    let (to_a, to_b) = (Sender::to("to-a", &server_a), Sender::to("to-b", &server_b));
    let acknowledged = thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        let tell_b = tell.clone();
        let sending_a = scope.spawn(|| {
            to_a.send(&stop, &move |count| {
                let _ = tell.send(("a", count));
            })
        });
        let sending_b = scope.spawn(|| {
            to_b.send(&stop, &move |count| {
                let _ = tell_b.send(("b", count));
            })
        });
        let stops = StopsAtEnd(&stop);
        morning.outage(&server_b);
        let (mut a, mut b) = (0, 0);
        while a < SENT_MIN || b < SENT_MIN {
            match told.recv().expect("both send") {
                ("a", count) => a = count,
                (_, count) => b = count,
            }
        }
        server_a.kill();
        wait_until_all_are_of(&server_b, "b");
        drop(stops);
        let mut services = sending_a.join().expect("no panic");
        services.extend(sending_b.join().expect("no panic"));
        services
    });
    server_b.wait_until_worked();
    server_b.assert_serves();

    // It comes again, and leaves the work to the other one.
    let server_a = serve(&site_a);
    server_a.post_json("/hooks/alertmanager", &webhook("Down", "after", "firing"));
    server_a.wait_until_worked();
    assert!(holders(&server_a).values().all(|holder| holder == "b"));

    let alerts = reported(&server_a);
    for service in acknowledged.iter().map(String::as_str).chain(["after"]) {
        let alert = alerts.get(service);
        let alert = alert.unwrap_or_else(|| panic!("{service} was acknowledged, and is gone"));
        assert_eq!(alert["sources"][0]["reports"], 1, "{alert}");
    }
    // One more may have been taken in without its sender having learned of it.
    assert!(alerts.len() <= acknowledged.len() + 2, "{}", alerts.len());

    acknowledge_all(&server_a);
    Morning::recovery(&server_b);
    for service in alerts.keys() {
        let resolved = webhook("Down", service, "resolved");
        server_a.post_json("/hooks/alertmanager", &resolved);
    }
    settle(&server_b);
    for incident in server_a.list("/incidents") {
        let id = incident["id"].as_str().expect("an id");
        let events = server_a.list(&format!("/incidents/{id}/events"));
        let opened = events.iter().filter(|event| event["kind"] == "opened");
        assert_eq!(opened.count(), 1, "{events:?}");
    }
    assert_eq!(server_a.get("/audit/verify")["intact"], true);

    // One that ends in order lets go of its leases, and is not waited for.
    server_b.stop(&site_b);
    wait_until_all_are_of(&server_a, "a");
    server_a.stop(&site_a);

    // Over a folder, by one process, the same journal gives the same history.
    let original = History::of(&site_a.commands());
    assert!(original.incidents["items"][0].is_object());
    let recording = site_a.scratch("journal.jsonl.zst").display().to_string();
    site_a.commands().text(&["journal", "export", &recording]);
    let alone = Site::new();
    alone.keep_compiled(&site_a);
    alone.commands().text(&["journal", "import", &recording]);
    assert_eq!(History::of(&alone.commands()), original);

    // And so it does in another database.
    let again = Site::on(&Postgresql::shared().create(), "c");
    again.keep_compiled(&site_a);
    again.commands().text(&["journal", "import", &recording]);
    assert_eq!(History::of(&again.commands()), original);
    let refusal = again.commands().refusal(&["journal", "import", &recording]);
    assert!(refusal.contains("is not empty"), "{refusal}");
}

#[test]
fn what_is_changed_through_one_node_counts_on_the_other() {
    let database = Postgresql::shared().create();
    let (site_a, site_b) = (Site::on(&database, "a"), Site::on(&database, "b"));
    // At the same time: only one of them makes the first tokens.
    let (server_a, server_b) = thread::scope(|scope| {
        let a = scope.spawn(|| site_a.serve());
        let b = scope.spawn(|| site_b.serve());
        (a.join().expect("starts"), b.join().expect("starts"))
    });
    assert_eq!(
        server_a.get("/status")["install"],
        server_b.get("/status")["install"]
    );
    let tokens = server_a.list("/tokens");
    let first = tokens.iter().filter(|token| token["name"] == "first-admin");
    assert_eq!(first.count(), 1, "{tokens:?}");

    // Tokens, of senders and of people.
    let body = json!({"name": "elsewhere", "purpose": "ingest"});
    let made = server_a.put("POST", "/tokens", &body);
    let token = made["token"].as_str().expect("a token");
    let bearer = format!("Bearer {token}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let send = |status: u16| {
        eventually(&format!("senders get {status}"), || {
            let body = webhook("Down", "shop", "firing").to_string();
            let path = "/hooks/alertmanager";
            let answer = server_b
                .intake
                .send("POST", path, &headers, Some(body.as_bytes()));
            (answer.status == status)
                .then_some(())
                .ok_or_else(|| answer.text())
        });
    };
    send(202);
    let id = made["id"].as_str().expect("an id");
    server_a
        .ask("DELETE", &format!("/tokens/{id}"), None)
        .expect_success();
    send(401);
    let admin = server_a.admin_token.clone();
    server_b
        .ask_as(&admin, "GET", "/whoami", None)
        .expect_success();

    // Plugins and what they may do.
    let folder = site_a.scratch("keeper");
    asking_for_state(&folder);
    let (commands, folder) = (site_a.commands(), folder.display().to_string());
    commands.text(&["plugin", "install", &folder, "--as", "keeper"]);
    server_b.wait_for_instance("keeper", "pending-grant");
    let grant = ["plugin", "grant", "keeper", "state", "--reason", "a test"];
    commands.text(&grant);
    server_b.wait_for_instance("keeper", "running");
    let revoke = ["plugin", "revoke", "keeper", "state"];
    site_b.commands().text(&revoke);
    server_a.wait_for_instance("keeper", "pending-grant");
    server_a.stop(&site_a);
    server_b.stop(&site_b);
}

#[test]
fn people_see_which_node_does_what() {
    let database = Postgresql::shared().create();
    let (site_a, site_b) = (Site::on(&database, "a"), Site::on(&database, "b"));
    let server_a = site_a.serve();
    wait_until_all_are_of(&server_a, "a");
    site_b.keep_compiled(&site_a);
    let server_b = site_b.serve();
    let status = server_b.get("/status");
    assert_eq!(status["node"], "b");
    assert_eq!(status["database"], "postgresql");
    assert_eq!(status["ready"], true);
    let held = |node: &str| format!("faultline_lease_held{{lease=\"observe\"}} {node}");
    assert!(server_a.metrics().contains(&held("1")));
    assert!(server_b.metrics().contains(&held("0")));

    let commands = site_b.commands();
    let looked = commands.text(&["doctor"]);
    assert!(looked.contains("node a does "), "{looked}");
    assert!(looked.contains("postgresql database"), "{looked}");
    server_b.stop(&site_b);

    // A recording is not put beside what comes in.
    let nothing = site_b.scratch("nothing.jsonl");
    let nothing = nothing.display().to_string();
    commands.text(&["journal", "export", &nothing]);
    let busy = commands.refusal(&["journal", "import", &nothing]);
    assert!(busy.contains("is not empty"), "{busy}");
    server_a.stop(&site_a);
}

#[test]
fn a_database_that_is_not_there_is_named_without_its_password() {
    let site = Site::on("postgres://faultline:s3cret@127.0.0.1:1/faultline", "a");
    for line in [&["serve"][..], &["incident", "list"]] {
        let refusal = site.commands().refusal(line);
        assert!(refusal.contains("127.0.0.1:1/faultline"), "{refusal}");
        assert!(refusal.contains("[data] database"), "{refusal}");
        assert!(
            refusal.contains("refused"),
            "not only that it took long: {refusal}"
        );
        assert!(!refusal.contains("s3cret"), "{refusal}");
    }
    let shown = site.commands().text(&["config", "show"]);
    assert!(!shown.contains("s3cret"), "{shown}");
}
