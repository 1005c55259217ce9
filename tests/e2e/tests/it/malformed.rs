//! Everything that can be wrong with what comes in: it is refused with a reason
//! that helps, nothing of it is kept, and the next one is served.

use std::fs;

use serde_json::{Value, json};

use crate::support::alerts::{firing, webhook};
use crate::support::bundles::with_manifest;
use crate::support::http::Answer;
use crate::support::remote_write;
use crate::support::server::{Server, Site};
use crate::support::telemetry::{PROTOBUF, call, gauge, gzip, logs, now_micros, protobuf};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// A limit that is small enough to exceed: the default is 16 MiB.
const BODY_BYTES_MAX: usize = 256 << 10;

/// An address of intake, and a request that it takes.
struct Good {
    path: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
    /// Whether the host itself reads it, and can say at once what is wrong.
    is_read: bool,
}

impl Good {
    fn all() -> Vec<Self> {
        let now = now_micros();
        let mut all = Vec::new();
        for (path, signal, request) in [
            (
                "/v1/metrics",
                "metrics",
                gauge("shop", "load", &[(now, 1.0)]),
            ),
            (
                "/v1/logs",
                "logs",
                logs("shop", now, 9, &["all is well".to_owned()]),
            ),
            ("/v1/traces", "traces", call("shop", "stock", now, 1)),
        ] {
            all.push(Self::new(path, &JSON, request.to_string().into_bytes()));
            all.push(Self::new(path, &PROTOBUF, protobuf(signal, &request)));
        }
        let samples = remote_write::request("load", "shop", &[(now / 1_000, 1.0)]);
        let samples = remote_write::snappy(&samples);
        all.push(Self::new("/api/v1/write", &remote_write::HEADERS, samples));
        let alerts = json!([firing("Down", "shop")]).to_string().into_bytes();
        all.push(Self::new("/api/v2/alerts", &JSON, alerts));
        let hook = webhook("Down", "shop", "firing").to_string().into_bytes();
        let mut hook = Self::new("/hooks/alertmanager", &JSON, hook);
        hook.is_read = false;
        all.push(hook);
        all
    }

    fn new(path: &'static str, headers: &[(&'static str, &'static str)], body: Vec<u8>) -> Self {
        Self {
            path,
            headers: headers.to_vec(),
            body,
            is_read: true,
        }
    }

    fn is_compressed(&self) -> bool {
        self.headers
            .iter()
            .any(|(name, _)| *name == "content-encoding")
    }

    /// The same with another body, compressed by gzip or said to be so.
    fn with_gzip(&self) -> Vec<(&'static str, &'static str)> {
        let mut headers = self.headers.clone();
        headers.retain(|(name, _)| *name != "content-encoding");
        headers.push(("content-encoding", "gzip"));
        headers
    }
}

/// A server that takes little at a time.
fn narrow_site() -> Site {
    let site = Site::new();
    let mut config = fs::read_to_string(site.config()).expect("the configuration");
    let limits = format!("\n[intake.limits]\nbody = \"{BODY_BYTES_MAX}B\"\n");
    config.push_str(&limits);
    fs::write(site.config(), config).expect("a file");
    site
}

/// How many envelopes of senders there are; the clock's do not count.
fn envelopes(server: &Server) -> u64 {
    server.wait_until_worked();
    let sources = server.list("/sources");
    sources
        .iter()
        .filter(|source| source["name"] != "clock")
        .map(|source| source["envelopes"].as_u64().expect("a number"))
        .sum()
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, what: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    assert!(
        answer.body.len() > 10,
        "{what} says nothing: {}",
        answer.text()
    );
}

