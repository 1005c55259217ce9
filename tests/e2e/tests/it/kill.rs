//! `kill -9` at random moments while much comes in: what was acknowledged is in
//! the journal, once; what was counted is what is there; and the history is
//! that of a process that nobody ever killed.
//!
//! A payload whose sender got no answer may be in the journal or not: the sender
//! asks again, and then it may be there twice, as two envelopes that say the
//! same. Alerts are told apart by what they are, so that it is one alert all
//! the same.
//!
//! It is the same over a folder and on PostgreSQL. `FAULTLINE_KILLS` says how
//! often (as often as fits into a minute, if not), `FAULTLINE_KILL_SEED` repeats
//! the moments of an earlier run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use faultline_test_databases::Server as Postgresql;
use jiff::Timestamp;
use serde_json::Value;

use crate::support::alerts::{firing, webhook};
use crate::support::history::History;
use crate::support::http::Http;
use crate::support::random::Random;
use crate::support::server::{Server, Site};
use crate::support::telemetry::{gauge, logs, now_micros};
use crate::support::wait::{StopsAtEnd, eventually};

const SENDERS: usize = 4;

/// How often the process is killed, unless somebody asks for more.
const KILLS: u64 = 6;

/// A life lasts at most so long, from when it was started or was ready.
const LIFE_MILLIS_MAX: u64 = 1_500;

/// Between two attempts, when nobody answers.
const RETRY: Duration = Duration::from_millis(20);

/// The most payloads of a sender in a life: the journal is worked through again
/// in the end.
const PAYLOADS_A_LIFE: usize = 80;

/// The delays that are configured, and a round of correlation or two.
const DELAYS: Duration = Duration::from_secs(3);

/// What became of one payload.
#[derive(Debug, Default, Clone, Copy)]
struct Fate {
    attempts: u64,
    acknowledged: bool,
}

/// Where to send to. It changes with every life.
struct Target {
    intake: RwLock<Http>,
    token: String,
    /// Which life it is.
    life: AtomicUsize,
    over: AtomicBool,
}

impl Target {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Until this sender may send again.
    fn await_turn(&self, sent: &mut (usize, usize)) {
        while !self.is_over() {
            let life = self.life.load(Ordering::Relaxed);
            if sent.0 != life {
                *sent = (life, 0);
            }
            if sent.1 < PAYLOADS_A_LIFE {
                sent.1 += 1;
                return;
            }
            std::thread::sleep(RETRY);
        }
    }
}

/// One payload after another, each until it is acknowledged; by their bodies,
/// of which no two are the same.
fn send(target: &Target, sender: usize) -> BTreeMap<String, Fate> {
    let mut fates = BTreeMap::new();
    let mut sent = (0, 0);
    for number in 0.. {
        target.await_turn(&mut sent);
        if target.is_over() {
            break;
        }
        let (path, body) = payload(sender, number);
        let mut fate = Fate::default();
        while !fate.acknowledged && !target.is_over() {
            let intake = target.intake.read().expect("unpoisoned").clone();
            let bearer = format!("Bearer {}", target.token);
            let headers = [
                ("authorization", bearer.as_str()),
                ("content-type", "application/json"),
            ];
            fate.attempts += 1;
            match intake.try_send("POST", path, &headers, Some(body.as_bytes())) {
                Ok(answer) if answer.status < 300 => fate.acknowledged = true,
                // It has more to do than it can, or is about to end, or a
                // connector is not loaded yet.
                Ok(answer) if matches!(answer.status, 404 | 429 | 503) => {
                    std::thread::sleep(RETRY);
                }
                Ok(answer) => panic!("{}: {}", answer.status, answer.text()),
                Err(_) => std::thread::sleep(RETRY),
            }
        }
        fates.insert(body, fate);
    }
    fates
}

/// Something of everything. What is said of the same services comes from several
/// senders at once.
fn payload(sender: usize, number: usize) -> (&'static str, String) {
    let service = format!("service-{}", number % 7);
    let at = now_micros();
    let (path, mut body) = match number % 4 {
        0 => ("/hooks/alertmanager", webhook("Down", &service, "firing")),
        1 => (
            "/v1/metrics",
            gauge(
                &service,
                "latency",
                &[(at, 10.0 + f64::from(at.is_multiple_of(2)))],
            ),
        ),
        2 => {
            let lines = [format!("request {number} took {sender} ms")];
            ("/v1/logs", logs(&service, at, 9, &lines))
        }
        _ => (
            "/api/v2/alerts",
            Value::Array(vec![firing("Slow", &service)]),
        ),
    };
    // Unknown keys are no fault in any of these formats.
    let marked = match &mut body {
        Value::Array(alerts) => &mut alerts[0]["annotations"],
        other => other,
    };
    marked["marker"] = format!("{sender}/{number}").into();
    (path, body.to_string())
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|error| panic!("{name}: {error}")),
    )
}

