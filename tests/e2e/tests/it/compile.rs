//! Components are compiled by a process of their own, which can do nothing else,
//! and kept where nobody can put in anything else.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::support::guests::{HostileGuest, files_of, hostile_guests};
use crate::support::server::{Server, Site, bare_command};
use crate::support::wait::eventually;

/// Without the plugins that come with the binary, which take a while to compile.
fn config(compile: &str) -> String {
    format!(
        "[api]\nlisten = \"127.0.0.1:0\"\n[intake]\nlisten = \"127.0.0.1:0\"\n\
         [plugins]\nbundled = false\n[plugins.compile]\n{compile}\n"
    )
}

/// The one that takes minutes to compile.
fn slow() -> HostileGuest {
    let mut guests = hostile_guests().into_iter();
    let slow = guests.find(|guest| guest.name == "slow-compile");
    slow.expect("it is one of them")
}

fn install(server: &Server, files: &std::collections::BTreeMap<String, Vec<u8>>) {
    let files: std::collections::BTreeMap<&String, String> = files
        .iter()
        .map(|(name, bytes)| (name, BASE64.encode(bytes)))
        .collect();
    server.put("POST", "/plugins", &json!({ "files": files }));
}

fn make(server: &Server, name: &str) {
    install(server, &files_of("hostile"));
    let body = json!({"name": name, "plugin": "tests/hostile"});
    server.put("POST", "/instances", &body);
    server.wait_for_instance(name, "running");
}

/// Counts of the components' metrics: compiled, hits and refusals of the cache.
fn counts(server: &Server) -> [u64; 3] {
    let text = server.metrics();
    [
        "faultline_component_compiled_total",
        "faultline_component_cache_total{result=\"hit\"}",
        "faultline_component_cache_total{result=\"refused\"}",
    ]
    .map(|name| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let value = line.unwrap_or_else(|| panic!("no {name} in {text}"));
        value.trim().parse().expect("a count")
    })
}

fn rows(server: &Server, action: &str) -> Vec<Value> {
    let mut rows = server.list("/audit");
    rows.retain(|row| row["action"] == action);
    rows
}

/// A worker that waits for its component.
fn worker(memory_bytes: u64, cpu_seconds: u64) -> Child {
    bare_command()
        .args([
            "compile-worker",
            &memory_bytes.to_string(),
            &cpu_seconds.to_string(),
        ])
        // As the server starts it.
        .env("MIMALLOC_ARENA_RESERVE", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be started")
}

#[test]
fn a_worker_limits_itself_before_it_reads_anything() {
    let mut worker = worker(1 << 30, 7);
    let proc = PathBuf::from(format!("/proc/{}", worker.id()));
    let limits = eventually("it has limited itself", || {
        let text = fs::read_to_string(proc.join("limits")).expect("its limits");
        let words: Vec<&str> = text.split_whitespace().collect();
        let words = words.join(" ");
        if words.contains("Max core file size 0 0") {
            Ok(words)
        } else {
            Err(words)
        }
    });
    for expected in [
        "Max cpu time 7 8",
        "Max address space 1073741824 1073741824",
        "Max file size 0 0",
        "Max open files 16 16",
        "Max core file size 0 0",
    ] {
        assert!(limits.contains(expected), "{expected}: {limits}");
    }
    let open = fs::read_dir(proc.join("fd")).expect("its files").count();
    assert_eq!(open, 3, "its pipes");
    let status = fs::read_to_string(proc.join("status")).expect("its status");
    let has = |line: &str| status.lines().any(|other| other == line);
    assert!(has("NoNewPrivs:\t1"), "{status}");
    assert!(has("Threads:\t1"), "{status}");
    let stat = fs::read_to_string(proc.join("stat")).expect("its numbers");
    let nice = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().nth(16));
    assert!(nice.is_some_and(|nice| nice.parse() == Ok(10)), "{stat}");

    let mut stdin = worker.stdin.take().expect("it is piped");
    stdin.write_all(b"nothing of the sort").expect("it reads");
    drop(stdin);
    let output = worker.wait_with_output().expect("it is our child");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout[0], b'-', "{output:?}");
}

#[test]
fn a_worker_that_takes_too_much_is_stopped_by_the_operating_system() {
    let guest = slow();
    let component = &guest.files["slow-compile.wasm"];
    let outcome = |memory_bytes: u64, cpu_seconds: u64| {
        let mut worker = worker(memory_bytes, cpu_seconds);
        let mut stdin = worker.stdin.take().expect("it is piped");
        // It may end while it reads.
        let _ = stdin.write_all(component);
        drop(stdin);
        worker.wait_with_output().expect("it is our child")
    };
    let slow = outcome(4 << 30, 1);
    let cpu_time = 24; // SIGXCPU
    assert_eq!(slow.status.signal(), Some(cpu_time), "{slow:?}");
    assert!(slow.stdout.is_empty());
    let greedy = outcome(400 << 20, 60);
    let said = String::from_utf8_lossy(&greedy.stderr);
    assert!(!greedy.status.success(), "{greedy:?}");
    // Whoever wants some first: the compiler, or one of its threads.
    let complaints = ["memory allocation of", "Resource temporarily unavailable"];
    assert!(complaints.iter().any(|it| said.contains(it)), "{said}");
}

