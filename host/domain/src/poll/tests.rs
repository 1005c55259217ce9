use super::*;
use crate::fault::Fault;

const MINUTE: Duration = Duration::from_secs(60);

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn payload() -> Fetched {
    Fetched {
        content_type: "application/json".to_owned(),
        headers: Vec::new(),
        body: b"{}".to_vec(),
    }
}

fn page(payloads: usize, cursor: &str, more: bool) -> Page {
    let payloads = vec![payload(); payloads];
    Page::new(payloads, cursor.as_bytes().to_vec(), more, None, 500).expect("within its limits")
}

fn digest() -> Digest {
    Digest::of(b"a component")
}

fn schedule(interval: Duration) -> Schedule {
    scheduled(interval, "a")
}

fn scheduled(interval: Duration, name: &str) -> Schedule {
    let instance = InstanceName::new(name).expect("a name");
    Schedule::new(interval, instance, digest(), SupervisionPolicy::default())
}

/// It fails at what it is given: where it is.
fn fail(state: &mut PollState, error: &CallError, schedule: &Schedule, now: Timestamp) {
    let given = state.cursor.clone();
    state.asked();
    state.failed(error, given.as_deref(), schedule, Position(7), now);
}

fn trap() -> CallError {
    CallError::Failure(Failure::Trap("unreachable".to_owned()))
}

fn standing(state: &PollState) -> &'static str {
    let supervisor = state.supervisor.as_ref();
    supervisor.map_or("running", |it| it.standing().as_str())
}

fn fault(retry: Retry) -> CallError {
    CallError::Fault(Fault {
        code: "http.503".to_owned(),
        message: "not now".to_owned(),
        retry,
    })
}

#[test]
fn pages_over_their_limits_are_failures_with_a_name() {
    let over = Page::new(vec![payload(); 3], Vec::new(), false, None, 2);
    assert_eq!(over.expect_err("one too many").code(), "limit.page");
    let over = Page::new(Vec::new(), vec![0; CURSOR_BYTES_MAX + 1], false, None, 2);
    assert_eq!(over.expect_err("a byte too many").code(), "limit.cursor");
    Page::new(Vec::new(), vec![0; CURSOR_BYTES_MAX], false, None, 0).expect("fits");
}

#[test]
fn slots_follow_at_the_interval_and_differ_from_poller_to_poller() {
    let mut offsets = std::collections::BTreeSet::new();
    for name in ["a", "b", "c", "d", "e"] {
        let schedule = scheduled(MINUTE, name);
        let mut state = PollState::default();
        assert_eq!(state.due(at(1_000)), Some(Timestamp::ZERO), "at once");
        // Each answer takes a while.
        let mut now = at(1_000);
        state.paged(&page(1, "x", false), &schedule, now);
        let first = state.due;
        assert!(first >= now.plus(MINUTE / 2) && first < now.plus(MINUTE * 3 / 2));
        for n in 1..10 {
            now = state.due.plus(Duration::from_secs(7));
            state.paged(&page(1, "x", false), &schedule, now);
            assert_eq!(state.due, first.plus(MINUTE * n));
        }
        offsets.insert(first.since(first.floor(MINUTE)));
    }
    assert_eq!(offsets.len(), 5, "{offsets:?}");
}

#[test]
fn a_poll_that_takes_longer_than_the_interval_leaves_out_slots() {
    let schedule = schedule(MINUTE);
    let mut state = PollState::default();
    state.paged(&page(0, "x", false), &schedule, at(1_000));
    let first = state.due;
    state.paged(&page(0, "x", false), &schedule, first.plus(MINUTE * 5 / 2));
    assert_eq!(state.due, first.plus(MINUTE * 3));
}

#[test]
fn more_is_fetched_at_once_but_not_for_ever() {
    let schedule = schedule(MINUTE);
    let mut state = PollState::default();
    let now = at(1_000);
    for n in 1..PAGES_IN_A_ROW_MAX {
        state.paged(&page(1, &n.to_string(), true), &schedule, now);
        assert_eq!(state.due, now);
        assert_eq!(state.caught_up, None);
    }
    state.paged(&page(1, "z", true), &schedule, now);
    assert_eq!(state.due, now.plus(WAIT_MIN));
    // It says that there is more, and gives nothing.
    state.paged(&page(0, "z", true), &schedule, now);
    assert!(state.due >= now.plus(MINUTE / 2));
    assert_eq!(state.caught_up, Some(now));
    assert_eq!(state.lag(now.plus(MINUTE)), Some(MINUTE));
}