#[test]
fn what_intake_refuses_leaves_no_trace_and_what_it_takes_is_kept() {
    let site = narrow_site();
    let mut server = site.serve();
    for good in Good::all() {
        let place = format!("{} {:?}", good.path, good.headers);
        let taken = envelopes(&server);
        if good.is_read {
            for body in [&good.body[..good.body.len() / 2], b"\xff\xff\xff\xff", b"{"] {
                let answer = server.post(good.path, &good.headers, body);
                assert_refused(&answer, 400, &place);
            }
            let headers = [("content-type", "text/plain")];
            let answer = server.post(good.path, &headers, &good.body);
            assert_refused(&answer, 415, &place);
            assert!(answer.text().contains("content type"), "{}", answer.text());
        }
        wrongly_compressed(&server, &good, &place);
        oversized(&server, &good, &place);
        strangers(&server, &good, &place);
        assert_eq!(envelopes(&server), taken, "{place}");

        server
            .post(good.path, &good.headers, &good.body)
            .expect_success();
        assert_eq!(envelopes(&server), taken + 1, "{place}");
    }
    assert_eq!(server.list("/dead-letters"), [] as [Value; 0]);
    server.assert_serves();
}

fn wrongly_compressed(server: &Server, good: &Good, place: &str) {
    let answer = server.post(good.path, &good.with_gzip(), &good.body);
    let status = if good.is_compressed() { 415 } else { 400 };
    assert_refused(&answer, status, place);
    if good.is_compressed() {
        let plain = remote_write::request("load", "shop", &[(1, 1.0)]);
        for body in [&gzip(&good.body), &plain] {
            let answer = server.post(good.path, &good.headers, body);
            assert_refused(&answer, 400, place);
        }
        return;
    }
    let zipped = gzip(&good.body);
    let answer = server.post(good.path, &good.with_gzip(), &zipped[..zipped.len() / 2]);
    assert_refused(&answer, 400, place);
    let brotli = [&good.headers[..], &[("content-encoding", "br")]].concat();
    let answer = server.post(good.path, &brotli, &good.body);
    assert_refused(&answer, 415, place);
    assert!(
        answer.header("accept-encoding").contains("gzip"),
        "{answer:?}"
    );
}

