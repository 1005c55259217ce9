//! Requests that nobody should make: each gets a clear answer, and the process
//! lives.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Method;
use faultline_api::ApiLimits;
use faultline_domain::access::Role;

use crate::{Bench, Operation, empty, operations, raw};

const JSON: Option<&str> = Some("application/json");

fn small() -> ApiLimits {
    ApiLimits {
        body_bytes_max: 4 << 10,
        bundle_body_bytes_max: 16 << 10,
        ..ApiLimits::default()
    }
}

fn with_body() -> Vec<Operation> {
    let operations: Vec<Operation> = operations()
        .into_iter()
        .filter(|operation| !operation.value["requestBody"].is_null())
        .collect();
    let ids: Vec<&str> = operations
        .iter()
        .map(|operation| operation.id.as_str())
        .collect();
    assert_eq!(
        ids,
        [
            "instance_create",
            "instance_config_put",
            "grant_put",
            "instance_poll",
            "instance_settings_put",
            "instance_upgrade",
            "plugin_install",
            "token_create",
        ]
    );
    operations
}

#[tokio::test]
async fn bodies_are_read_strictly() {
    let bench = Bench::with(small()).await;
    let deep = format!("{}{}", "[".repeat(2_000), "]".repeat(2_000));
    for operation in with_body() {
        let send = async |media_type: Option<&str>, body: &[u8]| {
            let body = Bytes::copy_from_slice(body);
            let request = raw(operation.method.clone(), &operation.path, media_type, body);
            bench.send(request).await
        };
        for media_type in [
            None,
            Some("text/plain"),
            Some("application/x-www-form-urlencoded"),
        ] {
            let answer = send(media_type, b"{}").await;
            answer.problem("media-type");
            assert_eq!(answer.status, 415, "{}", operation.id);
        }
        for body in [
            b"".as_slice(),
            b"nonsense",
            b"{",
            b"[]",
            b"\"text\"",
            b"null",
            b"7",
            b"{} {}",
            b"{\"a\"",
            b"\xff\xfe",
            b"{\"\xff\": 1}",
            deep.as_bytes(),
        ] {
            let answer = send(JSON, body).await;
            let problem = answer.problem("malformed");
            assert_eq!(answer.status, 400);
            assert_eq!(
                problem["errors"][0]["in"], "body",
                "{}: {problem}",
                operation.id
            );
        }
        let answer = send(JSON, br#"{"nonsense": 1}"#).await;
        answer.problem_at("malformed", "body", "nonsense");
        let limit = if operation.id == "plugin_install" {
            16 << 10
        } else {
            4 << 10
        };
        let answer = send(JSON, &vec![b' '; limit + 1]).await;
        let problem = answer.problem("too-large");
        assert_eq!(answer.status, 413);
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(&limit.to_string()), "{detail}");
    }
    assert_eq!(bench.get(Role::Viewer, "/healthz").await.text, "ok\n");
    bench.get(Role::Viewer, "/api/v1/status").await.expect(200);
    assert!(bench.actions().await.is_empty(), "nothing was done");
}

#[tokio::test]
async fn a_body_that_nobody_asked_for_is_refused() {
    let bench = Bench::with(small()).await;
    let without_body = operations().into_iter().filter(|operation| {
        operation.method != Method::GET && operation.value["requestBody"].is_null()
    });
    let mut count = 0;
    for operation in without_body {
        for body in [b"{}".to_vec(), vec![b'x'; 1 << 20]] {
            let request = raw(operation.method.clone(), &operation.path, JSON, body);
            let answer = bench.send(request).await;
            answer.problem_at("malformed", "body", "");
        }
        count += 1;
    }
    assert_eq!(count, 9);
}

#[tokio::test]
async fn queries_are_read_strictly() {
    let bench = Bench::open().await;
    for operation in operations() {
        let path = format!("{}?nonsense=1", operation.path);
        let answer = bench
            .bare(operation.method.clone(), Role::Admin, &path)
            .await;
        let problem = answer.problem("malformed");
        assert_eq!(problem["errors"][0]["in"], "query", "{}", operation.id);
        assert_eq!(
            problem["errors"][0]["field"], "nonsense",
            "{}",
            operation.id
        );
    }
    let answer = bench.get(Role::Admin, "/api/v1/incidents?limt=5").await;
    let problem = answer.problem_at("malformed", "query", "limt");
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.contains("did you mean `limit`"), "{detail}");
}

