//! The stages at work: each a task that steps while there is something to do,
//! and otherwise waits to be told.
//!
//! Being told means nothing but "look": what there is to do is read from the
//! store. A stage that fails looks again a little later; it begins where it last
//! committed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use faultline_domain::time::Timestamp;
use faultline_pipeline::{CorrelateStage, Counters, ObserveStage, Plugins, Progress, Timekeeper};
use faultline_store::{JournalHead, StoreError};
use tokio::sync::watch;

use crate::clock::now;
use crate::plugin_host::Edition;

/// How long a stage waits before it looks again without having been told.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long a stage waits after a failure, and at most after many in a row.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Why stages do not go on, by their names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<BTreeMap<&'static str, Fault>>>);

/// Why a stage does not go on, and since when.
#[derive(Debug, Clone)]
struct Fault {
    why: String,
    since: Timestamp,
}

/// A fault that lasts for so long is worth an alert.
const LASTING: Duration = Duration::from_secs(60);

impl Faults {
    /// Why this stage does not go on; none if it does.
    pub(crate) fn of(&self, stage: &str) -> Option<String> {
        self.faults().get(stage).map(|fault| fault.why.clone())
    }

    /// The first stage that does not go on, and why.
    pub(crate) fn first(&self) -> Option<(&'static str, String)> {
        let faults = self.faults();
        faults
            .iter()
            .next()
            .map(|(stage, fault)| (*stage, fault.why.clone()))
    }

    /// The stages that have not gone on for a while, why, and since when.
    pub(crate) fn lasting(&self) -> Vec<(&'static str, String, Timestamp)> {
        let now = now();
        let faults = self.faults();
        let lasting = faults
            .iter()
            .filter(|(_, fault)| now.since(fault.since) >= LASTING);
        lasting
            .map(|(stage, fault)| (*stage, fault.why.clone(), fault.since))
            .collect()
    }

    fn set(&self, stage: &'static str, why: String) {
        let mut faults = self.faults();
        let since = faults.get(stage).map_or_else(now, |fault| fault.since);
        faults.insert(stage, Fault { why, since });
    }

    fn clear(&self, stage: &str) {
        self.faults().remove(stage);
    }

