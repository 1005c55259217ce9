//! Instances, and what they are allowed.

use std::time::Duration;

use axum::http::Method;
use faultline_api::{ApiLimits, InstanceState, InstanceStatus, Reason, SupervisionStatus, Usage};
use faultline_domain::access::Role;
use faultline_domain::id::{Digest, InstanceName};
use faultline_domain::plugin::Limits;
use faultline_domain::poll::{PollFault, PollState};
use faultline_domain::supervision::{Failed, SupervisionPolicy, Supervisor};
use serde_json::{Value, json};

use crate::plugins::{body, files};
use crate::{Answer, Bench, NOW, at, empty};

const INSTANCES: &str = "/api/v1/instances";
const POLL: &str = "/api/v1/instances/poll";

impl Bench {
    async fn create(&self, body: &Value) -> Answer {
        self.with_json(Method::POST, Role::Operator, INSTANCES, body)
            .await
    }

    async fn put(&self, path: &str, body: &Value) -> Answer {
        self.with_json(Method::PUT, Role::Operator, path, body)
            .await
    }

    async fn post(&self, path: &str) -> Answer {
        self.bare(Method::POST, Role::Operator, path).await
    }

    fn plugins_changed(&self) -> u32 {
        self.machinery.tell(|told| told.plugins_changed)
    }

    fn fares(&self, state: InstanceState) {
        self.machinery.tell(|told| {
            told.instances = vec![InstanceStatus {
                name: InstanceName::new("poll").expect("a name"),
                state,
                reason: None,
                usage: Usage::default(),
                supervision: SupervisionStatus::default(),
            }];
        });
    }

    /// With the plugin installed, and an instance of its connector.
    async fn with_poll() -> Self {
        let bench = Self::open().await;
        bench.install_version("1.0.0").await;
        let created = bench.create(&poll()).await;
        created.expect(201);
        bench
    }
}

fn poll() -> Value {
    json!({"name": "poll", "plugin": "acme/test", "component": "poll"})
}

#[tokio::test]
async fn an_instance_is_made_and_shown() {
    let bench = Bench::open().await;
    let digest = bench.install_version("1.0.0").await;
    let mut asked = poll();
    asked["config"] = json!({"threshold": 5});
    asked["settings"] = json!({"resolve_timeout": 300, "limits": {"memory_bytes": 1_u64 << 50}});
    let created = bench.create(&asked).await.expect(201);
    assert_eq!(created["kind"], "connector");
    assert_eq!(created["bundle"], digest);
    assert_eq!(created["state"], "compiling");
    assert_eq!(created["config"], json!({"threshold": 5}));
    let ceiling = Limits::default_ceiling().memory_bytes;
    assert_eq!(created["limits"]["memory_bytes"], ceiling);
    assert_eq!(created["capabilities"][0]["id"], "state");
    assert_eq!(created["capabilities"][0]["grant"], Value::Null);
    assert_eq!(bench.get(Role::Viewer, POLL).await.expect(200), created);
    let candidate = bench.machinery.tell(|told| told.candidates.remove(0));
    assert_eq!(candidate.config, json!({"threshold": 5}));
    assert_eq!(candidate.limits.memory_bytes, ceiling);
    assert_eq!(candidate.bundle.digest().to_string(), digest);

    bench.fares(InstanceState::PendingGrant);
    let listed = bench.walk(Role::Viewer, INSTANCES, 1).await;
    assert_eq!(listed[0]["state"], "pending-grant");
    assert_eq!(listed[0]["version"], "1.0.0");
    let plugin = bench
        .get(Role::Viewer, "/api/v1/plugins/acme%2Ftest")
        .await
        .expect(200);
    assert_eq!(plugin["instances"], json!(["poll"]));

    let again = bench.create(&asked).await;
    let problem = again.problem("conflict");
    assert_eq!(problem["detail"], "instance `poll` exists already");
    assert_eq!(bench.actions().await, ["plugin.install", "instance.create"]);
    assert_eq!(bench.plugins_changed(), 2);
}