/// Kills the process again and again, and starts it again each time. Gives the
/// last life.
fn kill_often(site: &Site, mut server: Server, target: &Target, seed: u64, kills: u64) -> Server {
    let mut random = Random::new(seed);
    for _ in 0..kills {
        let in_its_prime = random.below(3) > 0;
        let life = Duration::from_millis(random.below(LIFE_MILLIS_MAX));
        if in_its_prime {
            // The moment is the test; nothing is waited for.
            std::thread::sleep(life);
            server.kill();
        } else {
            server.kill();
            let mut starting = site.start();
            std::thread::sleep(life);
            starting.kill();
        }
        server = site.serve();
        *target.intake.write().expect("unpoisoned") = server.intake.clone();
        target.life.fetch_add(1, Ordering::Relaxed);
    }
    server
}

/// Waits until all that came in is dealt with, and time has passed for all
/// stages.
fn settle(server: &Server) {
    server.wait_until_worked();
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

/// The envelopes of a recording, without those that the host wrote itself.
fn envelopes(recording: &str) -> Vec<Value> {
    let lines = recording.lines().skip(1);
    lines
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .filter(|line| !line["source"].as_str().is_some_and(is_own))
        .collect()
}

/// Whether the host itself writes what comes from this source.
fn is_own(source: &str) -> bool {
    matches!(source, "clock" | "api" | "faultline")
}

fn check_journal(envelopes: &[Value], fates: &BTreeMap<String, Fate>) {
    let mut times: BTreeMap<&str, u64> = BTreeMap::new();
    for envelope in envelopes {
        *times
            .entry(envelope["text"].as_str().expect("JSON is text"))
            .or_default() += 1;
    }
    for (body, fate) in fates {
        let times = times.remove(body.as_str()).unwrap_or(0);
        let least = u64::from(fate.acknowledged);
        assert!(
            (least..=fate.attempts).contains(&times),
            "{times} times in the journal: {fate:?} {body}"
        );
    }
    assert!(times.is_empty(), "nobody sent these: {times:?}");
}

fn check_counters(envelopes: &[Value], sources: &[Value]) {
    let mut expected: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for envelope in envelopes {
        let source = envelope["source"].as_str().expect("a text");
        let (count, bytes) = expected.entry(source.to_owned()).or_default();
        *count += 1;
        *bytes += envelope["text"].as_str().expect("a text").len() as u64;
    }
    let counted: BTreeMap<String, (u64, u64)> = sources
        .iter()
        .filter(|source| !source["name"].as_str().is_some_and(is_own))
        .map(|source| {
            let number = |key: &str| source[key].as_u64().expect("a number");
            let name = source["name"].as_str().expect("a text").to_owned();
            (name, (number("envelopes"), number("body_bytes")))
        })
        .collect();
    assert_eq!(counted, expected);
}

#[test]
fn nothing_that_was_acknowledged_is_lost_or_counted_twice_over_a_folder() {
    check(&Site::new());
}

/// The database outlives the process here, and so do locks and transactions of
/// a session that nobody has ended.
#[test]
fn nothing_that_was_acknowledged_is_lost_or_counted_twice_on_postgresql() {
    check(&Site::on(&Postgresql::shared().create(), "killed"));
}

/// Kills the process over a site, compares what came of it with what senders
/// were told, and with what comes of the same journal in one life.
fn check(site: &Site) {
    let seed = setting("FAULTLINE_KILL_SEED").unwrap_or_else(now_micros);
    let kills = setting("FAULTLINE_KILLS").unwrap_or(KILLS);
    say(&format!(
        "the moments are those of FAULTLINE_KILL_SEED={seed}"
    ));
    let server = site.serve();
    let target = Target {
        intake: RwLock::new(server.intake.clone()),
        token: server.ingest_token.clone(),
        life: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    };
    let (server, fates) = std::thread::scope(|scope| {
        let target = &target;
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| scope.spawn(move || send(target, sender)))
            .collect();
        let stops = StopsAtEnd(&target.over);
        let server = kill_often(site, server, target, seed, kills);
        drop(stops);
        let fates: BTreeMap<String, Fate> = senders
            .into_iter()
            .flat_map(|sender| sender.join().expect("no other answers"))
            .collect();
        (server, fates)
    });
    let acknowledged = fates.values().filter(|fate| fate.acknowledged).count();
    let again = fates.values().filter(|fate| fate.attempts > 1).count();
    say(&format!(
        "{acknowledged} were acknowledged, {again} after more than one attempt"
    ));
    assert!(again > 0, "nobody noticed that it was killed");
    settle(&server);
    let sources = server.list("/sources");
    assert_eq!(server.get("/audit/verify")["intact"], true);
    server.stop(site);

    let recording = site.scratch("journal.jsonl").display().to_string();
    site.commands().text(&["journal", "export", &recording]);
    let text = std::fs::read_to_string(&recording).expect("it was written");
    let envelopes = envelopes(&text);
    check_journal(&envelopes, &fates);
    check_counters(&envelopes, &sources);
    let ids: BTreeSet<String> = History::of(&site.commands()).alert_ids();
    assert!(ids.len() >= 14, "two alerts of each service: {ids:?}");

    // In a folder, wherever the original is.
    let again = Site::new();
    again.keep_compiled(site);
    again.commands().text(&["journal", "import", &recording]);
    assert_eq!(
        History::of(&again.commands()),
        History::of(&site.commands())
    );
}

#[expect(
    clippy::print_stderr,
    reason = "the test harness shows it with the failure"
)]
fn say(text: &str) {
    eprintln!("{text}");
}