#[test]
fn what_the_poller_asks_for_is_kept_within_bounds() {
    let schedule = schedule(MINUTE);
    let now = at(1_000);
    for (asked, kept) in [
        (Duration::ZERO, WAIT_MIN),
        (Duration::from_secs(5), Duration::from_secs(5)),
        (Duration::MAX, WAIT_MAX),
    ] {
        let mut state = PollState::default();
        let page = Page::new(Vec::new(), Vec::new(), false, Some(asked), 1).expect("fits");
        state.paged(&page, &schedule, now);
        assert_eq!(state.due, now.plus(kept));
        let mut state = PollState::default();
        let millis = u64::try_from(asked.as_millis()).unwrap_or(u64::MAX);
        fail(&mut state, &fault(Retry::AfterMs(millis)), &schedule, now);
        assert_eq!(state.due, now.plus(kept));
    }
}

#[test]
fn one_that_is_refused_waits_longer_each_time_and_never_for_good() {
    let second = Duration::from_secs(1);
    let (quick, policy) = (schedule(second), SupervisionPolicy::default());
    let mut now = at(1_000);
    let mut state = PollState::default();
    state.paged(&page(2, "x", false), &quick, now);
    let caught_up = now;
    let mut waits = Vec::new();
    // A night.
    let morning = now.plus(Duration::from_secs(12 * 3_600));
    while now < morning {
        fail(&mut state, &fault(Retry::Later), &quick, now);
        assert_eq!(standing(&state), "backing-off");
        let due = state.due(now).expect("never quarantined");
        waits.push(due.since(now));
        now = due;
    }
    let longest = waits.iter().max().expect("many");
    assert!(*longest <= policy.backoff_max, "{longest:?}");
    // Half of the bound on average, over the hundreds of waits of a night.
    let later = &waits[20..];
    let mean = later.iter().sum::<Duration>() / u32::try_from(later.len()).expect("hundreds");
    assert!(mean > policy.backoff_max / 3, "{mean:?}");
    assert!(
        waits.iter().all(|wait| *wait >= second / 2),
        "no sooner than its schedule"
    );
    assert_eq!(state.cursor.as_deref(), Some(b"x".as_slice()));
    assert_eq!(state.caught_up, Some(caught_up));
    assert_eq!(state.faults, waits.len() as u64);
    let supervisor = state.supervisor.as_ref().expect("it is supervised");
    assert_eq!(supervisor.failures(), 0, "nothing is held against it");
    assert_eq!(
        supervisor.troubled_since(now, &policy),
        Some(caught_up),
        "people are told"
    );
    let why = supervisor.why().expect("it waits");
    assert!(
        why.contains("was refused") && why.contains("http.503: not now"),
        "{why}"
    );
    // The server is there again: all is forgotten at once.
    state.asked();
    state.paged(&page(0, "y", false), &quick, now);
    assert_eq!((standing(&state), state.faults_in_a_row), ("running", 0));
    let supervisor = state.supervisor.as_ref().expect("it is supervised");
    assert_eq!(supervisor.attempt(), 0);
    assert_eq!(supervisor.troubled_since(now, &policy), None);
}

#[test]
fn no_wait_has_it_asked_sooner_than_its_schedule() {
    let minute = schedule(MINUTE);
    let now = at(1_000);
    let mut state = PollState::default();
    state.paged(&page(2, "x", false), &minute, now);
    let slot = state.due;
    for error in [fault(Retry::Later), trap()] {
        let mut state = state.clone();
        fail(&mut state, &error, &minute, now);
        assert_eq!(
            state.due(now),
            Some(slot),
            "a first wait is a second at most"
        );
    }
    fail(&mut state, &fault(Retry::Never), &minute, now);
    let longest = SupervisionPolicy::default().backoff_max;
    assert_eq!(state.due(now), Some(now.plus(longest)));
}

