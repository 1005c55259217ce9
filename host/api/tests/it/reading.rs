//! Listings and single things.

use axum::body::Body;
use axum::http::{Method, Request};
use faultline_api::StageStatus;
use faultline_domain::access::Role;
use faultline_domain::envelope::Position;
use serde_json::json;

use crate::{Bench, at, encoded};

const NAMES: [&str; 3] = ["checkout", "search", "cart"];

#[tokio::test]
async fn listings_come_in_pages_that_neither_repeat_nor_skip() {
    let bench = Bench::open().await;
    let mut opened = Vec::new();
    for name in NAMES {
        opened.push(bench.open_incident(name).await);
    }
    for (path, key) in [
        ("/api/v1/incidents", "id"),
        ("/api/v1/alerts", "id"),
        ("/api/v1/changes", "id"),
        ("/api/v1/topology", "dependent"),
        ("/api/v1/sources", "name"),
        ("/api/v1/dead-letters", "position"),
        ("/api/v1/refusals", "position"),
    ] {
        let keys = |rows: Vec<serde_json::Value>| -> Vec<serde_json::Value> {
            rows.into_iter().map(|row| row[key].clone()).collect()
        };
        let all = keys(bench.walk(Role::Viewer, path, 500).await);
        assert_eq!(all.len(), 3, "{path}");
        for limit in [1, 2, 3] {
            let walked = keys(bench.walk(Role::Viewer, path, limit).await);
            assert_eq!(walked, all, "{path} by {limit}");
        }
    }
    let events = format!("/api/v1/incidents/{}/events", opened[0].incident);
    let all = bench.walk(Role::Viewer, &events, 500).await;
    let versions: Vec<_> = all.iter().map(|event| event["version"].clone()).collect();
    assert_eq!(versions, [1, 2, 3, 4]);
    assert_eq!(bench.walk(Role::Viewer, &events, 1).await, all);
    let members = format!("/api/v1/incidents/{}/members", opened[0].incident);
    assert_eq!(bench.walk(Role::Viewer, &members, 1).await.len(), 1);
}

#[tokio::test]
async fn listings_can_be_narrowed() {
    let bench = Bench::open().await;
    for name in NAMES {
        bench.open_incident(name).await;
    }
    let count = async |path: &str| bench.walk(Role::Viewer, path, 500).await.len();
    for (path, expected) in [
        ("/api/v1/incidents?phase=open", 3),
        ("/api/v1/incidents?phase=resolved", 0),
        ("/api/v1/incidents?active=true", 3),
        ("/api/v1/incidents?active=false", 0),
        ("/api/v1/incidents?severity_min=high", 3),
        ("/api/v1/incidents?severity_min=critical", 0),
        ("/api/v1/incidents?entity=service/cart", 1),
        ("/api/v1/alerts?state=firing", 3),
        ("/api/v1/alerts?state=resolved", 0),
        ("/api/v1/alerts?origin=prometheus&entity=service/search", 1),
        ("/api/v1/changes?entity=service/cart", 1),
        ("/api/v1/topology?entity=service/cart", 1),
        ("/api/v1/topology?entity=service/cart&hops=2", 3),
        ("/api/v1/series?name=x", 0),
    ] {
        assert_eq!(count(path).await, expected, "{path}");
    }
}

#[tokio::test]
async fn an_incident_shows_all_that_is_known_about_it() {
    let bench = Bench::open().await;
    let opened = bench.open_incident("checkout").await;
    let path = format!("/api/v1/incidents/{}", opened.incident);
    let incident = bench.get(Role::Viewer, &path).await.expect(200);
    assert_eq!(incident["title"], "checkout is in trouble");
    assert_eq!(incident["phase"], "open");
    assert_eq!(incident["severity"], "high");
    assert_eq!(incident["suspect"]["title"], "checkout 2.0");
    assert_eq!(incident["hypotheses"][0]["cause"]["kind"], "change");
    assert_eq!(incident["hypotheses"][1]["cause"]["id"], "service/checkout");
    assert_eq!(incident["members"][0]["alert"], opened.alert.to_string());
    assert_eq!(incident["members"][0]["because"]["reason"], "alone");
    let reference = &incident["members"][0]["because"]["evidence"][0]["references"][0];
    assert_eq!(reference["title"], "checkout is slow");
    assert_eq!(incident["changes"][0]["id"], opened.change.to_string());
    // The provider is not concerned, so that the edge to it says nothing.
    assert_eq!(incident["dependencies"], json!([]));
}