    fn faults(&self) -> MutexGuard<'_, BTreeMap<&'static str, Fault>> {
        // Entries are put in whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a stage waits for beside its own news, and whom it tells.
pub(crate) struct Bell {
    /// True once the process is to end.
    pub(crate) stop: watch::Receiver<bool>,
    /// The plugins, whenever they change.
    pub(crate) plugins: watch::Receiver<Edition>,
    /// The number of the edition that the stage works with.
    pub(crate) works_with: watch::Sender<u64>,
    /// Whether the stage goes on.
    pub(crate) faults: Faults,
    /// Where steps that fail are counted.
    pub(crate) counters: Arc<Counters>,
}

impl Bell {
    pub(crate) fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    fn changed_plugins(&mut self) -> Option<(u64, Plugins)> {
        let changed = self.plugins.has_changed().unwrap_or(false);
        changed.then(|| {
            let edition = self.plugins.borrow_and_update();
            (edition.number, edition.plugins.clone())
        })
    }
}

/// Waits longer after each failure in a row.
pub(crate) struct Patience {
    stage: &'static str,
    faults: Faults,
    next: Duration,
}

impl Patience {
    pub(crate) const fn new(stage: &'static str, faults: Faults) -> Self {
        Self {
            stage,
            faults,
            next: RETRY_FIRST,
        }
    }

    pub(crate) fn succeeded(&mut self) {
        if self.next > RETRY_FIRST {
            self.faults.clear(self.stage);
            self.next = RETRY_FIRST;
        }
    }

    pub(crate) async fn failed(&mut self, error: &StoreError, stop: &mut watch::Receiver<bool>) {
        let stage = self.stage;
        tracing::error!(
            stage,
            error = error as &dyn std::error::Error,
            "{stage} failed and tries again in {:?}",
            self.next
        );
        // With its causes: `the database does not answer` says too little.
        let why: Vec<String> = anyhow::Chain::new(error).map(ToString::to_string).collect();
        self.faults.set(stage, why.join(": "));
        tokio::select! {
            () = tokio::time::sleep(self.next) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        self.next = (self.next * 2).min(RETRY_MAX);
    }
}

/// Observes until it is to stop, then saves its state. `observed` is called
/// after each commit.
pub(crate) async fn observe(
    mut stage: ObserveStage,
    mut head: watch::Receiver<JournalHead>,
    mut bell: Bell,
    observed: impl Fn() + Send,
) {
    let mut patience = Patience::new("observe", bell.faults.clone());
    while !bell.is_stopped() {
        if let Some((number, plugins)) = bell.changed_plugins() {
            if let Err(error) = stage.replace_plugins(plugins).await {
                bell.plugins.mark_changed();
                patience.failed(&error, &mut bell.stop).await;
                continue;
            }
            bell.works_with.send_replace(number);
        }
        head.mark_unchanged();
        match stage.step().await {
            Ok(progress) => {
                patience.succeeded();
                match progress {
                    Progress::More => {
                        observed();
                        continue;
                    }
                    Progress::Stopped => {
                        tokio::task::yield_now().await;
                        continue;
                    }
                    Progress::Idle => {}
                }
            }
            Err(error) => {
                bell.counters.observe_steps.failed();
                patience.failed(&error, &mut bell.stop).await;
                continue;
            }
        }
        tokio::select! {
            _ = head.changed() => {}
            _ = bell.plugins.changed() => bell.plugins.mark_changed(),
            _ = bell.stop.changed() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
    if let Err(error) = stage.save().await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the state could not be saved; what came since it last was is read again"
        );
    }
}

/// Correlates until it is to stop. `correlated` is called after each step.
pub(crate) async fn correlate(
    mut stage: CorrelateStage,
    mut observed: watch::Receiver<()>,
    mut bell: Bell,
    correlated: impl Fn() + Send,
) {
    let mut patience = Patience::new("correlate", bell.faults.clone());
    while !bell.is_stopped() {
        if let Some((number, plugins)) = bell.changed_plugins() {
            stage.replace_plugins(plugins);
            bell.works_with.send_replace(number);
        }
        observed.mark_unchanged();
        match stage.step().await {
            Ok(progress) => {
                patience.succeeded();
                // A step that has caught up may have done something first.
                correlated();
                match progress {
                    Progress::More => continue,
                    Progress::Stopped => {
                        tokio::task::yield_now().await;
                        continue;
                    }
                    Progress::Idle => {}
                }
            }
            Err(error) => {
                bell.counters.correlate_steps.failed();
                patience.failed(&error, &mut bell.stop).await;
                continue;
            }
        }
        tokio::select! {
            _ = observed.changed() => {}
            _ = bell.plugins.changed() => bell.plugins.mark_changed(),
            _ = bell.stop.changed() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// Notes the passage of time until it is to stop.
pub(crate) async fn keep_time(
    mut timekeeper: Timekeeper,
    mut head: watch::Receiver<JournalHead>,
    mut stop: watch::Receiver<bool>,
    faults: Faults,
) {
    let mut patience = Patience::new("timekeeper", faults);
    while !*stop.borrow() {
        head.mark_unchanged();
        let wait = timekeeper.due().since(now());
        tokio::select! {
            () = tokio::time::sleep(wait) => {
                match timekeeper.note(now()).await {
                    Ok(()) => patience.succeeded(),
                    Err(error) => patience.failed(&error, &mut stop).await,
                }
            }
            _ = head.changed() => {}
            _ = stop.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken() -> StoreError {
        StoreError::BadCursor("x".to_owned())
    }

    #[tokio::test]
    async fn a_stage_that_fails_says_why_until_it_goes_on() {
        let faults = Faults::default();
        let mut patience = Patience::new("observe", faults.clone());
        patience.succeeded();
        assert_eq!(faults.first(), None);
        // Told to stop, it does not wait.
        let (_stop, mut stopped) = watch::channel(true);
        patience.failed(&broken(), &mut stopped).await;
        assert_eq!(faults.of("observe"), Some(broken().to_string()));
        assert_eq!(faults.of("correlate"), None);
        assert_eq!(faults.first(), Some(("observe", broken().to_string())));
        patience.succeeded();
        assert_eq!(faults.first(), None);
    }

    #[tokio::test]
    async fn waits_grow_up_to_a_limit_and_begin_anew() {
        let mut patience = Patience::new("observe", Faults::default());
        let (_stop, mut stopped) = watch::channel(true);
        let mut waits = Vec::new();
        for _ in 0..9 {
            waits.push(patience.next.as_millis());
            patience.failed(&broken(), &mut stopped).await;
        }
        let expected = [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000];
        assert_eq!(waits, expected);
        patience.succeeded();
        assert_eq!(patience.next, RETRY_FIRST);
    }
}
