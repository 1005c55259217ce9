//! A PostgreSQL server that goes away and comes back under a node that works,
//! and databases that a node is not let into: each has a name and a remedy, and
//! nothing that was acknowledged is lost.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use faultline_test_databases::{End, Server as Postgresql, WITH_PASSWORD};
use serde_json::json;

use crate::replay::{Morning, acknowledge_all, settle};
use crate::support::alerts::webhook;
use crate::support::history::History;
use crate::support::http::Http;
use crate::support::server::{Server, Site};
use crate::support::wait::{StopsAtEnd, eventually};

/// The least that is taken before each outage.
const TAKEN_MIN: u64 = 10;

/// Between two payloads, and two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// Somebody who sends one alert after another, each of a service of its own,
/// and each again until it is acknowledged.
struct Sender {
    intake: Http,
    token: String,
    taken: AtomicU64,
    refused: AtomicU64,
    over: AtomicBool,
}

impl Sender {
    fn to(server: &Server) -> Self {
        Self {
            intake: server.intake.clone(),
            token: server.ingest_token.clone(),
            taken: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            over: AtomicBool::new(false),
        }
    }

    /// Sends until it is told to stop, and gives how often each service was
    /// sent whose alert was acknowledged.
    fn send(&self) -> BTreeMap<String, u64> {
        let bearer = format!("Bearer {}", self.token);
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let mut acknowledged = BTreeMap::new();
        let mut attempts = 0;
        while !self.over.load(Ordering::Relaxed) {
            let service = format!("sent-{}", acknowledged.len());
            let body = webhook("Down", &service, "firing").to_string();
            let path = "/hooks/alertmanager";
            let answer = self
                .intake
                .send("POST", path, &headers, Some(body.as_bytes()));
            attempts += 1;
            match answer.status {
                200..300 => {
                    acknowledged.insert(service, attempts);
                    attempts = 0;
                    self.taken.fetch_add(1, Ordering::Relaxed);
                }
                503 => {
                    let after = answer.header("retry-after");
                    assert!(
                        after.parse::<u64>().is_ok(),
                        "when to send again: {after:?}"
                    );
                    let said = answer.text();
                    assert!(said.contains("send it again later"), "{said}");
                    self.refused.fetch_add(1, Ordering::Relaxed);
                }
                status => panic!("{status}: {}", answer.text()),
            }
            thread::sleep(PAUSE);
        }
        acknowledged
    }

    /// Waits until so many more were taken.
    fn wait_until_taken(&self, more: u64) {
        let least = self.taken.load(Ordering::Relaxed) + more;
        wait_until_above(&self.taken, least, "payloads are taken");
    }

    /// Waits until one more was refused.
    fn wait_until_refused(&self) {
        let least = self.refused.load(Ordering::Relaxed) + 1;
        wait_until_above(&self.refused, least, "payloads are refused");
    }
}

fn wait_until_above(count: &AtomicU64, least: u64, what: &str) {
    eventually(what, || {
        let count = count.load(Ordering::Relaxed);
        (count >= least)
            .then_some(())
            .ok_or_else(|| format!("{count} of {least}"))
    });
}

/// Waits until the metrics have all of these lines.
fn wait_until_measured(server: &Server, lines: &[&str]) {
    eventually("the metrics tell it", || {
        let metrics = server.metrics();
        let missing = lines.iter().find(|line| !metrics.contains(*line));
        missing.map_or(Ok(()), |line| Err(format!("{line} in {metrics}")))
    });
}

