//! Pollers at work: a task for each, which asks it when it is due.
//!
//! Each waits for itself, and those that gave nothing when they were last asked
//! leave places to those that did: APIs that do not answer hold up nobody but
//! their own pollers, however many they are. None is asked while the journal is as full as senders are
//! turned away for, nor by a process that is not the one to ask.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use faultline_domain::id::InstanceName;
use faultline_domain::poll::PollState;
use faultline_domain::supervision::SupervisionPolicy;
use faultline_intake::backlog::Backlog;
use faultline_intake::limits::ListenerLimits;
use faultline_pipeline::{PollBegin, PollBoard, PollFrom, PollStage, Polled, ScheduledPoller};
use faultline_store::Journal;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::clock::now;
use crate::faults::{Faults, Part};
use crate::stages::{Bell, Patience};

/// Polls that wait for an answer at one time: each takes a thread.
const POLLS_AT_ONCE_MAX: usize = 8;

/// How many of these may be of pollers that gave nothing when they were last
/// asked, and may do so again after a long time.
const DOUBTFUL_POLLS_AT_ONCE_MAX: usize = 4;

/// Requests to poll at once that wait for their poller, and for all of them.
const REQUESTS_MAX: usize = 16;

/// How long a poller is held back before the journal is looked at again.
const HELD_BACK: Duration = Duration::from_secs(1);

/// No wait is longer than this before the clock is looked at again: it may have
/// been set.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// How often to look whether a person lets one that failed run again.
const LOOK_FOR_RELEASE: Duration = Duration::from_secs(1);

/// Why a poll that somebody asked for was not done.
const STOPPED: &str = "it was stopped meanwhile";

/// Somebody wants a poller to be asked at once.
pub(crate) struct PollRequest {
    /// Which.
    pub(crate) instance: InstanceName,
    /// Where to begin.
    pub(crate) from: PollFrom,
    /// Told when it was asked, or why it was not. What came of it is where the
    /// poller stands then.
    pub(crate) done: oneshot::Sender<Result<(), String>>,
}

/// What all pollers have in common.
#[derive(Clone)]
pub(crate) struct Polling {
    pub(crate) journal: Journal,
    pub(crate) board: Arc<PollBoard>,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) limits: ListenerLimits,
    /// What becomes of those that fail.
    pub(crate) policy: SupervisionPolicy,
    /// Whether it is this process that polls.
    pub(crate) mine: watch::Receiver<bool>,
}

/// Where requests to poll at once are put.
pub(crate) fn requests() -> (mpsc::Sender<PollRequest>, mpsc::Receiver<PollRequest>) {
    mpsc::channel(REQUESTS_MAX)
}

/// Polls until it is to stop.
pub(crate) async fn poll(
    polling: Polling,
    mut requests: mpsc::Receiver<PollRequest>,
    mut bell: Bell,
) {
    let mut crew = Crew {
        shared: Shared {
            polling,
            faults: bell.faults.clone(),
            room: Room::default(),
        },
        workers: BTreeMap::new(),
    };
    bell.plugins.mark_changed();
    let mut begin = PollBegin::Resumed;
    while !bell.is_stopped() {
        tokio::select! {
            _ = bell.plugins.changed() => {
                let (number, plugins) = {
                    let edition = bell.plugins.borrow_and_update();
                    (edition.number, edition.plugins.clone())
                };
                crew.exchange(&plugins.pollers, begin).await;
                begin = PollBegin::Renewed;
                bell.works_with.send_replace(number);
            }
            Some(request) = requests.recv() => crew.pass_on(request),
            _ = bell.stop.changed() => {}
        }
    }
    crew.exchange(&BTreeMap::new(), begin).await;
}

/// The tasks.
struct Crew {
    shared: Shared,
    workers: BTreeMap<InstanceName, Worker>,
}

struct Worker {
    scheduled: ScheduledPoller,
    stop: watch::Sender<bool>,
    requests: mpsc::Sender<PollRequest>,
    task: JoinHandle<()>,
}

