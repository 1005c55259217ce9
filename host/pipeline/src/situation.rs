//! What the correlate stage knows, and what of it correlators are shown.
//!
//! Everything is as of the records that were read, whatever the tables say by
//! now: the same records give the same situations.

use std::collections::{BTreeMap, BTreeSet};

use faultline_domain::id::{AlertId, ChangeId};
use faultline_domain::incident::Incident;
use faultline_domain::incidents::Incidents;
use faultline_domain::labels::Labels;
use faultline_domain::signal::Change;
use faultline_domain::situation::{AlertView, IncidentView, Situation};
use faultline_domain::time::Timestamp;
use faultline_domain::topology::Topology;
use faultline_store::{ChangeRecord, DependencyRecord, TransitionRecord};

use crate::settings::CorrelateSettings;

/// The most bytes of the labels of one alert, or the attributes of one change,
/// that are shown; those that do not fit are left out. Whoever sends alerts
/// chooses their labels, and a few long ones would fill a correlator's memory.
const LABELS_BYTES_SHOWN_MAX: usize = 8 << 10;

/// Alerts, changes and topology as the stage has read them.
#[derive(Debug, Default)]
pub(crate) struct World {
    alerts: BTreeMap<AlertId, Known<AlertView>>,
    changes: BTreeMap<ChangeId, Known<Change>>,
    pub(crate) topology: Topology,
}

#[derive(Debug)]
struct Known<T> {
    what: T,
    received: Timestamp,
}

impl World {
    /// An alert went through a transition.
    pub(crate) fn alert(&mut self, record: TransitionRecord) {
        let known = Known {
            what: record.view,
            received: record.received,
        };
        self.alerts.insert(known.what.id, known);
    }

    /// A change was reported.
    pub(crate) fn change(&mut self, record: ChangeRecord) {
        let known = Known {
            what: record.change,
            received: record.received,
        };
        self.changes.insert(known.what.id, known);
    }

    /// An edge was seen.
    pub(crate) fn dependency(&mut self, record: &DependencyRecord) {
        self.topology
            .see(&record.dependency, std::time::Duration::ZERO);
    }

    /// Forgets what is no longer shown, by the time of arrival.
    pub(crate) fn forget(&mut self, clock: Timestamp, settings: &CorrelateSettings) {
        let oldest = clock.minus(settings.alerts_window);
        self.alerts
            .retain(|_, known| known.what.firing || known.received >= oldest);
        let oldest = clock.minus(settings.changes_window);
        self.changes.retain(|_, known| known.received >= oldest);
        self.topology.age_out(clock.minus(settings.edge_lifetime));
    }

    /// What correlators are shown of it.
    pub(crate) fn situation(
        &self,
        news: &BTreeSet<AlertId>,
        incidents: &Incidents,
        now: Timestamp,
        settings: &CorrelateSettings,
    ) -> Situation {
        let alerts = self.shown_alerts(news, settings.alerts_max);
        let entities: BTreeSet<_> = alerts.iter().flat_map(|alert| &alert.entities).collect();
        let dependencies = self.topology.around(
            &entities,
            settings.dependency_hops,
            settings.dependencies_max,
        );
        let mut changes: Vec<&Change> = self.changes.values().map(|known| &known.what).collect();
        changes.sort_by_key(|change| (std::cmp::Reverse(change.at), change.id));
        changes.truncate(settings.changes_max);
        Situation {
            now,
            news: news.iter().copied().collect(),
            changes: changes
                .into_iter()
                .cloned()
                .map(|mut change| {
                    lighten(&mut change.attributes);
                    change
                })
                .collect(),
            incidents: shown_incidents(incidents, settings.incidents_max),
            dependencies,
            alerts,
        }
    }

    /// The news, then the others, the latest first.
    fn shown_alerts(&self, news: &BTreeSet<AlertId>, most: usize) -> Vec<AlertView> {
        let mut shown: Vec<&AlertView> = self.alerts.values().map(|known| &known.what).collect();
        shown.sort_by_key(|view| {
            let is_old = !news.contains(&view.id);
            (is_old, std::cmp::Reverse(view.at), view.id)
        });
        shown.truncate(most);
        shown
            .into_iter()
            .cloned()
            .map(|mut view| {
                lighten(&mut view.labels);
                view
            })
            .collect()
    }
}

/// Leaves out labels that do not fit any more, in the order of their names.
fn lighten(labels: &mut Labels) {
    let bytes = |(name, value): (&str, &str)| name.len() + value.len();
    if labels.iter().map(bytes).sum::<usize>() <= LABELS_BYTES_SHOWN_MAX {
        return;
    }
    let mut left = LABELS_BYTES_SHOWN_MAX;
    let mut light = Labels::default();
    for (name, value) in labels.iter() {
        if let Some(rest) = left.checked_sub(bytes((name, value))) {
            left = rest;
            light.set(name, value);
        }
    }
    *labels = light;
}

/// Those that something last happened to, latest first.
fn shown_incidents(incidents: &Incidents, most: usize) -> Vec<IncidentView> {
    let mut shown: Vec<IncidentView> = incidents.iter().map(Incident::view).collect();
    shown.sort_by_key(|view| (std::cmp::Reverse(view.last), view.id));
    shown.truncate(most);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_do_not_fit_are_left_out() {
        let long = "x".repeat(LABELS_BYTES_SHOWN_MAX);
        let mut labels: Labels = [("a", "1"), ("b", long.as_str()), ("c", "3")]
            .into_iter()
            .collect();
        lighten(&mut labels);
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "1"), ("c", "3")]);
        let before = labels.clone();
        lighten(&mut labels);
        assert_eq!(labels, before);
    }
}
