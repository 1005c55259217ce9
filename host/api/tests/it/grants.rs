//! Grants with rules and secrets, and what was done with them.

use std::sync::atomic::Ordering;

use axum::http::Method;
use faultline_domain::access::Role;
use faultline_domain::audit::{Entry, Stage};
use serde_json::{Value, json};

use crate::plugins::{body, files};
use crate::{Answer, Bench, at};

const POLL: &str = "/api/v1/instances/poll";

/// Of the configuration that rules take their host from.
const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "properties": { "url": { "type": "string" } }
}"#;

impl Bench {
    fn advance_to(&self, secs: u64) {
        self.clock.store(secs, Ordering::SeqCst);
    }
}

/// A plugin that goes out, and an instance of it.
async fn bench() -> Bench {
    let bench = Bench::open().await;
    let mut files = files("1.0.0");
    let manifest = String::from_utf8(files["plugin.toml"].clone()).expect("text");
    let asked = r#"
[[component.capability]]
id = "api"
use = "http"
rule = ["GET,POST {config.url}/api/**"]
reason = "to read"
[[component.capability]]
id = "token"
use = "secret"
attach = { to = ["api"], header = "Authorization", format = "Bearer {}" }
reason = "to be let in"
[[component]]
name = "think""#;
    let manifest = manifest.replace("[[component]]\nname = \"think\"", asked.trim_start());
    files.insert("plugin.toml".to_owned(), manifest.into_bytes());
    files.insert("poll.json".to_owned(), SCHEMA.as_bytes().to_vec());
    let sent = body(&files);
    let installed = bench
        .with_json(Method::POST, Role::Operator, "/api/v1/plugins", &sent)
        .await;
    installed.expect(201);
    let instance = json!({
        "name": "poll", "plugin": "acme/test", "component": "poll",
        "config": {"url": "https://one.example.com"},
    });
    let created = bench
        .with_json(Method::POST, Role::Operator, "/api/v1/instances", &instance)
        .await;
    created.expect(201);
    bench
}

async fn put(bench: &Bench, capability: &str, body: &Value) -> Answer {
    let path = format!("{POLL}/grants/{capability}");
    bench.with_json(Method::PUT, Role::Admin, &path, body).await
}

/// The capability as the instance shows it.
async fn shown(bench: &Bench, index: usize) -> Value {
    bench.get(Role::Viewer, POLL).await.expect(200)["capabilities"][index].clone()
}

#[tokio::test]
async fn a_grant_is_of_what_the_configuration_makes_of_the_rules() {
    let bench = bench().await;
    let api = shown(&bench, 1).await;
    assert_eq!(api["rules"], json!(["GET,POST {config.url}/api/**"]));
    let rule = "GET,POST https://one.example.com/api/**";
    assert_eq!(api["asked"], json!([rule]));
    assert_eq!(api["standing"], "not-granted");
    let granted = put(&bench, "api", &json!({"reason": "x"}))
        .await
        .expect(200);
    assert_eq!(granted["rules"], json!([rule]));
    assert_eq!(granted["expires"], Value::Null);
    assert_eq!(shown(&bench, 1).await["standing"], "granted");

    // Another host in the configuration is another question.
    let config = json!({"config": {"url": "https://two.example.com"}});
    let path = format!("{POLL}/config");
    let configured = bench
        .with_json(Method::PUT, Role::Operator, &path, &config)
        .await;
    configured.expect(200);
    let api = shown(&bench, 1).await;
    assert_eq!(api["standing"], "changed");
    assert_eq!(
        api["asked"],
        json!(["GET,POST https://two.example.com/api/**"])
    );
    put(&bench, "api", &json!({"reason": "moved"}))
        .await
        .expect(200);
    assert_eq!(shown(&bench, 1).await["standing"], "granted");
}

#[tokio::test]
async fn a_grant_can_be_less_than_what_is_asked_for_and_ends() {
    let bench = bench().await;
    let body = json!({
        "reason": "reading is enough",
        "allow": ["GET https://one.example.com/api/incidents/**"],
        "networks": ["10.0.0.0/8"],
        "expires": at(2_000_000).to_string(),
    });
    let granted = put(&bench, "api", &body).await.expect(200);
    assert_eq!(granted["rules"], body["allow"]);
    assert_eq!(granted["networks"], body["networks"]);
    assert_eq!(granted["expires"], body["expires"]);
    bench.advance_to(2_000_000);
    assert_eq!(shown(&bench, 1).await["standing"], "expired");
}