impl Crew {
    /// Stops those that are not wanted any more, or otherwise, and starts those
    /// that are new. When this returns, no call of a stopped one goes on.
    async fn exchange(
        &mut self,
        wanted: &BTreeMap<InstanceName, ScheduledPoller>,
        begin: PollBegin,
    ) {
        let stays = |name: &InstanceName, worker: &Worker| {
            let wanted = wanted.get(name);
            wanted.is_some_and(|wanted| wanted.is_same(&worker.scheduled))
        };
        let stopped: Vec<(InstanceName, Worker)> = self
            .workers
            .extract_if(.., |name, worker| !stays(name, worker))
            .collect();
        // All at once: each may have to wait for the answer that it is at.
        for (_, worker) in &stopped {
            worker.stop.send_replace(true);
        }
        for (name, worker) in stopped {
            if let Err(error) = worker.task.await {
                tracing::error!("polling {name} ended in a mistake of ours: {error}");
            }
            self.shared.polling.board.forget(&name);
        }
        for (name, scheduled) in wanted {
            self.workers
                .entry(name.clone())
                .or_insert_with(|| self.shared.start(scheduled.clone(), begin));
        }
    }

    fn pass_on(&self, request: PollRequest) {
        let Some(worker) = self.workers.get(&request.instance) else {
            let why = format!(
                "it does not poll at the moment: `faultline plugin inspect {}` says why",
                request.instance
            );
            let _ = request.done.send(Err(why));
            return;
        };
        if let Err(error) = worker.requests.try_send(request) {
            let request = error.into_inner();
            let _ = request
                .done
                .send(Err("it is being asked already".to_owned()));
        }
    }
}

#[derive(Clone)]
struct Shared {
    polling: Polling,
    faults: Faults,
    room: Room,
}

/// The places of polls that wait for an answer.
#[derive(Clone)]
struct Room {
    all: Arc<Semaphore>,
    doubtful: Arc<Semaphore>,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(POLLS_AT_ONCE_MAX)),
            doubtful: Arc::new(Semaphore::new(DOUBTFUL_POLLS_AT_ONCE_MAX)),
        }
    }
}

impl Room {
    /// A place for a poller that stands so, for as long as what is returned
    /// lives; none once there are no more places to be had.
    async fn enter(
        self,
        state: &PollState,
    ) -> Option<(Option<OwnedSemaphorePermit>, OwnedSemaphorePermit)> {
        // First the scarcer one: who waits for it takes no place from others.
        let doubtful = if state.faults_in_a_row > 0 {
            Some(self.doubtful.acquire_owned().await.ok()?)
        } else {
            None
        };
        Some((doubtful, self.all.acquire_owned().await.ok()?))
    }
}

impl Shared {
    fn start(&self, scheduled: ScheduledPoller, begin: PollBegin) -> Worker {
        let (stop, stopped) = watch::channel(false);
        let (requests, asked) = mpsc::channel(REQUESTS_MAX);
        let task = Task {
            shared: self.clone(),
            scheduled: scheduled.clone(),
            patience: Patience::new(Part::Poll, self.faults.clone()),
            stop: stopped,
            asked,
            is_held_back: false,
        };
        Worker {
            scheduled,
            stop,
            requests,
            task: tokio::spawn(task.run(begin)),
        }
    }
}

/// One poller's.
struct Task {
    shared: Shared,
    scheduled: ScheduledPoller,
    patience: Patience,
    stop: watch::Receiver<bool>,
    asked: mpsc::Receiver<PollRequest>,
    is_held_back: bool,
}