#[test]
fn one_that_fails_on_the_same_cursor_again_and_again_is_quarantined_with_it() {
    let minute = schedule(MINUTE);
    let mut now = at(1_000);
    let mut state = PollState::default();
    state.paged(&page(2, "secret", false), &minute, now);
    for times in 1..=3 {
        assert_eq!(state.quarantine(), None);
        // That the server is down in between makes it no better.
        fail(&mut state, &fault(Retry::Later), &minute, now);
        now = state.due(now).expect("it is asked again");
        fail(&mut state, &trap(), &minute, now);
        let last = state.supervisor.as_ref().and_then(Supervisor::last_failure);
        let last = last.expect("it failed");
        assert_eq!((last.code.as_str(), last.times), ("trap", times));
        now = state.due(now).unwrap_or(now);
    }
    let why = state.quarantine().expect("it is quarantined");
    assert!(
        why.contains("same input") && why.contains("trap: unreachable"),
        "{why}"
    );
    assert!(
        why.contains("on cursor ") && !why.contains("secret"),
        "{why}"
    );
    assert_eq!(
        state.cursor.as_deref(),
        Some(b"secret".as_slice()),
        "it is kept"
    );
    assert_eq!(state.due(now.plus(MINUTE * 60 * 24 * 365)), None);
    state.renewed();
    state.resumed(&minute, now);
    state.asked();
    assert_eq!(state.due(at(0)), None, "no way around it");
    assert!(state.is_held());
    // A person lets it: it is asked at once, where it was.
    state.released(Position(9));
    assert_eq!(
        (state.due(now), state.heard),
        (Some(Timestamp::ZERO), Position(9))
    );
    assert!(!state.is_held());
    state.asked();
    state.paged(&page(1, "z", false), &minute, now);
    assert_eq!(standing(&state), "running");
}

#[test]
fn what_it_could_do_with_a_cursor_in_between_is_no_poison() {
    let minute = schedule(MINUTE);
    let mut now = at(1_000);
    let mut state = PollState::default();
    for _ in 0..10 {
        fail(&mut state, &trap(), &minute, now);
        now = now.plus(Duration::from_secs(3_600));
        state.asked();
        // Nothing new: the cursor is the same.
        state.paged(&page(0, "x", false), &minute, now);
    }
    assert_eq!(standing(&state), "running");
    let supervisor = state.supervisor.as_ref().expect("it failed");
    assert_eq!(supervisor.failures(), 10);
}

#[test]
fn many_failures_in_a_short_time_are_too_many_whatever_it_was_given() {
    let minute = schedule(MINUTE);
    let now = at(1_000);
    let mut state = PollState::default();
    for n in 0..5 {
        assert_eq!(state.quarantine(), None);
        state.asked();
        state.paged(&page(1, &n.to_string(), false), &minute, now);
        fail(&mut state, &trap(), &minute, now);
    }
    let why = state.quarantine().expect("it is quarantined");
    assert!(why.starts_with("failed too often: "), "{why}");
}

#[test]
fn another_component_under_the_same_name_begins_anew() {
    let minute = schedule(MINUTE);
    let now = at(1_000);
    let mut state = PollState::default();
    for _ in 0..3 {
        fail(&mut state, &trap(), &minute, now);
    }
    assert!(!state.made_of(digest()));
    assert!(state.quarantine().is_some());
    assert!(state.made_of(Digest::of(b"another")));
    assert_eq!(
        (state.due(now), state.supervisor),
        (Some(Timestamp::ZERO), None)
    );
}

#[test]
fn restarts_keep_what_a_fault_asked_for_but_no_old_interval() {
    let day = schedule(INTERVAL_MAX);
    let minute = schedule(MINUTE);
    let now = at(1_000_000);
    let mut state = PollState::default();
    state.paged(&page(1, "x", false), &day, now);
    assert!(state.due > now.plus(MINUTE * 2));
    state.resumed(&minute, now);
    assert!(state.due <= now.plus(MINUTE * 3 / 2));
    let soon = state.due;
    state.resumed(&day, now);
    assert_eq!(state.due, soon, "what was due sooner stays due");
    fail(&mut state, &fault(Retry::AfterMs(3_600_000)), &minute, now);
    state.resumed(&minute, now);
    assert_eq!(state.due, now.plus(MINUTE * 60));
    state.renewed();
    assert_eq!(
        state.due(now),
        Some(Timestamp::ZERO),
        "the operator changed something"
    );
}

#[test]
fn a_clock_that_goes_back_holds_nobody_up() {
    let schedule = schedule(MINUTE);
    let mut state = PollState::default();
    state.paged(&page(1, "x", false), &schedule, at(1_000_000));
    let earlier = at(900_000);
    assert_eq!(state.due(earlier), Some(earlier));
}
