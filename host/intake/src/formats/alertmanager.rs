//! Alertmanager's API v2, `POST /api/v2/alerts`: a list of alerts, as
//! Prometheus sends it (`postableAlerts` in `api/v2/openapi.yaml`).
//!
//! The rules are Alertmanager's: labels with an empty value are removed; at
//! least one has to be left; a missing start is the end if there is one, and
//! else the arrival; an end before the start is invalid; and valid alerts of a
//! batch count even if others are invalid. That an alert without an end times
//! out is decided later, per source.
//!
//! All labels are the identity, and the family is [`FAMILY`], so that an alert
//! that comes from Prometheus directly and through Alertmanager is one alert.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use faultline_domain::conventions;
use faultline_domain::decode::{Decoded, Decoder, Note};
use faultline_domain::envelope::Envelope;
use faultline_domain::fault::Fault;
use faultline_domain::labels::Labels;
use faultline_domain::plugin::Failure;
use faultline_domain::signal::{AlertReport, Signal, StatedSeverity};
use faultline_domain::time::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::limits::{Limits, clip};
use super::refusal::{Refusal, at_path, check_label};
use super::wire::Unreadable;

/// The family of these alerts: whose identities are comparable.
pub const FAMILY: &str = "prometheus";

/// Go's zero time, which Prometheus and others send for "none".
const GO_ZERO_TIME: jiff::Timestamp = jiff::Timestamp::constant(-62_135_596_800, 0);

/// Reads lists of alerts.
#[derive(Debug, Clone, Copy, Default)]
pub struct AlertmanagerAlerts {
    /// How much a payload may say.
    pub limits: Limits,
}

impl Decoder for AlertmanagerAlerts {
    fn decode(&self, envelopes: &[&Envelope]) -> Result<Vec<Result<Decoded, Fault>>, Failure> {
        let answers = envelopes.iter().map(|envelope| {
            let arrival = &envelope.arrival;
            decode(&arrival.body, arrival.received, self.limits)
        });
        Ok(answers.collect())
    }
}

/// Reads one request.
///
/// # Errors
/// If the bytes are no JSON list, or it is longer than the limits allow.
pub fn decode(body: &[u8], received: Timestamp, limits: Limits) -> Result<Decoded, Fault> {
    let mut decoded = Decoded::default();
    let mut labels_left = limits.labels_per_payload_max;
    for (index, item) in items(body, limits)?.into_iter().enumerate() {
        match read_alert(item.get(), received, limits, &mut decoded) {
            Ok(report) => {
                let labels = report.labels.len() + report.annotations.len();
                labels_left = labels_left.checked_sub(labels).ok_or_else(|| {
                    let max = limits.labels_per_payload_max;
                    Fault::from(Unreadable::over(
                        "limit.labels-per-payload",
                        format!("a payload may have {max} labels in all; send smaller batches"),
                    ))
                })?;
                decoded.signals.push(Signal::Alert(report));
            }
            Err(Refusal::Item(reason)) => {
                decoded.reject(Fault::malformed(format!("alerts[{index}]: {reason}")));
            }
            Err(Refusal::Payload(unreadable)) => return Err(unreadable.into()),
        }
    }
    Ok(decoded)
}

/// The items of the list, each still unread.
fn items(body: &[u8], limits: Limits) -> Result<Vec<&RawValue>, Fault> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let items = Items {
        items_max: limits.alerts_per_payload_max,
    };
    let read = items
        .deserialize(&mut deserializer)
        .and_then(|items| deserializer.end().map(|()| items));
    match read {
        Ok(Some(items)) => Ok(items),
        Ok(None) => Err(Fault::from(Unreadable::over(
            "limit.alerts-per-payload",
            format!(
                "a payload may have {} alerts; send smaller batches",
                limits.alerts_per_payload_max
            ),
        ))),
        Err(error) => Err(Fault::malformed(format!(
            "the body should be a JSON list of alerts: {error}"
        ))),
    }
}

/// Reads a list of limited length; none if it is longer.
struct Items {
    items_max: usize,
}

impl<'de> DeserializeSeed<'de> for Items {
    type Value = Option<Vec<&'de RawValue>>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items {
    type Value = Option<Vec<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        let mut is_over = false;
        while let Some(item) = seq.next_element()? {
            is_over = is_over || items.len() >= self.items_max;
            if !is_over {
                items.push(item);
            }
        }
        Ok((!is_over).then_some(items))
    }
}

/// `postableAlert`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an alert, which is an object")]
struct PostableAlert<'a> {
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    #[serde(borrow)]
    starts_at: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ends_at: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "generatorURL")]
    generator_url: Option<Cow<'a, str>>,
}