#[tokio::test]
async fn every_listing_has_pages_and_limits() {
    let bench = Bench::open().await;
    let listings = operations().into_iter().filter(|operation| {
        let parameters = operation.value["parameters"].as_array();
        parameters.is_some_and(|all| all.iter().any(|parameter| parameter["name"] == "limit"))
    });
    let mut count = 0;
    for operation in listings {
        count += 1;
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("limit=-1", "limit"),
            ("limit=x", "limit"),
            ("limit=", "limit"),
        ] {
            let path = format!("{}?{query}", operation.path);
            let answer = bench.get(Role::Admin, &path).await;
            answer.problem_at("malformed", "query", field);
        }
        // What is listed of a thing needs the thing.
        if operation.template.contains('{') {
            continue;
        }
        for after in ["%00", "nonsense", "1.%F0%9F%92%A5.2", &"9".repeat(400)] {
            let path = format!("{}?after={after}", operation.path);
            let answer = bench.get(Role::Admin, &path).await;
            // Some cursors are a number and any text.
            match answer.status.as_u16() {
                200 => {}
                // Of short lists cursors are the names of rows.
                422 => drop(answer.problem_at("invalid", "query", "after")),
                _ => drop(answer.problem_at("malformed", "query", "after")),
            }
        }
        let twice = format!("{}?limit=1&limit=2", operation.path);
        bench.get(Role::Admin, &twice).await.problem("malformed");
    }
    assert_eq!(count, 15);
}

#[tokio::test]
async fn values_that_cannot_be_are_refused_with_what_can() {
    let bench = Bench::open().await;
    for (path, field, says) in [
        ("/api/v1/incidents?phase=opne", "phase", "open"),
        (
            "/api/v1/incidents?active=perhaps",
            "active",
            "`true` or `false`",
        ),
        (
            "/api/v1/incidents?entity=checkout",
            "entity",
            "service/checkout",
        ),
        ("/api/v1/alerts?severity_min=bad", "severity_min", "warning"),
        ("/api/v1/topology?entity=service/a&hops=9", "hops", "1 to 5"),
        ("/api/v1/audit?order=up", "order", "latest"),
        ("/api/v1/audit/verify?hash=x", "hash", "sha256"),
        ("/api/v1/series/1/samples?points=0", "points", "1 to 2000"),
        (
            "/api/v1/series/1/samples?from=yesterday",
            "from",
            "2026-05-04T12:30:00Z",
        ),
    ] {
        let problem = bench
            .get(Role::Admin, path)
            .await
            .problem_at("malformed", "query", field);
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(says), "{path}: {detail}");
    }
    // Each by itself can be read; together they cannot be meant.
    for (path, field, says) in [
        (
            "/api/v1/audit/verify?after=1",
            "hash",
            "must be given with `after`",
        ),
        ("/api/v1/topology?hops=2", "hops", "around `entity`"),
    ] {
        let problem = bench
            .get(Role::Admin, path)
            .await
            .problem_at("invalid", "query", field);
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(says), "{path}: {detail}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let bench = Bench::with(ApiLimits {
        body_read_time_max: Duration::from_millis(1),
        ..ApiLimits::default()
    })
    .await;
    let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
    let request = raw(
        Method::POST,
        "/api/v1/tokens",
        JSON,
        Body::from_stream(never),
    );
    let answer = bench.send(request).await;
    answer.problem("too-slow");
    assert_eq!(answer.status, 408);
}

#[tokio::test]
async fn too_much_at_once_is_refused_with_when_to_come_again() {
    let bench = Bench::with(ApiLimits {
        requests_in_flight_max: 0,
        ..ApiLimits::default()
    })
    .await;
    let answer = bench.get(Role::Viewer, "/api/v1/status").await;
    answer.problem("busy");
    assert!(answer.headers.contains_key("retry-after"));
    let bench = Bench::with(ApiLimits {
        installs_in_flight_max: 0,
        walks_in_flight_max: 0,
        ..ApiLimits::default()
    })
    .await;
    let install = bench
        .with_json(Method::POST, Role::Admin, "/api/v1/plugins", &empty())
        .await;
    install.problem("busy");
    for path in ["/api/v1/history/digest", "/api/v1/audit/verify"] {
        bench.get(Role::Operator, path).await.problem("busy");
    }
}
