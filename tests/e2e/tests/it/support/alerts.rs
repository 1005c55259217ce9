//! Alerts, as Prometheus and Alertmanager post them.

use std::sync::OnceLock;

use jiff::Timestamp;
use serde_json::{Value, json};

/// A firing alert in the shape of Alertmanager's API v2.
pub(crate) fn firing(name: &str, service: &str) -> Value {
    json!({
        "labels": labels(name, service),
        "annotations": {"summary": format!("{name} at {service}")},
    })
}

/// A notification of Alertmanager's webhook, version 4, with one alert.
pub(crate) fn webhook(name: &str, service: &str, status: &str) -> Value {
    // The same each time: a later start would be another episode.
    static STARTED: OnceLock<Timestamp> = OnceLock::new();
    let started = STARTED.get_or_init(Timestamp::now).to_string();
    let ended = match status {
        "resolved" => Timestamp::now().to_string(),
        _ => "0001-01-01T00:00:00Z".to_owned(),
    };
    json!({
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "faultline",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example",
        "alerts": [{
            "status": status,
            "labels": labels(name, service),
            "annotations": {"summary": format!("{name} at {service}")},
            "startsAt": started,
            "endsAt": ended,
            "generatorURL": "",
            "fingerprint": "0",
        }],
    })
}

fn labels(name: &str, service: &str) -> Value {
    json!({"alertname": name, "service": service, "severity": "critical"})
}
