//! One series: who it is, what it usually does, and what is wrong with it.

use faultline_sdk::Series;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::episode::{Ending, Episode, Episodes, Event, Rules, Step};
use crate::model::{Floors, Memory, Model};

/// The most bytes of a series' label, as it stands in titles.
const LABEL_BYTES_MAX: usize = 240;

/// Attributes that are left out of titles: they say where something was
/// measured or how, which is the same for all series of an entity. All
/// attributes stay with the series, and so with the alert.
const PLACE_KEYS: [&str; 10] = [
    "deployment.environment",
    "deployment.environment.name",
    "env",
    "environment",
    "host.name",
    "job",
    "network.protocol.name",
    "network.protocol.version",
    "service.namespace",
    "url.scheme",
];

/// One series that is watched. About 5 KB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Watched {
    id: u32,
    /// Name, attributes and entity, for people; cut if it is long.
    label: String,
    unit: String,
    /// Of name, unit, entity and attributes: whether a series that is
    /// announced again is the same one.
    identity: u64,
    /// When it was announced, in the latest event time known then.
    announced: u64,
    last: u64,
    model: Model,
    episodes: Episodes,
    /// How things stood before the open episode.
    memory: Option<Box<Memory>>,
}

impl Watched {
    /// A series of which nothing is known yet. `now` is the latest event time.
    pub(crate) fn new(series: &Series, now: u64) -> Self {
        Self {
            id: series.id,
            label: label(series),
            unit: series.unit.clone(),
            identity: identity(series),
            announced: now,
            last: 0,
            model: Model::new(),
            episodes: Episodes::default(),
            memory: None,
        }
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Whether this announcement is about the same series.
    pub(crate) fn is(&self, series: &Series) -> bool {
        self.identity == identity(series)
    }

    /// The time of its last row; 0 before the first.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Whether it may make room for others: it had no rows for so long, and no
    /// episode of it waits for its end.
    pub(crate) fn is_idle(&self, now: u64, micros: u64) -> bool {
        !self.episodes.is_said() && now.saturating_sub(self.last.max(self.announced)) >= micros
    }

    /// How it is called in titles.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Its unit, in UCUM notation.
    pub(crate) fn unit(&self) -> &str {
        &self.unit
    }

    /// The usual time between rows, in microseconds.
    pub(crate) fn interval_micros(&self) -> f64 {
        self.model.interval_micros()
    }

    /// What is a deviation, under this configuration.
    pub(crate) fn floors(&self, config: &Config) -> Floors {
        config.floors(&self.unit)
    }

    /// Takes in a row. Rows that are not newer than the last are left out: the
    /// host does not send any.
    pub(crate) fn observe(
        &mut self,
        time: u64,
        value: f64,
        floors: Floors,
        rules: &Rules,
    ) -> Option<Event> {
        if !value.is_finite() || (time <= self.last && self.last > 0) {
            return None;
        }
        self.last = time;
        let recent = self.model.recent();
        let reading = self
            .model
            .observe(time, value, floors, self.episodes.watch());
        let step = self.episodes.step(time, &reading, rules)?;
        match step {
            Step::Suspected | Step::Said(Event::Opened(_)) => {
                if self.memory.is_none() {
                    self.memory = Some(Box::new(self.model.memory(recent)));
                }
            }
            Step::Said(Event::Worsened(_)) => {}
            // What was not worth a word is what the series does.
            Step::Dismissed => self.memory = None,
            Step::Said(Event::Closed(_, Ending::Settled)) => {
                self.memory = None;
                self.model.relearn(floors);
            }
            Step::Said(Event::Closed(_, Ending::Recovered)) => {
                if let Some(memory) = self.memory.take() {
                    self.model.recover(*memory);
                }
            }
        }
        match step {
            Step::Said(event) => Some(event),
            Step::Suspected | Step::Dismissed => None,
        }
    }

    /// Ends the open episode of a series that has fallen silent.
    pub(crate) fn abandon(&mut self) -> Option<Episode> {
        self.memory = None;
        self.episodes.abandon()
    }
}

/// `http_errors{route="/pay"} of service/checkout`.
fn label(series: &Series) -> String {
    let mut label = series.name.clone();
    let entity = series.entity.as_ref();
    let name = entity.map_or("", |entity| entity.name.as_str());
    let attributes: Vec<String> = series
        .attributes
        .iter()
        .filter(|attribute| {
            attribute.value != name && !PLACE_KEYS.contains(&attribute.key.as_str())
        })
        .map(|attribute| format!("{}={:?}", attribute.key, attribute.value))
        .collect();
    if !attributes.is_empty() {
        label.push('{');
        label.push_str(&attributes.join(","));
        label.push('}');
    }
    if label.len() > LABEL_BYTES_MAX {
        label.truncate(label.floor_char_boundary(LABEL_BYTES_MAX));
        label.push('…');
    }
    match entity {
        Some(entity) => format!("{label} of {entity}"),
        None => label,
    }
}

/// FNV-1a, 64 bits, over all parts, each with its length before it.
fn identity(series: &Series) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut take = |text: &str| {
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes();
        for byte in length.iter().chain(text.as_bytes()) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    take(&series.name);
    take(&series.unit);
    // An entity has no empty part: none cannot be mistaken for one.
    let entity = series.entity.as_ref();
    take(entity.map_or("", |entity| &entity.kind));
    take(entity.map_or("", |entity| &entity.name));
    for attribute in &series.attributes {
        take(&attribute.key);
        take(&attribute.value);
    }
    hash
}
