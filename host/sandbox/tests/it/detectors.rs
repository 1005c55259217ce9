//! Detectors live long, remember, and end at the first failure.

use std::time::Duration;

use faultline_domain::finding::Subject;
use faultline_domain::plugin::{
    CallError, Detector, DetectorFactory as _, Failure, IntroducedSeries, Limit, Limits,
};
use faultline_domain::telemetry::{Samples, SeriesKey};
use faultline_domain::time::Timestamp;
use faultline_sandbox::Loaded;

use crate::Bench;

const TRAP: f64 = 666.0;
const LOOP: f64 = 777.0;
const BLOAT: f64 = 888.0;
const LIE: f64 = 999.0;

fn start(bench: &Bench) -> Box<dyn Detector> {
    start_with(bench, Duration::from_millis(200))
}

fn start_with(bench: &Bench, cpu_per_call: Duration) -> Box<dyn Detector> {
    let limits = Limits {
        cpu_per_call,
        wall_per_call: Duration::from_secs(60),
        memory_bytes: 256 << 20,
        output_bytes: 64 << 20,
        ..Limits::default()
    };
    let Ok(Loaded::Detector(factory)) = bench.load("hostile-detector", "{}", limits) else {
        panic!("not a detector");
    };
    let mut detector = factory.start().expect("starts");
    let series = IntroducedSeries {
        id: 3,
        key: SeriesKey {
            name: "load".to_owned(),
            unit: String::new(),
            entity: None,
            attributes: [("cpu", "0")].into_iter().collect(),
        },
    };
    detector.introduce(&[series], &[]).expect("introduces");
    detector
}

fn batch(values: &[f64]) -> Samples {
    let mut samples = Samples::default();
    for (secs, value) in (1..).zip(values) {
        samples.push(3, Timestamp::from_secs(secs), *value);
    }
    samples
}

fn titles(detector: &mut dyn Detector, values: &[f64]) -> Vec<String> {
    let findings = detector.samples(&batch(values)).expect("findings");
    findings.into_iter().map(|finding| finding.title).collect()
}

#[test]
fn a_detector_remembers_and_goes_on_from_what_it_saved() {
    let bench = Bench::new();
    let mut first = start(&bench);
    assert_eq!(
        titles(&mut *first, &[1.0, 2.0]),
        ["row 1 of 1 series", "row 2 of 1 series"]
    );
    let saved = first.save().expect("saves");
    assert_eq!(titles(&mut *first, &[3.0]), ["row 3 of 1 series"]);

    let mut second = start(&bench);
    second.load(&saved).expect("loads");
    assert_eq!(titles(&mut *second, &[3.0]), ["row 3 of 1 series"]);
    let finding = &second.samples(&batch(&[4.5])).expect("findings")[0];
    assert_eq!(finding.subject, Subject::Series(3));
    assert_eq!((finding.row, finding.value), (Some(0), Some(4.5)));
}

#[test]
fn a_state_that_is_not_its_own_is_refused_and_changes_nothing() {
    let bench = Bench::new();
    let mut detector = start(&bench);
    titles(&mut *detector, &[1.0]);
    let refused = detector.load(b"something else entirely");
    assert!(matches!(refused, Err(CallError::Fault(_))), "{refused:?}");
    assert_eq!(titles(&mut *detector, &[1.0]), ["row 2 of 1 series"]);
}

#[test]
fn after_a_failure_there_is_nothing_left_to_call() {
    let bench = Bench::new();
    for (value, code) in [(TRAP, "trap"), (LOOP, "limit.cpu"), (LIE, "contract")] {
        let mut detector = start(&bench);
        titles(&mut *detector, &[1.0]);
        let Err(CallError::Failure(failure)) = detector.samples(&batch(&[1.0, value])) else {
            panic!("{code}: should fail");
        };
        assert_eq!(failure.code(), code);
        let again = detector.samples(&batch(&[1.0]));
        assert!(matches!(again, Err(CallError::Failure(_))), "{code}");
        // Another one of the same instance knows nothing of it.
        assert_eq!(titles(&mut *start(&bench), &[1.0]), ["row 1 of 1 series"]);
    }
}

#[test]
fn a_state_that_is_too_long_is_a_failure() {
    let bench = Bench::new();
    // Writing so much takes a while on a busy machine, and that is not what
    // this is about.
    let mut detector = start_with(&bench, Duration::from_secs(30));
    titles(&mut *detector, &[BLOAT]);
    let saved = detector.save().map(|state| state.len());
    let Err(CallError::Failure(Failure::Limit { limit, .. })) = saved else {
        panic!("should reach a limit: {saved:?}");
    };
    assert_eq!(limit, Limit::State);
}

#[test]
fn many_live_side_by_side() {
    let bench = Bench::new();
    let mut detectors: Vec<_> = (0..100).map(|_| start(&bench)).collect();
    for detector in &mut detectors {
        assert_eq!(titles(&mut **detector, &[1.0]), ["row 1 of 1 series"]);
    }
}
