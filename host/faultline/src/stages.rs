//! The stages at work: each a task that steps while there is something to do,
//! and otherwise waits to be told.
//!
//! Being told means nothing but "look": what there is to do is read from the
//! store. A stage that fails looks again a little later; it begins where it last
//! committed.
//!
//! A stage works while this node has its lease. When it is lost, whatever the
//! stage is at is dropped at once, and so is all that it knows; when it is had
//! again, the stage begins from what is committed.

use std::sync::Arc;
use std::time::Duration;

use faultline_domain::lease::Fence;
use faultline_pipeline::{
    CorrelateStage, Counters, ObserveStage, Plugins, Progress, StepTimes, Timekeeper,
};
use faultline_store::{JournalHead, StoreError};
use tokio::sync::watch;

use crate::clock::now;
use crate::faults::{Faults, Part};
use crate::plugin_host::Edition;

/// How long a stage waits before it looks again without having been told.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long a stage waits after a failure, and at most after many in a row.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// The least that the timekeeper waits.
const WAIT_MIN: Duration = Duration::from_millis(1);

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
    /// The fence of the stage's lease, while this node has it.
    pub(crate) lease: watch::Receiver<Option<Fence>>,
}

/// What has become of a stage's lease.
enum Turn {
    /// It is had as before.
    Same,
    /// It was had, anew or at last.
    Begins(Fence),
    /// Somebody else has it.
    Over,
}

impl Bell {
    /// What has become of the lease since this was last asked.
    fn turn(&mut self) -> Turn {
        if !self.lease.has_changed().unwrap_or(false) && self.lease.borrow().is_some() {
            return Turn::Same;
        }
        let fence = *self.lease.borrow_and_update();
        fence.map_or(Turn::Over, Turn::Begins)
    }

