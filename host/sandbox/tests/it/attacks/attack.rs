//! An attack, as its file has it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use faultline_domain::plugin::Limits;
use faultline_domain::rule::{Rule, RuleTemplate};
use serde::Deserialize;
use serde_json::Value;

use super::server::Answer;

/// What is granted unless an attack says otherwise.
const RULES: [&str; 1] = ["GET,HEAD,POST,PUT https://api.test/**"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    attack: Vec<Attack>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Attack {
    pub(super) name: String,
    /// Of the capability `api`.
    #[serde(default)]
    rules: Vec<RuleTemplate>,
    /// Of a second one, `other`.
    #[serde(default)]
    other: Vec<RuleTemplate>,
    /// Networks that were granted with `api`.
    #[serde(default)]
    pub(super) networks: Vec<ipnet::IpNet>,
    /// Networks that the operator denies.
    #[serde(default)]
    pub(super) deny: Vec<ipnet::IpNet>,
    /// What the operator allows at most.
    #[serde(default)]
    pub(super) ceiling: Option<Vec<Rule>>,
    /// Where the secret `token` goes.
    #[serde(default)]
    pub(super) attach: Option<Attached>,
    /// Capabilities that were not granted.
    #[serde(default)]
    pub(super) not_granted: Vec<String>,
    /// When the grants end, in seconds.
    #[serde(default)]
    pub(super) expires: Option<u64>,
    /// Whether the instance was revoked before.
    #[serde(default)]
    pub(super) revoked: bool,
    /// Whether it is done while decoding, and not while polling.
    #[serde(default)]
    pub(super) while_decoding: bool,
    /// How long it may take at most, in milliseconds.
    #[serde(default)]
    pub(super) within_ms: Option<u64>,
    /// Whether it may see the secret, for once.
    #[serde(default)]
    pub(super) sees_secret: bool,
    /// What each name resolves to, at the first look-up, at the second, and so
    /// on; the last stays.
    #[serde(default)]
    names: BTreeMap<String, Vec<Vec<String>>>,
    /// Limits that are not the usual ones.
    #[serde(default)]
    limits: BTreeMap<String, u64>,
    /// What the guest does.
    pub(super) errands: Vec<Value>,
    /// What the server answers, one after the other; then `ok`.
    #[serde(default)]
    pub(super) answers: Vec<Answer>,
    pub(super) expect: Expect,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Attached {
    #[serde(default = "api")]
    pub(super) to: String,
    pub(super) header: Option<String>,
    pub(super) format: Option<String>,
    pub(super) query: Option<String>,
}

fn api() -> String {
    "api".to_owned()
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub(super) answers: Vec<Expected>,
    /// Rows of the audit log: stage, action, and of outcomes the result.
    pub(super) rows: Vec<String>,
    /// Addresses that are connected to.
    #[serde(default)]
    pub(super) dialled: Vec<String>,
    /// What the server hears, and what it does not.
    #[serde(default)]
    pub(super) heard: Vec<String>,
    #[serde(default)]
    pub(super) not_heard: Vec<String>,
    /// What the rows say, and what they do not.
    #[serde(default)]
    pub(super) recorded: Vec<String>,
    #[serde(default)]
    pub(super) not_recorded: Vec<String>,
}

/// What the guest is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    /// Of a refusal.
    pub(super) code: Option<String>,
    /// A part of its message.
    #[serde(default)]
    pub(super) why: String,
    /// Of an answer: fields with their values.
    #[serde(default)]
    pub(super) is: BTreeMap<String, Value>,
    /// Texts that stand somewhere in it, and that do not.
    #[serde(default)]
    pub(super) has: Vec<String>,
    #[serde(default)]
    pub(super) has_not: Vec<String>,
}

impl Attack {
    /// All that the guest's instance is made of.
    pub(super) fn setting(&self) -> String {
        let grants = (&self.rules, &self.other, &self.networks, &self.not_granted);
        let operator = (&self.deny, &self.ceiling, &self.expires, &self.limits);
        format!("{grants:?} {:?} {operator:?}", self.attach)
    }

    /// Whether the instance is of no use afterwards.
    pub(super) fn is_revoked(&self) -> bool {
        let mut answers = self.answers.iter();
        self.revoked || answers.any(|answer| answer.meanwhile.is_some())
    }

    /// The capabilities `http`, and their rules.
    pub(super) fn capabilities(&self) -> Vec<(&'static str, Vec<RuleTemplate>)> {
        let mut capabilities = vec![("api", self.rules.clone())];
        if self.rules.is_empty() {
            let rules = RULES.iter().map(|rule| rule.parse().expect("a rule"));
            capabilities[0].1 = rules.collect();
        }
        if !self.other.is_empty() {
            capabilities.push(("other", self.other.clone()));
        }
        capabilities
    }

    /// What each name resolves to; names that tests use are of the open
    /// internet unless the attack says otherwise.
    pub(super) fn names(&self) -> BTreeMap<String, Vec<Vec<String>>> {
        let mut names = BTreeMap::new();
        for (name, address) in [
            ("api.test", "93.184.216.34"),
            ("other.test", "93.184.216.35"),
            ("evil.test", "93.184.216.66"),
        ] {
            names.insert(name.to_owned(), vec![vec![address.to_owned()]]);
        }
        names.extend(self.names.clone());
        names
    }

    pub(super) fn limits(&self, usual: Limits) -> Limits {
        let mut limits = usual;
        for (name, value) in &self.limits {
            let limit = match name.as_str() {
                "wall_per_call_ms" => {
                    limits.wall_per_call = Duration::from_millis(*value);
                    continue;
                }
                "http_requests" => &mut limits.http_requests,
                "http_sent_bytes" => &mut limits.http_sent_bytes,
                "http_received_bytes" => &mut limits.http_received_bytes,
                "http_body_bytes" => &mut limits.http_body_bytes,
                "http_bytes_per_minute" => &mut limits.http_bytes_per_minute,
                "http_connections" => &mut limits.http_connections,
                other => panic!("{}: no limit `{other}`", self.name),
            };
            *limit = *value;
        }
        limits
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/attacks")
}

/// The attacks of a file.
pub(super) fn read(file: &str) -> Vec<Attack> {
    let path = folder().join(format!("{file}.toml"));
    let text = std::fs::read_to_string(&path).expect("the file");
    let read: File =
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    read.attack
}

/// The names of all files, in order.
pub(super) fn files() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).expect("the folder");
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
        .collect();
    names.sort_unstable();
    names
}
