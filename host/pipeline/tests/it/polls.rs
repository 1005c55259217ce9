//! Polling, with pollers in process and time moved by hand.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use faultline_domain::envelope::{Format, Position};
use faultline_domain::fault::{Fault, Retry};
use faultline_domain::id::{Digest, InstanceName};
use faultline_domain::plugin::{CallError, Failure};
use faultline_domain::poll::{CURSOR_BYTES_MAX, Fetched, PAGE_ENVELOPES_MAX, Page, Poller};
use faultline_domain::supervision::{SupervisionPolicy, Supervisor};
use faultline_domain::time::Timestamp;
use faultline_pipeline::{
    PipelineSettings, PollBegin, PollBoard, PollFrom, PollStage, Polled, ScheduledPoller,
};
use faultline_store::{Journal, Store};
use faultline_test_databases::{Database, Place, on_each_database};

use crate::crash::Crash;
use crate::{fresh, scope, store};

/// What a poller answers next.
#[derive(Clone)]
enum Answer {
    /// So many payloads, and whether there is more.
    Page(usize, bool),
    /// A cursor of so many bytes.
    Cursor(usize),
    Fault(Retry),
    Trap,
    Stopped,
}

/// Counts up: payloads are numbers, and the cursor is the last of them.
struct Numbers {
    instance: InstanceName,
    answers: Mutex<VecDeque<Answer>>,
    /// The cursors that it was given.
    given: Mutex<Vec<Option<String>>>,
}

impl Numbers {
    fn answering(answers: &[Answer]) -> Arc<Self> {
        Arc::new(Self {
            instance: InstanceName::new("numbers").expect("a name"),
            answers: Mutex::new(answers.iter().cloned().collect()),
            given: Mutex::default(),
        })
    }

    fn given(&self) -> Vec<Option<String>> {
        self.given.lock().expect("no panic").clone()
    }
}

impl Poller for Numbers {
    fn instance(&self) -> &InstanceName {
        &self.instance
    }

    fn poll(&self, cursor: Option<&[u8]>, budget: u32) -> Result<Page, CallError> {
        assert_eq!(budget, PAGE_ENVELOPES_MAX);
        let cursor = cursor.map(|cursor| String::from_utf8_lossy(cursor).into_owned());
        let last: usize = cursor
            .as_deref()
            .map_or(0, |text| text.parse().expect("a number"));
        self.given.lock().expect("no panic").push(cursor);
        let answer = self.answers.lock().expect("no panic").pop_front();
        match answer.unwrap_or(Answer::Page(0, false)) {
            Answer::Page(count, more) => {
                let payloads = (last + 1..=last + count).map(|number| Fetched {
                    content_type: "text/plain".to_owned(),
                    headers: Vec::new(),
                    body: number.to_string().into_bytes(),
                });
                let cursor = (last + count).to_string().into_bytes();
                Ok(Page::new(payloads.collect(), cursor, more, None, budget)?)
            }
            Answer::Cursor(bytes) => Ok(Page::new(
                Vec::new(),
                vec![b'1'; bytes],
                false,
                None,
                budget,
            )?),
            Answer::Fault(retry) => Err(CallError::Fault(Fault {
                code: "http.503".to_owned(),
                message: "not now".to_owned(),
                retry,
            })),
            Answer::Stopped => Err(CallError::Failure(Failure::Stopped)),
            Answer::Trap => Err(CallError::Failure(Failure::Trap("unreachable".to_owned()))),
        }
    }
}

/// A journal, and a clock that stands still.
struct World {
    store: Store,
    journal: Journal,
    clock: Arc<AtomicU64>,
    board: Arc<PollBoard>,
    _place: Place,
}

impl World {
    async fn new(database: Database) -> Self {
        let place = fresh(database).await;
        let store = store(&place).await;
        let journal = Journal::open(store.clone(), scope()).await;
        Self {
            journal: journal.expect("a journal"),
            store,
            clock: Arc::new(AtomicU64::new(1_000_000)),
            board: Arc::default(),
            _place: place,
        }
    }

    async fn stage(&self, poller: &Arc<Numbers>, begin: PollBegin) -> PollStage {
        self.stage_of(poller, b"one", begin).await
    }

