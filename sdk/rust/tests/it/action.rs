//! Actions: from plan to rollback, and no further than the plan.

use faultline_sdk::http::{self, Request, Response};
use faultline_sdk::testkit::{ActionBench, FakeHost};
use faultline_sdk::{
    Action, Effect, Entity, Fault, Health, Operation, OperationRequest, Outcome, Planned, Risk,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    address: String,
}

#[derive(Debug, Deserialize)]
struct Parameters {
    replicas: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Token {
    url: String,
    before: u32,
    after: u32,
}

struct Scale;

impl Action for Scale {
    type Config = Config;
    type Token = Token;
    type Undo = Token;

    fn operations() -> Vec<Operation> {
        vec![Operation::new(
            "scale",
            "Change the number of replicas",
            Risk::Low,
        )]
    }

    fn plan(config: &Config, request: &OperationRequest) -> Result<Planned<Token>, Fault> {
        let Parameters { replicas } = request.parameters()?;
        let target = request
            .targets
            .first()
            .ok_or_else(|| Fault::malformed("`targets`: which service?"))?;
        let url = format!("{}/{}", config.address, target.name);
        let before = http::send(Request::get(url.clone()))?.ok()?.json()?;
        let what = format!("sets {target} from {before} to {replicas} replicas");
        let effect = Effect::new(what.clone(), target.clone(), "PUT", url.clone());
        let token = Token {
            url,
            before,
            after: replicas,
        };
        Ok(Planned::new(what, token)
            .with_effect(effect)
            .with_undo(format!("sets it back to {before}")))
    }

    fn execute(_config: &Config, token: &Token, key: &str) -> Result<Outcome<Token>, Fault> {
        put(&token.url, token.after, key)?;
        if key == "twice" {
            put("https://elsewhere.example/", 0, key)?;
        }
        Ok(Outcome::new("done").with_undo(Token {
            url: token.url.clone(),
            before: token.after,
            after: token.before,
        }))
    }

    fn verify(_config: &Config, token: &Token) -> Result<Health, Fault> {
        let now: u32 = http::send(Request::get(token.url.clone()))?.ok()?.json()?;
        Ok(if now == token.after {
            Health::Healthy(format!("{now} replicas"))
        } else {
            Health::NotYet(1_000)
        })
    }

    fn rollback(_config: &Config, undo: &Token, key: &str) -> Result<Outcome<Token>, Fault> {
        put(&undo.url, undo.after, key)?;
        Ok(Outcome::new("undone"))
    }
}

fn put(url: &str, replicas: u32, key: &str) -> Result<(), Fault> {
    let request = Request::new("PUT", url)
        .with_header("idempotency-key", key)
        .with_json(&replicas)?;
    http::send(request)?.ok().map(drop)
}

/// Holds one number, which is got and put.
fn host() -> FakeHost {
    let mut replicas = b"2".to_vec();
    FakeHost::new()
        .with_config(&json!({"address": "https://x.example"}))
        .with_http(move |request| {
            if request.method == "PUT" {
                replicas.clone_from(&request.body);
            }
            Ok(Response::new(200, replicas.clone()))
        })
}

fn request(parameters: &str) -> OperationRequest {
    OperationRequest {
        operation: "scale".to_owned(),
        parameters: parameters.to_owned(),
        incident: "i1".to_owned(),
        targets: vec![Entity::new("service", "web")],
    }
}

#[test]
fn from_plan_to_rollback() {
    assert!(Scale::operations()[0].reversible);
    let bench = ActionBench::<Scale>::new(host());
    let plan = bench.plan(&request(r#"{"replicas": 5}"#)).expect("a plan");
    assert_eq!(plan.summary, "sets service/web from 2 to 5 replicas");
    assert_eq!(plan.effects.len(), 1);
    assert_eq!(bench.verify(&plan), Ok(Health::NotYet(1_000)));
    let outcome = bench.execute(&plan, "once").expect("it is done");
    assert_eq!(
        bench.verify(&plan),
        Ok(Health::Healthy("5 replicas".to_owned()))
    );
    let undone = bench.rollback(&outcome, "back").expect("it is undone");
    assert_eq!(undone.summary, "undone");
    let bodies: Vec<Vec<u8>> = bench
        .host()
        .requests()
        .into_iter()
        .filter(|request| request.method == "PUT")
        .map(|request| request.body)
        .collect();
    assert_eq!(bodies, [b"5", b"2"]);
}

#[test]
fn bad_parameters_are_named() {
    let bench = ActionBench::<Scale>::new(host());
    let fault = bench.plan(&request(r#"{"replicas": -1}"#)).expect_err("-1");
    assert!(
        fault.message.starts_with("the parameters: `replicas`: "),
        "{}",
        fault.message
    );
}

#[test]
#[should_panic(expected = "which the plan had not declared")]
fn more_than_the_plan_is_noticed() {
    let bench = ActionBench::<Scale>::new(host());
    let plan = bench.plan(&request(r#"{"replicas": 5}"#)).expect("a plan");
    drop(bench.execute(&plan, "twice"));
}