impl Task {
    async fn run(mut self, mut begin: PollBegin) {
        let mut mine = self.shared.polling.mine.clone();
        while !self.is_stopped() {
            if !*mine.borrow_and_update() {
                // Whoever asks it now says how that goes.
                self.patience.succeeded();
                tokio::select! {
                    // Nobody is left to say that it is ours: then it stays as it is.
                    Ok(()) = mine.changed() => {}
                    _ = self.stop.changed() => {}
                    Some(request) = self.asked.recv() => {
                        let why = "another process asks it";
                        let _ = request.done.send(Err(why.to_owned()));
                    }
                }
                continue;
            }
            let polling = &self.shared.polling;
            let began = PollStage::begin(
                polling.journal.clone(),
                &self.scheduled,
                polling.policy.clone(),
                Arc::new(now),
                Arc::clone(&polling.board),
                begin,
            );
            match began.await {
                Ok(stage) => {
                    self.patience.succeeded();
                    begin = PollBegin::Resumed;
                    self.ask(stage, &mut mine).await;
                    let name = self.scheduled.poller.instance();
                    self.shared.polling.board.forget(name);
                }
                Err(error) => self.patience.failed(&error, &mut self.stop).await,
            }
        }
    }

    /// Asks whenever it is due or somebody wants it, as long as this process is
    /// the one to ask.
    async fn ask(&mut self, mut stage: PollStage, mine: &mut watch::Receiver<bool>) {
        while !self.is_stopped() && *mine.borrow_and_update() {
            if self.patience.has_failed() {
                // Nothing is fetched that could not be kept.
                match stage.write_again().await {
                    Ok(()) => self.patience.succeeded(),
                    Err(error) => {
                        self.patience.failed(&error, &mut self.stop).await;
                        continue;
                    }
                }
            }
            let longest = if stage.state().is_held() {
                LOOK_FOR_RELEASE
            } else {
                LOOK_AGAIN
            };
            let wait = stage.due().map(|due| due.since(now()));
            let wait = wait.map_or(longest, |wait| wait.min(longest));
            let request = tokio::select! {
                () = tokio::time::sleep(wait) => None,
                Some(request) = self.asked.recv() => Some(request),
                Ok(()) = mine.changed() => continue,
                _ = self.stop.changed() => continue,
            };
            if let Err(error) = stage.look_for_release().await {
                let why = format!("where it stands cannot be read: {error}");
                if let Some(request) = request {
                    let _ = request.done.send(Err(why));
                }
                self.patience.failed(&error, &mut self.stop).await;
                continue;
            }
            if request.is_none() && stage.due().is_none_or(|due| due > now()) {
                continue;
            }
            if let Some(why) = self.held_back() {
                match request {
                    Some(request) => {
                        let _ = request.done.send(Err(why));
                    }
                    None => self.rest().await,
                }
                continue;
            }
            let _place = tokio::select! {
                place = self.shared.room.clone().enter(stage.state()) => place,
                _ = self.stop.changed() => continue,
            };
            let from = request
                .as_ref()
                .map_or(PollFrom::Cursor, |request| request.from);
            let outcome = self.poll(&mut stage, from, mine).await;
            if let Some(request) = request {
                let _ = request.done.send(outcome);
            }
        }
    }

    async fn poll(
        &mut self,
        stage: &mut PollStage,
        from: PollFrom,
        mine: &watch::Receiver<bool>,
    ) -> Result<(), String> {
        let stop = &self.stop;
        let polled = stage
            .poll(from, &|| !*stop.borrow() && *mine.borrow())
            .await;
        let polled = match polled {
            Ok(polled) => polled,
            Err(error) => {
                let why = format!("the journal does not take what it fetched: {error}");
                self.patience.failed(&error, &mut self.stop).await;
                return Err(why);
            }
        };
        self.patience.succeeded();
        match polled {
            Polled::Page(Some((end, bytes))) => self.shared.polling.backlog.appended(end, bytes),
            Polled::Page(None) | Polled::Overtaken => {}
            Polled::Quarantined => {
                let name = self.scheduled.poller.instance();
                let why = stage.state().quarantine().unwrap_or_default();
                return Err(format!(
                    "it is quarantined, as it {why}; `faultline plugin resume {name}` gives it \
                     another chance"
                ));
            }
            Polled::Unwanted => {
                self.rest().await;
                return Err(STOPPED.to_owned());
            }
            Polled::Fault => self.say_fault(stage.state()),
        }
        Ok(())
    }