    /// The same, with a component of which this is the text.
    async fn stage_of(
        &self,
        poller: &Arc<Numbers>,
        component: &[u8],
        begin: PollBegin,
    ) -> PollStage {
        let scheduled = ScheduledPoller {
            poller: Arc::clone(poller) as Arc<dyn Poller>,
            digest: Digest::of(component),
            interval: Duration::from_secs(60),
        };
        let policy = SupervisionPolicy::default();
        let clock = Arc::clone(&self.clock);
        let clock = Arc::new(move || Timestamp::from_secs(clock.load(Ordering::SeqCst)));
        let board = Arc::clone(&self.board);
        PollStage::begin(
            self.journal.clone(),
            &scheduled,
            policy,
            clock,
            board,
            begin,
        )
        .await
        .expect("begins")
    }

    /// Lets the clock go on.
    fn pass(&self, secs: u64) {
        self.clock.fetch_add(secs, Ordering::SeqCst);
    }

    /// Somebody lets an instance run again, and the observe stage reads it.
    async fn resume(&self, instance: &str) {
        crate::resume(&self.journal, instance, self.now()).await;
        let (mut observe, _) =
            crate::stages(&self.store, &PipelineSettings::default(), &crate::plugins());
        observe.drain().await.expect("observes");
    }

    /// Where pollers that failed stand, as everybody is told.
    async fn standings(&self) -> Vec<(String, &'static str)> {
        crate::standings(&self.store).await
    }

    /// Its journal, as it is in front of this crash.
    async fn watched(&self, crash: &Arc<Crash>) -> Journal {
        let store = self.store.clone().watched(crash.watch());
        Journal::open(store, scope()).await.expect("a journal")
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.clock.load(Ordering::SeqCst))
    }

    /// The numbers in the journal, in order.
    async fn numbers(&self) -> Vec<u64> {
        let envelopes = self
            .store
            .envelope_list(&scope(), Position::START, 4_096, usize::MAX)
            .await
            .expect("reads");
        let number = |body: &[u8]| String::from_utf8_lossy(body).parse().expect("a number");
        envelopes
            .iter()
            .map(|envelope| {
                let arrival = &envelope.arrival;
                assert_eq!(arrival.source.as_str(), "numbers");
                let connector = InstanceName::new("numbers").expect("a name");
                assert_eq!(arrival.format, Format::Connector(connector));
                assert_eq!(arrival.content_type, "text/plain");
                number(&arrival.body)
            })
            .collect()
    }
}

async fn poll(stage: &mut PollStage) -> Polled {
    stage.poll(PollFrom::Cursor, &|| true).await.expect("polls")
}

async fn pages_are_appended_in_order_and_the_cursor_moves_with_them(database: Database) {
    let world = World::new(database).await;
    let numbers = Numbers::answering(&[Answer::Page(2, true), Answer::Page(1, false)]);
    let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
    assert!(
        stage.due() <= Some(world.now()),
        "one that is new is asked at once"
    );
    assert_eq!(poll(&mut stage).await, Polled::Page(Some((Position(2), 2))));
    assert!(stage.due() <= Some(world.now()), "there is more");
    assert_eq!(poll(&mut stage).await, Polled::Page(Some((Position(3), 1))));
    assert!(stage.due() > Some(world.now()));
    assert_eq!(poll(&mut stage).await, Polled::Page(None), "nothing new");
    assert_eq!(world.numbers().await, [1, 2, 3]);
    let expected = [None, Some("2".to_owned()), Some("3".to_owned())];
    assert_eq!(numbers.given(), expected);
    let states = world.board.states();
    let (_, shown) = states.first_key_value().expect("it is on the board");
    assert_eq!((shown.pages, shown.envelopes, shown.faults), (3, 3, 0));
    assert_eq!(world.journal.head().borrow().position, Position(3));
}

async fn a_restart_goes_on_where_it_was_and_when_it_is_due(database: Database) {
    let world = World::new(database).await;
    let numbers = Numbers::answering(&[Answer::Page(2, false), Answer::Page(2, false)]);
    let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
    poll(&mut stage).await;
    let due = stage.due();
    drop(stage);
    let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
    assert_eq!(stage.due(), due);
    poll(&mut stage).await;
    assert_eq!(world.numbers().await, [1, 2, 3, 4]);
    let stage = world.stage(&numbers, PollBegin::Renewed).await;
    assert!(stage.due() <= Some(world.now()), "it was changed");
}