#[test]
fn what_takes_long_to_compile_holds_up_nobody_and_is_stopped_by_name() {
    let site = Site::with_config(&config("cpu = \"6s\"\nmemory = \"2GiB\""));
    let mut server = site.serve();
    make(&server, "neighbour");
    let guest = slow();
    install(&server, &guest.files);
    let body = json!({"name": "slow", "plugin": guest.plugin});
    let refused = std::thread::scope(|scope| {
        let slow = scope.spawn(|| server.ask("POST", "/instances", Some(&body)));
        eventually("it is being compiled", || {
            let children = children_of(&server);
            let is_so = children.iter().any(|line| line.contains("compile-worker"));
            is_so.then_some(()).ok_or_else(|| format!("{children:?}"))
        });
        // Others are changed, and serve, meanwhile.
        for act in ["disable", "enable"] {
            let path = format!("/instances/neighbour/{act}");
            server.ask("POST", &path, None).expect_success();
        }
        make(&server, "another");
        server
            .post("/hooks/another", &[], b"behave")
            .expect_success();
        server.wait_until_worked();
        assert!(!slow.is_finished(), "nothing was waited for");
        slow.join().expect("no panic")
    });
    assert_eq!(refused.status, 422, "{refused:?}");
    let said = refused.text();
    assert!(
        said.contains("limit.compile-time: compiling took"),
        "{said}"
    );
    let rows = rows(&server, "instance.refused");
    let detail = rows[0]["detail"].as_str().expect("a text");
    assert!(detail.contains("limit.compile-time"), "{detail}");
    assert_eq!(children_of(&server), [] as [String; 0]);
    server.assert_serves();
}

/// The command lines of the processes that a server has started.
fn children_of(server: &Server) -> Vec<String> {
    let server = server.process_id();
    let path = format!("/proc/{server}/task");
    let tasks = fs::read_dir(path).expect("it runs");
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok())
        .flat_map(|text| {
            let ids = text.split_whitespace().map(str::to_owned);
            ids.collect::<Vec<_>>()
        })
        .filter_map(|id| fs::read_to_string(format!("/proc/{id}/cmdline")).ok())
        .map(|line| line.replace('\0', " "))
        .collect()
}

#[test]
fn what_was_compiled_is_kept_and_nobody_can_put_in_anything_else() {
    let site = Site::with_config(&config(""));
    let server = site.serve();
    make(&server, "one");
    make(&server, "another");
    let [compiled, ..] = counts(&server);
    assert_eq!(compiled, 1, "both are the same component");
    server.stop(&site);

    let server = site.serve();
    server.wait_for_instance("one", "running");
    server.wait_for_instance("another", "running");
    let [compiled, hits, refused] = counts(&server);
    assert_eq!((compiled, refused), (0, 0));
    assert!(hits >= 1);
    let listed = site.commands().json(&["plugin", "cache", "list"]);
    assert_eq!(listed["components"].as_array().map(Vec::len), Some(1));
    let text = site.commands().text(&["plugin", "cache", "list"]);
    assert!(
        text.contains("sha256:") && text.contains("of 1.0 GiB"),
        "{text}"
    );
    server.stop(&site);

    let [path] = <[PathBuf; 1]>::try_from(kept(&site)).expect("one component, one file");
    let good = fs::read(&path).expect("a file");
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    fs::write(&path, &bad).expect("a file");
    let server = site.serve();
    server.wait_for_instance("one", "running");
    let [compiled, _, refused] = counts(&server);
    assert!(compiled >= 1);
    assert!(refused >= 1);
    let rows = rows(&server, "cache.refused");
    let detail = rows[0]["detail"].as_str().expect("a text");
    assert!(detail.contains("its seal is not valid"), "{detail}");
    assert_eq!(rows[0]["actor"], "host");
    server.post("/hooks/one", &[], b"behave").expect_success();
    server.wait_until_worked();
    assert_eq!(server.list("/dead-letters"), [] as [Value; 0]);
    assert_eq!(kept(&site), [path], "it was put in its place again");
    let cleared = site.commands().json(&["plugin", "cache", "clear"]);
    assert_eq!(cleared["removed"], 1);
    assert_eq!(kept(&site), [] as [PathBuf; 0]);
    server.post("/hooks/one", &[], b"behave").expect_success();
    server.wait_until_worked();
    assert_eq!(server.list("/dead-letters"), [] as [Value; 0]);
    server.stop(&site);
}

/// The files of the cache.
fn kept(site: &Site) -> Vec<PathBuf> {
    fs::read_dir(site.data().join("code"))
        .expect("a cache")
        .map(|entry| entry.expect("an entry").path())
        .collect()
}
