//! What the correlate stage knows, and what of it correlators are shown.
//!
//! Everything is as of the records that were read, whatever the tables say by
//! now: the same records give the same situations.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use faultline_domain::id::{AlertId, ChangeId, IncidentId};
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
    alerts: BTreeMap<AlertId, Known<Arc<AlertView>>>,
    /// All of them, the one that changed last first: a situation shows the first
    /// of thousands, in each round.
    latest: BTreeSet<(Reverse<Timestamp>, AlertId)>,
    /// Those that do not fire, by arrival.
    resolved: BTreeSet<(Timestamp, AlertId)>,
    changes: BTreeMap<ChangeId, Known<Change>>,
    /// All of them, the latest first, and by arrival.
    latest_changes: BTreeSet<(Reverse<Timestamp>, ChangeId)>,
    arrived_changes: BTreeSet<(Timestamp, ChangeId)>,
    pub(crate) topology: Topology,
    /// Those incidents that were shown last, as they were shown.
    views: BTreeMap<IncidentId, Arc<IncidentView>>,
}

#[derive(Debug)]
struct Known<T> {
    what: T,
    received: Timestamp,
}

impl World {
    /// An alert went through a transition.
    pub(crate) fn alert(&mut self, mut record: TransitionRecord) {
        lighten(&mut record.view.labels);
        let known = Known {
            what: Arc::new(record.view),
            received: record.received,
        };
        let id = known.what.id;
        self.forget_alert(id);
        self.latest.insert((Reverse(known.what.at), id));
        if !known.what.firing {
            self.resolved.insert((known.received, id));
        }
        self.alerts.insert(id, known);
    }

    fn forget_alert(&mut self, id: AlertId) {
        if let Some(known) = self.alerts.remove(&id) {
            self.latest.remove(&(Reverse(known.what.at), id));
            self.resolved.remove(&(known.received, id));
        }
    }

    /// A change was reported.
    pub(crate) fn change(&mut self, mut record: ChangeRecord) {
        lighten(&mut record.change.attributes);
        let known = Known {
            what: record.change,
            received: record.received,
        };
        let id = known.what.id;
        self.forget_change(id);
        self.latest_changes.insert((Reverse(known.what.at), id));
        self.arrived_changes.insert((known.received, id));
        self.changes.insert(id, known);
    }

    fn forget_change(&mut self, id: ChangeId) {
        if let Some(known) = self.changes.remove(&id) {
            self.latest_changes.remove(&(Reverse(known.what.at), id));
            self.arrived_changes.remove(&(known.received, id));
        }
    }

    /// An edge was seen.
    pub(crate) fn dependency(&mut self, record: &DependencyRecord) {
        self.topology
            .see(&record.dependency, std::time::Duration::ZERO);
    }

    /// Forgets what is no longer shown, by the time of arrival.
    pub(crate) fn forget(&mut self, clock: Timestamp, settings: &CorrelateSettings) {
        let oldest = clock.minus(settings.alerts_window);
        while let Some(&(received, id)) = self.resolved.first()
            && received < oldest
        {
            self.forget_alert(id);
        }
        let oldest = clock.minus(settings.changes_window);
        while let Some(&(received, id)) = self.arrived_changes.first()
            && received < oldest
        {
            self.forget_change(id);
        }
        self.topology.age_out(clock.minus(settings.edge_lifetime));
    }

    /// What correlators are shown of it.
    pub(crate) fn situation(
        &mut self,
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
        let changes = self.latest_changes.iter().take(settings.changes_max);
        let changes = changes.filter_map(|(_, id)| self.changes.get(id));
        let changes = changes.map(|known| known.what.clone()).collect();
        let membership = alerts.iter().map(|alert| alert.id);
        let membership = membership.filter_map(|id| Some((id, incidents.incident_of(id)?)));
        Situation {
            now,
            news: news.iter().copied().collect(),
            membership: membership.collect(),
            changes,
            incidents: self.shown_incidents(incidents, settings.incidents_max),
            dependencies,
            alerts,
        }
    }

    /// The news, then the others, the latest first.
    fn shown_alerts(&self, news: &BTreeSet<AlertId>, most: usize) -> Vec<Arc<AlertView>> {
        let view = |id: &AlertId| self.alerts.get(id).map(|known| &known.what);
        let mut shown: Vec<&Arc<AlertView>> = news.iter().filter_map(view).collect();
        shown.sort_by_key(|view| (Reverse(view.at), view.id));
        let others = self.latest.iter().map(|(_, id)| id);
        let others = others.filter(|id| !news.contains(id)).filter_map(view);
        shown
            .into_iter()
            .chain(others)
            .take(most)
            .cloned()
            .collect()
    }

