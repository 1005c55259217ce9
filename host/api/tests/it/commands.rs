//! Acts of people on incidents, there and back.

use axum::http::Method;
use faultline_api::{ApiLimits, StageStatus};
use faultline_domain::access::Role;
use faultline_domain::envelope::Position;
use faultline_store::CommandEnvelope;
use serde_json::Value;

use crate::{Bench, at, scope};

impl Bench {
    /// Asks for an act while the stages carry out whatever comes.
    async fn act(&self, path: &str) -> crate::Answer {
        let mut head = self.journal.head();
        head.mark_unchanged();
        let stages = async {
            head.changed().await.expect("a journal");
            let position = head.borrow_and_update().position;
            self.carry_out(position).await;
        };
        let (answer, ()) = tokio::join!(self.bare(Method::POST, Role::Responder, path), stages);
        answer
    }
}

#[tokio::test]
async fn an_act_is_carried_out_and_its_outcome_told() {
    let bench = Bench::open().await;
    let opened = bench.open_incident("checkout").await;
    let path = format!("/api/v1/incidents/{}", opened.incident);

    let acknowledged = bench.act(&format!("{path}/acknowledge")).await.expect(200);
    assert_eq!(acknowledged["outcome"], "done");
    assert_eq!(acknowledged["command"], "acknowledge");
    assert_eq!(acknowledged["by"], "token:responder");
    let incident = bench.get(Role::Viewer, &path).await.expect(200);
    assert_eq!(incident["phase"], "acknowledged");
    assert_eq!(incident["acknowledged"]["by"]["name"], "token:responder");

    let again = bench.act(&format!("{path}/acknowledge")).await;
    let problem = again.problem("conflict");
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(
        detail.contains("somebody looks after it already"),
        "{detail}"
    );

    bench.act(&format!("{path}/resolve")).await.expect(200);
    let incident = bench.get(Role::Viewer, &path).await.expect(200);
    assert_eq!(incident["resolved"]["how"], "declared");
    let events = bench
        .walk(Role::Viewer, &format!("{path}/events"), 50)
        .await;
    let kinds: Vec<&str> = events
        .iter()
        .filter_map(|event| event["kind"].as_str())
        .collect();
    assert_eq!(kinds[kinds.len() - 2..], ["acknowledged", "resolved"]);

    assert_eq!(
        bench.actions().await,
        [
            "incident.acknowledge intent",
            "incident.acknowledge ok",
            "incident.acknowledge intent",
            "incident.acknowledge refused",
            "incident.resolve intent",
            "incident.resolve ok",
        ]
    );
    let rows = bench.audit().await;
    assert!(
        rows.iter()
            .all(|row| row.entry.subject == opened.incident.to_string())
    );
    assert!(rows.iter().all(|row| row.entry.actor == "token:responder"));
    let detail: Value = serde_json::from_str(&rows[1].entry.detail).expect("JSON");
    assert_eq!(detail["position"], acknowledged["position"]);
    assert_eq!(detail["token"], "id-of-responder");
}

#[tokio::test]
async fn an_act_that_is_not_waited_for_can_be_looked_up() {
    let bench = Bench::open().await;
    let opened = bench.open_incident("checkout").await;
    let path = format!("/api/v1/incidents/{}/acknowledge?wait=0", opened.incident);
    let pending = bench
        .bare(Method::POST, Role::Responder, &path)
        .await
        .expect(202);
    assert_eq!(pending["outcome"], "pending");
    assert_eq!(pending["position"], 2);
    let look = async || {
        bench
            .get(Role::Viewer, "/api/v1/commands/2")
            .await
            .expect(200)
    };
    assert_eq!(look().await, pending);

    // It lies in the journal as the stages read it.
    let envelope = bench.store.envelope_fetch(&scope(), Position(2)).await;
    let body = envelope.expect("reads").expect("is there").arrival.body;
    let act = CommandEnvelope::parse(&body).expect("an act");
    assert_eq!(act.person, "token:responder");

    bench.machinery.tell(|told| {
        told.stages = vec![StageStatus {
            name: "correlate".to_owned(),
            position: Position(1),
            clock: at(1),
            reads_journal: false,
            fault: Some("the disk is full".to_owned()),
        }];
    });
    let stuck = look().await;
    let detail = stuck["detail"].as_str().expect("a detail");
    assert!(
        detail.contains("correlate does not go on: the disk is full"),
        "{detail}"
    );

    bench.carry_out(Position(2)).await;
    let done = look().await;
    assert_eq!(
        (done["outcome"].as_str(), &done["detail"]),
        (Some("done"), &Value::Null)
    );
    assert_eq!(
        bench.actions().await,
        [
            "incident.acknowledge intent",
            "incident.acknowledge pending"
        ]
    );
    // What carries no act is none.
    bench
        .get(Role::Viewer, "/api/v1/commands/1")
        .await
        .problem("not-found");
}

#[tokio::test]
async fn a_refused_act_says_why_when_it_is_looked_up() {
    let bench = Bench::open().await;
    let opened = bench.open_incident("checkout").await;
    for (verb, position) in [("resolve", 2), ("acknowledge", 3)] {
        let path = format!("/api/v1/incidents/{}/{verb}?wait=0", opened.incident);
        bench
            .bare(Method::POST, Role::Responder, &path)
            .await
            .expect(202);
        bench.carry_out(Position(position)).await;
    }
    let refused = bench
        .get(Role::Viewer, "/api/v1/commands/3")
        .await
        .expect(200);
    assert_eq!(refused["outcome"], "refused");
    let detail = refused["detail"].as_str().expect("a detail");
    assert!(detail.contains("the incident is resolved"), "{detail}");
}

#[tokio::test]
async fn nobody_waits_longer_than_the_limit() {
    let bench = Bench::with(ApiLimits {
        command_wait_max: std::time::Duration::from_millis(1),
        ..ApiLimits::default()
    })
    .await;
    let opened = bench.open_incident("checkout").await;
    let path = format!("/api/v1/incidents/{}/acknowledge", opened.incident);
    bench
        .bare(Method::POST, Role::Responder, &path)
        .await
        .expect(202);
    let path = format!("{path}?wait=1");
    let refused = bench.bare(Method::POST, Role::Responder, &path).await;
    refused.problem_at("malformed", "query", "wait");
    // A stop is not waited out either.
    let bench = Bench::open().await;
    let opened = bench.open_incident("checkout").await;
    bench.stop();
    let path = format!("/api/v1/incidents/{}/acknowledge", opened.incident);
    bench
        .bare(Method::POST, Role::Responder, &path)
        .await
        .expect(202);
}

#[tokio::test]
async fn an_act_on_what_is_not_there_leaves_no_trace() {
    let bench = Bench::open().await;
    for verb in ["acknowledge", "resolve"] {
        let path = format!("/api/v1/incidents/0000/{verb}");
        let answer = bench.bare(Method::POST, Role::Responder, &path).await;
        answer.problem("not-found");
    }
    assert!(bench.actions().await.is_empty());
    let head = bench.store.journal_head(&scope()).await.expect("reads");
    assert_eq!(head.position, Position::START);
}
