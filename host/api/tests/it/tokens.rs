//! Tokens: made, used, revoked, and never shown again.

use axum::body::Body;
use axum::http::{Method, Request, header};
use faultline_domain::access::Role;
use faultline_domain::id::Digest;
use faultline_store::Purpose;
use serde_json::{Value, json};

use crate::{Bench, operations};

const TOKENS: &str = "/api/v1/tokens";

impl Bench {
    async fn make_token(&self, body: &Value) -> Value {
        let made = self
            .with_json(Method::POST, Role::Admin, TOKENS, body)
            .await;
        made.expect(201)
    }

    async fn whoami(&self, token: &str) -> crate::Answer {
        let request = Request::builder()
            .uri("/api/v1/whoami")
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        self.send(request.body(Body::empty()).expect("a request"))
            .await
    }
}

#[tokio::test]
async fn a_token_is_good_from_when_it_is_made_until_it_is_revoked() {
    let bench = Bench::open().await;
    let body = json!({"name": "ci", "purpose": "api", "role": "responder"});
    let made = bench.make_token(&body).await;
    let token = made["token"].as_str().expect("a token");
    let id = made["id"].as_str().expect("an id");
    assert!(token.starts_with(&format!("flt_{id}_")), "{token}");
    assert_eq!(token.len(), 4 + 16 + 1 + 52);
    assert_eq!(made["valid"], true);
    assert_eq!(made["created_by"], "token:admin");
    let caller = bench.whoami(token).await.expect(200);
    assert_eq!(
        (&caller["name"], &caller["role"]),
        (&json!("token:ci"), &json!("responder"))
    );

    let path = format!("{TOKENS}/{id}");
    bench
        .bare(Method::DELETE, Role::Admin, &path)
        .await
        .expect(204);
    bench.whoami(token).await.problem("unauthenticated");
    let listed = bench.walk(Role::Admin, TOKENS, 2).await;
    let listed = listed
        .iter()
        .find(|listed| listed["id"] == *id)
        .expect("listed");
    assert_eq!(listed["valid"], false);
    assert_eq!(listed["revoked"], "1970-01-12T13:46:40Z");

    assert_eq!(bench.actions().await, ["token.create", "token.revoke"]);
    assert_eq!(bench.machinery.tell(|told| told.tokens_changed), 2);
}

#[tokio::test]
async fn a_token_that_may_still_be_good_is_not_said_to_be_revoked() {
    let bench = Bench::open().await;
    bench
        .machinery
        .tell(|told| told.unread = Some("no answer".to_owned()));
    // It is shown this once, whatever else there is to say.
    let body = json!({"name": "prom", "purpose": "ingest"});
    let made = bench.make_token(&body).await;
    let path = format!("{TOKENS}/{}", made["id"].as_str().expect("an id"));
    let revoked = bench.bare(Method::DELETE, Role::Admin, &path).await;
    let problem = revoked.problem("unavailable");
    let detail = problem["detail"].as_str().expect("a text");
    assert!(detail.contains("no answer"), "{detail}");
    assert_eq!(bench.actions().await, ["token.create", "token.revoke"]);
}

#[tokio::test]
async fn tokens_of_senders_are_for_senders() {
    let bench = Bench::open().await;
    let body = json!({"name": "prom", "purpose": "ingest", "source": "prometheus"});
    let made = bench.make_token(&body).await;
    assert_eq!(made["role"], Value::Null);
    let token = made["token"].as_str().expect("a token");
    bench.whoami(token).await.problem("unauthenticated");
    // As intake looks for it.
    let kept = bench.store.token_find(Digest::of(token.as_bytes())).await;
    let kept = kept.expect("reads").expect("is kept");
    let source = crate::observed::source("prometheus");
    assert_eq!(kept.purpose, Purpose::Ingest(Some(source)));
}

#[tokio::test]
async fn a_token_expires_when_its_time_has_come() {
    let bench = Bench::open().await;
    let body = json!({
        "name": "brief", "purpose": "api", "role": "viewer", "expires": "1970-01-12T13:46:41Z",
    });
    let made = bench.make_token(&body).await;
    let token = made["token"].as_str().expect("a token");
    bench.whoami(token).await.expect(200);
    bench
        .clock
        .store(crate::NOW + 1, std::sync::atomic::Ordering::SeqCst);
    bench.whoami(token).await.problem("unauthenticated");
}

#[tokio::test]
async fn what_a_token_cannot_be_is_refused_all_at_once() {
    let bench = Bench::open().await;
    for (body, fields) in [
        (json!({"name": "a", "purpose": "api"}), vec!["role"]),
        (
            json!({"name": " ", "purpose": "api", "role": "viewer", "source": "x"}),
            vec!["name", "source"],
        ),
        (
            json!({"name": "a", "purpose": "ingest", "role": "admin", "source": "No Name"}),
            vec!["role", "source"],
        ),
        (
            json!({
                "name": "x".repeat(81), "purpose": "ingest", "expires": "1970-01-12T13:46:40Z",
            }),
            vec!["name", "expires"],
        ),
    ] {
        let answer = bench
            .with_json(Method::POST, Role::Admin, TOKENS, &body)
            .await;
        let problem = answer.problem("invalid");
        let errors = problem["errors"].as_array().expect("errors");
        let told: Vec<&str> = errors
            .iter()
            .filter_map(|error| error["field"].as_str())
            .collect();
        assert_eq!(told, fields, "{problem}");
    }
    for (body, field) in [
        (json!({"name": "a", "purpose": "all"}), "purpose"),
        (
            json!({"name": "a", "purpose": "api", "role": "root"}),
            "role",
        ),
        (
            json!({"name": "a", "purpose": "api", "role": "viewer", "expires": "soon"}),
            "expires",
        ),
        (json!({"name": 7, "purpose": "api"}), "name"),
    ] {
        let answer = bench
            .with_json(Method::POST, Role::Admin, TOKENS, &body)
            .await;
        answer.problem_at("malformed", "body", field);
    }
    assert!(bench.actions().await.is_empty());
}

#[tokio::test]
async fn a_token_is_shown_once_and_never_again() {
    let bench = Bench::open().await;
    let body = json!({"name": "ci", "purpose": "api", "role": "admin"});
    let made = bench.make_token(&body).await;
    let token = made["token"].as_str().expect("a token");
    let id = made["id"].as_str().expect("an id");
    let secret = token.rsplit('_').next().expect("a secret");
    let digest = Digest::of(token.as_bytes()).to_string();
    // Also where somebody mistakes the token for its id.
    let path = format!("{TOKENS}/{token}");
    let mistaken = bench.bare(Method::DELETE, Role::Admin, &path).await;
    mistaken.problem_at("malformed", "path", "id");
    assert!(!mistaken.text.contains(secret));
    let readable = operations()
        .into_iter()
        .filter(|operation| operation.method == Method::GET && operation.id != "event_stream");
    for operation in readable {
        let answer = bench.get(Role::Admin, &operation.path).await;
        assert!(!answer.text.contains(secret), "{}", operation.id);
        assert!(!answer.text.contains(&digest), "{}", operation.id);
    }
    let rows = bench.audit().await;
    assert!(!format!("{rows:?}").contains(secret));
    assert!(
        rows.iter()
            .any(|row| row.entry.subject == format!("token:{id}"))
    );
}
