//! Labels that tell alerts apart, and who has them.
//!
//! What everything has says nothing; what few have says that these few may
//! belong together. Labels that merely repeat the name of an entity are left
//! out, for the entity says so already.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;
use crate::links::How;
use crate::measure::rarity;
use crate::scene::{AlertIndex, Scene};

/// A label that hardly anything else has.
const LABEL: f64 = 0.55;
/// A label that says less than this says nothing.
const LABEL_MIN: f64 = 0.15;
/// The most alerts with one label that are looked at; what more have says
/// nothing.
const HOLDERS_MAX: usize = 64;
/// The most labels of one alert that are looked at.
const LABELS_EACH_MAX: usize = 32;

/// A label that few have.
#[derive(Debug)]
pub(crate) struct Telling {
    /// How much it says that two have it, time aside.
    pub(crate) strength: f64,
    /// The label, and how many have it.
    pub(crate) how: How,
    /// Those of them that have a place.
    pub(crate) placed: Vec<AlertIndex>,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Labels {
    telling: Vec<Telling>,
    /// For each alert those that it has, by their places in `telling`.
    of_alerts: Vec<Vec<usize>>,
}

impl Labels {
    /// Looks through the labels of all alerts. None has a place yet.
    pub(crate) fn new(scene: &Scene<'_>, config: &Config) -> Self {
        let mut labels = Self {
            telling: Vec::new(),
            of_alerts: vec![Vec::new(); scene.alerts.len()],
        };
        for ((key, value), mut holders) in holders(scene, config) {
            holders.dedup();
            let strength = LABEL * rarity(holders.len(), scene.alerts.len());
            if !(2..=HOLDERS_MAX).contains(&holders.len()) || strength < LABEL_MIN {
                continue;
            }
            for &alert in &holders {
                labels.of_alerts[alert].push(labels.telling.len());
            }
            labels.telling.push(Telling {
                strength,
                how: How::Label {
                    key: key.to_owned(),
                    value: value.to_owned(),
                    holders: holders.len(),
                },
                placed: Vec::new(),
            });
        }
        labels
    }

    /// The labels of one alert.
    pub(crate) fn of(&self, alert: AlertIndex) -> impl Iterator<Item = &Telling> {
        self.of_alerts[alert]
            .iter()
            .map(|&label| &self.telling[label])
    }

    /// This alert has a place from now on.
    pub(crate) fn place(&mut self, alert: AlertIndex) {
        for &label in &self.of_alerts[alert] {
            self.telling[label].placed.push(alert);
        }
    }
}

/// Whether a value is a number with a fraction: a measurement that two alerts
/// share by chance, and no name of anything.
fn is_measurement(value: &str) -> bool {
    value.contains('.') && value.parse::<f64>().is_ok()
}

/// Who has which label, but for labels that say nothing.
fn holders<'a>(
    scene: &Scene<'a>,
    config: &Config,
) -> BTreeMap<(&'a str, &'a str), Vec<AlertIndex>> {
    let ubiquitous: BTreeSet<&str> = config
        .ubiquitous_labels
        .iter()
        .map(String::as_str)
        .collect();
    let mut holders: BTreeMap<(&'a str, &'a str), Vec<AlertIndex>> = BTreeMap::new();
    for (index, alert) in scene.alerts.iter().enumerate() {
        for label in alert.view.labels.iter().take(LABELS_EACH_MAX) {
            let says_nothing = label.value.is_empty()
                || is_measurement(&label.value)
                || ubiquitous.contains(label.key.as_str())
                || alert
                    .view
                    .entities
                    .iter()
                    .any(|entity| entity.name == label.value);
            if !says_nothing {
                holders
                    .entry((&label.key, &label.value))
                    .or_default()
                    .push(index);
            }
        }
    }
    holders
}