    /// Until it is seen that the lease is somebody else's, or a little later.
    async fn wait_until_seen(&mut self) {
        tokio::select! {
            _ = self.lease.changed() => self.lease.mark_changed(),
            _ = self.stop.changed() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }

    /// Until there is something else to do than to wait for the lease.
    async fn wait_for_turn(&mut self) {
        tokio::select! {
            changed = self.lease.changed() => match changed {
                Ok(()) => self.lease.mark_changed(),
                // Nobody is left who could give it to us.
                Err(_) => { let _ = self.stop.wait_for(|stop| *stop).await; }
            },
            _ = self.plugins.changed() => self.plugins.mark_changed(),
            _ = self.stop.changed() => {}
        }
    }

    /// Until there is news, or something else to do than to wait for it.
    async fn wait_for<N>(&mut self, news: &mut watch::Receiver<N>) {
        tokio::select! {
            _ = news.changed() => {}
            _ = self.plugins.changed() => self.plugins.mark_changed(),
            _ = self.lease.changed() => self.lease.mark_changed(),
            _ = self.stop.changed() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }

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

/// Waits longer after each failure in a row. What it has said is over with it:
/// nobody else knows when to take it back.
pub(crate) struct Patience {
    part: Part,
    faults: Faults,
    next: Duration,
}

impl Patience {
    pub(crate) const fn new(part: Part, faults: Faults) -> Self {
        Self {
            part,
            faults,
            next: RETRY_FIRST,
        }
    }

    pub(crate) fn succeeded(&mut self) {
        if self.has_failed() {
            self.faults.clear(self.part);
            self.next = RETRY_FIRST;
        }
    }

    /// Whether the last attempt failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.next > RETRY_FIRST
    }

    pub(crate) async fn failed(&mut self, error: &StoreError, stop: &mut watch::Receiver<bool>) {
        let part = self.part;
        tracing::error!(
            stage = part.as_str(),
            error = error as &dyn std::error::Error,
            "{part} failed and tries again in {:?}",
            self.next
        );
        self.faults.set(part, error, now());
        tokio::select! {
            () = tokio::time::sleep(self.next) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        self.next = (self.next * 2).min(RETRY_MAX);
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        self.succeeded();
    }
}

/// A stage, as far as all of them work alike.
trait Stage {
    /// Its name where something does not go on.
    const PART: Part;

    /// Where its steps are counted.
    fn steps(counters: &Counters) -> &StepTimes;

    /// Goes on with other plugins.
    async fn exchange(&mut self, plugins: Plugins) -> Result<(), StoreError>;

    /// Works under this lease from now on.
    fn hold(&mut self, fence: Fence);

    /// Drops all that it knows: the lease is somebody else's.
    fn forget(&mut self);

    /// Does some of what there is to do.
    async fn step(&mut self) -> Result<Progress, StoreError>;
}

impl Stage for ObserveStage {
    const PART: Part = Part::Observe;

    fn steps(counters: &Counters) -> &StepTimes {
        &counters.observe_steps
    }

    async fn exchange(&mut self, plugins: Plugins) -> Result<(), StoreError> {
        self.replace_plugins(plugins).await
    }

    fn hold(&mut self, fence: Fence) {
        self.hold(fence);
    }

    fn forget(&mut self) {
        self.forget();
    }

    async fn step(&mut self) -> Result<Progress, StoreError> {
        self.step().await
    }
}

impl Stage for CorrelateStage {
    const PART: Part = Part::Correlate;

    fn steps(counters: &Counters) -> &StepTimes {
        &counters.correlate_steps
    }

    async fn exchange(&mut self, plugins: Plugins) -> Result<(), StoreError> {
        self.replace_plugins(plugins);
        Ok(())
    }

    fn hold(&mut self, fence: Fence) {
        self.hold(fence);
    }

    fn forget(&mut self) {
        self.forget();
    }

    async fn step(&mut self) -> Result<Progress, StoreError> {
        self.step().await
    }
}

/// Steps while there is something to do, with the plugins that there are and as
/// long as the lease is had, until the stage is to stop. Otherwise it waits: for
/// news, for plugins, for the lease. `stepped` is told of each step that went
/// well.
async fn work<S: Stage, N>(
    stage: &mut S,
    news: &mut watch::Receiver<N>,
    bell: &mut Bell,
    stepped: impl Fn(Progress),
) {
    let mut patience = Patience::new(S::PART, bell.faults.clone());
    while !bell.is_stopped() {
        if let Some((number, plugins)) = bell.changed_plugins() {
            if let Err(error) = stage.exchange(plugins).await {
                bell.plugins.mark_changed();
                patience.failed(&error, &mut bell.stop).await;
                continue;
            }
            bell.works_with.send_replace(number);
        }
        match bell.turn() {
            Turn::Same => {}
            Turn::Begins(fence) => stage.hold(fence),
            Turn::Over => {
                stage.forget();
                patience.succeeded();
                bell.wait_for_turn().await;
                continue;
            }
        }
        news.mark_unchanged();
        let progress = tokio::select! {
            progress = stage.step() => progress,
            // Cut off: nothing of it was committed, or all of it.
            _ = bell.lease.changed() => {
                bell.lease.mark_changed();
                continue;
            }
        };
        match progress {
            Ok(progress) => {
                patience.succeeded();
                stepped(progress);
                match progress {
                    Progress::More => {}
                    Progress::Stopped => tokio::task::yield_now().await,
                    Progress::Idle => bell.wait_for(news).await,
                }
            }
            Err(StoreError::Fenced { .. }) => {
                // We are the last to learn of it.
                stage.forget();
                bell.wait_until_seen().await;
            }
            Err(error) => {
                S::steps(&bell.counters).failed();
                patience.failed(&error, &mut bell.stop).await;
            }
        }
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
    let stepped = |progress| {
        if progress == Progress::More {
            observed();
        }
    };
    work(&mut stage, &mut head, &mut bell, stepped).await;
    if !matches!(bell.turn(), Turn::Same) {
        return;
    }
    if let Err(error) = stage.save().await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the state could not be saved; what came since it last was is read again"
        );
    }
}

/// Correlates until it is to stop. `correlated` is called after each step: one
/// that has caught up may have done something first.
pub(crate) async fn correlate(
    mut stage: CorrelateStage,
    mut observed: watch::Receiver<()>,
    mut bell: Bell,
    correlated: impl Fn() + Send,
) {
    let stepped = |_| correlated();
    work(&mut stage, &mut observed, &mut bell, stepped).await;
}

/// Notes the passage of time until it is to stop, while this node has the lease.
/// Not under its fence: a note more than is needed says nothing that is not so,
/// and the journal can be in another database than the lease. For the same
/// reason, whether a journal that did not take something does so again is found
/// out here, with the lease or without it: nothing else may come in for long.
pub(crate) async fn keep_time(
    mut timekeeper: Timekeeper,
    mut head: watch::Receiver<JournalHead>,
    mut lease: watch::Receiver<Option<Fence>>,
    mut stop: watch::Receiver<bool>,
    faults: Faults,
) {
    let mut patience = Patience::new(Part::Journal, faults.clone());
    while !*stop.borrow() {
        let is_ours = lease.borrow_and_update().is_some();
        head.mark_unchanged();
        let wait = if is_ours {
            // Where the clock was set back, the journal's time goes slower than
            // ours: what is left of the wait is waited for again.
            timekeeper.wait(now()).max(WAIT_MIN)
        } else {
            LOOK_AGAIN
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {
                let noted = if is_ours {
                    timekeeper.note(now()).await
                } else if faults.of(Part::Journal).is_some() {
                    timekeeper.note_at_once(now()).await
                } else {
                    continue;
                };
                match noted {
                    Ok(()) => {
                        patience.succeeded();
                        // It may have been intake that had said so.
                        faults.clear(Part::Journal);
                    }
                    Err(error) => patience.failed(&error, &mut stop).await,
                }
            }
            _ = head.changed(), if is_ours => {}
            // Nobody is left to give it to us: then it stays as it is.
            Ok(()) = lease.changed() => {}
            _ = stop.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use faultline_domain::id::ScopeName;
    use faultline_store::{Journal, Store};

    use super::*;

    fn broken() -> StoreError {
        StoreError::BadCursor("x".to_owned())
    }

    /// A timekeeper at work.
    struct Keeping {
        faults: Faults,
        store: Store,
        journal: Journal,
        lease: watch::Sender<Option<Fence>>,
        _stop: watch::Sender<bool>,
        _folder: tempfile::TempDir,
    }

    impl Keeping {
        async fn begin(lease: Option<Fence>) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let store = Store::open(folder.path()).await.expect("a store");
            let journal = Journal::open(store.clone(), ScopeName::default_scope()).await;
            let journal = journal.expect("a journal");
            let faults = Faults::default();
            let lease = watch::Sender::new(lease);
            let (stop, stopped) = watch::channel(false);
            tokio::spawn(keep_time(
                Timekeeper::new(journal.clone(), Duration::from_millis(100)),
                journal.head(),
                lease.subscribe(),
                stopped,
                faults.clone(),
            ));
            Self {
                faults,
                store,
                journal,
                lease,
                _stop: stop,
                _folder: folder,
            }
        }

        async fn until(&self, is_so: impl Fn(&Faults) -> bool) {
            let looking = async {
                while !is_so(&self.faults) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let seen = tokio::time::timeout(Duration::from_secs(20), looking).await;
            seen.expect("it comes to be so");
        }
    }

    #[tokio::test]
    async fn that_the_journal_takes_envelopes_again_is_found_out_without_the_lease() {
        let keeping = Keeping::begin(None).await;
        // As intake does.
        keeping.faults.set(Part::Journal, &broken(), now());
        keeping
            .until(|faults| faults.of(Part::Journal).is_none())
            .await;
        let head = keeping.journal.head().borrow().position;
        assert_eq!(head.0, 1, "only an append tells");
    }

    #[tokio::test]
    async fn that_the_lease_is_lost_says_nothing_about_the_journal() {
        let keeping = Keeping::begin(Some(Fence(1))).await;
        keeping.store.close().await;
        keeping
            .until(|faults| faults.of(Part::Journal).is_some())
            .await;
        tokio::time::pause();
        keeping.lease.send_replace(None);
        for _ in 0..100 {
            tokio::time::advance(RETRY_MAX / 10).await;
            assert!(keeping.faults.of(Part::Journal).is_some());
        }
    }

    #[tokio::test]
    async fn a_stage_that_fails_says_why_until_it_goes_on() {
        let faults = Faults::default();
        let mut patience = Patience::new(Part::Observe, faults.clone());
        patience.succeeded();
        assert_eq!(faults.first(), None);
        // Told to stop, it does not wait.
        let (_stop, mut stopped) = watch::channel(true);
        patience.failed(&broken(), &mut stopped).await;
        assert_eq!(faults.of(Part::Observe), Some(broken().to_string()));
        assert_eq!(faults.of(Part::Correlate), None);
        assert_eq!(faults.first(), Some((Part::Observe, broken().to_string())));
        patience.succeeded();
        assert_eq!(faults.first(), None);
        patience.failed(&broken(), &mut stopped).await;
        drop(patience);
        assert_eq!(faults.first(), None, "there is no such stage any more");
    }

    #[tokio::test]
    async fn waits_grow_up_to_a_limit_and_begin_anew() {
        let mut patience = Patience::new(Part::Observe, Faults::default());
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