    /// Those that something last happened to, latest first.
    fn shown_incidents(&mut self, incidents: &Incidents, most: usize) -> Vec<Arc<IncidentView>> {
        let mut shown: Vec<&Incident> = incidents.iter().collect();
        shown.sort_by_key(|incident| (Reverse(incident.last), incident.id));
        shown.truncate(most);
        let mut before = std::mem::take(&mut self.views);
        let shown = shown.into_iter().map(|incident| {
            // One is what its events say, and the version counts them.
            let same = before.remove(&incident.id);
            let same = same.filter(|view| view.version == incident.version);
            let view = same.unwrap_or_else(|| Arc::new(incident.view()));
            self.views.insert(incident.id, Arc::clone(&view));
            view
        });
        shown.collect()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use faultline_domain::alert::Outcome;
    use faultline_domain::envelope::Position;
    use faultline_domain::id::ScopeName;
    use faultline_domain::incident::Author;
    use faultline_domain::incidents::Moment;
    use faultline_domain::proposal::{Because, Confidence, Proposal, Verdict};
    use faultline_domain::severity::Severity;

    use super::*;

    fn record(number: u8, at: u64, firing: bool) -> TransitionRecord {
        let at = Timestamp::from_secs(at);
        TransitionRecord {
            position: Position(1),
            ordinal: 0,
            received: at,
            at,
            outcome: Outcome::Fired,
            source: None,
            version: 1,
            view: AlertView {
                id: AlertId::derive([[number].as_slice()]),
                episode: 1,
                firing,
                title: number.to_string(),
                severity: Severity::Warning,
                score: 1.0,
                started: at,
                at,
                entities: Vec::new(),
                labels: Labels::default(),
                origin: "test".to_owned(),
                source: None,
            },
        }
    }

    #[test]
    fn news_come_first_then_what_changed_last_and_what_is_long_over_goes() {
        let mut world = World::default();
        let alerts = [(1, 10, true), (2, 30, true), (3, 20, false), (4, 40, false)];
        for (number, at, firing) in alerts {
            world.alert(record(number, at, firing));
        }
        let shown = |world: &World, most| -> Vec<String> {
            let news = BTreeSet::from([record(1, 0, true).view.id]);
            let shown = world.shown_alerts(&news, most);
            shown.iter().map(|view| view.title.clone()).collect()
        };
        assert_eq!(shown(&world, 9), ["1", "4", "2", "3"]);
        assert_eq!(shown(&world, 2), ["1", "4"]);
        // It changed again.
        world.alert(record(3, 50, true));
        assert_eq!(shown(&world, 9), ["1", "3", "4", "2"]);
        let settings = CorrelateSettings {
            alerts_window: Duration::from_secs(60),
            ..CorrelateSettings::default()
        };
        world.forget(Timestamp::from_secs(100), &settings);
        assert_eq!(shown(&world, 9), ["1", "3", "4", "2"]);
        world.forget(Timestamp::from_secs(101), &settings);
        assert_eq!(shown(&world, 9), ["1", "3", "2"]);
        assert_eq!((world.latest.len(), world.resolved.len()), (3, 0));
    }

    #[test]
    fn a_member_says_so_though_its_incident_is_not_shown() {
        let mut world = World::default();
        let records = [(1, 10), (2, 20), (3, 30)].map(|(number, at)| record(number, at, true));
        let ids = records.each_ref().map(|record| record.view.id);
        for record in records {
            world.alert(record);
        }
        let mut settings = CorrelateSettings {
            incidents_max: 1,
            ..CorrelateSettings::default()
        };
        let scope = ScopeName::default_scope();
        let mut incidents = Incidents::new(scope, settings.incidents.clone(), Vec::new());
        let now = Timestamp::from_secs(40);
        let mut shown = |incidents: &Incidents, settings: &CorrelateSettings| {
            world.situation(&BTreeSet::new(), incidents, now, settings)
        };
        let author = Author::Person {
            name: "dana".to_owned(),
        };
        let verdict = Verdict {
            proposals: [0, 1].map(|one| open(ids[one])).into(),
            state: None,
        };
        let situation = shown(&incidents, &settings);
        assert!(situation.membership.is_empty());
        let moment = Moment {
            at: now,
            position: Position(9),
        };
        let (_, refused) = incidents.propose(verdict, &situation, &author, moment);
        assert_eq!(refused, []);
        let situation = shown(&incidents, &settings);
        assert_eq!(situation.incidents.len(), 1);
        assert_eq!(situation.incidents[0].size, 1);
        let members: Vec<_> = situation.membership.keys().copied().collect();
        assert_eq!(
            BTreeSet::from_iter(members),
            BTreeSet::from([ids[0], ids[1]])
        );
        // Of an alert that is not shown nothing is said.
        settings.alerts_max = 1;
        assert!(shown(&incidents, &settings).membership.is_empty());
    }

    fn open(alert: AlertId) -> Proposal {
        Proposal::Open {
            tag: alert.to_string(),
            title: "down".to_owned(),
            members: vec![alert],
            because: Because {
                reason: "alone".to_owned(),
                confidence: Confidence::new(0.5).expect("0 to 1"),
                evidence: Vec::new(),
                against: Vec::new(),
            },
        }
    }

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
