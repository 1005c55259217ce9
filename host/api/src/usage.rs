//! What an instance did, out of rows of the audit log.

use std::collections::BTreeMap;

use faultline_domain::audit::{Row, Stage};
use faultline_domain::grant::Grant;
use faultline_domain::rule::{Host, Method, Rule};
use serde_json::Value;

use crate::views::{Done, Narrowed};

/// Rows that speak of one thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct What {
    action: String,
    capability: Option<String>,
    rule: Option<String>,
    to: Option<To>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct To {
    method: String,
    scheme: String,
    host: String,
    port: u16,
}

impl To {
    fn of(detail: &Value) -> Option<Self> {
        let text = |key: &str| detail.get(key)?.as_str().map(str::to_owned);
        Some(Self {
            method: text("method")?,
            scheme: text("scheme")?,
            host: text("host")?,
            port: u16::try_from(detail.get("port")?.as_u64()?).ok()?,
        })
    }
}

/// What the rows say that a plugin did, latest first; the rows are latest
/// first, too.
pub(crate) fn done(rows: &[Row]) -> Vec<Done> {
    let mut done: BTreeMap<What, Done> = BTreeMap::new();
    // By the number of the intent.
    let mut results: BTreeMap<u64, (&str, Value)> = BTreeMap::new();
    for row in rows.iter().filter(|row| is_by_plugin(row)) {
        let entry = &row.entry;
        let detail: Value = serde_json::from_str(&entry.detail).unwrap_or(Value::Null);
        let text = |key: &str| detail.get(key).and_then(Value::as_str).map(str::to_owned);
        let why = match &entry.stage {
            Stage::Outcome { intent, result } => {
                results.insert(*intent, (result, detail));
                continue;
            }
            Stage::Event => match text("denied") {
                Some(why) => Some(why),
                // A limit, or a trap: nothing that it did beyond itself.
                None => continue,
            },
            Stage::Intent => None,
        };
        let what = What {
            action: entry.action.clone(),
            capability: text("capability"),
            rule: text("rule"),
            to: To::of(&detail),
        };
        let known = done.entry(what.clone()).or_insert_with(|| Done {
            capability: what.capability,
            action: what.action,
            to: what.to.map(|to| {
                let To {
                    method,
                    scheme,
                    host,
                    port,
                } = to;
                format!("{method} {scheme}://{host}:{port}")
            }),
            rule: what.rule,
            times: 0,
            failed: 0,
            denied: 0,
            why: None,
            last: entry.at.into(),
        });
        if entry.stage == Stage::Event {
            known.denied += 1;
            known.why = known.why.take().or(why);
            continue;
        }
        known.times += 1;
        if let Some((result, detail)) = results.remove(&row.sequence)
            && result != "ok"
        {
            known.failed += 1;
            let said = detail.get("why").and_then(Value::as_str);
            known.why = known
                .why
                .take()
                .or_else(|| Some(said.unwrap_or(result).to_owned()));
        }
    }
    let mut done: Vec<Done> = done.into_values().collect();
    done.sort_by_key(|done| std::cmp::Reverse(done.last));
    done
}

fn is_by_plugin(row: &Row) -> bool {
    row.entry.actor.starts_with("plugin:")
}

/// For each grant with rules, the rules that would be enough for what the rows
/// say was sent with it. They allow no other methods, hosts and ports; paths
/// are not in the log, and stay as they are granted.
pub(crate) fn narrowed(rows: &[Row], grants: &[Grant]) -> Vec<Narrowed> {
    grants
        .iter()
        .filter(|grant| !grant.terms.rules.is_empty())
        .map(|grant| Narrowed {
            capability: grant.capability.clone(),
            granted: texts(&grant.terms.rules),
            enough: texts(&enough(rows, grant)),
        })
        .collect()
}

fn texts(rules: &[Rule]) -> Vec<String> {
    rules.iter().map(ToString::to_string).collect()
}

