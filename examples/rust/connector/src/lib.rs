//! A connector for a small webhook: alerts and readings, in JSON.

use faultline_sdk::{
    Alert, ConfigCheck, Connector, Decoded, DecodedBuilder, Entity, Envelope, Fault, Series,
    Severity, Timestamp, export_config_check, export_connector, json, log,
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// What an operator can set.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// Of alerts that name none.
    pub severity: String,
}

/// The connector.
#[derive(Debug)]
pub struct Hello;

impl Connector for Hello {
    type Config = Config;

    fn decode(config: &Config, envelope: &Envelope) -> Result<Decoded, Fault> {
        let not_an_object = |_| Fault::malformed("the body is not a JSON object");
        let body: Map<String, Value> = json::from_slice(&envelope.body).map_err(not_an_object)?;
        let alerts = list(&body, "alerts")?;
        let readings = list(&body, "readings")?;
        let mut decoded = Decoded::builder();
        let mut rejected = 0;
        for (index, item) in alerts.iter().enumerate() {
            match alert(item, config, envelope.received) {
                Ok(alert) => decoded.signal(alert),
                Err(fault) => {
                    rejected += 1;
                    decoded.reject(fault.at(format_args!("alerts[{index}]")));
                }
            }
        }
        for (index, item) in readings.iter().enumerate() {
            if let Err(fault) = reading(item, envelope.received, &mut decoded) {
                rejected += 1;
                decoded.reject(fault.at(format_args!("readings[{index}]")));
            }
        }
        if rejected > 0 {
            let items = alerts.len() + readings.len();
            log::warn(format!("rejected {rejected} of {items} items"));
        }
        decoded.finish()
    }
}

fn alert(item: &Value, config: &Config, received: Timestamp) -> Result<Alert, Fault> {
    let item = object(item)?;
    let name = text(item, "name")?.ok_or_else(|| missing("name"))?;
    let host = text(item, "host")?.ok_or_else(|| missing("host"))?;
    let firing = match item.get("firing") {
        None => true,
        Some(Value::Bool(firing)) => *firing,
        Some(_) => return Err(Fault::malformed("`firing` is not true or false")),
    };
    let severity = text(item, "severity")?.unwrap_or(&config.severity);
    let since = time(item, "since")?.unwrap_or(received);
    let note = text(item, "note")?;

    let identity = [("name", name), ("host", host)];
    let title = format!("{name} on {host}");
    let alert = if firing {
        Alert::firing(identity, title, since)
    } else {
        Alert::resolved(identity, title, since, Some(received))
    };
    let alert = alert
        .with_severity(severity)
        .with_entity(Entity::new("host", host))
        .with_label("name", name)
        .with_label("host", host);
    Ok(match note {
        Some(note) => alert.with_annotation("note", note),
        None => alert,
    })
}

fn reading(item: &Value, received: Timestamp, decoded: &mut DecodedBuilder) -> Result<(), Fault> {
    let item = object(item)?;
    let name = text(item, "name")?.ok_or_else(|| missing("name"))?;
    let host = text(item, "host")?.map(|host| Entity::new("host", host));
    let unit = text(item, "unit")?.unwrap_or_default();
    let time = time(item, "time")?.unwrap_or(received);
    let Some(value) = item.get("value").and_then(Value::as_f64) else {
        return Err(Fault::malformed("`value` is not a number"));
    };
    let series = decoded.series(Series::new(name, unit, host));
    decoded.sample(series, time, value);
    Ok(())
}

/// A list that may be missing.
fn list<'a>(body: &'a Map<String, Value>, key: &str) -> Result<&'a [Value], Fault> {
    match body.get(key) {
        None => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(Fault::malformed(format!("`{key}` is not a list"))),
    }
}

fn object(item: &Value) -> Result<&Map<String, Value>, Fault> {
    item.as_object()
        .ok_or_else(|| Fault::malformed("is not an object"))
}

/// A text that may be missing.
fn text<'a>(item: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, Fault> {
    match item.get(key) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
        Some(_) => Err(Fault::malformed(format!("`{key}` is not a text"))),
    }
}

fn missing(key: &str) -> Fault {
    Fault::malformed(format!("`{key}` is missing"))
}

/// The latest time that a message can name, in milliseconds: what follows as
/// microseconds is below 2^53.
const MILLISECONDS_MAX: f64 = 9_007_199_254_740.0;

/// A time that may be missing: whole milliseconds since the Unix epoch.
fn time(item: &Map<String, Value>, key: &str) -> Result<Option<Timestamp>, Fault> {
    let Some(value) = item.get(key) else {
        return Ok(None);
    };
    match value.as_f64() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is whole and within bounds"
        )]
        Some(time) if time.fract() == 0.0 && (0.0..=MILLISECONDS_MAX).contains(&time) => {
            Ok(Some(time as u64 * 1_000))
        }
        _ => Err(Fault::malformed(format!(
            "`{key}` is not a time in milliseconds"
        ))),
    }
}

export_connector!(Hello);

impl ConfigCheck for Config {
    fn check(&self) -> Result<(), Vec<String>> {
        if Severity::from_word(&self.severity).is_some() {
            Ok(())
        } else {
            Err(vec![
                "`severity` must be info, low, warning, high or critical".to_owned(),
            ])
        }
    }
}

export_config_check!(Config);
