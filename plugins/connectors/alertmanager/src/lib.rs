//! Connector for Alertmanager's webhook, version 4.
//!
//! Each item of `alerts` is one report. Its identity is its whole label set,
//! as in Prometheus and Alertmanager themselves, and its family is
//! `prometheus`: an alert that arrives here and straight from Prometheus is
//! one alert with two sources. Groups are not kept; they are Alertmanager's
//! answer to a question that correlators answer here.
//!
//! The tricky thing is the times. Alertmanager writes Go's zero time, in the
//! year 1, for an alert that has not ended; and an alert that fires may carry
//! an end in the future, which is when it counts as ended unless repeated.

mod config;
#[cfg(test)]
mod tests;
mod webhook;

use std::collections::BTreeMap;

use faultline_sdk::{
    Alert, Connector, Decoded, Entity, Envelope, Fault, Timestamp, export_connector, json, log,
    text, time,
};

pub use crate::config::{Config, EntityRule};
use crate::webhook::{Status, Webhook, WebhookAlert};

/// Go's `time.Time{}`, which Alertmanager writes for "no time".
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// The version of the payload that this reads.
const VERSION: &str = "4";

/// The connector.
#[derive(Debug)]
pub struct Alertmanager;

impl Connector for Alertmanager {
    type Config = Config;

    fn decode(config: &Config, envelope: &Envelope) -> Result<Decoded, Fault> {
        let webhook: Webhook = envelope.json()?;
        if webhook.version != VERSION {
            return Err(Fault::unsupported(format!(
                "`version`: this connector reads version {VERSION} of Alertmanager's webhook, and \
                 got `{}`",
                webhook.version
            )));
        }
        if webhook.truncated_alerts > 0 {
            log::warn(format!(
                "Alertmanager left out {} alerts of a group sent to `{}`: raise `max_alerts` of \
                 the webhook, or set it to 0",
                webhook.truncated_alerts, webhook.receiver
            ));
        }
        let mut decoded = Decoded::builder();
        for (index, item) in webhook.alerts.iter().enumerate() {
            match alert(config, item, envelope.received) {
                Ok(alert) => decoded.signal(alert),
                Err(fault) => decoded.reject(fault.at(format_args!("alerts[{index}]"))),
            }
        }
        decoded.finish()
    }
}

export_connector!(Alertmanager);

fn alert(config: &Config, item: &serde_json::Value, received: Timestamp) -> Result<Alert, Fault> {
    let mut said: WebhookAlert = json::from_value(item)?;
    // A missing label and an empty one mean the same.
    said.labels.retain(|_, value| !value.is_empty());
    if said.labels.is_empty() {
        return Err(Fault::malformed(
            "`labels` is empty, and an alert is identified by its labels",
        ));
    }
    let started = time_of("startsAt", &said.starts_at)?;
    let ended = time_of("endsAt", &said.ends_at)?;
    Ok(Alert {
        firing: said.status == Status::Firing,
        title: title(config, &said),
        severity: severity(config, &said.labels),
        started: started.or(ended).unwrap_or(received),
        ended,
        entities: entities(config, &said.labels),
        link: (!said.generator_url.is_empty()).then_some(said.generator_url),
        annotations: said.annotations.into_iter().map(Into::into).collect(),
        identity: said.labels.clone().into_iter().map(Into::into).collect(),
        labels: said.labels.into_iter().map(Into::into).collect(),
    })
}

/// None for a time that is missing or zero.
fn time_of(field: &str, text: &str) -> Result<Option<Timestamp>, Fault> {
    if text.is_empty() || text == ZERO_TIME {
        return Ok(None);
    }
    time::rfc3339(text)
        .map(Some)
        .map_err(|fault| fault.at(format_args!("`{field}`")))
}

fn title(config: &Config, said: &WebhookAlert) -> String {
    said.annotations
        .get(&config.title_annotation)
        .and_then(|text| text::first_line(text))
        .or_else(|| said.labels.get("alertname").map(String::as_str))
        .unwrap_or("alert without a name")
        .to_owned()
}

fn severity(config: &Config, labels: &BTreeMap<String, String>) -> String {
    labels
        .get(&config.severity_label)
        .cloned()
        .unwrap_or_else(|| config.severity_default.into())
}

/// Those that the configuration maps; none leaves it to the host's rules.
fn entities(config: &Config, labels: &BTreeMap<String, String>) -> Vec<Entity> {
    config
        .entities
        .iter()
        .filter_map(|rule| {
            let name = labels.get(&rule.label)?;
            Some(Entity::new(&rule.kind, name))
        })
        .collect()
}
