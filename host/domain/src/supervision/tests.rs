use proptest::prelude::*;

use super::*;

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_000 + secs)
}

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn trap(input: Option<&str>) -> Failed<'static> {
    Failed {
        code: "trap",
        message: "unreachable",
        input: input.map(str::to_owned),
    }
}

fn memory() -> Failed<'static> {
    Failed {
        code: "limit.memory",
        message: "wanted too much",
        input: None,
    }
}

/// A draw by which the next wait is as long as it can be.
fn longest(it: &Supervisor, policy: &SupervisionPolicy) -> u64 {
    let bound = policy.bound(it.attempt() + 1);
    u64::try_from(bound.as_micros()).expect("minutes")
}

fn policy() -> SupervisionPolicy {
    SupervisionPolicy {
        backoff_first: Duration::from_secs(1),
        backoff_max: Duration::from_secs(10),
        ..SupervisionPolicy::default()
    }
}

fn until(it: &Supervisor) -> Timestamp {
    match it.standing() {
        Standing::BackingOff { until } => *until,
        other => panic!("{other} and not backing off"),
    }
}

#[test]
fn waits_double_up_to_a_bound_and_begin_anew_after_health() {
    let policy = SupervisionPolicy {
        failures_max: 100,
        ..policy()
    };
    let mut it = Supervisor::new(digest("a"));
    let mut now = at(0);
    let mut waits = Vec::new();
    for _ in 0..6 {
        assert!(it.may_call(now));
        let draw = longest(&it, &policy);
        it.failed(now, &trap(None), draw, &policy);
        let next = until(&it);
        assert!(!it.may_call(next.minus(Duration::from_micros(1))));
        waits.push(next.since(now).as_micros());
        now = next;
    }
    assert_eq!(waits, [1, 2, 4, 8, 10, 10].map(|secs| secs * 1_000_000));
    assert_eq!(it.restarts(), 5, "the last wait is not over yet");
    // Not healthy for long enough: nothing is forgotten.
    assert!(it.may_call(now));
    it.succeeded(now.plus(Duration::from_secs(1)), &policy);
    assert_eq!(it.attempt(), 6);
    let healthy = now.plus(policy.healthy_after);
    it.succeeded(healthy, &policy);
    let draw = policy.backoff_first.as_micros();
    it.failed(
        healthy,
        &trap(None),
        u64::try_from(draw).expect("a second"),
        &policy,
    );
    assert_eq!(until(&it).since(healthy), policy.backoff_first);
}

#[test]
fn jitter_is_full_and_derived_where_it_has_to_be() {
    let bound = Duration::from_micros(9);
    assert_eq!(jitter(bound, 0), Duration::ZERO);
    assert_eq!(jitter(bound, 9), bound);
    assert_eq!(jitter(bound, 10), Duration::ZERO);
    let name = InstanceName::new("eye").expect("a name");
    let drawn = draw(&name, digest("a"), at(1), 0);
    assert_eq!(drawn, draw(&name, digest("a"), at(1), 0));
    for other in [
        draw(&name, digest("b"), at(1), 0),
        draw(&name, digest("a"), at(2), 0),
        draw(&name, digest("a"), at(1), 1),
    ] {
        assert_ne!(drawn, other);
    }
}

#[test]
fn too_many_failures_in_the_window_are_the_end_until_a_person_says_otherwise() {
    let policy = policy();
    let mut it = Supervisor::new(digest("a"));
    for index in 0..4 {
        it.failed(at(index * 100), &trap(None), 0, &policy);
        assert_eq!(it.standing().as_str(), "backing-off");
    }
    let reason = Reason::Failures;
    let quarantined = Standing::Quarantined {
        since: at(401),
        reason,
    };
    assert_eq!(
        it.failed(at(401), &trap(Some("7")), 0, &policy),
        &quarantined
    );
    // What fails afterwards was called before.
    assert_eq!(it.failed(at(402), &trap(None), 0, &policy), &quarantined);
    assert!(!it.may_call(at(1_000_000)));
    it.succeeded(at(1_000_000), &policy);
    assert_eq!(it.standing(), &quarantined);
    assert!(it.resumed());
    assert!(it.may_call(at(1_000_001)));
    assert!(!it.resumed(), "nothing was left to lift");
    assert_eq!(
        it.failed(at(1_000_002), &trap(None), 0, &policy).as_str(),
        "backing-off"
    );
}

#[test]
fn failures_that_lie_far_apart_are_borne() {
    let policy = policy();
    let mut it = Supervisor::new(digest("a"));
    for index in 0..50 {
        let now = at(index * 601);
        assert!(it.may_call(now));
        it.failed(now, &trap(None), 0, &policy);
    }
    assert_eq!(it.standing().as_str(), "backing-off");
    assert_eq!(it.failures(), 50);
}

