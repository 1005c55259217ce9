//! One poll: what fires, what has ended since the poll before, and what to
//! remember for the next.

use std::collections::BTreeMap;

use faultline_sdk::{Fault, json, log};
use serde_json::{Value, json};

use crate::api::{self, ActiveAlert, Evaluations, FIRING};
use crate::config::Config;
use crate::cursor::{Cursor, Labels, Remembered, Tracked};
use crate::payload::{Ended, Found};

/// What was fetched, and where to go on.
pub(crate) fn fetch(config: &Config, before: Option<&Cursor>) -> Result<(Found, Cursor), Fault> {
    let before = before.map(Cursor::tracked).transpose()?.unwrap_or_default();
    let answer = api::alerts(config)?;
    let mut found = Found::default();
    // Two rules can yield one label set; the last one counts, as it does in
    // Alertmanager.
    let mut firing: BTreeMap<Labels, (Value, String)> = BTreeMap::new();
    for mut item in answer.alerts {
        // One that cannot be read goes along, for the decoder to say so.
        let Ok(alert) = json::from_value::<ActiveAlert>(&item) else {
            found.firing.push(item);
            continue;
        };
        if alert.state != FIRING {
            continue;
        }
        let labels = labels(config, alert.labels);
        if let Some(object) = item.as_object_mut() {
            object.insert("labels".to_owned(), json!(labels));
        }
        firing.insert(labels, (item, alert.active_at));
    }
    let gone: Vec<(&Labels, &Remembered)> = before
        .iter()
        .filter(|(labels, _)| !firing.contains_key(*labels))
        .collect();
    let mut tracked: Tracked = firing
        .iter()
        .map(|(labels, (_, active_at))| {
            let remembered = Remembered {
                active_at: active_at.clone(),
                missed: false,
            };
            (labels.clone(), remembered)
        })
        .collect();
    for (labels, end) in ends(config, &gone) {
        match end {
            End::Ended(active_at) => found.ended.push(Ended { labels, active_at }),
            End::Held(remembered) => {
                tracked.insert(labels, remembered);
            }
        }
    }
    let (cursor, left) = Cursor::of(&tracked)?;
    if !left.is_empty() {
        log::warn(format!(
            "{} alerts fire, too many to remember all: {} of them end {} s after they were last \
             seen",
            firing.len(),
            left.len(),
            config.untracked_seconds
        ));
    }
    for labels in left {
        match (firing.remove(&labels), before.get(&labels)) {
            (Some((alert, _)), _) => found.untracked.push(alert),
            // Held, but there is no room for that.
            (None, Some(remembered)) => found.ended.push(Ended {
                labels,
                active_at: remembered.active_at.clone(),
            }),
            (None, None) => {}
        }
    }
    found
        .firing
        .extend(firing.into_values().map(|(alert, _)| alert));
    Ok((found, cursor))
}

/// With those that the server adds to what it sends; an alert's own win. One
/// without a value is none.
fn labels(config: &Config, mut labels: Labels) -> Labels {
    for (name, value) in &config.external_labels {
        labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    labels.retain(|_, value| !value.is_empty());
    labels
}

/// What becomes of an alert that is not there any more.
enum End {
    /// It has ended.
    Ended(String),
    /// That is not sure yet.
    Held(Remembered),
}

/// An alert that is gone has ended if its rule says so: a server that has only
/// begun shows no alerts before it has evaluated its rules, and no rules before
/// it has read them.
fn ends(config: &Config, gone: &[(&Labels, &Remembered)]) -> Vec<(Labels, End)> {
    if gone.is_empty() {
        return Vec::new();
    }
    let evaluations = api::evaluations(config);
    if let Err(fault) = &evaluations {
        log::warn(format!(
            "{} alerts are gone, and it cannot be seen whether they have ended: {fault:?}",
            gone.len()
        ));
    }
    gone.iter()
        .map(|(labels, remembered)| {
            let name = labels.get("alertname").map_or("", String::as_str);
            let is_over = match &evaluations {
                Ok(Evaluations::Unknowable) => true,
                // A rule that is not there was removed, unless it was not read
                // yet: it gets another poll.
                Ok(Evaluations::Of(rules)) => rules.get(name).copied().unwrap_or(remembered.missed),
                Err(_) => false,
            };
            let end = if is_over {
                End::Ended(remembered.active_at.clone())
            } else {
                End::Held(Remembered {
                    missed: evaluations.is_ok(),
                    ..(*remembered).clone()
                })
            };
            ((*labels).clone(), end)
        })
        .collect()
}