/// What is said wherever one looks while the database is away.
fn assert_told(site: &Site, server: &Server) {
    wait_until_measured(
        server,
        &[
            "faultline_condition{part=\"journal\",condition=\"unreachable\"} 1",
            "faultline_condition{part=\"leases\",condition=\"unreachable\"} 1",
            // Nothing is done meanwhile, for it could not be committed.
            "faultline_lease_held{lease=\"observe\"} 0",
            "faultline_lease_held{lease=\"correlate\"} 0",
        ],
    );
    let ready = server.api.send("GET", "/readyz", &[], None);
    assert_eq!(ready.status, 503, "{}", ready.text());
    let alive = server.api.send("GET", "/healthz", &[], None);
    assert_eq!(alive.status, 200, "{}", alive.text());
    let status = server.ask("GET", "/status", None);
    assert_eq!(status.status, 503, "{}", status.text());
    assert!(!status.header("retry-after").is_empty());
    let doctor = site.commands().run(&["doctor"]);
    assert_eq!(doctor.code, Some(1), "{doctor}");
    let remedy = "see to it that the database runs and can be reached";
    for text in [&status.text(), &doctor.stdout] {
        for part in ["unreachable", remedy] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

/// All is well again, by itself, and the node does all of its work.
fn assert_recovers(site: &Site, server: &Server) {
    eventually("it is well again", || {
        let answer = server.ask("GET", "/status", None);
        if answer.status != 200 {
            return Err(answer.text());
        }
        let status = answer.json();
        let leases = status["leases"].as_array().expect("a list");
        let is_well = status["ready"] == true
            && status["conditions"] == json!([])
            && leases.len() >= 4
            && leases.iter().all(|lease| lease["node"] == "a");
        is_well.then_some(()).ok_or_else(|| status.to_string())
    });
    wait_until_measured(
        server,
        &[
            "faultline_lease_held{lease=\"observe\"} 1",
            "faultline_lease_held{lease=\"correlate\"} 1",
        ],
    );
    eventually("so says the doctor", || {
        let doctor = site.commands().run(&["doctor"]);
        (doctor.code == Some(0))
            .then_some(())
            .ok_or_else(|| doctor.to_string())
    });
}

/// Every alert that was acknowledged is there, and was heard of as often as it
/// was sent, or less often.
fn assert_nothing_lost(server: &Server, acknowledged: &BTreeMap<String, u64>) {
    let mut reports = BTreeMap::new();
    for alert in server.list("/alerts?origin=prometheus") {
        let id = alert["id"].as_str().expect("an id");
        let alert = server.get(&format!("/alerts/{id}"));
        if alert["labels"]["alertname"] == "Down" {
            let service = alert["labels"]["service"].as_str().expect("a service");
            let count = alert["sources"][0]["reports"].as_u64().expect("a number");
            let twice = reports.insert(service.to_owned(), count);
            assert_eq!(twice, None, "two alerts of {service}");
        }
    }
    for (service, attempts) in acknowledged {
        let reports = reports.remove(service);
        let reports = reports.unwrap_or_else(|| panic!("{service} was acknowledged, and is gone"));
        assert!(
            (1..=*attempts).contains(&reports),
            "{service} was sent {attempts} times, and heard of {reports} times"
        );
    }
    // One more may have been taken without its sender having learned of it.
    assert!(reports.len() <= 1, "nobody sent these: {reports:?}");
}

#[test]
fn a_database_that_goes_away_and_comes_back_changes_nothing() {
    let postgresql = Postgresql::start();
    let site = Site::on(&postgresql.create(), "a");
    let mut server = site.serve();
    server.wait_for_instance("alertmanager", "running");
    // Somebody who has read them before may go on to.
    wait_until_measured(&server, &["faultline_lease_held{lease=\"observe\"} 1"]);
    let morning = Morning::new();
    morning.good_hours(&server);

    let sender = Sender::to(&server);
    let acknowledged = thread::scope(|scope| {
        let sending = scope.spawn(|| sender.send());
        let stops = StopsAtEnd(&sender.over);
        for end in [End::InOrder, End::Kill, End::Crash] {
            sender.wait_until_taken(TAKEN_MIN);
            postgresql.end(end);
            sender.wait_until_refused();
            if end == End::InOrder {
                assert_told(&site, &server);
            }
            postgresql.start_again();
            assert_recovers(&site, &server);
            sender.wait_until_taken(1);
            if end == End::InOrder {
                morning.outage(&server);
            }
        }
        drop(stops);
        sending.join().expect("nothing else is answered")
    });
    server.assert_serves();
    server.wait_until_worked();
    assert_nothing_lost(&server, &acknowledged);
    wait_until_measured(&server, &["faultline_lease_lost_total{lease=\"observe\"} "]);
    let lost = server.metrics();
    assert!(
        !lost.contains("faultline_lease_lost_total{lease=\"observe\"} 0"),
        "it was lost: {lost}"
    );

    acknowledge_all(&server);
    Morning::recovery(&server);
    for service in acknowledged.keys() {
        server.post_json("/hooks/alertmanager", &webhook("Down", service, "resolved"));
    }
    settle(&server);
    assert_eq!(server.get("/audit/verify")["intact"], true);
    server.stop(&site);

    // Where nothing ever went away, the same journal gives the same history.
    let original = History::of(&site.commands());
    assert!(original.has_incidents(), "no incident");
    let recording = site.scratch("journal.jsonl.zst").display().to_string();
    site.commands().text(&["journal", "export", &recording]);
    let undisturbed = Site::new();
    undisturbed.keep_compiled(&site);
    undisturbed
        .commands()
        .text(&["journal", "import", &recording]);
    assert_eq!(History::of(&undisturbed.commands()), original);
}

/// What `serve` and another command say of a database that they are not let
/// into: the same, without the password, and the doctor, too.
fn assert_refused(url: &str, parts: &[&str]) {
    let site = Site::on(url, "a");
    for line in [&["serve"][..], &["incident", "list"]] {
        let refusal = site.commands().refusal(line);
        for part in parts.iter().chain(&["[data] database"]) {
            assert!(refusal.contains(part), "{part} in {refusal}");
        }
        assert!(!refusal.contains("s3cret"), "{refusal}");
    }
    let doctor = site.commands().run(&["doctor"]);
    assert_eq!(doctor.code, Some(1), "{doctor}");
    for part in parts {
        assert!(doctor.stdout.contains(part), "{part} in {doctor}");
    }
    assert!(!doctor.stdout.contains("s3cret"), "{doctor}");
}

#[test]
fn who_is_not_let_in_is_told_why_and_what_to_do() {
    let postgresql = Postgresql::shared();
    postgresql.run(
        "postgres",
        &format!(
            "create role {WITH_PASSWORD}; \
             create role guarded login password 'right' in role {WITH_PASSWORD}; \
             create role guest login; create role barred"
        ),
    );
    postgresql.run("postgres", "create database of_others");

    // The right password first: what is refused below is not refused anyway.
    postgresql.run("postgres", "create database of_guarded owner guarded");
    let site = Site::on(&postgresql.url_of("guarded:right", "of_guarded"), "a");
    site.commands().json(&["incident", "list"]);

    let password = ["does not take the password of this user", "PGPASSWORD"];
    let wrong = postgresql.url_of("guarded:s3cret", "of_guarded");
    assert_refused(&wrong, &password);
    assert_refused(&postgresql.url_of("guarded", "of_guarded"), &password);
    let not_let_in = ["does not let this user in", "pg_hba.conf"];
    assert_refused(&postgresql.url_of("nobody", "of_guarded"), &not_let_in);
    assert_refused(&postgresql.url_of("barred", "of_guarded"), &not_let_in);
    assert_refused(
        &postgresql.url("nowhere"),
        &["no such database", "create database", "template0"],
    );
    // Where nothing was made yet, and where another one has made it.
    for (database, said) in [
        ("of_others", "permission denied"),
        ("of_guarded", "no schema has been selected"),
    ] {
        assert_refused(
            &postgresql.url_of("guest", database),
            &["may not make what Faultline needs", said],
        );
    }
}

#[test]
fn a_server_that_will_not_do_is_named() {
    let postgresql = Postgresql::shared();
    // There is no server here that old. This one says that it is: what a schema
    // before the system's has is found first.
    postgresql.run("postgres", "create database of_old");
    postgresql.run(
        "of_old",
        "create schema old; \
         create function old.current_setting(name text) returns text language sql as \
         $$ select case name when 'server_version_num' then '130022' \
            when 'server_version' then '13.22' else pg_catalog.current_setting(name) end $$",
    );
    let old = postgresql.url("of_old");
    assert_refused(
        &format!("{old}&options=-csearch_path%3Dold,pg_catalog"),
        &["PostgreSQL 13.22", "must be 14 or later"],
    );
    postgresql.run("postgres", "create database of_readers");
    postgresql.run(
        "postgres",
        "alter database of_readers set default_transaction_read_only = on",
    );
    assert_refused(
        &postgresql.url("of_readers"),
        &["can only be read", "default_transaction_read_only"],
    );
}

#[test]
fn a_schema_of_a_later_version_is_not_touched() {
    let postgresql = Postgresql::shared();
    postgresql.run("postgres", "create database of_later");
    let url = postgresql.url("of_later");
    Site::on(&url, "a").commands().json(&["incident", "list"]);
    postgresql.run(
        "of_later",
        "insert into faultline_state._sqlx_migrations \
         (version, description, success, checksum, execution_time) \
         values (9000, 'of a later version', true, '', 0)",
    );
    assert_refused(
        &url,
        &["a later version of Faultline", "9000", "faultline_state"],
    );
}

#[test]
fn a_standby_is_not_worked_with() {
    let postgresql = Postgresql::start();
    let url = postgresql.create();
    let site = Site::on(&url, "a");
    site.commands().json(&["incident", "list"]);
    postgresql.end(End::InOrder);
    postgresql.become_standby();
    postgresql.start_again();
    assert_refused(&url, &["is a standby", "name the primary"]);
}
