//! The alerts that the observe stage has at hand: those that fire, and those
//! that were lately touched.

use std::collections::{BTreeMap, BTreeSet};

use faultline_domain::alert::{Alert, Outcome, Report};
use faultline_domain::id::{AlertId, SourceName};
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
    /// How many fire, by the word of each source, and in all.
    firing_by_source: BTreeMap<SourceName, usize>,
    firing: usize,
}

/// The most alerts that fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// By the word of one source.
    pub(crate) per_source: usize,
    /// In all.
    pub(crate) all: usize,
}

/// One more alert would fire than may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OverShare {
    /// The name of the limit.
    pub(crate) limit: &'static str,
    /// What it is.
    pub(crate) most: usize,
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

    /// How many fire.
    pub(crate) const fn firing(&self) -> usize {
        self.firing
    }

    /// Puts alerts from the store at hand.
    pub(crate) fn insert(&mut self, alerts: Vec<Alert>) {
        for alert in alerts {
            self.take(alert.id);
            self.put(alert);
        }
    }

    /// A report about an alert, which must be at hand if it exists.
    ///
    /// # Errors
    /// If it would make one more alert fire than may. What ends is always
    /// heard, and so is what is said of an alert that fires anyway.
    pub(crate) fn report(
        &mut self,
        id: AlertId,
        report: Report,
        share: Share,
    ) -> Result<(&Alert, Outcome), OverShare> {
        let fires = self.alerts.get(&id).is_some_and(Alert::is_firing);
        if report.is_firing() && !fires {
            let of_source = self.firing_by_source.get(&report.source).copied();
            let (limit, count, most) = if self.firing >= share.all {
                ("limit.alerts-firing", self.firing, share.all)
            } else {
                let count = of_source.unwrap_or_default();
                ("limit.alerts-firing-per-source", count, share.per_source)
            };
            if count >= most {
                return Err(OverShare { limit, most });
            }
        }
        let (alert, outcome) = match self.take(id) {
            Some(mut alert) => {
                let outcome = alert.report(&report);
                (alert, outcome)
            }
            None => Alert::first(id, report),
        };
        self.touched.insert(id);
        Ok((self.put(alert), outcome))
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
        self.firing -= usize::from(alert.is_firing());
        for source in firing_sources(&alert) {
            if let Some(count) = self.firing_by_source.get_mut(source) {
                *count -= 1;
                if *count == 0 {
                    self.firing_by_source.remove(source);
                }
            }
        }
        Some(alert)
    }

    fn put(&mut self, alert: Alert) -> &Alert {
        let id = alert.id;
        if let Some(due) = alert.deadline() {
            self.deadlines.insert((due, id));
        }
        self.resolved += usize::from(!alert.is_firing());
        self.firing += usize::from(alert.is_firing());
        for source in firing_sources(&alert) {
            *self.firing_by_source.entry(source.clone()).or_default() += 1;
        }
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

/// The sources by whose word an alert fires.
fn firing_sources(alert: &Alert) -> impl Iterator<Item = &SourceName> {
    let fires = alert.is_firing();
    let sources = alert.sources.iter();
    sources
        .filter(move |(_, view)| fires && view.firing)
        .map(|(source, _)| source)
}
