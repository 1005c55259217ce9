//! What an operator can set. The schema beside the manifest says the same.

use faultline_sdk::Severity;
use serde::Deserialize;

/// The configuration of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// The label that says how bad an alert is.
    pub severity_label: String,
    /// The severity of alerts without that label.
    pub severity_default: Severity,
    /// The annotation that becomes the title.
    pub title_annotation: String,
    /// Which labels name entities, where the host's rules do not find them.
    pub entities: Vec<EntityRule>,
}

/// A label that names an entity.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EntityRule {
    /// The label whose value is the entity's name.
    pub label: String,
    /// What sort of thing it is.
    pub kind: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            severity_label: "severity".to_owned(),
            severity_default: Severity::Warning,
            title_annotation: "summary".to_owned(),
            entities: Vec::new(),
        }
    }
}