async fn what_was_fetched_twice_stands_in_the_journal_once(database: Database) {
    let world = World::new(database).await;
    let numbers = Numbers::answering(&vec![Answer::Page(2, false); 4]);
    let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
    poll(&mut stage).await;
    // Fetched, and then cut off before the commit: the same cursor comes again.
    let cut_off = {
        let wanted = || -> bool { panic!("the process ends here") };
        let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
        tokio::spawn(async move { stage.poll(PollFrom::Cursor, &wanted).await }).await
    };
    assert!(cut_off.expect_err("cut off").is_panic());
    let mut resumed = world.stage(&numbers, PollBegin::Resumed).await;
    assert_eq!(
        poll(&mut resumed).await,
        Polled::Page(Some((Position(4), 2)))
    );
    let two = Some("2".to_owned());
    assert_eq!(numbers.given(), [None, two.clone(), two.clone()]);
    // Another worker that does not know of it is overtaken, and learns it.
    assert_eq!(poll(&mut stage).await, Polled::Overtaken);
    assert_eq!(stage.state(), resumed.state());
    assert_eq!(world.numbers().await, [1, 2, 3, 4]);
}

async fn two_workers_at_once_append_one_page(database: Database) {
    let world = World::new(database).await;
    let numbers = Numbers::answering(&vec![Answer::Page(3, false); 2]);
    let mut one = world.stage(&numbers, PollBegin::Resumed).await;
    let mut other = world.stage(&numbers, PollBegin::Resumed).await;
    let (one, other) = tokio::join!(poll(&mut one), poll(&mut other));
    let both = [one, other];
    assert!(
        both.contains(&Polled::Page(Some((Position(3), 3)))),
        "{both:?}"
    );
    assert!(both.contains(&Polled::Overtaken), "{both:?}");
    assert_eq!(world.numbers().await, [1, 2, 3]);
}

async fn what_is_over_a_limit_fails_whole_and_moves_nothing(database: Database) {
    let over = PAGE_ENVELOPES_MAX as usize + 1;
    for (answer, code) in [
        (Answer::Page(over, false), "limit.page"),
        (Answer::Cursor(CURSOR_BYTES_MAX + 1), "limit.cursor"),
        (Answer::Fault(Retry::Later), "http.503"),
        (Answer::Trap, "trap"),
    ] {
        let world = World::new(database).await;
        let numbers = Numbers::answering(&[Answer::Page(1, false), answer]);
        let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
        poll(&mut stage).await;
        assert_eq!(poll(&mut stage).await, Polled::Fault);
        let kept = stage.state();
        let last = kept.last_fault.as_ref().expect("it failed");
        assert_eq!((last.code.as_str(), last.at), (code, world.now()));
        assert_eq!(kept.cursor.as_deref(), Some(b"1".as_slice()));
        assert!(stage.due() > Some(world.now()), "it has to wait");
        assert_eq!(world.numbers().await, [1]);
        // It is known after a restart, too; and then it goes on.
        let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
        assert_eq!(stage.state().faults_in_a_row, 1);
        poll(&mut stage).await;
        assert_eq!(stage.state().faults_in_a_row, 0);
        assert_eq!(numbers.given().last(), Some(&Some("1".to_owned())));
    }
}

async fn what_a_fault_asks_for_is_kept_over_a_restart(database: Database) {
    let world = World::new(database).await;
    let hour = Duration::from_secs(3_600);
    let numbers = Numbers::answering(&[Answer::Fault(Retry::AfterMs(3_600_000))]);
    let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
    poll(&mut stage).await;
    assert_eq!(stage.due(), Some(world.now().plus(hour)));
    let stage = world.stage(&numbers, PollBegin::Resumed).await;
    assert_eq!(stage.due(), Some(world.now().plus(hour)));
}

async fn what_comes_after_it_was_stopped_does_not_count(database: Database) {
    let world = World::new(database).await;
    let numbers = Numbers::answering(&[Answer::Page(2, false), Answer::Fault(Retry::Never)]);
    let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
    let before = stage.state().clone();
    for _ in 0..2 {
        let allowed = AtomicBool::new(false);
        let polled = stage
            .poll(PollFrom::Cursor, &|| allowed.load(Ordering::SeqCst))
            .await;
        assert_eq!(polled.expect("polls"), Polled::Unwanted);
    }
    assert_eq!(*stage.state(), before);
    assert_eq!(world.numbers().await, [0; 0]);
    let stored = world.journal.poll_fetch(&numbers.instance).await;
    assert_eq!(stored.expect("reads").version, 0);
}

