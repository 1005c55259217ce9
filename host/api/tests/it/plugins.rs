//! Bundles, installed and shown.

use std::collections::BTreeMap;

use axum::http::Method;
use data_encoding::BASE64;
use faultline_api::{CachedComponent, ComponentCache};
use faultline_domain::access::Role;
use faultline_domain::id::Digest;
use faultline_domain::time::Timestamp;
use serde_json::{Value, json};

use crate::{Answer, Bench};

/// The eight bytes with which every component begins.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "properties": {
        "threshold": {"type": "number", "minimum": 0, "default": 3},
        "password": {"type": "string"}
    }
}"#;

/// The files of a bundle with a connector, which needs durable state, and a
/// correlator, which does not.
pub(crate) fn files(version: &str) -> BTreeMap<String, Vec<u8>> {
    let manifest = format!(
        r#"
schema = 1
[plugin]
id = "acme/test"
version = "{version}"
api = "0.1"
license = "MIT"
summary = "Does nothing"
[[component]]
name = "poll"
kind = "connector"
wasm = "poll.wasm"
config-schema = "poll.json"
family = "acme"
[[component.capability]]
id = "state"
use = "kv"
required = true
reason = "keeps its place"
[[component]]
name = "think"
kind = "correlator"
wasm = "think.wasm"
"#
    );
    [
        ("plugin.toml", manifest.into_bytes()),
        ("poll.json", SCHEMA.as_bytes().to_vec()),
        ("poll.wasm", COMPONENT.to_vec()),
        ("think.wasm", COMPONENT.to_vec()),
        ("README.md", b"# Nothing\n".to_vec()),
    ]
    .into_iter()
    .map(|(path, content)| (path.to_owned(), content))
    .collect()
}

/// As it is sent.
pub(crate) fn body(files: &BTreeMap<String, Vec<u8>>) -> Value {
    let files: BTreeMap<&String, String> = files
        .iter()
        .map(|(path, content)| (path, BASE64.encode(content)))
        .collect();
    json!({ "files": files })
}

impl Bench {
    async fn install(&self, body: &Value) -> Answer {
        self.with_json(Method::POST, Role::Operator, "/api/v1/plugins", body)
            .await
    }

    /// Installs a version of the test plugin, and gives its digest.
    pub(crate) async fn install_version(&self, version: &str) -> String {
        let installed = self.install(&body(&files(version))).await.expect(201);
        installed["digest"].as_str().expect("a digest").to_owned()
    }
}