    fn say_fault(&self, state: &PollState) {
        let name = self.scheduled.poller.instance();
        if let Some(why) = state.quarantine() {
            tracing::error!(
                plugin.instance = %name,
                "{name} is not polled any more, as it {why}; `faultline plugin resume {name}` \
                 gives it another chance"
            );
        } else if let Some(fault) = &state.last_fault {
            tracing::warn!(
                plugin.instance = %name,
                poll.code = fault.code,
                poll.faults_in_a_row = state.faults_in_a_row,
                poll.due = %state.due,
                "polling {name} gave nothing: {}: {}",
                fault.code,
                fault.message
            );
        }
    }

    /// Why nothing may be fetched now; none if it may.
    fn held_back(&mut self) -> Option<String> {
        let polling = &self.shared.polling;
        let distance = polling.backlog.distance();
        let is_held_back = distance.is_over(&polling.limits);
        if is_held_back && !self.is_held_back {
            let name = self.scheduled.poller.instance();
            tracing::warn!(
                plugin.instance = %name,
                backlog.envelopes = distance.envelopes,
                "{name} is not polled: the work is {} envelopes behind the journal",
                distance.envelopes
            );
        }
        self.is_held_back = is_held_back;
        is_held_back.then(|| {
            let envelopes = distance.envelopes;
            format!("the work is {envelopes} envelopes behind the journal")
        })
    }

    async fn rest(&mut self) {
        tokio::select! {
            () = tokio::time::sleep(HELD_BACK) => {}
            _ = self.stop.changed() => {}
        }
    }