async fn from_the_start_forgets_the_cursor(database: Database) {
    let world = World::new(database).await;
    let numbers = Numbers::answering(&vec![Answer::Page(2, false); 3]);
    let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
    poll(&mut stage).await;
    let polled = stage.poll(PollFrom::Start, &|| true).await;
    assert_eq!(polled.expect("polls"), Polled::Page(Some((Position(4), 2))));
    poll(&mut stage).await;
    assert_eq!(numbers.given(), [None, None, Some("2".to_owned())]);
    assert_eq!(world.numbers().await, [1, 2, 1, 2, 3, 4]);
}

async fn a_journal_that_refuses_loses_nothing(database: Database) {
    let world = World::new(database).await;
    let numbers = Numbers::answering(&vec![Answer::Page(2, false); 2]);
    let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
    world.store.close().await;
    let refused = stage.poll(PollFrom::Cursor, &|| true).await;
    refused.expect_err("the database is closed");
    assert_eq!(stage.state().cursor, None, "it is fetched again");
}

async fn one_that_fails_on_its_cursor_is_quarantined_until_somebody_lets_it_on(database: Database) {
    let world = World::new(database).await;
    let mut answers = vec![Answer::Page(1, false)];
    answers.extend(vec![Answer::Trap; 3]);
    let numbers = Numbers::answering(&answers);
    let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
    assert_eq!(poll(&mut stage).await, Polled::Page(Some((Position(1), 1))));
    // What somebody did before it failed lets nothing run that fails later.
    world.resume("numbers").await;
    for times in 1..=3_u32 {
        assert_eq!(poll(&mut stage).await, Polled::Fault);
        world.pass(3_600);
        if times < 3 {
            assert_eq!(
                world.standings().await,
                [("numbers".to_owned(), "backing-off")]
            );
            assert!(!stage.look_for_release().await.expect("looks"));
            // It is the same machine after a restart.
            stage = world.stage(&numbers, PollBegin::Resumed).await;
        }
    }
    let quarantined = [("numbers".to_owned(), "quarantined")];
    assert_eq!(world.standings().await, quarantined);
    assert_eq!(stage.due(), None);
    let calls = numbers.given().len();
    for begin in [PollBegin::Resumed, PollBegin::Renewed] {
        stage = world.stage(&numbers, begin).await;
        assert_eq!(poll(&mut stage).await, Polled::Quarantined);
        assert_eq!(stage.due(), None);
    }
    assert_eq!(numbers.given().len(), calls, "it was not asked");
    let state = stage.state();
    let why = state.quarantine().expect("it is quarantined");
    assert!(
        why.contains("same input") && why.contains("unreachable"),
        "{why}"
    );
    assert_eq!(state.cursor.as_deref(), Some(b"1".as_slice()), "the poison");

    // An act for somebody else is none for it.
    world.resume("letters").await;
    assert!(!stage.look_for_release().await.expect("looks"));
    world.resume("numbers").await;
    assert!(stage.look_for_release().await.expect("looks"));
    assert_eq!(stage.due(), Some(Timestamp::ZERO), "at once");
    assert_eq!(world.standings().await, [("numbers".to_owned(), "running")]);
    assert!(matches!(poll(&mut stage).await, Polled::Page(_)));
    assert_eq!(
        numbers.given().last(),
        Some(&Some("1".to_owned())),
        "where it was"
    );
    assert!(!stage.look_for_release().await.expect("looks"), "once");
}

async fn a_crash_at_a_commit_counts_a_failure_once_or_not_at_all(database: Database) {
    for (side, failures) in [(0, 0_u64), (1, 1)] {
        let mut world = World::new(database).await;
        let numbers = Numbers::answering(&vec![Answer::Trap; 4]);
        let whole = world.journal.clone();
        let crash = Crash::after(side);
        world.journal = world.watched(&crash).await;
        let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
        assert!(
            crash.cut(poll(&mut stage)).await.is_none(),
            "it was cut off"
        );
        world.journal = whole;
        let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
        let supervisor = stage.state().supervisor.as_ref();
        let counted = supervisor.map_or(0, Supervisor::failures);
        assert_eq!(counted, failures);
        // The rest of what it takes.
        for _ in failures..3 {
            assert!(stage.due().is_some());
            assert_eq!(poll(&mut stage).await, Polled::Fault);
        }
        assert_eq!(stage.due(), None);

        // So it is with the act that lets it run again.
        world.resume("numbers").await;
        let whole = world.journal.clone();
        let crash = Crash::after(side);
        world.journal = world.watched(&crash).await;
        let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
        assert!(crash.cut(stage.look_for_release()).await.is_none());
        world.journal = whole;
        let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
        let is_released = stage.look_for_release().await.expect("looks");
        assert_eq!(is_released, side == 0, "once");
        assert_eq!(stage.due(), Some(Timestamp::ZERO));
    }
}

