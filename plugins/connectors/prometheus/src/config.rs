//! What an operator can set. The schema beside the manifest says the same.

use std::collections::BTreeMap;

use faultline_sdk::Severity;
use serde::Deserialize;

/// The configuration of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// Where the server is, for example `http://prometheus:9090`; a path before
    /// `/api/v1` stands here, too.
    pub url: String,
    /// Who we are, to the server.
    pub authorization: Authorization,
    /// Labels that the server adds to alerts that it sends, and that its API
    /// does not show: `global.external_labels` of its configuration.
    pub external_labels: BTreeMap<String, String>,
    /// The label that says how bad an alert is.
    pub severity_label: String,
    /// The severity of alerts without that label.
    pub severity_default: Severity,
    /// The annotation that becomes the title.
    pub title_annotation: String,
    /// Which labels name entities, where the host's rules do not find them.
    pub entities: Vec<EntityRule>,
    /// For how many seconds an alert holds that is one too many to remember.
    pub untracked_seconds: u32,
}

/// Which secret is sent along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authorization {
    /// None.
    None,
    /// The capability `bearer`: `Authorization: Bearer …`.
    Bearer,
    /// The capability `basic`: `Authorization: Basic …`.
    Basic,
}

impl Authorization {
    /// The id of the capability.
    pub(crate) const fn secret(self) -> Option<&'static str> {
        match self {
            Authorization::None => None,
            Authorization::Bearer => Some("bearer"),
            Authorization::Basic => Some("basic"),
        }
    }
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
            url: String::new(),
            authorization: Authorization::None,
            external_labels: BTreeMap::new(),
            severity_label: "severity".to_owned(),
            severity_default: Severity::Warning,
            title_annotation: "summary".to_owned(),
            entities: Vec::new(),
            untracked_seconds: 900,
        }
    }
}

impl Config {
    /// The address of a part of the API, without a query.
    pub(crate) fn endpoint(&self, path: &str) -> String {
        format!("{}/api/v1/{path}", self.url.trim_end_matches('/'))
    }
}
