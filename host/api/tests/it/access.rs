//! Who may do what.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use faultline_domain::access::{Principal, Role};
use faultline_domain::audit::Verifier;
use faultline_store::{AuditFilter, Purpose};
use tower::ServiceExt as _;

use crate::{Bench, at, below, operations, request, secret};

/// What each operation needs, written down a second time: a role that changes
/// by mistake shows here.
const TABLE: &[(&str, &[&str])] = &[
    (
        "nobody",
        &["document_fetch", "health_fetch", "readiness_fetch"],
    ),
    (
        "viewer",
        &[
            "alert_explain",
            "alert_fetch",
            "alert_list",
            "caller_fetch",
            "change_fetch",
            "change_list",
            "command_fetch",
            "component_cache_fetch",
            "dead_letter_list",
            "edge_list",
            "event_stream",
            "grant_fetch",
            "grant_list",
            "incident_event_list",
            "incident_fetch",
            "incident_list",
            "incident_member_list",
            "instance_fetch",
            "instance_list",
            "instance_usage",
            "metrics_fetch",
            "plugin_fetch",
            "plugin_list",
            "refusal_list",
            "sample_list",
            "series_fetch",
            "series_list",
            "source_list",
            "status_fetch",
        ],
    ),
    ("responder", &["incident_acknowledge", "incident_resolve"]),
    (
        "operator",
        &[
            "audit_list",
            "audit_verify",
            "component_cache_clear",
            "dead_letter_redrive",
            "envelope_fetch",
            "history_digest_fetch",
            "instance_config_put",
            "instance_create",
            "instance_disable",
            "instance_enable",
            "instance_poll",
            "instance_resume",
            "instance_settings_put",
            "instance_upgrade",
            "plugin_install",
        ],
    ),
    (
        "admin",
        &[
            "grant_put",
            "grant_revoke",
            "token_create",
            "token_list",
            "token_revoke",
        ],
    ),
];

#[test]
fn every_operation_needs_what_the_table_says() {
    let mut told: Vec<(String, String)> = operations()
        .into_iter()
        .map(|operation| {
            let role = operation.role.map_or("nobody", Role::as_str);
            (operation.id, role.to_owned())
        })
        .collect();
    let mut expected: Vec<(String, String)> = TABLE
        .iter()
        .flat_map(|(role, ids)| ids.iter().map(|id| ((*id).to_owned(), (*role).to_owned())))
        .collect();
    told.sort();
    expected.sort();
    assert_eq!(told, expected);
}

/// The status of an answer, whose body may never end.
async fn status(bench: &Bench, request: Request<Body>) -> StatusCode {
    let response = bench.router.clone().oneshot(request).await;
    response.expect("infallible").status()
}

#[tokio::test]
async fn every_operation_keeps_its_role() {
    let bench = Bench::open().await;
    for operation in operations() {
        let (id, path) = (&operation.id, operation.path.as_str());
        let method = || operation.method.clone();
        let anonymous = Request::builder().method(method()).uri(path);
        let anonymous = anonymous.body(Body::empty()).expect("a request");
        let Some(role) = operation.role else {
            let status = status(&bench, anonymous).await;
            assert_eq!(status, StatusCode::OK, "{id}: for everybody");
            continue;
        };
        let refused = bench.send(anonymous).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{id}: nobody");
        refused.problem("unauthenticated");
        assert!(refused.headers.contains_key(header::WWW_AUTHENTICATE));
        if let Some(lower) = below(role) {
            let refused = bench.bare(method(), lower, path).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{id}: {lower}");
            refused.problem("forbidden");
        }
        for role in Role::ALL.into_iter().filter(|higher| higher.includes(role)) {
            let status = status(&bench, request(method(), path, role, Body::empty())).await;
            let kept_out = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
            assert!(!kept_out.contains(&status), "{id}: {role}");
            assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{id}: {role}");
        }
    }
}