    /// Told to stop, or left behind by whoever could.
    fn is_stopped(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use faultline_domain::envelope::Position;
    use faultline_domain::id::{Digest, ScopeName};
    use faultline_domain::plugin::CallError;
    use faultline_domain::poll::{Page, Poller};
    use faultline_store::{Location, Store};
    use faultline_test_databases::Server;

    use super::*;
    use crate::node::tests::{database, until};

    /// One that nobody gets to ask.
    struct Unasked(InstanceName);

    impl Poller for Unasked {
        fn instance(&self) -> &InstanceName {
            &self.0
        }

        fn poll(&self, _: Option<&[u8]>, _: u32) -> Result<Page, CallError> {
            unreachable!("the journal does not answer")
        }
    }

    /// A crew of one, over a journal that does not answer.
    async fn crew(mine: &watch::Sender<bool>) -> (Crew, Faults) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).await.expect("a store");
        let journal = Journal::open(store.clone(), ScopeName::default_scope()).await;
        store.close().await;
        let (mut crew, faults) = crew_over(journal.expect("a journal"), mine);
        let name = InstanceName::new("eye").expect("a name");
        tokio::time::pause();
        let wanted = wanted(Arc::new(Unasked(name)));
        crew.exchange(&wanted, PollBegin::Resumed).await;
        (crew, faults)
    }

    /// One poller, which is asked every minute.
    fn wanted(poller: Arc<dyn Poller>) -> BTreeMap<InstanceName, ScheduledPoller> {
        let name = poller.instance().clone();
        let scheduled = ScheduledPoller {
            poller,
            digest: Digest::of(b"eye"),
            interval: Duration::from_secs(60),
        };
        BTreeMap::from([(name, scheduled)])
    }

    /// A crew of nobody.
    fn crew_over(journal: Journal, mine: &watch::Sender<bool>) -> (Crew, Faults) {
        let faults = Faults::default();
        let polling = Polling {
            journal,
            board: Arc::default(),
            backlog: Arc::new(Backlog::new(Position::START, Position::START)),
            limits: ListenerLimits::default(),
            policy: SupervisionPolicy::default(),
            mine: mine.subscribe(),
        };
        let crew = Crew {
            shared: Shared {
                polling,
                faults: faults.clone(),
                room: Room::default(),
            },
            workers: BTreeMap::new(),
        };
        (crew, faults)
    }

    async fn pass() {
        for _ in 0..20 {
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    }

    /// One that has nothing, and counts how often it is asked.
    struct Counted(InstanceName, AtomicU32);

    impl Poller for Counted {
        fn instance(&self) -> &InstanceName {
            &self.0
        }

        fn poll(&self, _: Option<&[u8]>, budget: u32) -> Result<Page, CallError> {
            self.1.fetch_add(1, Ordering::SeqCst);
            let page = Page::new(Vec::new(), b"end".to_vec(), false, None, budget);
            page.map_err(CallError::Failure)
        }
    }

    #[tokio::test]
    async fn nothing_is_fetched_that_cannot_be_kept() {
        let server = Server::shared();
        let url = server.create();
        let store = Store::open(&Location::postgresql(url.parse().expect("a URL"))).await;
        let journal = Journal::open(store.expect("a store"), ScopeName::default_scope()).await;
        let run = |sql: &str| server.run(database(&url), sql);
        run(
            "create function refuse() returns trigger language plpgsql as \
             $$ begin raise exception 'full'; end $$; \
             create trigger no_space before insert or update on faultline_journal.poll \
             execute function refuse()",
        );
        let mine = watch::Sender::new(true);
        let (mut crew, faults) = crew_over(journal.expect("a journal"), &mine);
        let counted = Counted(
            InstanceName::new("eye").expect("a name"),
            AtomicU32::default(),
        );
        let counted = Arc::new(counted);
        let asked = || counted.1.load(Ordering::SeqCst);
        let begin = PollBegin::Renewed;
        crew.exchange(&wanted(Arc::clone(&counted) as Arc<_>), begin)
            .await;
        let is_said = || faults.of(Part::Poll).is_some();
        until("it is said", is_said).await;
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(is_said(), "until it is over");
        }
        assert_eq!(asked(), 1);
        run("drop trigger no_space on faultline_journal.poll");
        until("it is over", || !is_said()).await;
        until("it is asked again", || asked() == 2).await;
        crew.exchange(&BTreeMap::new(), begin).await;
    }

    #[tokio::test]
    async fn pollers_that_fail_leave_places_to_those_that_do_not() {
        let room = Room::default();
        let good = PollState::default();
        let bad = PollState {
            faults_in_a_row: 1,
            ..PollState::default()
        };
        // At once, or not.
        let enter = async |state| {
            let at_once = tokio::time::timeout(Duration::ZERO, room.clone().enter(state));
            at_once.await.ok().flatten()
        };
        let mut places = Vec::new();
        for _ in 0..DOUBTFUL_POLLS_AT_ONCE_MAX {
            places.extend(enter(&bad).await);
        }
        assert!(enter(&bad).await.is_none());
        for _ in DOUBTFUL_POLLS_AT_ONCE_MAX..POLLS_AT_ONCE_MAX {
            places.extend(enter(&good).await);
        }
        assert_eq!(places.len(), POLLS_AT_ONCE_MAX);
        assert!(enter(&good).await.is_none(), "there are no more");
        drop(places.remove(0));
        assert!(enter(&bad).await.is_some());
    }

    #[tokio::test]
    async fn a_poller_that_another_process_asks_is_no_fault_of_ours() {
        let mine = watch::Sender::new(true);
        let (_crew, faults) = crew(&mine).await;
        pass().await;
        assert!(faults.of(Part::Poll).is_some());
        mine.send_replace(false);
        pass().await;
        assert_eq!(faults.of(Part::Poll), None);
    }

    #[tokio::test]
    async fn a_poller_that_is_gone_is_no_fault_any_more() {
        let mine = watch::Sender::new(true);
        let (mut crew, faults) = crew(&mine).await;
        pass().await;
        assert!(faults.of(Part::Poll).is_some());
        crew.exchange(&BTreeMap::new(), PollBegin::Renewed).await;
        assert_eq!(faults.of(Part::Poll), None);
    }
}
