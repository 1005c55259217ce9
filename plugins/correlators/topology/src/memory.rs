//! What is remembered from one call to the next.
//!
//! Three things: what is usual ([`Usual`]), which alerts wait for company or
//! were proposed and may have been refused, and what was said about each
//! incident, since the host does not tell. All of it is bounded, and none of it
//! is needed: without it everything is said once more, and the host drops what
//! it has heard word for word.

use std::collections::BTreeMap;

use faultline_sdk::Timestamp;
use serde::{Deserialize, Serialize};

use crate::scene::{AlertIndex, Scene, Seen};
use crate::usual::Usual;

/// The most alerts that wait.
const WAITING_MAX: usize = 2_000;
/// The most incidents whose hypotheses are remembered.
const JUDGED_MAX: usize = 512;
/// A proposal that was refused is made again after this long, in microseconds.
const RETRY: u64 = 60 * 1_000_000;

/// The state of the plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    pub(crate) usual: Usual,
    /// Alerts without an incident, by their keys: when an incident was last
    /// proposed for them, if ever.
    waiting: BTreeMap<u64, Option<Timestamp>>,
    /// By the keys of incidents.
    judged: BTreeMap<u64, Judged>,
    /// Of incidents that were opened in the last call, by the key of the alert
    /// that founded them: their ids are not known before the next call.
    opened: BTreeMap<u64, Judged>,
    /// False only before the first call.
    awake: bool,
    /// The time of the last call.
    asked: Timestamp,
}

/// What was said about the causes of one incident.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Judged {
    /// What it was judged on. The same again needs no thought.
    pub(crate) grounds: Grounds,
    /// Each cause that stands, by its key.
    pub(crate) held: BTreeMap<u64, Held>,
}

/// What a judgement rests on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grounds {
    /// All of it; 0 only if there was none.
    pub(crate) hash: u64,
    /// How many members.
    pub(crate) members: usize,
    /// When the last of them began.
    pub(crate) latest: Timestamp,
}

/// What was said about one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// The confidence.
    pub(crate) percent: u8,
    /// What was argued, hashed.
    pub(crate) facts: u32,
}

impl Memory {
    /// Takes in what the situation shows: which alerts began, which incidents
    /// came about, and who found a place.
    pub(crate) fn wake(&mut self, scene: &Scene<'_>) {
        for alert in scene.alerts.iter().filter(|alert| alert.news) {
            if alert.view.firing {
                self.usual.began(alert.key, alert.view.started);
            }
        }
        let by_key: BTreeMap<u64, &Seen<'_>> = scene
            .alerts
            .iter()
            .map(|alert| (alert.key, alert))
            .collect();
        self.waiting
            .retain(|key, _| by_key.get(key).is_some_and(|alert| !alert.is_member()));
        for (founder, judged) in std::mem::take(&mut self.opened) {
            if let Some(incident) = by_key.get(&founder).and_then(|alert| alert.incident) {
                self.judged.insert(scene.incidents[incident].key, judged);
            }
        }
        let mut open: Vec<u64> = scene.incidents.iter().map(|case| case.key).collect();
        open.sort_unstable();
        self.judged.retain(|key, _| open.binary_search(key).is_ok());
    }

    /// Whether time has moved on since the last call. Asked twice at one time,
    /// nothing is looked at anew that time alone would settle.
    pub(crate) fn moves_on(&mut self, scene: &Scene<'_>) -> bool {
        std::mem::replace(&mut self.asked, scene.now) != scene.now
    }

    /// The alerts that need a place: news, and what waits. Before the first
    /// call everything is news: this correlator is new to a running system.
    pub(crate) fn candidates(&mut self, scene: &Scene<'_>) -> Vec<AlertIndex> {
        let first_call = !std::mem::replace(&mut self.awake, true);
        let retry = |key: u64| match self.waiting.get(&key) {
            Some(Some(tried)) => scene.now.saturating_sub(*tried) >= RETRY,
            Some(None) => true,
            None => false,
        };
        (0..scene.alerts.len())
            .filter(|&index| {
                let alert = &scene.alerts[index];
                !alert.is_member() && (alert.news || first_call || retry(alert.key))
            })
            .collect()
    }

    /// These alerts had no place before this call; those of `proposed` will,
    /// unless the host refuses.
    pub(crate) fn wait_for(
        &mut self,
        scene: &Scene<'_>,
        candidates: &[AlertIndex],
        proposed: &[AlertIndex],
    ) {
        for &index in candidates {
            self.waiting.insert(scene.alerts[index].key, None);
        }
        for &index in proposed {
            self.waiting
                .insert(scene.alerts[index].key, Some(scene.now));
        }
        if self.waiting.len() > WAITING_MAX {
            // The newest alerts are the likeliest to find company.
            let newest = scene
                .alerts
                .iter()
                .rev()
                .filter(|alert| self.waiting.contains_key(&alert.key));
            let keep: std::collections::BTreeSet<u64> =
                newest.map(|alert| alert.key).take(WAITING_MAX).collect();
            self.waiting.retain(|key, _| keep.contains(key));
        }
    }

    /// What was said about this incident.
    pub(crate) fn judged(&self, key: u64) -> Option<&Judged> {
        self.judged.get(&key)
    }

    /// What is said about it now.
    pub(crate) fn judge(&mut self, key: u64, judged: Judged) {
        if self.judged.len() < JUDGED_MAX || self.judged.contains_key(&key) {
            self.judged.insert(key, judged);
        }
    }

    /// What is said about an incident that this alert founds.
    pub(crate) fn judge_opening(&mut self, founder: u64, judged: Judged) {
        if self.judged.len() + self.opened.len() < JUDGED_MAX {
            self.opened.insert(founder, judged);
        }
    }

    /// An incident was folded into another.
    pub(crate) fn forget(&mut self, key: u64) {
        self.judged.remove(&key);
    }
}