#[tokio::test]
async fn ids_can_be_cut_short_while_they_are_unambiguous() {
    let bench = Bench::open().await;
    let opened = bench.open_incident("checkout").await;
    let (incident, alert) = (opened.incident.to_string(), opened.alert.to_string());
    for (id, path) in [(&incident, "incidents"), (&alert, "alerts")] {
        let digits = id.split_once('_').expect("a prefix").1;
        for given in [
            id.as_str(),
            &id[..12],
            digits,
            &digits[..4],
            &digits.to_uppercase(),
        ] {
            let path = format!("/api/v1/{path}/{given}");
            let found = bench.get(Role::Viewer, &path).await.expect(200);
            assert_eq!(&found["id"], id);
        }
        for bad in [
            "abc",
            "nonsense",
            &format!("{digits}0"),
            "inc_",
            "%F0%9F%92%A5",
            "alr%00",
        ] {
            let path = format!("/api/v1/{path}/{bad}");
            bench
                .get(Role::Viewer, &path)
                .await
                .problem_at("malformed", "path", "id");
        }
        let other = if digits.starts_with("0000") {
            "1111"
        } else {
            "0000"
        };
        let path = format!("/api/v1/{path}/{other}");
        bench.get(Role::Viewer, &path).await.problem("not-found");
    }
}

#[tokio::test]
async fn an_alert_is_explained_from_its_payload_to_its_incident() {
    let bench = Bench::open().await;
    let opened = bench.open_incident("checkout").await;
    let path = format!("/api/v1/alerts/{}/explanation", opened.alert);
    let explained = bench.get(Role::Viewer, &path).await.expect(200);
    let stages: Vec<_> = explained["chain"]
        .as_array()
        .expect("a chain")
        .iter()
        .map(|step| step["stage"].clone())
        .collect();
    assert_eq!(
        stages,
        [
            "received",
            "decoded",
            "identified",
            "deduplicated",
            "suppressed",
            "joined"
        ]
    );
    assert_eq!(explained["decoded_by"], json!(["alertmanager-alerts"]));
    assert_eq!(explained["received"][0]["source"], "prometheus");
    assert_eq!(explained["dead_letters"][0]["code"], "malformed");
    assert_eq!(
        explained["identified"]["hashed"],
        json!([
            "alr",
            "sender",
            "prometheus",
            "alertname",
            "checkout",
            "service",
            "checkout"
        ])
    );
    assert_eq!(explained["entities"][0]["entity"], "service/checkout");
    assert_eq!(explained["entities"][0]["labels"], json!(["service"]));
    assert_eq!(explained["transitions"][0]["outcome"], "fired");
    let membership = &explained["incidents"][0];
    assert_eq!(membership["incident"], opened.incident.to_string());
    assert_eq!(membership["member"], true);
    assert_eq!(membership["because"]["reason"], "alone");
    assert_eq!(membership["by"]["name"], "topology");
    let alert = format!("/api/v1/alerts/{}", opened.alert);
    let alert = bench.get(Role::Viewer, &alert).await.expect(200);
    assert_eq!(alert["incidents"], json!([opened.incident.to_string()]));
}

#[tokio::test]
async fn an_alert_is_explained_through_all_of_its_incidents() {
    let bench = Bench::open().await;
    let first = bench.open_incident("checkout").await;
    let second = bench.open_incident("cart").await;
    bench.merge(first.incident, second.incident).await;
    let path = format!("/api/v1/alerts/{}/explanation", second.alert);
    let explained = bench.get(Role::Viewer, &path).await.expect(200);
    let memberships: Vec<_> = explained["incidents"]
        .as_array()
        .expect("incidents")
        .iter()
        .map(|m| {
            let id = m["incident"].as_str().expect("an id").to_owned();
            let reason = m["because"]["reason"]
                .as_str()
                .expect("a reason")
                .to_owned();
            (id, m["member"] == true, reason)
        })
        .collect();
    let was = (second.incident.to_string(), false, "alone".to_owned());
    let is = (first.incident.to_string(), true, "alone".to_owned());
    assert_eq!(memberships, [was, is]);
    let path = format!("/api/v1/incidents/{}", second.incident);
    let merged = bench.get(Role::Viewer, &path).await.expect(200);
    assert_eq!(merged["phase"], "merged");
    assert_eq!(merged["merged_into"], first.incident.to_string());
}

#[tokio::test]
async fn samples_are_shown_in_as_many_points_as_are_asked_for() {
    let bench = Bench::open().await;
    bench.measure(3, &[1.0, 5.0, 3.0, 8.0]).await;
    let listed = bench
        .walk(Role::Viewer, "/api/v1/series?name=queue", 1)
        .await;
    assert_eq!(listed[0]["entity"], "service/checkout");
    let series = bench
        .get(Role::Viewer, "/api/v1/series/3")
        .await
        .expect(200);
    assert_eq!(series, listed[0]);
    let samples = async |query: &str| {
        let path = format!("/api/v1/series/3/samples{query}");
        bench.get(Role::Viewer, &path).await
    };
    let all = samples("").await.expect(200);
    assert_eq!((&all["samples"], &all["series"]), (&json!(4), &series));
    assert_eq!(all["to"], "1970-01-01T00:00:04Z");
    assert_eq!(all["points"][3]["value"], 8.0);
    let few = samples("?points=2").await.expect(200);
    let second = &few["points"][1];
    assert_eq!(
        (&second["min"], &second["max"], &second["count"]),
        (&json!(3.0), &json!(8.0), &json!(2))
    );
    let some = samples("?from=1970-01-01T00:00:02Z&to=1970-01-01T00:00:03Z")
        .await
        .expect(200);
    assert_eq!(some["samples"], 2);
    let none = samples("?from=2020-01-01T00:00:00Z").await.expect(200);
    assert_eq!(none["points"], json!([]));
    let backwards = samples("?from=1970-01-01T00:00:03Z&to=1970-01-01T00:00:02Z").await;
    backwards.problem_at("invalid", "query", "from");
}

