//! What has happened, as far as one can ask, to be compared.

use std::collections::BTreeSet;

use serde_json::Value;

use super::commands::Commands;

/// What a data folder says has happened.
#[derive(Debug, PartialEq)]
pub(crate) struct History {
    digest: Value,
    pub(crate) alerts: Value,
    pub(crate) incidents: Value,
}

impl History {
    pub(crate) fn of(commands: &Commands) -> Self {
        Self {
            digest: commands.json(&["history", "digest"])["digest"].clone(),
            alerts: commands.json(&["alert", "list", "--limit", "1000"]),
            incidents: commands.json(&["incident", "list", "--limit", "1000"]),
        }
    }

    /// Whether there is any incident.
    pub(crate) fn has_incidents(&self) -> bool {
        let incidents = self.incidents["items"].as_array().expect("a list");
        !incidents.is_empty()
    }

    /// The ids of all alerts.
    pub(crate) fn alert_ids(&self) -> BTreeSet<String> {
        let alerts = self.alerts["items"].as_array().expect("a list");
        let ids = alerts.iter().map(|alert| alert["id"].as_str());
        ids.map(|id| id.expect("a text").to_owned()).collect()
    }
}
