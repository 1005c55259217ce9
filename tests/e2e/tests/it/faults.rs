//! What goes wrong around a server: a disk that is full, a database that is
//! locked or gone, a journal that is damaged. Each is a state with a name, the
//! same wherever one looks; nothing is acknowledged that is not durable; and
//! when the cause is gone the work goes on, or there is a way out.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::alerts::webhook;
use crate::support::random::Random;
use crate::support::server::{Server, Site};
use crate::support::wait::eventually;

/// A payload that no compression makes small.
fn bulky(number: u64) -> Vec<u8> {
    let mut random = Random::new(number + 1);
    let noise: String = (0..200_000)
        .map(|_| char::from(b' ' + u8::try_from(random.below(90)).expect("small")))
        .filter(|c| !matches!(c, '"' | '\\'))
        .collect();
    let mut alert = webhook("Down", &format!("service-{number}"), "firing");
    alert["marker"] = noise.into();
    alert.to_string().into_bytes()
}

/// What is said of a part of the server, wherever it is said.
fn assert_told(site: &Site, server: &Server, part: &str, condition: &str) {
    let told = eventually(&format!("{part} is told to be {condition}"), || {
        let status = server.get("/status");
        let conditions = status["conditions"].as_array().expect("a list");
        let found = conditions
            .iter()
            .find(|c| c["part"] == part && c["condition"] == condition);
        found.cloned().ok_or_else(|| status.to_string())
    });
    let remedy = told["remedy"].as_str().expect("a text");
    assert!(!remedy.is_empty(), "{told}");
    let status = server.get("/status");
    assert_eq!(status["ready"], false, "{status}");
    let ready = server.api.send("GET", "/readyz", &[], None);
    assert_eq!(ready.status, 503, "{}", ready.text());
    let metrics = server.metrics();
    let line = format!("faultline_condition{{part=\"{part}\",condition=\"{condition}\"}} 1");
    assert!(metrics.contains(&line), "{line} in {metrics}");
    let doctor = site.commands().run(&["doctor"]);
    assert_eq!(doctor.code, Some(1), "{doctor}");
    assert!(doctor.stdout.contains(condition), "{doctor}");
    assert!(doctor.stdout.contains(remedy), "{doctor}");
    let log = fs::read_to_string(site.scratch("server.log")).expect("the log");
    assert!(log.contains(condition), "{log}");
}

/// All is well again, by itself.
fn assert_recovers(site: &Site, server: &Server) {
    eventually("it is well again", || {
        let status = server.get("/status");
        let is_well = status["ready"] == true && status["conditions"] == json!([]);
        is_well.then_some(()).ok_or_else(|| status.to_string())
    });
    eventually("so says the doctor", || {
        let doctor = site.commands().run(&["doctor"]);
        (doctor.code == Some(0))
            .then_some(())
            .ok_or_else(|| doctor.to_string())
    });
}

/// Sends payloads until one is refused. Gives how many were taken, and checks
/// that the sender was told what it has to know.
fn send_until_refused(server: &Server) -> u64 {
    for number in 0..10_000 {
        let answer = server.post("/hooks/alertmanager", &[], &bulky(number));
        match answer.status {
            200..300 => {}
            503 => {
                assert!(
                    !answer.header("retry-after").is_empty(),
                    "{}",
                    answer.text()
                );
                return number;
            }
            _ => panic!("{}: {}", answer.status, answer.text()),
        }
    }
    panic!("it takes everything");
}

/// Sends payloads, all of which are taken, until something is told to be wrong.
/// Gives how many.
fn send_until_told(server: &Server) -> u64 {
    for number in 0..5_000 {
        let alert = webhook("Down", &format!("service-{number}"), "firing");
        server.post_json("/hooks/alertmanager", &alert);
        let is_asked = number % 50 == 49;
        if is_asked && server.get("/status")["conditions"] != json!([]) {
            return number + 1;
        }
    }
    panic!("nothing is ever wrong");
}

/// What was acknowledged became alerts, beside others that were there before;
/// what was refused did not, until it was sent again.
fn assert_nothing_lost(server: &Server, taken: u64, others: u64) {
    server.wait_until_worked();
    let alerts = || server.list("/alerts?origin=prometheus").len() as u64;
    assert_eq!(alerts(), taken + others, "what was acknowledged");
    let again = server.post("/hooks/alertmanager", &[], &bulky(taken));
    again.expect_success();
    server.wait_until_worked();
    assert_eq!(alerts(), taken + others + 1, "sent again, it is taken");
}