#[tokio::test]
async fn payloads_are_shown_to_those_who_may_see_them() {
    let bench = Bench::open().await;
    bench.open_incident("checkout").await;
    let envelope = bench
        .get(Role::Operator, "/api/v1/envelopes/1")
        .await
        .expect(200);
    assert_eq!(envelope["format"], "alertmanager-alerts");
    assert_eq!(envelope["body"]["text"], "[]");
    bench
        .get(Role::Operator, "/api/v1/envelopes/2")
        .await
        .problem("not-found");
    let path = format!("/api/v1/envelopes/{}", u64::MAX);
    bench.get(Role::Operator, &path).await.problem("not-found");
    bench
        .get(Role::Operator, "/api/v1/envelopes/x")
        .await
        .problem("malformed");
}

#[tokio::test]
async fn the_status_says_how_it_fares() {
    let bench = Bench::open().await;
    bench.open_incident("checkout").await;
    bench.machinery.tell(|told| {
        told.stages = vec![StageStatus {
            name: "observe".to_owned(),
            position: Position(0),
            clock: at(0),
            reads_journal: true,
            fault: None,
        }];
    });
    let status = bench.get(Role::Viewer, "/api/v1/status").await.expect(200);
    assert_eq!(status["version"], "1.2.3");
    assert_eq!(status["scope"], "default");
    assert_eq!(status["ready"], true);
    assert_eq!(status["journal_position"], 1);
    assert_eq!(status["stages"][0]["lag_envelopes"], 1);
    assert_eq!(status["alerts"]["firing"], 1);
    assert_eq!(status["incidents"]["open"], 1);
    let before = bench
        .get(Role::Operator, "/api/v1/history/digest")
        .await
        .expect(200);
    bench.open_incident("cart").await;
    let after = bench
        .get(Role::Operator, "/api/v1/history/digest")
        .await
        .expect(200);
    assert_ne!(before, after);
    bench
        .machinery
        .tell(|told| told.unready = Some("the journal is full".to_owned()));
    let unready = bench.get(Role::Viewer, "/readyz").await;
    let problem = unready.problem("unavailable");
    assert_eq!(problem["detail"], "the journal is full");
    assert!(unready.headers.contains_key("retry-after"));
    let status = bench.get(Role::Viewer, "/api/v1/status").await.expect(200);
    assert_eq!(status["unready_reason"], "the journal is full");
}

#[tokio::test]
async fn what_is_not_there_is_said_not_to_be() {
    let bench = Bench::open().await;
    for path in [
        "/api/v1/incidents/0000",
        "/api/v1/incidents/0000/members",
        "/api/v1/incidents/0000/events",
        "/api/v1/alerts/0000/explanation",
        "/api/v1/series/7",
        "/api/v1/series/7/samples",
        "/api/v1/commands/7",
        "/api/v1/plugins/acme%2Ftest",
        "/api/v1/plugins/sha256:0000",
        "/api/v1/instances/some",
        "/api/v1/instances/some/grants",
        "/api/v1/instances/some/grants/state",
        "/api/v1/nothing",
        "/api/v1",
        "/",
        &format!("/api/v1/changes/chg_{}", "0".repeat(32)),
        &format!("/api/v1/{}", encoded(&"long".repeat(1_000))),
    ] {
        let answer = bench.get(Role::Admin, path).await;
        answer.problem("not-found");
        assert_eq!(answer.status, 404);
    }
    for path in [
        "/api/v1/series/x",
        "/api/v1/commands/-1",
        "/api/v1/instances/Some%20Name",
    ] {
        bench.get(Role::Admin, path).await.problem("malformed");
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_refused_with_those_that_it_does() {
    let bench = Bench::open().await;
    for (method, path, allowed) in [
        (Method::POST, "/api/v1/incidents", "GET"),
        (Method::DELETE, "/api/v1/plugins", "GET, POST"),
        (
            Method::PATCH,
            "/api/v1/instances/some/grants/state",
            "DELETE, GET, PUT",
        ),
        (Method::GET, "/api/v1/instances/some/enable", "POST"),
        (Method::OPTIONS, "/healthz", "GET"),
    ] {
        // Whoever asks: it says nothing that the description does not.
        let request = Request::builder().method(method).uri(path);
        let answer = bench
            .send(request.body(Body::empty()).expect("a request"))
            .await;
        answer.problem("method-not-allowed");
        assert_eq!(answer.headers["allow"], allowed, "{path}");
    }
    let head = bench
        .bare(Method::HEAD, Role::Viewer, "/api/v1/status")
        .await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
}

#[tokio::test]
async fn answers_are_no_more_than_they_are() {
    let bench = Bench::open().await;
    for path in ["/api/v1/status", "/api/v1/nothing", "/healthz"] {
        let answer = bench.get(Role::Viewer, path).await;
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
}