#[tokio::test]
async fn what_could_not_run_is_not_made() {
    let bench = Bench::open().await;
    bench.install_version("1.0.0").await;
    for (change, field) in [
        (json!({"name": "Not A Name"}), "name"),
        (json!({"plugin": "acme/other"}), "plugin"),
        (json!({"plugin": "acme/test@9.0.0"}), "plugin"),
        (json!({"component": "nothing"}), "component"),
        (json!({"component": null}), "component"),
        (json!({"config": {"threshold": -1}}), "config.threshold"),
        (json!({"config": {"thresold": 1}}), "config"),
        (
            json!({"settings": {"resolve_timeout": 0}}),
            "settings.resolve_timeout",
        ),
        (
            json!({"settings": {"limits": {"items": 0}}}),
            "settings.limits.items",
        ),
        (
            json!({"component": "think", "settings": {"family": "x"}}),
            "settings.family",
        ),
    ] {
        let mut asked = poll();
        for (key, value) in change.as_object().expect("an object") {
            asked[key] = value.clone();
        }
        bench
            .create(&asked)
            .await
            .problem_at("invalid", "body", field);
    }
    for (change, field) in [
        (
            json!({"settings": {"limits": {"memori_bytes": 1}}}),
            "settings.limits.memori_bytes",
        ),
        (json!({"config": [1]}), "config"),
        (json!({"settings": []}), "settings"),
        (json!({"settings": {"limits": [7]}}), "settings.limits"),
        (json!({"enabled": "yes"}), "enabled"),
    ] {
        let mut asked = poll();
        for (key, value) in change.as_object().expect("an object") {
            asked[key] = value.clone();
        }
        bench
            .create(&asked)
            .await
            .problem_at("malformed", "body", field);
    }
    bench
        .machinery
        .tell(|told| told.objections = vec![reason("import", "imports a clock")]);
    let problem = bench.create(&poll()).await.problem("invalid");
    let detail = problem["detail"].as_str().expect("a detail");
    assert_eq!(detail, "poll could not run so: import: imports a clock");
    bench.machinery.tell(|told| {
        told.uncompilable = Some(reason("limit.compile-time", "took too long"));
    });
    let problem = bench.create(&poll()).await.problem("invalid");
    let detail = problem["detail"].as_str().expect("a detail");
    assert_eq!(
        detail,
        "poll could not run so: limit.compile-time: took too long"
    );
    assert_eq!(
        bench.actions().await,
        ["plugin.install", "instance.refused", "instance.refused"]
    );
    let rows = bench.walk(Role::Operator, "/api/v1/audit", 10).await;
    let row = rows.iter().find(|row| row["action"] == "instance.refused");
    let detail = row.expect("a row")["detail"].as_str().expect("a text");
    assert!(
        detail.contains(r#""codes":["limit.compile-time"]"#),
        "{detail}"
    );
    assert!(bench.walk(Role::Viewer, INSTANCES, 10).await.is_empty());
}

fn reason(code: &str, message: &str) -> Reason {
    Reason {
        code: code.to_owned(),
        message: message.to_owned(),
    }
}

#[tokio::test]
async fn an_instance_is_configured_set_and_switched() {
    let bench = Bench::with_poll().await;
    let config = format!("{POLL}/config");
    let put = bench
        .put(&config, &json!({"config": {"threshold": 7}}))
        .await
        .expect(200);
    assert_eq!(put["config"], json!({"threshold": 7}));
    let bad = bench
        .put(&config, &json!({"config": {"threshold": "x"}}))
        .await;
    bad.problem_at("invalid", "body", "config.threshold");
    let settings = format!("{POLL}/settings");
    let put = bench
        .put(&settings, &json!({"settings": {"family": "other"}}))
        .await
        .expect(200);
    assert_eq!(put["settings"]["family"], "other");
    assert_eq!(put["config"], json!({"threshold": 7}));
    let bad = bench
        .put(&settings, &json!({"settings": {"family": ""}}))
        .await;
    bad.problem_at("invalid", "body", "settings.family");

    let (enable, disable) = (format!("{POLL}/enable"), format!("{POLL}/disable"));
    assert_eq!(bench.post(&disable).await.expect(200)["enabled"], false);
    assert_eq!(bench.post(&disable).await.expect(200)["state"], "disabled");
    assert_eq!(bench.post(&enable).await.expect(200)["enabled"], true);
    assert_eq!(bench.post(&enable).await.expect(200)["enabled"], true);
    assert_eq!(
        bench.actions().await[2..],
        [
            "instance.config",
            "instance.settings",
            "instance.disable",
            "instance.enable"
        ]
    );
    assert_eq!(bench.plugins_changed(), 6);
    for path in [&enable, &disable, &config, &settings] {
        let path = path.replace("poll", "other");
        let method = if path.ends_with("able") {
            Method::POST
        } else {
            Method::PUT
        };
        let body = json!({"config": {}});
        let answer = match method {
            Method::POST => bench.post(&path).await,
            _ if path.ends_with("config") => bench.put(&path, &body).await,
            _ => bench.put(&path, &json!({"settings": {}})).await,
        };
        answer.problem("not-found");
    }
}

#[tokio::test]
async fn one_that_was_given_up_on_gets_another_chance() {
    let bench = Bench::with_poll().await;
    let enable = format!("{POLL}/enable");
    for state in [InstanceState::Running, InstanceState::PendingGrant] {
        bench.fares(state);
        bench.post(&enable).await.expect(200);
    }
    assert_eq!(bench.plugins_changed(), 2);
    bench.fares(InstanceState::Failed);
    assert_eq!(bench.post(&enable).await.expect(200)["enabled"], true);
    assert_eq!(bench.plugins_changed(), 4);
    assert_eq!(
        bench.actions().await[2..],
        ["instance.disable", "instance.enable"]
    );
}

#[tokio::test]
async fn one_that_is_not_called_any_more_is_resumed_through_the_journal() {
    let limits = ApiLimits {
        command_wait_max: Duration::ZERO,
        ..ApiLimits::default()
    };
    let bench = Bench::with(limits).await;
    bench.install_version("1.0.0").await;
    bench.create(&poll()).await.expect(201);
    let resume = format!("{POLL}/resume");
    let act = bench.post(&resume).await.expect(202);
    assert_eq!(
        (&act["command"], &act["instance"]),
        (&json!("resume"), &json!("poll"))
    );
    assert_eq!(act["outcome"], "pending");
    // To be configured otherwise, or enabled, is another chance, too.
    bench.fares(InstanceState::Quarantined);
    bench.post(&format!("{POLL}/enable")).await.expect(200);
    bench
        .put(&format!("{POLL}/config"), &json!({"config": {}}))
        .await
        .expect(200);
    bench.fares(InstanceState::Running);
    bench
        .put(&format!("{POLL}/config"), &json!({"config": {}}))
        .await
        .expect(200);
    let actions = bench.actions().await;
    let resumed = actions
        .iter()
        .filter(|action| action.starts_with("instance.resume "));
    // An intent and an outcome each.
    assert_eq!(resumed.count(), 6, "{actions:?}");
    bench
        .post("/api/v1/instances/nobody/resume")
        .await
        .problem("not-found");
}

#[tokio::test]
async fn capabilities_are_granted_and_taken_back() {
    let bench = Bench::with_poll().await;
    let path = format!("{POLL}/grants/state");
    let put = async |path: &str, body: &Value| {
        bench.with_json(Method::PUT, Role::Admin, path, body).await
    };
    bench.get(Role::Viewer, &path).await.problem("not-found");
    for reason in ["", "  ", &"x".repeat(501)] {
        let refused = put(&path, &json!({ "reason": reason })).await;
        refused.problem_at("invalid", "body", "reason");
    }
    let granted = put(&path, &json!({"reason": "it polls"})).await.expect(200);
    assert_eq!(granted["by"], "token:admin");
    assert_eq!(bench.get(Role::Viewer, &path).await.expect(200), granted);
    let listed = bench.walk(Role::Viewer, &format!("{POLL}/grants"), 1).await;
    assert_eq!(listed, std::slice::from_ref(&granted));
    let shown = bench.get(Role::Viewer, POLL).await.expect(200);
    assert_eq!(shown["capabilities"][0]["grant"], granted);

    let other = put(&format!("{POLL}/grants/net"), &json!({"reason": "x"})).await;
    let problem = other.problem("not-found");
    assert_eq!(
        problem["detail"],
        "poll does not ask for `net`: it asks for state"
    );
    put(&path.replace("poll", "other"), &json!({"reason": "x"}))
        .await
        .problem("not-found");

    bench
        .bare(Method::DELETE, Role::Admin, &path)
        .await
        .expect(204);
    bench
        .bare(Method::DELETE, Role::Admin, &path)
        .await
        .problem("not-found");
    assert!(
        bench
            .walk(Role::Viewer, &format!("{POLL}/grants"), 1)
            .await
            .is_empty()
    );
    assert_eq!(
        bench.actions().await[2..],
        ["plugin.grant", "plugin.revoke"]
    );
    let rows = bench.audit().await;
    assert_eq!(rows[2].entry.subject, "instance:poll");
    assert!(
        rows[2].entry.detail.contains("it polls"),
        "{}",
        rows[2].entry.detail
    );
    assert_eq!(bench.plugins_changed(), 4);
}

#[tokio::test]
async fn what_cannot_be_enforced_cannot_be_granted() {
    let bench = Bench::open().await;
    let mut files = files("1.0.0");
    let manifest = String::from_utf8(files["plugin.toml"].clone()).expect("text");
    let manifest = manifest.replace(r#"use = "kv""#, r#"use = "folder""#);
    files.insert("plugin.toml".to_owned(), manifest.into_bytes());
    let sent = body(&files);
    let installed = bench
        .with_json(Method::POST, Role::Operator, "/api/v1/plugins", &sent)
        .await
        .expect(201);
    assert_eq!(
        installed["components"][0]["capabilities"][0]["enforced"],
        false
    );
    bench.create(&poll()).await.expect(201);
    let path = format!("{POLL}/grants/state");
    let refused = bench
        .with_json(Method::PUT, Role::Admin, &path, &json!({"reason": "x"}))
        .await;
    let problem = refused.problem("conflict");
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.contains("cannot enforce"), "{detail}");
}

#[tokio::test]
async fn an_upgrade_keeps_the_grants_that_mean_the_same() {
    let bench = Bench::with_poll().await;
    let grant = format!("{POLL}/grants/state");
    let granted = bench
        .with_json(Method::PUT, Role::Admin, &grant, &json!({"reason": "x"}))
        .await;
    granted.expect(200);
    bench.install_version("1.1.0").await;
    let upgrade = async |body: &Value| {
        let path = format!("{POLL}/upgrade");
        bench
            .with_json(Method::POST, Role::Operator, &path, body)
            .await
    };
    let upgraded = upgrade(&json!({})).await.expect(200);
    assert_eq!(upgraded["from_version"], "1.0.0");
    assert_eq!(upgraded["instance"]["version"], "1.1.0");
    assert_eq!(upgraded["capabilities_added"], json!([]));
    bench.get(Role::Viewer, &grant).await.expect(200);

    // Another meaning under the same name is another capability.
    let mut other = files("1.2.0");
    let manifest = String::from_utf8(other["plugin.toml"].clone()).expect("text");
    let manifest = manifest.replace(r#"use = "kv""#, r#"use = "folder""#);
    other.insert("plugin.toml".to_owned(), manifest.into_bytes());
    let sent = body(&other);
    let installed = bench
        .with_json(Method::POST, Role::Operator, "/api/v1/plugins", &sent)
        .await;
    installed.expect(201);
    let upgraded = upgrade(&json!({"plugin": "acme/test@1.2.0"}))
        .await
        .expect(200);
    assert_eq!(upgraded["capabilities_added"], json!(["state"]));
    assert_eq!(upgraded["capabilities_removed"], json!(["state"]));
    bench.get(Role::Viewer, &grant).await.problem("not-found");
    let actions = bench.actions().await;
    assert_eq!(
        actions[actions.len() - 2..],
        ["plugin.revoke", "instance.upgrade"]
    );

    // And back, by the digest.
    let first = bench
        .get(Role::Viewer, "/api/v1/plugins/acme%2Ftest@1.0.0")
        .await
        .expect(200);
    let back = json!({"plugin": first["digest"], "config": {"threshold": 1}});
    let upgraded = upgrade(&back).await.expect(200);
    assert_eq!(upgraded["instance"]["config"], json!({"threshold": 1}));
    let other_kind = upgrade(&json!({"component": "think"})).await;
    other_kind.problem_at("invalid", "body", "component");
    upgrade(&json!({"plugin": "acme/none"}))
        .await
        .problem_at("invalid", "body", "plugin");
}

#[tokio::test]
async fn configurations_stay_out_of_the_audit_log() {
    let bench = Bench::open().await;
    bench.install_version("1.0.0").await;
    let mut asked = poll();
    asked["config"] = json!({"password": "hunter2"});
    bench.create(&asked).await.expect(201);
    let put = json!({"config": {"password": "hunter3"}});
    bench.put(&format!("{POLL}/config"), &put).await.expect(200);
    let rows = format!("{:?}", bench.audit().await);
    assert!(
        rows.contains("config_digest_before") && !rows.contains("hunter"),
        "{rows}"
    );
}

#[tokio::test]
async fn where_a_poller_stands_is_shown_and_it_can_be_asked_at_once() {
    let bench = Bench::with_poll().await;
    let path = format!("{POLL}/poll");
    let shown = bench.get(Role::Viewer, POLL).await.expect(200);
    assert_eq!(shown["poll"], Value::Null, "it was never asked");
    let name = InstanceName::new("poll").expect("a name");
    let state = PollState {
        cursor: Some(vec![0; 70]),
        pages: 3,
        envelopes: 20,
        faults: 2,
        faults_in_a_row: 1,
        polled: Some(at(NOW - 10)),
        caught_up: Some(at(NOW - 90)),
        due: at(NOW + 50),
        last_fault: Some(PollFault {
            at: at(NOW - 10),
            code: "http.503".to_owned(),
            message: "not now".to_owned(),
        }),
        ..PollState::default()
    };
    let committed = bench
        .journal
        .poll_commit(&name, 0, &state, Vec::new())
        .await;
    committed.expect("commits");
    let asked = |from_start| json!({"from_start": from_start});
    let answer = bench
        .with_json(Method::POST, Role::Operator, &path, &asked(true))
        .await
        .expect(200);
    assert_eq!(answer["poll"]["interval_seconds"], 60);
    assert_eq!(answer["poll"]["lag_seconds"], 90.0);
    assert_eq!(answer["poll"]["cursor_bytes"], 70);
    assert_eq!(answer["poll"]["envelopes"], 20);
    assert_eq!(answer["poll"]["faults_in_a_row"], 1);
    assert_eq!(answer["poll"]["last_fault"]["code"], "http.503");
    assert!(answer["poll"]["next"].as_str() > answer["poll"]["last"].as_str());
    let polls = bench.machinery.tell(|told| std::mem::take(&mut told.polls));
    assert_eq!(polls, [(name.clone(), true)]);
    // One that is quarantined is not to be asked.
    let mut supervisor = Supervisor::new(Digest::of(b"a component"));
    let strict = SupervisionPolicy {
        failures_max: 1,
        ..SupervisionPolicy::default()
    };
    let failed = Failed {
        code: "trap",
        message: "trap: unreachable",
        input: None,
    };
    supervisor.failed(at(NOW - 10), &failed, 0, &strict);
    let state = PollState {
        supervisor: Some(supervisor),
        ..state
    };
    let committed = bench
        .journal
        .poll_commit(&name, 1, &state, Vec::new())
        .await;
    committed.expect("commits");
    let shown = bench.get(Role::Viewer, POLL).await.expect(200);
    assert_eq!(shown["poll"]["next"], Value::Null);
    let actions = bench.actions().await;
    assert_eq!(actions.last().map(String::as_str), Some("instance.poll"));

    bench
        .machinery
        .tell(|told| told.unpolled = Some("it does not poll".to_owned()));
    let problem = bench
        .with_json(Method::POST, Role::Operator, &path, &empty())
        .await
        .problem("conflict");
    assert_eq!(problem["detail"], "poll was not asked: it does not poll");
    let nobody = "/api/v1/instances/nobody/poll";
    bench
        .with_json(Method::POST, Role::Operator, nobody, &empty())
        .await
        .problem("not-found");
    bench
        .with_json(Method::POST, Role::Responder, &path, &empty())
        .await
        .problem("forbidden");
}

#[tokio::test]
async fn how_often_a_poller_is_asked_can_be_set() {
    let bench = Bench::with_poll().await;
    let path = format!("{POLL}/settings");
    let set = |seconds: u64| json!({"settings": {"poll_interval": seconds}});
    let answer = bench.put(&path, &set(5)).await.expect(200);
    assert_eq!(answer["settings"]["poll_interval"], 5);
    let answer = bench.put(&path, &set(0)).await;
    answer.problem_at("invalid", "body", "settings.poll_interval");
}
