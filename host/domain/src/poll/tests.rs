use super::*;

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
        let schedule = Schedule::new(MINUTE, name.as_bytes());
        let mut state = PollState::default();
        assert_eq!(state.due(at(1_000)), Timestamp::ZERO, "at once");
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
    let schedule = Schedule::new(MINUTE, b"a");
    let mut state = PollState::default();
    state.paged(&page(0, "x", false), &schedule, at(1_000));
    let first = state.due;
    state.paged(&page(0, "x", false), &schedule, first.plus(MINUTE * 5 / 2));
    assert_eq!(state.due, first.plus(MINUTE * 3));
}

#[test]
fn more_is_fetched_at_once_but_not_for_ever() {
    let schedule = Schedule::new(MINUTE, b"a");
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
    let schedule = Schedule::new(MINUTE, b"a");
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
        state.failed(&fault(Retry::AfterMs(millis)), &schedule, now);
        assert_eq!(state.due, now.plus(kept));
    }
}

#[test]
fn waits_grow_after_faults_and_the_cursor_stays() {
    let schedule = Schedule::new(MINUTE, b"a");
    let now = at(1_000);
    let mut state = PollState::default();
    state.paged(&page(2, "x", false), &schedule, now);
    for nominal in [60, 120, 240, 300, 300] {
        state.failed(&fault(Retry::Later), &schedule, now);
        let wait = state.due.since(now).as_secs_f64();
        assert!((0.9..=1.1).contains(&(wait / f64::from(nominal))), "{wait}");
    }
    assert_eq!((state.faults, state.faults_in_a_row), (5, 5));
    assert_eq!(state.cursor.as_deref(), Some(b"x".as_slice()));
    assert_eq!(state.caught_up, Some(now));
    state.paged(&page(0, "y", false), &schedule, now);
    assert_eq!((state.faults, state.faults_in_a_row), (5, 0));
    state.failed(&fault(Retry::Never), &schedule, now);
    assert_eq!(state.due, now.plus(BACKOFF_MAX));
    let trap = CallError::Failure(Failure::Trap("unreachable".to_owned()));
    state.failed(&trap, &schedule, now);
    let last = state.last_fault.expect("it failed");
    assert_eq!((last.code.as_str(), last.at), ("trap", now));
}

#[test]
fn restarts_keep_what_a_fault_asked_for_but_no_old_interval() {
    let day = Schedule::new(INTERVAL_MAX, b"a");
    let minute = Schedule::new(MINUTE, b"a");
    let now = at(1_000_000);
    let mut state = PollState::default();
    state.paged(&page(1, "x", false), &day, now);
    assert!(state.due > now.plus(MINUTE * 2));
    state.resumed(&minute, now);
    assert!(state.due <= now.plus(MINUTE * 3 / 2));
    let soon = state.due;
    state.resumed(&day, now);
    assert_eq!(state.due, soon, "what was due sooner stays due");
    state.failed(&fault(Retry::AfterMs(3_600_000)), &minute, now);
    state.resumed(&minute, now);
    assert_eq!(state.due, now.plus(MINUTE * 60));
    state.renewed();
    assert!(state.due(now) <= now, "the operator changed something");
}

#[test]
fn a_clock_that_goes_back_holds_nobody_up() {
    let schedule = Schedule::new(MINUTE, b"a");
    let mut state = PollState::default();
    state.paged(&page(1, "x", false), &schedule, at(1_000_000));
    let earlier = at(900_000);
    assert_eq!(state.due(earlier), earlier);
}