fn read_alert(
    item: &str,
    received: Timestamp,
    limits: Limits,
    decoded: &mut Decoded,
) -> Result<AlertReport, Refusal> {
    if item.len() > limits.alert_bytes_max {
        return Err(Refusal::Item(format!(
            "an alert of {} bytes, more than {}",
            item.len(),
            limits.alert_bytes_max
        )));
    }
    let alert = parse(item)?;
    let Times {
        started,
        ended,
        is_timeless,
    } = times(&alert, received)?;
    let labels = read_labels(alert.labels.unwrap_or_default(), limits)?;
    let annotations = read_annotations(alert.annotations.unwrap_or_default(), limits, decoded)?;
    let severity = labels.get("severity").unwrap_or_default();
    decoded.notes.add(Note::Timeless, u64::from(is_timeless));
    Ok(AlertReport {
        identity: labels.clone(),
        firing: ended.is_none_or(|ended| ended > received),
        title: title(&labels, &annotations, limits),
        severity: StatedSeverity::from_word(severity),
        started,
        ended,
        entities: conventions::entities(&labels),
        labels,
        annotations,
        link: alert.generator_url.and_then(|url| link(&url, limits)),
    })
}

fn parse(item: &str) -> Result<PostableAlert<'_>, Refusal> {
    serde_json::from_str(item).map_err(|_| {
        // Again, keeping track of the path: only who needs it pays for it.
        let mut deserializer = serde_json::Deserializer::from_str(item);
        let again: Result<PostableAlert<'_>, _> =
            serde_path_to_error::deserialize(&mut deserializer);
        Refusal::Item(match again {
            Err(error) => at_path(error.path(), error.inner()),
            Ok(_) => "not an alert".to_owned(),
        })
    })
}

/// When an alert started and ended.
struct Times {
    started: Timestamp,
    ended: Option<Timestamp>,
    /// The start was not stated.
    is_timeless: bool,
}

/// By Alertmanager's rules.
fn times(alert: &PostableAlert<'_>, received: Timestamp) -> Result<Times, Refusal> {
    let begun = time("startsAt", alert.starts_at.as_deref())?;
    let ended = time("endsAt", alert.ends_at.as_deref())?;
    let started = begun.or(ended).unwrap_or(received);
    if let Some(ended) = ended.filter(|ended| *ended < started) {
        return Err(Refusal::Item(format!(
            "start time must be before end time; it starts at {started} and ends at {ended}"
        )));
    }
    Ok(Times {
        started,
        ended,
        is_timeless: begun.is_none(),
    })
}

fn time(field: &str, text: Option<&str>) -> Result<Option<Timestamp>, Refusal> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let time: jiff::Timestamp = text.parse().map_err(|_| {
        Refusal::Item(format!(
            "{field} `{}` is not a time as in 2026-01-31T12:00:00Z (RFC 3339)",
            clip(text, 40)
        ))
    })?;
    if time == GO_ZERO_TIME {
        return Ok(None);
    }
    match u64::try_from(time.as_microsecond()) {
        Ok(micros) => Ok(Some(Timestamp::from_micros(micros))),
        Err(_) => Err(Refusal::Item(format!(
            "{field} `{}` is before 1970",
            clip(text, 40)
        ))),
    }
}

fn read_labels(labels: BTreeMap<String, String>, limits: Limits) -> Result<Labels, Refusal> {
    for (name, value) in &labels {
        check_label(name, value, limits)?;
    }
    let labels: Labels = labels.into_iter().collect();
    if labels.is_empty() {
        return Err(Refusal::Item("at least one label pair required".to_owned()));
    }
    if labels.len() > limits.labels_max {
        let max = limits.labels_max;
        return Err(Refusal::Item(format!("more than {max} labels")));
    }
    Ok(labels)
}

/// Texts are for people: one that is too long is cut, not refused.
fn read_annotations(
    annotations: BTreeMap<String, String>,
    limits: Limits,
    decoded: &mut Decoded,
) -> Result<Labels, Refusal> {
    if annotations.len() > limits.labels_max {
        let max = limits.labels_max;
        return Err(Refusal::Item(format!("more than {max} annotations")));
    }
    let mut read = Labels::default();
    for (name, value) in annotations {
        check_label(&name, "", limits)?;
        let text = clip(&value, limits.annotation_bytes_max);
        if text.len() < value.len() {
            decoded.notes.add(Note::Clipped, 1);
        }
        read.set(name, text);
    }
    Ok(read)
}

/// The first line of what people are told, or the name of the alert.
fn title(labels: &Labels, annotations: &Labels, limits: Limits) -> String {
    let texts = ["summary", "title", "description", "message"];
    let said = texts
        .iter()
        .filter_map(|name| annotations.get(name))
        .chain(labels.get("alertname"))
        .find_map(|text| text.lines().map(str::trim).find(|line| !line.is_empty()));
    let title = said.map_or_else(|| names(labels), str::to_owned);
    clip(&title, limits.title_bytes_max).to_owned()
}

/// For alerts without a name: the labels, as Prometheus writes them.
fn names(labels: &Labels) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

/// Only what a browser opens as a page: it is shown as a link.
fn link(url: &str, limits: Limits) -> Option<String> {
    let is_page = url.starts_with("https://") || url.starts_with("http://");
    (is_page && url.len() <= limits.annotation_bytes_max).then(|| url.to_owned())
}

#[cfg(test)]
pub(crate) mod tests;
