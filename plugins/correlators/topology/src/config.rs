//! What an operator can set. The defaults stand in `config.schema.json` too;
//! a test keeps the two together.

use faultline_sdk::{ConfigCheck, Severity};
use serde::Deserialize;

/// The configuration of one instance.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// How far apart in event time two alerts may be and still belong
    /// together, in seconds. How much closeness counts falls with the distance.
    pub window_seconds: u32,
    /// How many edges of the topology a relation may span.
    pub hops: u32,
    /// How sure a relation must be before an alert joins an incident, 0 to 1.
    pub join_confidence: f64,
    /// How sure both relations of a newcomer must be before the incidents it
    /// connects become one, 0 to 1.
    pub merge_confidence: f64,
    /// Related findings open an incident when their scores together reach
    /// this, 0 to 1; until then they wait.
    pub open_score: f64,
    /// From this severity on, an alert opens an incident whatever its score.
    pub open_severity: Severity,
    /// Below this severity alerts join incidents but never open one.
    pub open_severity_min: Severity,
    /// The most members of one incident. More than the host allows would only
    /// be refused there.
    pub members_max: u32,
    /// How long a change counts as recent, in seconds.
    pub change_window_seconds: u32,
    /// How many suspects are named for each incident.
    pub hypotheses_max: u32,
    /// Suspects below this confidence are not named, 0 to 1.
    pub hypothesis_confidence_min: f64,
    /// A hypothesis is renewed when its confidence has moved by this much.
    pub hypothesis_step: f64,
    /// Labels that say nothing about what belongs together.
    pub ubiquitous_labels: Vec<String>,
    /// Kinds of entities so wide that sharing one says little.
    pub broad_kinds: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window_seconds: 600,
            hops: 3,
            join_confidence: 0.5,
            merge_confidence: 0.7,
            open_score: 0.8,
            open_severity: Severity::High,
            open_severity_min: Severity::Low,
            members_max: 1_000,
            change_window_seconds: 3_600,
            hypotheses_max: 5,
            hypothesis_confidence_min: 0.01,
            hypothesis_step: 0.05,
            ubiquitous_labels: words(&[
                "alertname",
                "cluster",
                "direction",
                "env",
                "environment",
                "job",
                "monitor",
                "namespace",
                "prometheus",
                "receiver",
                "region",
                "severity",
                "team",
                "unit",
            ]),
            broad_kinds: words(&[
                "account",
                "cluster",
                "datacenter",
                "environment",
                "namespace",
                "region",
                "team",
                "tenant",
                "zone",
            ]),
        }
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

impl Config {
    /// The window in microseconds.
    pub(crate) fn window(&self) -> u64 {
        u64::from(self.window_seconds) * 1_000_000
    }

    /// The window for changes in microseconds.
    pub(crate) fn change_window(&self) -> u64 {
        u64::from(self.change_window_seconds) * 1_000_000
    }
}

impl ConfigCheck for Config {
    /// What the schema cannot say: how fields relate to one another.
    fn check(&self) -> Result<(), Vec<String>> {
        let mut complaints = Vec::new();
        if self.merge_confidence < self.join_confidence {
            complaints.push(format!(
                "`merge-confidence` ({}) is below `join-confidence` ({}): incidents would merge \
                 on less than it takes to join one; raise it",
                self.merge_confidence, self.join_confidence
            ));
        }
        if self.open_severity < self.open_severity_min {
            complaints.push(format!(
                "`open-severity` ({}) is below `open-severity-min` ({}): nothing could open by \
                 severity alone; raise it",
                self.open_severity, self.open_severity_min
            ));
        }
        if complaints.is_empty() {
            Ok(())
        } else {
            Err(complaints)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;

    fn schema() -> Value {
        serde_json::from_str(include_str!("../config.schema.json")).expect("the schema is JSON")
    }

    fn defaults() -> Value {
        let schema = schema();
        let properties = schema["properties"].as_object().expect("properties");
        let defaults: Map<String, Value> = properties
            .iter()
            .map(|(key, property)| (key.clone(), property["default"].clone()))
            .collect();
        defaults.into()
    }

    #[test]
    fn the_schema_and_the_defaults_agree() {
        let from_schema: Config = serde_json::from_value(defaults()).expect("defaults that parse");
        assert_eq!(from_schema, Config::default());
        assert_eq!(from_schema.check(), Ok(()));
        let validator = jsonschema::validator_for(&schema()).expect("a schema");
        assert!(validator.is_valid(&defaults()));
    }

    #[test]
    fn the_schema_refuses_what_the_code_does_not_expect() {
        let validator = jsonschema::validator_for(&schema()).expect("a schema");
        for (key, value) in [
            ("window-seconds", json!(0)),
            ("hops", json!(9)),
            ("join-confidence", json!(1.1)),
            ("open-severity", json!("catastrophic")),
            ("members-max", json!(0)),
            ("hypothesis-step", json!(-0.1)),
            ("ubiquitous-labels", json!([""])),
            ("windows", json!(10)),
        ] {
            assert!(!validator.is_valid(&json!({ key: value })), "{key}");
        }
        for severity in Severity::ALL {
            let word = severity.as_str();
            assert!(
                validator.is_valid(&json!({ "open-severity": word })),
                "{word}"
            );
        }
    }

    #[test]
    fn complains_about_what_contradicts_itself() {
        let config = Config {
            join_confidence: 0.8,
            open_severity_min: Severity::Critical,
            ..Config::default()
        };
        let complaints = config.check().expect_err("two complaints");
        assert_eq!(complaints.len(), 2, "{complaints:?}");
    }
}