/// A file system of so many MiB for one of the databases, which only the server
/// sees. `None` where the kernel lets nobody make one.
fn on_small_disk(site: &Site, database: &str, mebibytes: u32) -> Option<(Command, PathBuf)> {
    let unshare = ["--user", "--map-root-user", "--mount"];
    let may = Command::new("unshare").args(unshare).arg("true").status();
    if !may.is_ok_and(|status| status.success()) {
        return None;
    }
    let disk = site.scratch("disk");
    fs::create_dir(&disk).expect("a folder");
    fs::create_dir(site.data()).expect("a folder");
    std::os::unix::fs::symlink(disk.join(database), site.data().join(database)).expect("a link");
    let inner = site.serve_command();
    let script = format!(
        "mount -t tmpfs -o size={mebibytes}m tmpfs {} && exec \"$@\"",
        disk.display()
    );
    let mut command = Command::new("unshare");
    command.args(unshare).args(["sh", "-c", &script, "sh"]);
    command.arg(inner.get_program()).args(inner.get_args());
    command.env_clear().envs(
        inner
            .get_envs()
            .filter_map(|(name, value)| value.map(|value| (name, value))),
    );
    Some((command, disk))
}

/// Fills a disk that only a server sees, with another file than its own.
struct Ballast(PathBuf);

impl Ballast {
    fn new(server: &Server, disk: &Path) -> Self {
        let seen = format!("/proc/{}/root{}", server.process_id(), disk.display());
        let path = Path::new(&seen).join("ballast");
        let mut file = fs::File::create(&path).expect("a file");
        // Until there is no more space.
        while file.write_all(&[7; 4_096]).is_ok() {}
        Self(path)
    }

    fn remove(self) {
        fs::remove_file(self.0).expect("it is there");
    }
}

#[test]
fn a_full_disk_stops_what_needs_it_and_nothing_else() {
    for (database, part) in [("journal.db", "journal"), ("state.db", "observe")] {
        let site = Site::new();
        let Some((mut command, disk)) = on_small_disk(&site, database, 64) else {
            say("this kernel lets nobody make a disk: only limits on files are tested");
            return;
        };
        let server = site.serve_with(&mut command);
        server
            .post("/hooks/alertmanager", &[], &bulky(100_000))
            .expect_success();
        server.wait_until_worked();
        let ballast = Ballast::new(&server, &disk);
        let taken = if part == "journal" {
            send_until_refused(&server)
        } else {
            // The journal has space: it takes what comes, which is worked on
            // later.
            send_until_told(&server)
        };
        assert_told(&site, &server, part, "disk-full");
        ballast.remove();
        assert_recovers(&site, &server);
        assert_nothing_lost(&server, taken, 1);
        server.stop(&site);
    }
}

#[test]
fn a_limit_on_files_is_no_reason_to_die() {
    let site = Site::new();
    let mut server = site.serve();
    let limit = |bytes: &str| {
        let limited = Command::new("prlimit")
            .arg("--pid")
            .arg(server.process_id().to_string())
            .arg(format!("--fsize={bytes}:unlimited"))
            .status();
        assert!(limited.is_ok_and(|status| status.success()));
    };
    // Less than is there already: nothing can be written where there is more.
    limit("65536");
    let taken = send_until_refused(&server);
    assert_told(&site, &server, "journal", "io-error");
    limit("unlimited");
    assert_recovers(&site, &server);
    assert_nothing_lost(&server, taken, 0);
    server.assert_serves();
}

/// Python's own module for SQLite: another program that works with the file.
fn sqlite(path: &Path, script: &str) -> Child {
    Command::new("python3")
        .arg("-c")
        .arg(format!(
            "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1], isolation_level=None)\n{script}"
        ))
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python is there")
}

/// Changes a database that nobody works with.
fn change(path: &Path, sql: &str) {
    let done = sqlite(path, &format!("db.execute({sql:?})")).wait();
    assert!(done.expect("it is our child").success(), "{sql}");
}

#[test]
fn a_locked_database_is_waited_for() {
    for (database, part) in [("journal.db", "journal"), ("state.db", "observe")] {
        let site = Site::new();
        let server = site.serve();
        server.wait_until_worked();
        let path = site.data().join(database);
        let mut other = sqlite(
            &path,
            "db.execute('begin immediate')\nprint('locked', flush=True)\nsys.stdin.read()",
        );
        let mut said = [0; 6];
        let mut stdout = other.stdout.take().expect("it is piped");
        stdout.read_exact(&mut said).expect("it says so");
        assert_eq!(&said, b"locked");
        if part == "journal" {
            assert_eq!(send_until_refused(&server), 0);
        } else {
            server
                .post("/hooks/alertmanager", &[], &bulky(0))
                .expect_success();
        }
        assert_told(&site, &server, part, "locked");
        drop(other.stdin.take());
        other.wait().expect("it is our child");
        assert_recovers(&site, &server);
        assert_nothing_lost(&server, u64::from(part != "journal"), 0);
        server.stop(&site);
    }
}

#[test]
fn a_journal_that_is_gone_takes_nothing() {
    let site = Site::new();
    let server = site.serve();
    let (there, away) = (site.data().join("journal.db"), site.scratch("away.db"));
    fs::rename(&there, &away).expect("it is there");
    assert_eq!(send_until_refused(&server), 0);
    assert_told(&site, &server, "journal", "gone");
    fs::rename(&away, &there).expect("it is there");
    assert_recovers(&site, &server);
    assert_nothing_lost(&server, 0, 0);
    server.stop(&site);
}

