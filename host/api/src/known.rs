//! What ids stand for, looked up together: alerts, changes and series that a
//! view speaks of.

use std::collections::{BTreeMap, BTreeSet};

use faultline_domain::alert::Alert;
use faultline_domain::id::{AlertId, ChangeId, ScopeName};
use faultline_domain::incident::{Happening, IncidentEvent};
use faultline_domain::incident_summary::IncidentSummary;
use faultline_domain::proposal::{Because, Cause, Reference};
use faultline_store::{ChangeRecord, SeriesRecord, Store, StoreError};

/// What is to be looked up.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    alerts: BTreeSet<AlertId>,
    changes: BTreeSet<ChangeId>,
}

impl Wanted {
    pub(crate) fn alert(&mut self, id: AlertId) {
        self.alerts.insert(id);
    }

    pub(crate) fn cause(&mut self, cause: &Cause) {
        match cause {
            Cause::Alert(id) => {
                self.alerts.insert(*id);
            }
            Cause::Change(id) => {
                self.changes.insert(*id);
            }
            Cause::Entity(_) => {}
        }
    }

    pub(crate) fn because(&mut self, because: &Because) {
        let all = because.evidence.iter().chain(&because.against);
        for reference in all.flat_map(|evidence| &evidence.references) {
            match reference {
                Reference::Alert(id) => {
                    self.alerts.insert(*id);
                }
                Reference::Change(id) => {
                    self.changes.insert(*id);
                }
                Reference::Entity(_) | Reference::Dependency { .. } => {}
            }
        }
    }

    /// What a listing shows of an incident.
    pub(crate) fn summary(&mut self, incident: &IncidentSummary) {
        if let Some((cause, _)) = &incident.suspect {
            self.cause(cause);
        }
    }

    /// What an event speaks of.
    pub(crate) fn event(&mut self, event: &IncidentEvent) {
        match &event.happening {
            Happening::Joined { alert, because, .. } => {
                self.alert(*alert);
                self.because(because);
            }
            Happening::Left { alert, .. } | Happening::MemberChanged { alert, .. } => {
                self.alert(*alert);
            }
            Happening::Blamed { cause, because } => {
                self.cause(cause);
                self.because(because);
            }
            Happening::MergedInto { because, .. } | Happening::Absorbed { because, .. } => {
                self.because(because);
            }
            Happening::Opened { .. }
            | Happening::Acknowledged
            | Happening::Resolved { .. }
            | Happening::Reopened
            | Happening::Closed => {}
        }
    }
}

/// What was found. What was not is shown by its id: retention may have removed
/// it.
#[derive(Debug, Default)]
pub(crate) struct Known {
    alerts: BTreeMap<AlertId, Alert>,
    changes: BTreeMap<ChangeId, ChangeRecord>,
    series: BTreeMap<u32, SeriesRecord>,
}

impl Known {
    /// Looks up what is wanted.
    pub(crate) async fn load(
        store: &Store,
        scope: &ScopeName,
        wanted: Wanted,
    ) -> Result<Self, StoreError> {
        let alerts: Vec<AlertId> = wanted.alerts.into_iter().collect();
        let changes: Vec<ChangeId> = wanted.changes.into_iter().collect();
        let alerts = store.alert_fetch(scope, &alerts).await?;
        let changes = store.change_fetch_all(scope, &changes).await?;
        Ok(Self {
            alerts: alerts.into_iter().map(|alert| (alert.id, alert)).collect(),
            changes: changes
                .into_iter()
                .map(|record| (record.change.id, record))
                .collect(),
            series: BTreeMap::new(),
        })
    }

    /// Also looks up the series that these alerts were seen on.
    pub(crate) async fn with_series(
        mut self,
        store: &Store,
        scope: &ScopeName,
        alerts: impl IntoIterator<Item = AlertId>,
    ) -> Result<Self, StoreError> {
        let ids: BTreeSet<u32> = alerts
            .into_iter()
            .filter_map(|id| self.alerts.get(&id)?.measurement.as_ref()?.series)
            .collect();
        for id in ids {
            if let Some(series) = store.series_fetch(scope, id).await? {
                self.series.insert(id, series);
            }
        }
        Ok(self)
    }

    pub(crate) fn alert(&self, id: AlertId) -> Option<&Alert> {
        self.alerts.get(&id)
    }

    pub(crate) fn change(&self, id: ChangeId) -> Option<&ChangeRecord> {
        self.changes.get(&id)
    }

    pub(crate) fn series(&self, id: u32) -> Option<&SeriesRecord> {
        self.series.get(&id)
    }

    /// The title, or else the id.
    pub(crate) fn alert_title(&self, id: AlertId) -> String {
        self.alert(id)
            .map_or_else(|| id.to_string(), |alert| alert.title.clone())
    }

    /// The title, or else the id.
    pub(crate) fn change_title(&self, id: ChangeId) -> String {
        self.change(id)
            .map_or_else(|| id.to_string(), |record| record.change.title.clone())
    }
}
