//! What an operator can set, and the rules that are built in. The schema
//! beside the manifest says the same.

use faultline_sdk::Severity;
use serde::Deserialize;

/// The configuration of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// What becomes of events, by their type; the first that matches counts.
    pub rules: Vec<Rule>,
    /// What becomes of events that no rule matches.
    pub unmatched: Unmatched,
}

/// What becomes of events of some types.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rule {
    /// The whole type or its first segments.
    pub r#type: String,
    /// What the event is.
    pub r#as: Meaning,
    /// The kind of change, unless the data says one.
    #[serde(default = "Rule::kind_default")]
    pub kind: String,
    /// The severity of alerts, unless the data says one.
    #[serde(default = "Rule::severity_default")]
    pub severity: Severity,
    /// What sort of entity the attribute `subject` names.
    #[serde(default)]
    pub subject_kind: Option<String>,
    /// How the data is read.
    #[serde(default)]
    pub data: Shape,
}

/// What an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Meaning {
    /// A change.
    Change,
    /// An alert that fires, unless the data says otherwise.
    Alert,
    /// The end of an alert.
    Resolved,
    /// A ticket.
    Ticket,
    /// Nothing.
    Ignore,
}

/// How the data of an event is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// As the README describes it.
    #[default]
    Plain,
    /// As CDEvents define it.
    Cdevents,
    /// Not at all.
    Ignore,
}

/// What becomes of events that no rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unmatched {
    /// They are rejected, and so they are seen.
    #[default]
    Reject,
    /// They are passed over.
    Ignore,
}

impl Config {
    /// The rule for a type: the operator's, or else a built-in one.
    pub(crate) fn rule_for(&self, r#type: &str) -> Option<Rule> {
        let own = self.rules.iter().find(|rule| rule.matches(r#type));
        own.cloned()
            .or_else(|| built_in().into_iter().find(|rule| rule.matches(r#type)))
    }
}

impl Rule {
    fn new(r#type: &str, r#as: Meaning, data: Shape) -> Self {
        Self {
            r#type: r#type.to_owned(),
            r#as,
            kind: Self::kind_default(),
            severity: Self::severity_default(),
            subject_kind: None,
            data,
        }
    }

    fn kind_default() -> String {
        "deployment".to_owned()
    }

    fn severity_default() -> Severity {
        Severity::Warning
    }

    fn matches(&self, r#type: &str) -> bool {
        let segments = self.r#type.trim_end_matches('.');
        r#type
            .strip_prefix(segments)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// In this order: the last one says that what CDEvents report besides (runs of
/// pipelines, tests, builds) is none of our business.
fn built_in() -> Vec<Rule> {
    use Meaning::{Alert, Change, Ignore, Resolved, Ticket};
    use Shape::{Cdevents, Plain};
    vec![
        Rule::new("dev.faultline.change", Change, Plain),
        Rule::new("dev.faultline.alert", Alert, Plain),
        Rule::new("dev.faultline.ticket", Ticket, Plain),
        Rule::new("dev.cdevents.service", Change, Cdevents),
        Rule {
            kind: "infrastructure".to_owned(),
            ..Rule::new("dev.cdevents.environment", Change, Cdevents)
        },
        Rule::new("dev.cdevents.incident.resolved", Resolved, Cdevents),
        Rule {
            severity: Severity::High,
            ..Rule::new("dev.cdevents.incident", Alert, Cdevents)
        },
        Rule::new("dev.cdevents.ticket", Ticket, Cdevents),
        Rule::new("dev.cdevents", Ignore, Shape::Ignore),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(prefix: &str, r#type: &str, expected: bool) {
        let rule = Rule::new(prefix, Meaning::Ignore, Shape::Ignore);
        assert_eq!(rule.matches(r#type), expected, "{prefix} {type}");
    }

    #[test]
    fn prefixes_end_with_a_segment() {
        check("com.acme", "com.acme", true);
        check("com.acme", "com.acme.deploy", true);
        check("com.acme.", "com.acme.deploy", true);
        check("com.acme", "com.acmeworks.deploy", false);
        check("com.acme.deploy", "com.acme", false);
    }

    #[test]
    fn own_rules_come_before_built_in_ones() {
        let mut config = Config::default();
        let built_in = config.rule_for("dev.cdevents.service.deployed.0.2.0");
        assert_eq!(built_in.map(|rule| rule.r#as), Some(Meaning::Change));
        config
            .rules
            .push(Rule::new("dev.cdevents", Meaning::Ignore, Shape::Ignore));
        let own = config.rule_for("dev.cdevents.service.deployed.0.2.0");
        assert_eq!(own.map(|rule| rule.r#as), Some(Meaning::Ignore));
        assert_eq!(config.rule_for("com.acme.deploy"), None);
    }
}