/// A site with some alerts, whose server was killed before it could tidy up.
fn killed_site(alerts: u64) -> Site {
    let site = Site::new();
    let server = site.serve();
    for number in 0..alerts {
        server
            .post("/hooks/alertmanager", &[], &bulky(number))
            .expect_success();
    }
    server.wait_until_worked();
    server.kill();
    site
}

/// Checks that a damaged journal is refused by name, and what its repair says.
/// Gives the site of the repaired one.
fn refused_and_repaired(site: &Site, names: &[&str]) -> (Site, Value) {
    let refusal = site.commands().refusal(&["serve"]);
    for name in names.iter().chain(&["damaged", "journal repair"]) {
        assert!(refusal.contains(name), "{name} in {refusal}");
    }
    let doctor = site.commands().run(&["doctor"]);
    assert_eq!(doctor.code, Some(1), "{doctor}");
    assert!(doctor.stdout.contains("journal repair"), "{doctor}");
    let check = site.commands().run(&["journal", "check"]);
    assert_eq!(check.code, Some(1), "{check}");
    for name in names {
        assert!(check.stdout.contains(name), "{name} in {check}");
    }
    let repaired = site.alike();
    let to = repaired.data().display().to_string();
    let saved = site.commands().json(&["journal", "repair", "--to", &to]);
    let again = site.commands().refusal(&["journal", "repair", "--to", &to]);
    assert!(again.contains("is there already"), "{again}");
    // What is known to be lost is no damage any more.
    repaired.commands().text(&["journal", "check"]);
    (repaired, saved)
}

/// What comes in after a repair is worked on like anything else.
fn assert_goes_on(repaired: &Site, alerts: usize) {
    let server = repaired.serve();
    server.wait_until_worked();
    assert_eq!(server.list("/alerts?origin=prometheus").len(), alerts);
    server
        .post("/hooks/alertmanager", &[], &bulky(1_000))
        .expect_success();
    eventually("the newcomer is an alert", || {
        let count = server.list("/alerts?origin=prometheus").len();
        (count == alerts + 1)
            .then_some(())
            .ok_or_else(|| count.to_string())
    });
    assert_eq!(server.get("/audit/verify")["intact"], true);
    let repairs = server.list("/audit?action=journal.repair");
    assert_eq!(repairs.len(), 1, "{repairs:?}");
    server.stop(repaired);
}

#[test]
fn an_envelope_that_was_changed_is_found_and_left_out() {
    let site = killed_site(3);
    let journal = site.data().join("journal.db");
    change(
        &journal,
        "update envelope set body = x'00' where source = 'alertmanager' and position = \
         (select max(position) from envelope where source = 'alertmanager')",
    );
    let (repaired, saved) = refused_and_repaired(&site, &["is not what was written"]);
    assert_eq!(saved["lost_count"], 1, "{saved}");
    assert_eq!(saved["state_lost"], Value::Null, "{saved}");
    // It was worked on before: what came of it is not lost.
    assert_goes_on(&repaired, 3);
}

#[test]
fn a_journal_that_lost_its_end_is_not_gone_on_with() {
    let site = killed_site(3);
    let wal = site.data().join("journal.db-wal");
    let file = fs::File::options().write(true).open(&wal).expect("the log");
    let length = file.metadata().expect("it is there").len();
    assert!(length > 100_000, "there is nothing to tear off: {length}");
    // Torn somewhere within: SQLite takes what is whole for all there was.
    file.set_len(length / 2).expect("shorter");
    let (repaired, saved) = refused_and_repaired(&site, &["has dealt with everything up to"]);
    assert!(saved["lost_count"].as_u64() > Some(0), "{saved}");
    assert_goes_on(&repaired, 3);
}

#[test]
fn what_can_be_read_of_garbled_pages_is_saved() {
    let site = Site::new();
    let server = site.serve();
    for number in 0..30 {
        server
            .post("/hooks/alertmanager", &[], &bulky(number))
            .expect_success();
    }
    server.wait_until_worked();
    server.stop(&site);
    let journal = site.data().join("journal.db");
    let mut file = fs::File::options()
        .write(true)
        .open(&journal)
        .expect("a file");
    let length = file.metadata().expect("it is there").len();
    // Its last tenth, a tenth before the end.
    file.seek(SeekFrom::Start(length / 10 * 8)).expect("within");
    file.write_all(&vec![0xa5; usize::try_from(length / 10).expect("small")])
        .expect("written");
    drop(file);
    let (repaired, saved) = refused_and_repaired(&site, &["cannot be read"]);
    let number = |key: &str| saved[key].as_u64().expect("a number");
    assert!((1..20).contains(&number("lost_count")), "{saved}");
    assert_eq!(
        number("envelopes") + number("lost_count"),
        number("head"),
        "each is saved or told to be lost: {saved}"
    );
    assert_goes_on(&repaired, 30);
}

#[expect(
    clippy::print_stderr,
    reason = "the test harness shows it with the failure"
)]
fn say(text: &str) {
    eprintln!("{text}");
}