async fn a_server_that_is_down_for_a_night_quarantines_nobody(database: Database) {
    let world = World::new(database).await;
    let mut answers = vec![Answer::Page(1, false)];
    answers.extend(vec![Answer::Fault(Retry::Later); 100]);
    answers.push(Answer::Page(1, false));
    let numbers = Numbers::answering(&answers);
    let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
    poll(&mut stage).await;
    let longest = SupervisionPolicy::default().backoff_max;
    for _ in 0..100 {
        assert_eq!(poll(&mut stage).await, Polled::Fault);
        let due = stage.due().expect("it is asked again");
        let wait = due.since(world.now());
        assert!(wait <= longest, "{wait:?}");
        world.pass(wait.as_secs() + 1);
    }
    let waits = [("numbers".to_owned(), "backing-off")];
    assert_eq!(world.standings().await, waits);
    let polled = poll(&mut stage).await;
    assert!(matches!(polled, Polled::Page(Some(_))), "{polled:?}");
    assert_eq!(world.standings().await, [("numbers".to_owned(), "running")]);
    assert_eq!(world.numbers().await, [1, 2], "nothing is lost");
    // The next wait is a first one again, and those are shorter than the interval.
    let slot = stage.due();
    let numbers = Numbers::answering(&[Answer::Fault(Retry::Later)]);
    let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
    poll(&mut stage).await;
    assert_eq!(stage.due(), slot);
}

async fn somebody_who_lets_it_on_ends_a_wait(database: Database) {
    let world = World::new(database).await;
    let numbers = Numbers::answering(&[Answer::Fault(Retry::AfterMs(36_000_000))]);
    let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
    poll(&mut stage).await;
    assert!(stage.due() > Some(world.now()));
    world.resume("numbers").await;
    let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
    assert!(stage.look_for_release().await.expect("looks"));
    assert!(stage.due() <= Some(world.now()));
}

async fn another_component_of_a_quarantined_one_is_asked_at_once(database: Database) {
    let world = World::new(database).await;
    let numbers = Numbers::answering(&vec![Answer::Trap; 3]);
    let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
    for _ in 0..3 {
        assert_eq!(poll(&mut stage).await, Polled::Fault);
        world.pass(3_600);
    }
    assert_eq!(stage.due(), None);
    let mut stage = world.stage_of(&numbers, b"two", PollBegin::Resumed).await;
    assert!(
        world.standings().await.is_empty(),
        "nobody is told of it any more"
    );
    assert!(stage.due() <= Some(world.now()));
    assert_eq!(poll(&mut stage).await, Polled::Page(None));
}

async fn one_that_the_host_stops_has_not_failed(database: Database) {
    let world = World::new(database).await;
    let numbers = Numbers::answering(&[Answer::Stopped]);
    let mut stage = world.stage(&numbers, PollBegin::Resumed).await;
    assert_eq!(poll(&mut stage).await, Polled::Unwanted);
    assert_eq!(stage.state().faults, 0);
    assert!(world.standings().await.is_empty());
}

on_each_database!(
    one_that_fails_on_its_cursor_is_quarantined_until_somebody_lets_it_on,
    a_crash_at_a_commit_counts_a_failure_once_or_not_at_all,
    a_server_that_is_down_for_a_night_quarantines_nobody,
    somebody_who_lets_it_on_ends_a_wait,
    another_component_of_a_quarantined_one_is_asked_at_once,
    one_that_the_host_stops_has_not_failed,
    pages_are_appended_in_order_and_the_cursor_moves_with_them,
    a_restart_goes_on_where_it_was_and_when_it_is_due,
    what_was_fetched_twice_stands_in_the_journal_once,
    two_workers_at_once_append_one_page,
    what_is_over_a_limit_fails_whole_and_moves_nothing,
    what_a_fault_asks_for_is_kept_over_a_restart,
    what_comes_after_it_was_stopped_does_not_count,
    from_the_start_forgets_the_cursor,
    a_journal_that_refuses_loses_nothing,
);
