//! The payload of Alertmanager's webhook, version 4 (Alertmanager
//! documentation, "Configuration", `<webhook_config>`).
//!
//! Only what is used is named here. Fields come and go with Alertmanager's
//! versions (`notification_reason` since 0.32, `routeLabels` since 0.34), so
//! unknown ones are passed over and everything that can be missing may be.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// One notification: a group of alerts.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a notification")]
pub(crate) struct Webhook {
    /// `4`.
    pub(crate) version: String,
    /// How many alerts of the group are left out, by `max_alerts`.
    #[serde(default)]
    pub(crate) truncated_alerts: u64,
    /// What the group was sent to.
    #[serde(default)]
    pub(crate) receiver: String,
    /// Unread yet, so that one bad alert costs only itself.
    pub(crate) alerts: Vec<Value>,
}

/// One alert of the group.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an alert")]
pub(crate) struct WebhookAlert {
    pub(crate) status: Status,
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
    /// RFC 3339; Go's zero time if there is none, as below.
    #[serde(default)]
    pub(crate) starts_at: String,
    #[serde(default)]
    pub(crate) ends_at: String,
    /// Where the rule can be looked at.
    #[serde(default, rename = "generatorURL")]
    pub(crate) generator_url: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Firing,
    Resolved,
}