#[tokio::test]
async fn only_good_tokens_are_good() {
    let bench = Bench::open().await;
    bench.keep_token("brief", Purpose::Api(Role::Admin)).await;
    let ask = async |authorization: &str| {
        let request = Request::builder()
            .uri("/api/v1/whoami")
            .header(header::AUTHORIZATION, authorization);
        let answer = bench
            .send(request.body(Body::empty()).expect("a request"))
            .await;
        assert!(
            !answer.text.contains("bench_"),
            "repeats a token: {}",
            answer.text
        );
        answer.status.as_u16()
    };
    let good = secret("viewer");
    assert_eq!(ask(&format!("Bearer {good}")).await, 200);
    assert_eq!(ask(&format!("bearer   {good} ")).await, 200);
    for bad in [
        good.clone(),
        format!("Basic {good}"),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Bearer {good}x"),
        format!("Bearer {}", "x".repeat(10_000)),
        // Good for sending, and for nothing else.
        format!("Bearer {}", secret("sender")),
    ] {
        assert_eq!(ask(&bad).await, 401, "{bad}");
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once() {
    let bench = Bench::open().await;
    bench.get(Role::Viewer, "/api/v1/whoami").await.expect(200);
    let path = "/api/v1/tokens/id-of-viewer";
    bench
        .bare(Method::DELETE, Role::Admin, path)
        .await
        .expect(204);
    let refused = bench.get(Role::Viewer, "/api/v1/whoami").await;
    refused.problem("unauthenticated");
    bench
        .bare(Method::DELETE, Role::Admin, path)
        .await
        .problem("not-found");
}

#[tokio::test]
async fn whom_the_process_vouches_for_needs_no_token() {
    let bench = Bench::open().await;
    let mut request = Request::builder()
        .uri("/api/v1/whoami")
        .body(Body::empty())
        .expect("a request");
    request.extensions_mut().insert(Principal {
        name: "local:root".to_owned(),
        role: Role::Admin,
    });
    let caller = bench.send(request).await.expect(200);
    assert_eq!(caller["name"], "local:root");
    assert_eq!(caller["role"], "admin");
}

#[tokio::test]
async fn denials_are_on_the_audit_log_and_are_not_a_way_to_fill_it() {
    let bench = Bench::open().await;
    for _ in 0..5 {
        bench
            .get(Role::Viewer, "/api/v1/tokens")
            .await
            .problem("forbidden");
    }
    let rows = bench.audit().await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    let entry = &rows[0].entry;
    assert_eq!(
        (entry.action.as_str(), entry.actor.as_str()),
        ("api.denied", "token:viewer")
    );
    assert_eq!(entry.subject, "GET /api/v1/tokens");
    assert!(entry.detail.contains("token_list"), "{}", entry.detail);
    assert_eq!(entry.at, at(crate::NOW));
    // A token that was taken for its id is not kept.
    let path = "/api/v1/tokens/flt_abc_secret";
    let mistaken = bench.bare(Method::DELETE, Role::Viewer, path).await;
    mistaken.problem("forbidden");
    let rows = bench.audit().await;
    assert_eq!(rows[1].entry.subject, "DELETE /api/v1/tokens/{id}");
    assert!(!format!("{rows:?}").contains("secret"), "{rows:?}");
    // And the chain holds.
    let rows = bench.store.audit_list(&AuditFilter::default(), 100).await;
    let mut verifier = Verifier::after(0, faultline_domain::audit::GENESIS);
    for row in rows.expect("rows") {
        verifier.next(&row).expect("follows");
    }
}

#[tokio::test]
async fn a_scraper_needs_a_token_and_gets_what_it_asks_for() {
    let bench = Bench::open().await;
    let anonymous = || {
        let request = Request::builder().uri("/metrics").body(Body::empty());
        request.expect("a request")
    };
    bench.send(anonymous()).await.problem("unauthenticated");
    let (status, text) = {
        let answer = bench.get(Role::Viewer, "/metrics").await;
        (answer.status, answer.text)
    };
    assert_eq!(status, StatusCode::OK);
    // Who does not ask for OpenMetrics gets what every scraper reads.
    assert!(
        !text.contains("# EOF") && !text.contains("# UNIT"),
        "{text}"
    );
    assert!(
        text.contains("# TYPE faultline_api_requests_total counter\n"),
        "{text}"
    );
    assert!(
        text.contains(r#"faultline_api_requests_total{operation="metrics_fetch",status="401"} 1"#),
        "{text}"
    );
}

#[tokio::test]
async fn a_scraper_that_is_known_is_let_in_while_the_database_is_away() {
    let bench = Bench::open().await;
    let metrics = async |role| bench.get(role, "/metrics").await;
    for role in [Role::Viewer, Role::Operator] {
        assert_eq!(metrics(role).await.status, StatusCode::OK);
    }
    bench.store.close().await;
    let known = metrics(Role::Viewer).await;
    assert_eq!(known.status, StatusCode::OK, "{}", known.text);
    assert!(known.text.contains("faultline_api_requests_total"));
    let unseen = metrics(Role::Admin).await;
    assert!(
        unseen.problem("unavailable")["detail"]
            .to_string()
            .contains("unreachable")
    );
    // For nothing else: what it tells is in the database.
    bench
        .get(Role::Viewer, "/api/v1/status")
        .await
        .problem("unavailable");
}