#[tokio::test]
async fn a_bundle_is_installed_and_shown() {
    let bench = Bench::open().await;
    let mut sent = body(&files("1.0.0"));
    sent["origin"] = json!("./acme");
    let installed = bench.install(&sent).await.expect(201);
    assert_eq!(installed["plugin"], "acme/test");
    assert_eq!(installed["installed_by"], "token:operator");
    assert_eq!(installed["origin"], "./acme");
    assert_eq!(installed["readme"], "# Nothing\n");
    assert_eq!(installed["fault"], Value::Null);
    let poll = &installed["components"][0];
    assert_eq!(poll["capabilities"][0]["use"], "kv");
    assert_eq!(
        poll["config_schema"]["properties"]["threshold"]["default"],
        3
    );
    // Again is no harm, and no act.
    assert_eq!(bench.install(&sent).await.expect(200), installed);
    assert_eq!(bench.actions().await, ["plugin.install"]);
    let row = bench.audit().await.remove(0);
    assert_eq!(
        row.entry.subject,
        format!("bundle:{}", installed["digest"].as_str().expect("text"))
    );
    assert!(
        row.entry
            .detail
            .contains(r#""capabilities":{"poll":["state"],"think":[]}"#)
    );

    let digest = installed["digest"].as_str().expect("a digest");
    for path in [
        "acme%2Ftest",
        "acme%2Ftest@1.0.0",
        digest,
        &digest["sha256:".len()..],
        &digest["sha256:".len()..][..8],
    ] {
        let path = format!("/api/v1/plugins/{path}");
        assert_eq!(bench.get(Role::Viewer, &path).await.expect(200), installed);
    }
    for path in ["acme%2Ftest@2.0.0", "acme%2Fother", "test"] {
        let path = format!("/api/v1/plugins/{path}");
        bench.get(Role::Viewer, &path).await.problem("not-found");
    }
    let short = bench.get(Role::Viewer, "/api/v1/plugins/abc").await;
    short.problem_at("malformed", "path", "plugin");
}

#[tokio::test]
async fn the_latest_version_is_meant_by_a_name() {
    let bench = Bench::open().await;
    for version in ["1.9.0", "1.10.0", "1.10.0-rc.1"] {
        bench.install_version(version).await;
    }
    let found = bench
        .get(Role::Viewer, "/api/v1/plugins/acme%2Ftest")
        .await
        .expect(200);
    assert_eq!(found["version"], "1.10.0");
    assert_eq!(
        bench.walk(Role::Viewer, "/api/v1/plugins", 2).await.len(),
        3
    );
}

#[tokio::test]
async fn what_is_no_bundle_is_refused_with_the_reason() {
    let bench = Bench::open().await;
    let change = |path: &str, content: Option<&[u8]>| {
        let mut files = files("1.0.0");
        match content {
            Some(content) => files.insert(path.to_owned(), content.to_vec()),
            None => files.remove(path),
        };
        body(&files)
    };
    for (sent, says) in [
        (json!({"files": {}}), "plugin.toml"),
        (change("plugin.toml", None), "plugin.toml"),
        (change("plugin.toml", Some(b"schema = 2")), "plugin.toml"),
        (change("plugin.toml", Some(b"\xff")), "not UTF-8"),
        (change("poll.wasm", None), "poll.wasm"),
        (change("poll.wasm", Some(b"\0asm\x01\0\0\0")), "core module"),
        (
            change("poll.wasm", Some(b"")),
            "not a WebAssembly component",
        ),
        (change("poll.json", Some(b"[]")), "poll.json"),
    ] {
        let problem = bench.install(&sent).await.problem("invalid");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(says), "{detail}");
    }
    for path in [
        "../poll.wasm",
        "/etc/passwd",
        "a//b",
        "a\\b",
        "",
        ".",
        "c:x",
        "a\u{0}b",
    ] {
        let sent = change(path, Some(b"x"));
        let problem = bench.install(&sent).await.problem("invalid");
        assert_eq!(problem["errors"][0]["field"], format!("files.{path}"));
    }
    let mut sent = body(&files("1.0.0"));
    sent["files"]["poll.wasm"] = json!("not base64!");
    bench
        .install(&sent)
        .await
        .problem_at("invalid", "body", "files.poll.wasm");
    sent["files"]["poll.wasm"] = json!(7);
    bench.install(&sent).await.problem("malformed");
    for origin in ["bundled", " ", "a\nb"] {
        let mut sent = body(&files("1.0.0"));
        sent["origin"] = json!(origin);
        bench
            .install(&sent)
            .await
            .problem_at("invalid", "body", "origin");
    }
    // Said, and not a way to fill the log.
    assert_eq!(bench.actions().await, ["plugin.refused"]);
    let row = &bench.audit().await[0];
    assert_eq!(
        (row.entry.subject.as_str(), row.entry.actor.as_str()),
        ("upload", "token:operator")
    );
    assert!(row.entry.detail.contains("plugin.toml"), "{row:?}");
    let metrics = bench.get(Role::Viewer, "/metrics").await.text;
    let counted = "faultline_api_bundles_refused_total 17\n";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(bench.store.bundle_list().await.expect("reads").is_empty());
    assert_eq!(bench.machinery.tell(|told| told.plugins_changed), 0);
}

#[tokio::test]
async fn the_cache_of_compiled_components_is_shown_and_emptied() {
    const CACHE: &str = "/api/v1/component-cache";
    let bench = Bench::open().await;
    let none = bench.get(Role::Viewer, CACHE).await.expect(200);
    assert_eq!(none["enabled"], false);
    let digest = Digest::of(COMPONENT);
    bench.machinery.tell(|told| {
        told.cache = Some(ComponentCache {
            bytes_max: 1_000,
            components: vec![CachedComponent {
                component: digest,
                bytes: 10,
                used: Timestamp::from_secs(1),
            }],
        });
    });
    let cache = bench.get(Role::Viewer, CACHE).await.expect(200);
    let expected = json!({
        "enabled": true,
        "bytes": 10,
        "bytes_max": 1_000,
        "components": [{
            "component": digest.to_string(),
            "bytes": 10,
            "used": "1970-01-01T00:00:01Z",
        }],
    });
    assert_eq!(cache, expected);
    let cleared = bench.bare(Method::DELETE, Role::Operator, CACHE).await;
    assert_eq!(cleared.expect(200), json!({"removed": 1}));
    let cache = bench.get(Role::Viewer, CACHE).await.expect(200);
    assert_eq!(cache["components"], json!([]));
    assert_eq!(
        bench.actions().await,
        ["cache.clear intent", "cache.clear ok"]
    );
}
