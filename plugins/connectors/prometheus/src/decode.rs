//! From what was polled to alerts.

use faultline_sdk::{Alert, Decoded, Entity, Envelope, Fault, Timestamp, json, text, time};
use serde_json::Value;

use crate::api::{ActiveAlert, FIRING};
use crate::config::Config;
use crate::cursor::Labels;
use crate::payload::{Ended, Payload};

/// Reads one envelope.
pub(crate) fn decode(config: &Config, envelope: &Envelope) -> Result<Decoded, Fault> {
    let payload: Payload = envelope.json()?;
    if payload.status != "success" {
        return Err(Fault::unsupported(
            "`status` is not `success`: this is an error of Prometheus' API, and no list of alerts",
        ));
    }
    let mut decoded = Decoded::builder();
    let received = envelope.received;
    let wait = u64::from(config.untracked_seconds) * time::SECOND;
    let until = received.saturating_add(wait);
    let lists = [
        ("data.alerts", &payload.data.alerts, None),
        ("untracked", &payload.untracked, Some(until)),
    ];
    for (list, items, until) in lists {
        for (index, item) in items.iter().enumerate() {
            match firing(config, item, received, until) {
                Ok(Some(alert)) => decoded.signal(alert),
                Ok(None) => {}
                Err(fault) => decoded.reject(fault.at(format_args!("{list}[{index}]"))),
            }
        }
    }
    for (index, item) in payload.ended.iter().enumerate() {
        match ended(config, item, received) {
            Ok(alert) => decoded.signal(alert),
            Err(fault) => decoded.reject(fault.at(format_args!("ended[{index}]"))),
        }
    }
    decoded.finish()
}

/// An alert that fires; none if it does not yet.
fn firing(
    config: &Config,
    item: &Value,
    received: Timestamp,
    until: Option<Timestamp>,
) -> Result<Option<Alert>, Fault> {
    let said: ActiveAlert = json::from_value(item)?;
    if said.state != FIRING {
        return Ok(None);
    }
    let title = said
        .annotations
        .get(&config.title_annotation)
        .and_then(|text| text::first_line(text))
        .map(str::to_owned);
    let mut alert = alert(config, said.labels, title, &said.active_at, received)?;
    alert.ended = until;
    alert.annotations = said.annotations.into_iter().map(Into::into).collect();
    Ok(Some(alert))
}

/// An alert that is not there any more: it ended at some moment since the poll
/// before, of which this is the latest.
fn ended(config: &Config, item: &Value, received: Timestamp) -> Result<Alert, Fault> {
    let said: Ended = json::from_value(item)?;
    let mut alert = alert(config, said.labels, None, &said.active_at, received)?;
    alert.firing = false;
    alert.ended = Some(received);
    Ok(alert)
}

fn alert(
    config: &Config,
    mut labels: Labels,
    title: Option<String>,
    active_at: &str,
    received: Timestamp,
) -> Result<Alert, Fault> {
    // A missing label and an empty one mean the same.
    labels.retain(|_, value| !value.is_empty());
    if labels.is_empty() {
        return Err(Fault::malformed(
            "`labels` is empty, and an alert is identified by its labels",
        ));
    }
    let started = if active_at.is_empty() {
        received
    } else {
        time::rfc3339(active_at)
            .map_err(|fault| fault.at("`activeAt`"))?
            .min(received)
    };
    let name = labels.get("alertname").map(String::as_str);
    Ok(Alert {
        firing: true,
        title: title.unwrap_or_else(|| name.unwrap_or("alert without a name").to_owned()),
        severity: labels
            .get(&config.severity_label)
            .cloned()
            .unwrap_or_else(|| config.severity_default.into()),
        started,
        ended: None,
        entities: config
            .entities
            .iter()
            .filter_map(|rule| Some(Entity::new(&rule.kind, labels.get(&rule.label)?)))
            .collect(),
        link: None,
        annotations: Vec::new(),
        identity: labels.clone().into_iter().map(Into::into).collect(),
        labels: labels.into_iter().map(Into::into).collect(),
    })
}
