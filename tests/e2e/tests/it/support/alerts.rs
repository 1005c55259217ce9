//! Alerts, as Prometheus and Alertmanager post them, and what becomes of them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::server::Server;

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

/// The alert that Prometheus and Alertmanager report, with its particulars. There
/// is never more than one, whoever reports it.
pub(crate) fn only_alert(server: &Server) -> Result<Value, String> {
    let alerts = server.list("/alerts?origin=prometheus");
    let [alert] = alerts.as_slice() else {
        assert!(alerts.is_empty(), "one condition is one alert: {alerts:?}");
        return Err("no alert".to_owned());
    };
    let id = alert["id"].as_str().expect("an id");
    Ok(server.get(&format!("/alerts/{id}")))
}

/// Who says that it fires, by source.
pub(crate) fn sources(alert: &Value) -> BTreeMap<String, bool> {
    let sources = alert["sources"].as_array().expect("a list");
    sources
        .iter()
        .map(|source| {
            let name = source["source"].as_str().expect("a text").to_owned();
            (name, source["firing"].as_bool().expect("yes or no"))
        })
        .collect()
}

fn labels(name: &str, service: &str) -> Value {
    json!({"alertname": name, "service": service, "severity": "critical"})
}