#[test]
fn memory_and_the_same_input_have_thresholds_of_their_own() {
    let policy = policy();
    let mut it = Supervisor::new(digest("a"));
    it.failed(at(0), &memory(), 0, &policy);
    it.failed(at(1), &memory(), 0, &policy);
    it.failed(at(2), &memory(), 0, &policy);
    let reason = Reason::Memory;
    assert_eq!(
        it.standing(),
        &Standing::Quarantined {
            since: at(2),
            reason
        }
    );

    // However far apart.
    let mut it = Supervisor::new(digest("a"));
    for index in 0..3 {
        it.failed(at(index * 100_000), &trap(Some("cursor 9")), 0, &policy);
    }
    let reason = Reason::SameInput;
    let since = at(200_000);
    assert_eq!(it.standing(), &Standing::Quarantined { since, reason });
    let last = it.last_failure().expect("failed");
    assert_eq!((last.input.as_deref(), last.times), (Some("cursor 9"), 3));
    let why = it.why().expect("does not run");
    assert!(
        why.contains("same input") && why.contains("cursor 9"),
        "{why}"
    );

    // Failures without an input are never the same input.
    let mut it = Supervisor::new(digest("a"));
    for index in 0..4 {
        it.failed(at(index * 10_000), &trap(None), 0, &policy);
    }
    assert_eq!(it.standing().as_str(), "backing-off");
}

#[test]
fn trouble_is_told_of_when_it_lasts() {
    let policy = SupervisionPolicy {
        failures_max: 100,
        backoff_first: Duration::from_secs(100),
        backoff_max: Duration::from_secs(100),
        ..SupervisionPolicy::default()
    };
    let mut it = Supervisor::new(digest("a"));
    assert_eq!(it.troubled_since(at(0), &policy), None);
    it.failed(at(0), &trap(None), 99_999_999, &policy);
    assert_eq!(it.troubled_since(at(10), &policy), None);
    assert!(it.may_call(at(100)));
    it.failed(at(100), &trap(None), 99_999_999, &policy);
    assert_eq!(it.troubled_since(at(119), &policy), None);
    assert_eq!(it.troubled_since(at(120), &policy), Some(at(0)));
    assert!(it.may_call(at(200)));
    assert_eq!(it.troubled_since(at(200), &policy), Some(at(0)), "for now");
    assert_eq!(it.troubled_since(at(220), &policy), None, "it runs");
}

#[test]
fn refusals_are_forgotten_with_the_first_answer_and_failures_are_not() {
    let policy = policy();
    let mut it = Supervisor::new(digest("a"));
    let refused = Failed {
        code: "http.503",
        message: "http.503: not now",
        input: Some("cursor 9".to_owned()),
    };
    it.failed(at(0), &trap(Some("cursor 9")), 0, &policy);
    for index in 1..=20 {
        it.retried();
        let draw = longest(&it, &policy);
        it.refused(at(index), &refused, None, draw, &policy);
    }
    assert_eq!(until(&it), at(30), "longer each time, up to a bound");
    assert_eq!((it.attempt(), it.failures()), (21, 1));
    it.wait_until(at(25));
    assert_eq!(until(&it), at(30), "no sooner");
    it.wait_until(at(40));
    assert_eq!(until(&it), at(40));
    let named = Some(Duration::from_secs(3_600));
    it.retried();
    it.refused(at(40), &refused, named, 0, &policy);
    assert_eq!(until(&it), at(3_640), "it knows better");
    let last = it.last_failure().expect("refused");
    assert_eq!((last.code.as_str(), last.times), ("http.503", 1));
    it.retried();
    it.answered(at(41), &policy);
    assert_eq!(it.attempt(), 1, "the trap");
    assert_eq!(it.standing(), &Standing::Running);
    let times = it.last_failure().map(|last| last.times);
    assert_eq!(times, Some(0), "it is none of this input any more");
    // What was kept by an earlier version knows of no refusals.
    let mut kept = serde_json::to_value(&it).expect("writes");
    kept.as_object_mut().expect("an object").remove("refusals");
    let restored: Supervisor = serde_json::from_value(kept).expect("reads");
    assert_eq!(restored, it);
}

#[test]
fn another_component_under_the_same_name_begins_anew() {
    let policy = SupervisionPolicy {
        failures_max: 1,
        ..policy()
    };
    let name = InstanceName::new("eye").expect("a name");
    let mut all = Supervision::default();
    assert!(all.may_call(&name, at(0)));
    all.failed(&name, digest("a"), at(0), &trap(None), &policy);
    assert!(!all.may_call(&name, at(10)));
    let kept = serde_json::to_string(&all).expect("writes");
    let mut restored: Supervision = serde_json::from_str(&kept).expect("reads");
    assert_eq!(restored, all);
    restored.retain(&BTreeMap::from([(name.clone(), digest("a"))]));
    assert!(!restored.may_call(&name, at(10)));
    restored.retain(&BTreeMap::from([(name.clone(), digest("b"))]));
    assert!(restored.may_call(&name, at(10)));
    assert_eq!(restored.get(&name), None);
    assert!(all.resumed(&name));
    assert!(all.may_call(&name, at(10)));
}

