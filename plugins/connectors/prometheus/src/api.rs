//! The parts of Prometheus' HTTP API that are used (Prometheus documentation,
//! "HTTP API": "Alerts", "Rules", "Format overview").
//!
//! Only what is used is named; unknown fields are passed over.

use std::collections::BTreeMap;

use faultline_sdk::http::{self, Request, Response};
use faultline_sdk::{Fault, json};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Config;

/// What every answer looks like.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an answer of Prometheus' API")]
struct Answer {
    status: Status,
    #[serde(default)]
    data: Value,
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Success,
    Error,
}

/// `data` of `/api/v1/alerts`: the alerts that are active, each unread yet.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "`data` of /api/v1/alerts")]
pub(crate) struct Alerts {
    pub(crate) alerts: Vec<Value>,
}

/// One of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an alert")]
pub(crate) struct ActiveAlert {
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
    /// `pending` or `firing`.
    pub(crate) state: String,
    /// RFC 3339: since when its expression holds.
    #[serde(default)]
    pub(crate) active_at: String,
}

/// The state of alerts that fire.
pub(crate) const FIRING: &str = "firing";

/// `data` of `/api/v1/rules`.
#[derive(Debug, Deserialize)]
#[serde(expecting = "`data` of /api/v1/rules")]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "a group of rules")]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "a rule")]
struct Rule {
    name: String,
    /// `ok`, `err`, or `unknown` before its first evaluation.
    #[serde(default)]
    health: String,
}

/// The alerts that are active now.
///
/// # Errors
/// If the server does not answer, or not with alerts.
pub(crate) fn alerts(config: &Config) -> Result<Alerts, Fault> {
    let response = http::send(request(config, config.endpoint("alerts")))?;
    let alerts = data(response).map_err(|fault| fault.at("/api/v1/alerts"))?;
    Ok(alerts)
}

/// What is known of the rules that alerts come from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Evaluations {
    /// Whether each rule was evaluated since the server has begun; by name. If
    /// one of several rules of a name was not, the name was not.
    Of(BTreeMap<String, bool>),
    /// The server does not say, and will not: we may not ask, or it has no such
    /// endpoint.
    Unknowable,
}

/// Which rules were evaluated.
///
/// # Errors
/// If the server does not answer at the moment.
pub(crate) fn evaluations(config: &Config) -> Result<Evaluations, Fault> {
    let url = format!("{}?type=alert", config.endpoint("rules"));
    let response = match http::send(request(config, url)) {
        Ok(response) => response,
        Err(fault) if fault.code == "denied" => return Ok(Evaluations::Unknowable),
        Err(fault) => return Err(fault),
    };
    if matches!(response.status, 401 | 403 | 404 | 405) {
        return Ok(Evaluations::Unknowable);
    }
    let rules: Rules = data(response).map_err(|fault| fault.at("/api/v1/rules"))?;
    let mut evaluated = BTreeMap::new();
    for rule in rules.groups.into_iter().flat_map(|group| group.rules) {
        let all = evaluated.entry(rule.name).or_insert(true);
        *all &= rule.health != "unknown";
    }
    Ok(Evaluations::Of(evaluated))
}

fn request(config: &Config, url: String) -> Request {
    let request = Request::get(url).with_header("accept", "application/json");
    match config.authorization.secret() {
        Some(secret) => request.with_secret(secret),
        None => request,
    }
}

fn data<T: DeserializeOwned>(response: Response) -> Result<T, Fault> {
    // An error comes with a status that says so, and with a reason in the body.
    let reason = response.json::<Answer>();
    let answer = match (response.ok(), reason) {
        (Ok(_), answer) => answer?,
        (Err(fault), Ok(Answer { error, .. })) if !error.is_empty() => return Err(fault.at(error)),
        (Err(fault), _) => return Err(fault),
    };
    if answer.status == Status::Error {
        let Answer {
            error_type, error, ..
        } = answer;
        return Err(Fault::new("prometheus", format!("{error_type}: {error}")).retry_later());
    }
    json::from_value(&answer.data)
}