#[tokio::test]
async fn a_grant_that_cannot_be_says_where_and_why() {
    let bench = bench().await;
    for (capability, change, field, why) in [
        (
            "api",
            json!({"allow": ["POTS https://x.y/"]}),
            "allow[0]",
            "did you mean `POST`?",
        ),
        (
            "api",
            json!({"allow": ["GET https://two.example.com/**"]}),
            "allow[0]",
            "goes beyond",
        ),
        (
            "api",
            json!({"networks": ["10.0.0.1/8"]}),
            "networks[0]",
            "did you mean `10.0.0.0/8`?",
        ),
        (
            "api",
            json!({"secret": "env:X"}),
            "secret",
            "does not go with `api`",
        ),
        (
            "api",
            json!({"expires": "2001-01-01T00:00:00Z"}),
            "expires",
            "",
        ),
        (
            "state",
            json!({"allow": ["GET https://x.y/"]}),
            "allow",
            "does not go with `state`",
        ),
        ("token", json!({}), "secret", "must say where it is kept"),
        (
            "token",
            json!({"secret": "hunter2hunter2"}),
            "secret",
            "names no secret",
        ),
    ] {
        let mut body = json!({"reason": "x"});
        let object = body.as_object_mut().expect("an object");
        object.extend(change.as_object().expect("an object").clone());
        // At a time when 2001 is over.
        bench.advance_to(1_500_000_000);
        let refused = put(&bench, capability, &body).await;
        let problem = refused.problem_at("invalid", "body", field);
        let text = problem.to_string();
        assert!(text.contains(why), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert_eq!(bench.actions().await, ["plugin.install", "instance.create"]);
}

#[tokio::test]
async fn secrets_are_bound_by_reference() {
    let bench = bench().await;
    let body = json!({"reason": "x", "secret": "file:/run/secrets/token"});
    let granted = put(&bench, "token", &body).await.expect(200);
    assert_eq!(granted["secret"], "file:/run/secrets/token");
    // Renewed, it stays where it is.
    let renewed = put(&bench, "token", &json!({"reason": "y"}))
        .await
        .expect(200);
    assert_eq!(renewed["secret"], "file:/run/secrets/token");
    let attach = &shown(&bench, 2).await["attach"];
    assert_eq!(attach, "header `authorization: Bearer {}` to api");
}

#[tokio::test]
async fn what_was_done_is_shown_with_what_would_be_enough() {
    let bench = bench().await;
    put(&bench, "api", &json!({"reason": "x"}))
        .await
        .expect(200);
    let row = |stage: Stage, detail: Value| Entry {
        at: at(1_000_001),
        actor: "plugin:poll@sha256:00".to_owned(),
        action: "http.send".to_owned(),
        subject: "instance:poll".to_owned(),
        stage,
        detail: detail.to_string(),
    };
    let sent = json!({
        "capability": "api", "rule": "GET,POST https://one.example.com/api/**",
        "method": "GET", "scheme": "https", "host": "one.example.com", "port": 443,
    });
    let intent = bench.store.audit_append(row(Stage::Intent, sent)).await;
    let intent = intent.expect("a row");
    let result = "ok".to_owned();
    let outcome = row(Stage::Outcome { intent, result }, json!({}));
    bench.store.audit_append(outcome).await.expect("a row");
    let denied = row(Stage::Event, json!({"denied": "no rule allows it"}));
    bench.store.audit_append(denied).await.expect("a row");

    let path = format!("{POLL}/usage");
    let did = bench.get(Role::Viewer, &path).await.expect(200);
    let done = did["done"].as_array().expect("a list");
    assert_eq!(done.len(), 2, "{did}");
    let sent = done.iter().find(|done| done["times"] == 1).expect("sent");
    assert_eq!(sent["to"], "GET https://one.example.com:443");
    assert_eq!((&sent["failed"], &sent["denied"]), (&json!(0), &json!(0)));
    assert_eq!(
        did["narrowed"],
        json!([{
            "capability": "api",
            "granted": ["GET,POST https://one.example.com/api/**"],
            "enough": ["GET https://one.example.com/api/**"],
        }])
    );
    bench
        .get(Role::Viewer, "/api/v1/instances/none/usage")
        .await
        .problem("not-found");
}

#[tokio::test]
async fn an_upgrade_that_asks_for_more_has_to_be_granted_again() {
    let bench = bench().await;
    put(&bench, "api", &json!({"reason": "x"}))
        .await
        .expect(200);
    let mut later = files("1.1.0");
    let manifest = String::from_utf8(later["plugin.toml"].clone()).expect("text");
    let asked = r#"
[[component.capability]]
id = "api"
use = "http"
rule = ["GET,POST {config.url}/api/**", "DELETE {config.url}/**"]
reason = "to read, and more"
[[component]]
name = "think""#;
    let manifest = manifest.replace("[[component]]\nname = \"think\"", asked.trim_start());
    later.insert("plugin.toml".to_owned(), manifest.into_bytes());
    later.insert("poll.json".to_owned(), SCHEMA.as_bytes().to_vec());
    let sent = body(&later);
    let installed = bench
        .with_json(Method::POST, Role::Operator, "/api/v1/plugins", &sent)
        .await;
    installed.expect(201);
    let path = format!("{POLL}/upgrade");
    let upgraded = bench
        .with_json(Method::POST, Role::Operator, &path, &json!({}))
        .await
        .expect(200);
    assert_eq!(upgraded["capabilities_added"], json!(["api"]));
    assert_eq!(upgraded["capabilities_removed"], json!(["token"]));
    assert_eq!(shown(&bench, 1).await["standing"], "not-granted");
}