#[test]
fn a_policy_that_cannot_be_meant_is_refused() {
    assert_eq!(SupervisionPolicy::default().check(), None);
    let never = SupervisionPolicy {
        failures_max: 0,
        ..SupervisionPolicy::default()
    };
    assert!(never.check().expect("refused").contains("failures is 0"));
    let backwards = SupervisionPolicy {
        backoff_max: Duration::from_millis(1),
        ..SupervisionPolicy::default()
    };
    assert!(backwards.check().expect("refused").contains("backoff-max"));
}

/// What happens to an instance.
#[derive(Debug, Clone)]
enum Input {
    Ask,
    Succeed,
    Fail {
        memory: bool,
        input: Option<u8>,
        draw: u64,
    },
    Resume,
}

fn inputs() -> impl Strategy<Value = Vec<(u64, Input)>> {
    let input = prop_oneof![
        3 => Just(Input::Ask),
        3 => Just(Input::Succeed),
        6 => (any::<bool>(), proptest::option::of(0_u8..3), any::<u64>())
            .prop_map(|(memory, input, draw)| Input::Fail { memory, input, draw }),
        1 => Just(Input::Resume),
    ];
    proptest::collection::vec((0_u64..200_000_000, input), 0..80)
}

/// The same rules, by going through all that ever happened.
#[derive(Default)]
struct Model {
    failures: Vec<(Timestamp, bool, Option<u8>)>,
    quarantined: bool,
    until: Timestamp,
}

impl Model {
    fn fail(
        &mut self,
        now: Timestamp,
        memory: bool,
        input: Option<u8>,
        policy: &SupervisionPolicy,
    ) {
        self.failures.push((now, memory, input));
        let healthy = self
            .failures
            .windows(2)
            .rposition(|pair| pair[1].0.since(pair[0].0) >= policy.healthy_after);
        let streak = &self.failures[healthy.map_or(0, |before| before + 1)..];
        let within = streak.iter().filter(|it| now.since(it.0) <= policy.window);
        let same = self.failures.iter().rev();
        let same = same
            .take_while(|it| input.is_some() && it.2 == input)
            .count();
        let count = within.clone().count();
        let memories = within.filter(|it| it.1).count();
        self.quarantined |= count >= policy.failures_max as usize
            || memories >= policy.memory_failures_max as usize
            || same >= policy.same_input_max as usize;
    }
}

proptest! {
    #[test]
    fn does_what_going_through_its_whole_life_would(inputs in inputs()) {
        let policy = policy();
        let mut it = Supervisor::new(digest("a"));
        let mut model = Model::default();
        let mut now = at(0);
        for (later, input) in inputs {
            now = now.plus(Duration::from_micros(later));
            match input {
                Input::Ask => {
                    let may = !model.quarantined && model.until <= now;
                    prop_assert_eq!(it.may_call(now), may);
                }
                // Only what may be called can succeed.
                Input::Succeed => {
                    if it.may_call(now) {
                        it.succeeded(now, &policy);
                    }
                }
                Input::Fail { memory, input, draw } => {
                    let may = it.may_call(now);
                    let failed = Failed {
                        code: if memory { "limit.memory" } else { "trap" },
                        message: "m",
                        input: input.map(|input| input.to_string()),
                    };
                    it.failed(now, &failed, draw, &policy);
                    model.fail(now, memory, input, &policy);
                    if let Standing::BackingOff { until } = *it.standing() {
                        let wait = until.since(now);
                        prop_assert!(wait <= policy.bound(it.attempt()));
                        prop_assert!(wait <= policy.backoff_max);
                        if !may {
                            prop_assert_eq!(until, model.until, "no longer wait");
                        }
                        model.until = until;
                    }
                    let quarantined = matches!(it.standing(), Standing::Quarantined { .. });
                    prop_assert_eq!(quarantined, model.quarantined);
                }
                Input::Resume => {
                    it.resumed();
                    model = Model::default();
                    prop_assert!(it.may_call(now));
                }
            }
            prop_assert!(it.recent.len() <= policy.failures_max as usize);
        }
    }
}

#[test]
fn that_there_was_no_room_to_start_it_is_held_against_nobody() {
    let policy = policy();
    let mut it = Supervisor::new(digest("a"));
    let failure = Failure::Start("no slot is free".to_owned());
    let message = failure.to_string();
    let mut now = at(0);
    for attempt in 1..=50 {
        let failed = Failed::of(&failure, &message, Some("envelope 1".to_owned()));
        let draw = longest(&it, &policy);
        it.failed(now, &failed, draw, &policy);
        assert_eq!(it.attempt(), attempt);
        now = until(&it);
        assert!(it.may_call(now));
    }
    assert_eq!(it.failures(), 0);
    let failed = Failed::of(&failure, &message, None);
    it.failed(now, &failed, 0, &policy);
    let why = it.why().expect("waits");
    assert!(why.starts_with("could not be started 51 times"), "{why}");
}