fn oversized(server: &Server, good: &Good, place: &str) {
    let token = &server.ingest_token;
    let answer = server.intake.send_raw(
        format!(
            "POST {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{}\
             content-length: {}\r\n\r\n",
            good.path,
            lines(&good.headers),
            BODY_BYTES_MAX + 1,
        )
        .as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 413 "), "{place}: {answer}");
    if good.is_compressed() {
        // Claims 4 GiB in five bytes.
        let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        let answer = server.post(good.path, &good.headers, &claim);
        assert_refused(&answer, 413, place);
        return;
    }
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(
        bomb.len() > BODY_BYTES_MAX,
        "it should be stopped by the other limit"
    );
    let bomb = gzip(&vec![b' '; 40 << 20]);
    assert!(bomb.len() < BODY_BYTES_MAX, "{}", bomb.len());
    let answer = server.post(good.path, &good.with_gzip(), &bomb);
    assert_refused(&answer, 413, place);
}

fn strangers(server: &Server, good: &Good, place: &str) {
    let bearer = format!("Bearer {}", server.admin_token);
    for authorisation in ["Bearer wrong", bearer.as_str()] {
        let headers = [&good.headers[..], &[("authorization", authorisation)]].concat();
        let answer = server
            .intake
            .send("POST", good.path, &headers, Some(&good.body));
        assert_refused(&answer, 401, place);
    }
    // Says that there is more, and hangs up.
    let cut_off = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n{}content-length: 1000\r\n\r\n\
         [{{\"labels\"",
        good.path,
        server.ingest_token,
        lines(&good.headers),
    );
    server.intake.send_raw(cut_off.as_bytes());
}

fn lines(headers: &[(&str, &str)]) -> String {
    let lines: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    lines.concat()
}

#[test]
fn what_is_not_http_ends_its_connection_and_nothing_else() {
    let site = Site::new();
    let mut server = site.serve();
    for http in [&server.api, &server.intake] {
        for nonsense in [
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
            b"GET\r\n\r\n",
            b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
            b"POST /v1/logs HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\0\0\0\0",
            b"",
        ] {
            let answer = http.send_raw(nonsense);
            assert!(
                answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
                "{nonsense:?}: {answer}"
            );
        }
        let headers = "x: y\r\n".repeat(1_000);
        let answer =
            http.send_raw(format!("GET / HTTP/1.1\r\nhost: x\r\n{headers}\r\n").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    server.assert_serves();
}

#[test]
fn a_payload_that_its_connector_refuses_is_kept_with_the_reason() {
    let site = Site::new();
    let server = site.serve();
    for (source, body) in [
        ("alertmanager", "{\"version\": \"3\"}"),
        ("alertmanager", "nothing like JSON"),
        ("cloudevents", "{\"specversion\": \"1.0\"}"),
    ] {
        let path = format!("/hooks/{source}");
        server.post(&path, &JSON, body.as_bytes()).expect_success();
        server.wait_until_worked();
        let letters = server.list("/dead-letters");
        let letter = letters
            .iter()
            .max_by_key(|letter| letter["position"].as_u64())
            .expect("a letter");
        assert_eq!(letter["source"], source, "{letters:?}");
        assert!(!letter["message"].as_str().expect("a text").is_empty());
        let kept = server.get(&format!("/envelopes/{}", letter["position"]));
        assert_eq!(kept["body"]["text"], body);
    }
}

#[test]
fn the_api_says_what_is_wrong_with_a_request() {
    let site = Site::new();
    let mut server = site.serve();
    let bearer = format!("Bearer {}", server.admin_token);
    let authorised = ("authorization", bearer.as_str());
    let json = [authorised, JSON[0]];
    let post = |path: &str, headers: &[(&str, &str)], body: &[u8]| {
        server
            .api
            .send("POST", &format!("/api/v1{path}"), headers, Some(body))
    };
    let token = br#"{"name": "x", "purpose": "api", "role": "viewer"}"#;

    for (path, body) in [
        ("/tokens", &b"{"[..]),
        ("/tokens", &token[..20]),
        ("/tokens", b"\xff\xfe"),
        ("/tokens", b""),
        ("/instances", b"[]"),
        ("/plugins", br#"{"files": {"plugin.toml": "not base64!"}}"#),
    ] {
        let answer = post(path, &json, body);
        assert!(matches!(answer.status, 400 | 422), "{path}: {answer:?}");
        assert_is_problem(&answer);
    }
    let misspelt = br#"{"name": "x", "purpose": "api", "rol": "viewer"}"#;
    let answer = post("/tokens", &json, misspelt);
    assert_refused(&answer, 400, "a misspelt field");
    assert!(
        answer.text().contains("did you mean `role`?"),
        "{}",
        answer.text()
    );

    let answer = post(
        "/tokens",
        &[authorised, ("content-type", "text/plain")],
        token,
    );
    assert_refused(&answer, 415, "another media type");
    let zipped = [authorised, JSON[0], ("content-encoding", "gzip")];
    let answer = post("/tokens", &zipped, &gzip(token));
    assert!(matches!(answer.status, 400 | 415), "{answer:?}");
    assert_is_problem(&answer);
    let answer = server.api.send_raw(
        format!(
            "POST /api/v1/tokens HTTP/1.1\r\nhost: x\r\nauthorization: {bearer}\r\n\
             content-type: application/json\r\ncontent-length: 1000000000\r\n\r\n"
        )
        .as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let long = vec![b' '; 3 << 20];
    let answer = server.api.send_raw(
        &[
            format!(
                "POST /api/v1/tokens HTTP/1.1\r\nhost: x\r\nauthorization: {bearer}\r\n\
                 content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
                long.len()
            )
            .as_bytes(),
            &long,
            b"\r\n0\r\n\r\n",
        ]
        .concat(),
    );
    assert!(
        answer.starts_with("HTTP/1.1 413 "),
        "{}",
        &answer[..answer.len().min(500)]
    );

    for (path, status) in [
        ("/incidents?limit=many", 400),
        ("/incidents?limit=0", 400),
        ("/incidents?actve=true", 400),
        ("/incidents/xyz", 400),
        ("/incidents/inc_00000000", 404),
        ("/alerts?entity=nothing", 400),
        ("/alerts?after=nonsense", 400),
        ("/series/none", 400),
        ("/envelopes/99999999", 404),
        ("/instances/nobody", 404),
        ("/nowhere", 404),
    ] {
        let answer = server.ask("GET", path, None);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert_is_problem(&answer);
    }
    let answer = server.ask("DELETE", "/incidents", None);
    assert_refused(&answer, 405, "a method that there is not");
    let answer = server.api.send("GET", "/api/v1/status", &[], None);
    assert_refused(&answer, 401, "nobody");
    let answer = server.ask_as(&server.ingest_token, "GET", "/status", None);
    assert_refused(&answer, 401, "a sender");
    let tokens = server.list("/tokens");
    assert!(
        tokens.iter().all(|token| token["name"] != "x"),
        "{tokens:?}"
    );
    server.assert_serves();
}

/// RFC 9457.
#[track_caller]
fn assert_is_problem(answer: &Answer) {
    assert_eq!(
        answer.header("content-type"),
        "application/problem+json",
        "{answer:?}"
    );
    let problem = answer.json();
    assert_eq!(problem["status"], answer.status);
    assert!(!problem["title"].as_str().expect("a text").is_empty());
    let helps = |text: &Value| text.as_str().is_some_and(|text| text.len() > 10);
    assert!(helps(&problem["detail"]), "{problem}");
}

#[test]
fn a_bad_configuration_is_refused_with_its_place_and_the_remedy() {
    for (config, expected) in [
        (
            "[api]\nlistn = \"127.0.0.1:0\"\n",
            &["faultline.toml:2:1", "did you mean `listen`?"][..],
        ),
        (
            "[pipelin]\n",
            &["faultline.toml:1:2", "did you mean `pipeline`?"],
        ),
        (
            "[retention]\njournal = \"seven days\"\n",
            &["faultline.toml:2:11"],
        ),
        (
            "[intake]\nlisten = \"0.0.0.0:0\"\nrequire-token = false\n",
            &["anybody could send"],
        ),
        ("[api\n", &["faultline.toml:1:"]),
    ] {
        let site = Site::with_config(config);
        for command in [&["serve"][..], &["config", "check"], &["incident", "list"]] {
            let refusal = site.commands().refusal(command);
            for part in expected {
                assert!(refusal.contains(part), "{command:?} {config:?}: {refusal}");
            }
        }
        assert!(!site.data().join("run.json").exists());
    }
}

#[test]
fn a_bad_manifest_is_refused_with_its_place_and_nothing_is_installed() {
    let site = Site::new();
    let mut server = site.serve();
    let before = (server.list("/plugins"), server.list("/instances"));
    let changes: [(&str, &str, &[&str]); 5] = [
        (
            "kind = \"connector\"",
            "kind = \"conector\"",
            &["plugin.toml:", "`connector`"],
        ),
        ("summary = ", "sumary = ", &["plugin.toml:", "`summary`"]),
        ("api = \"0.1\"", "api = \"7.3\"", &["7.3"]),
        (
            "wasm = \"hostile.wasm\"",
            "wasm = \"../hostile.wasm\"",
            &["../hostile.wasm"],
        ),
        ("schema = 1", "schema = [", &["plugin.toml:"]),
    ];
    for (number, (from, to, expected)) in changes.into_iter().enumerate() {
        let folder = site.scratch(&format!("bundle-{number}"));
        with_manifest("hostile", &folder, |manifest| {
            manifest.replacen(from, to, 1)
        });
        let path = folder.display().to_string();
        for command in ["install", "inspect"] {
            let refusal = site.commands().refusal(&["plugin", command, &path]);
            for part in expected {
                assert!(refusal.contains(part), "{command}, {to}: {refusal}");
            }
        }
    }
    let missing = site.scratch("nowhere").display().to_string();
    let refusal = site.commands().refusal(&["plugin", "install", &missing]);
    assert!(refusal.contains(&missing), "{refusal}");
    assert_eq!((server.list("/plugins"), server.list("/instances")), before);
    server.assert_serves();
}