fn enough(rows: &[Row], grant: &Grant) -> Vec<Rule> {
    let mut enough: Vec<Rule> = Vec::new();
    let sent = rows
        .iter()
        .filter(|row| is_by_plugin(row) && row.entry.stage == Stage::Intent)
        .filter_map(|row| serde_json::from_str::<Value>(&row.entry.detail).ok())
        .filter(|detail| {
            detail.get("capability").and_then(Value::as_str) == Some(&*grant.capability)
        })
        .filter_map(|detail| {
            let rule: Rule = detail.get("rule")?.as_str()?.parse().ok()?;
            Some((rule, To::of(&detail)?))
        });
    for (rule, to) in sent {
        let host = match to.host.parse() {
            Ok(address) => Host::Address(address),
            Err(_) => Host::Name(to.host),
        };
        let narrow = Method::of(&to.method)
            .and_then(|method| rule.narrowed_to(method, &host, to.port))
            .filter(|narrow| {
                grant
                    .terms
                    .rules
                    .iter()
                    .any(|granted| granted.includes(narrow))
            });
        let Some(narrow) = narrow else {
            continue;
        };
        let mut others = enough.iter_mut();
        match others.find_map(|other| Some((other.joined_with(&narrow)?, other))) {
            Some((joined, other)) => *other = joined,
            None => enough.push(narrow),
        }
    }
    enough.sort();
    enough
}

#[cfg(test)]
mod tests {
    use faultline_domain::audit::{Entry, GENESIS};
    use faultline_domain::grant::{Asked, Use};
    use faultline_domain::time::Timestamp;
    use serde_json::json;

    use super::*;

    fn rows(entries: &[(Stage, Value)]) -> Vec<Row> {
        let mut head = (0, GENESIS);
        let mut rows: Vec<Row> = entries
            .iter()
            .map(|(stage, detail)| {
                let entry = Entry {
                    at: Timestamp::from_secs(head.0),
                    actor: "plugin:x@sha256:00".to_owned(),
                    action: "http.send".to_owned(),
                    subject: "instance:x".to_owned(),
                    stage: stage.clone(),
                    detail: detail.to_string(),
                };
                let row = Row::chain(head.0, head.1, entry);
                head = (row.sequence, row.hash);
                row
            })
            .collect();
        rows.reverse();
        rows
    }

    fn sent(method: &str, host: &str) -> (Stage, Value) {
        let detail = json!({
            "capability": "api", "rule": "* https://*.example.com/a/**", "method": method,
            "scheme": "https", "host": host, "port": 443,
        });
        (Stage::Intent, detail)
    }

    fn ended(intent: u64, result: &str) -> (Stage, Value) {
        let result = result.to_owned();
        (
            Stage::Outcome { intent, result },
            json!({"why": "it broke"}),
        )
    }

    #[test]
    fn what_was_done_is_counted_and_what_would_be_enough_is_said() {
        let rows = rows(&[
            sent("GET", "one.example.com"),
            ended(1, "ok"),
            sent("GET", "one.example.com"),
            ended(3, "unavailable"),
            sent("POST", "one.example.com"),
            sent("GET", "two.example.com"),
            (Stage::Event, json!({"denied": "no rule allows it"})),
        ]);
        let done = done(&rows);
        assert_eq!(done.len(), 4);
        assert_eq!((done[0].denied, done[0].times), (1, 0));
        let get = done.last().expect("four");
        assert_eq!((get.times, get.failed), (2, 1));
        assert_eq!(get.why.as_deref(), Some("it broke"));
        assert_eq!(get.to.as_deref(), Some("GET https://one.example.com:443"));

        let rules = vec!["* https://*.example.com/a/**".parse().expect("a rule")];
        let asked = Asked {
            using: Some(Use::Http),
            rules,
            attach: None,
        };
        let grant = Grant::whole("api", asked.clone(), "dana", Timestamp::ZERO, "");
        let unused = Grant::whole("other", asked, "dana", Timestamp::ZERO, "");
        let narrowed = narrowed(&rows, &[grant, unused]);
        let expected = [
            "GET,POST https://one.example.com/a/**",
            "GET https://two.example.com/a/**",
        ];
        let mut enough = narrowed[0].enough.clone();
        enough.sort_unstable();
        let mut expected = expected.map(str::to_owned);
        expected.sort_unstable();
        assert_eq!(enough, expected);
        assert!(narrowed[1].enough.is_empty());
    }
}
