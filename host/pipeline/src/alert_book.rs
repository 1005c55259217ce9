//! The alerts that the observe stage has at hand: those that fire, and those
//! that were lately touched.

use std::collections::{BTreeMap, BTreeSet};

use faultline_domain::alert::{Alert, Outcome, Report};
use faultline_domain::id::AlertId;
use faultline_domain::time::Timestamp;

/// The most resolved alerts that are kept at hand; others are read again when
/// they are spoken of.
const RESOLVED_MAX: usize = 20_000;

/// Alerts by id.
#[derive(Debug, Default)]
pub(crate) struct AlertBook {
    alerts: BTreeMap<AlertId, Alert>,
    /// When the word of some source about a firing alert expires.
    deadlines: BTreeSet<(Timestamp, AlertId)>,
    /// Touched since they were last written.
    touched: BTreeSet<AlertId>,
    /// How many do not fire.
    resolved: usize,
}

impl AlertBook {
    /// Those that fire, from the store.
    pub(crate) fn new(firing: Vec<Alert>) -> Self {
        let mut book = Self::default();
        book.insert(firing);
        book
    }

    /// Whether this alert is at hand.
    pub(crate) fn has(&self, id: AlertId) -> bool {
        self.alerts.contains_key(&id)
    }

    /// Puts alerts from the store at hand.
    pub(crate) fn insert(&mut self, alerts: Vec<Alert>) {
        for alert in alerts {
            self.put(alert);
        }
    }

    /// A report about an alert, which must be at hand if it exists.
    pub(crate) fn report(&mut self, id: AlertId, report: Report) -> (&Alert, Outcome) {
        let (alert, outcome) = match self.take(id) {
            Some(mut alert) => {
                let outcome = alert.report(&report);
                (alert, outcome)
            }
            None => Alert::first(id, report),
        };
        self.touched.insert(id);
        (self.put(alert), outcome)
    }

    /// Time has come to `now`: what was not repeated ends, in the order in
    /// which it was due.
    pub(crate) fn pass_time(&mut self, now: Timestamp) -> Vec<(AlertId, Outcome)> {
        let mut ended = Vec::new();
        while let Some(&(due, id)) = self.deadlines.first()
            && due <= now
        {
            let Some(mut alert) = self.take(id) else {
                self.deadlines.pop_first();
                continue;
            };
            // Up to the time that was due, so that several deadlines of one
            // alert have their effects one after the other.
            if let Some(outcome) = alert.pass_time(due) {
                ended.push((id, outcome));
            }
            self.touched.insert(id);
            self.put(alert);
        }
        ended
    }

    /// One that is at hand.
    pub(crate) fn get(&self, id: AlertId) -> Option<&Alert> {
        self.alerts.get(&id)
    }

    /// Those that were touched since this was last asked, to be written.
    pub(crate) fn take_touched(&mut self) -> Vec<Alert> {
        let touched = std::mem::take(&mut self.touched);
        let written = touched
            .into_iter()
            .filter_map(|id| self.alerts.get(&id).cloned())
            .collect();
        self.forget_resolved();
        written
    }

    fn take(&mut self, id: AlertId) -> Option<Alert> {
        let alert = self.alerts.remove(&id)?;
        if let Some(due) = alert.deadline() {
            self.deadlines.remove(&(due, id));
        }
        self.resolved -= usize::from(!alert.is_firing());
        Some(alert)
    }

    fn put(&mut self, alert: Alert) -> &Alert {
        let id = alert.id;
        if let Some(due) = alert.deadline() {
            self.deadlines.insert((due, id));
        }
        self.resolved += usize::from(!alert.is_firing());
        self.alerts.entry(id).or_insert(alert)
    }

    /// They are in the store, so that any of them may go.
    fn forget_resolved(&mut self) {
        if self.resolved <= RESOLVED_MAX {
            return;
        }
        self.alerts.retain(|_, alert| alert.is_firing());
        self.resolved = 0;
    }
}
