use faultline_sdk::testkit::{DetectorBench, Recording, check_detector};
use faultline_sdk::{Attributes, Entity, Finding, Series};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::synthetic::{Random, SECOND, START};

fn series(name: &str, unit: &str) -> Series {
    Series::new(name, unit, Entity::new("service", "cart"))
        .with_attribute("service", "cart")
        .with_attribute("job", "kubernetes")
}

/// Latencies and errors of a service that breaks after 20 minutes and is
/// mended 10 minutes later, sampled every 5 seconds.
fn incident() -> Recording {
    let mut recording = Recording::new();
    let latency = recording.series(series("http latency p99", "s"));
    let errors = recording.series(series("http errors", "1").with_attribute("route", "/pay"));
    let mut random = Random::new(11);
    for row in 0..480 {
        let time = START + row * 5 * SECOND;
        let broken = (240..360).contains(&row);
        let value = 0.1 * (0.2 * random.normal()).exp();
        recording.sample(latency, time, if broken { value * 12.0 } else { value });
        recording.sample(errors, time, if broken { 0.3 } else { 0.0 });
    }
    recording.with_ticks_every(60 * SECOND)
}

#[test]
fn an_incident_from_beginning_to_end() {
    let findings = check_detector::<Baseline>(&json!({}), &incident());
    let of = |id: u32| -> Vec<&Finding> {
        findings
            .iter()
            .filter(|finding| finding.subject == Subject::Series(id))
            .collect()
    };
    for id in [0, 1] {
        let [first, .., last] = of(id)[..] else {
            panic!("{findings:#?}");
        };
        assert!(first.firing && first.key == report::KEY);
        assert_eq!(first.at, START + 240 * 5 * SECOND);
        let worst = of(id)
            .iter()
            .map(|finding| finding.score)
            .fold(0.0, f64::max);
        assert!(first.score > 0.2 && worst > 0.5, "{}, {worst}", first.score);
        assert!(!last.firing && last.attributes.value_of("ending") == Some("recovered"));
        assert_eq!(last.started, first.started);
        assert!(of(id).len() <= 5, "{findings:#?}");
    }
    let latency = of(0)[0];
    let (low, high) = latency.expected.expect("a band");
    let seen = latency.value.expect("a value");
    assert!(
        (0.0..0.1).contains(&low) && 0.1 < high && high < seen,
        "{low} to {high}: {seen}"
    );
    assert_eq!(latency.attributes.value_of("direction"), Some("above"));
    let title = &latency.title;
    assert!(
        title.starts_with("http latency p99 of service/cart is 1.")
            && title.contains(" s, expected 0.0"),
        "{title}"
    );
    assert!(
        of(1)[0]
            .title
            .starts_with("http errors{route=\"/pay\"} of service/cart is 0.3, expected"),
        "{}",
        of(1)[0].title
    );
}

#[test]
fn batches_and_reloads_change_nothing() {
    // Several series of all sorts, interleaved, with gaps and jitter.
    let mut recording = Recording::new();
    let ids: Vec<u32> = (0..6)
        .map(|number| recording.series(series(&format!("m{number}"), "")))
        .collect();
    let mut random = Random::new(12);
    for row in 0..700 {
        for (number, id) in (0_u64..).zip(&ids) {
            if random.uniform() < 0.02 {
                continue;
            }
            let jitter = u64::from(random.uniform() < 0.5) * SECOND;
            let time = START + row * 15 * SECOND + jitter + (row / 300) * 7_200 * SECOND;
            let value = match number {
                0 => 100.0 + random.normal(),
                1 => random.poisson(0.1),
                2 => (random.normal()).exp(),
                3 => 5.0,
                4 => f64::from(u8::from(row % 97 > 90)) * 40.0,
                _ => 1e12 * random.normal(),
            };
            let spike = row % 211 == 210 && number % 2 == 0;
            recording.sample(*id, time, if spike { value * 30.0 + 7.0 } else { value });
        }
    }
    let findings = check_detector::<Baseline>(
        &json!({"report-once-in-days": 1.1, "settle-hours": 0}),
        &recording.with_ticks_every(300 * SECOND),
    );
    assert!(!findings.is_empty());
}

#[test]
fn a_series_that_falls_silent_takes_its_episode_with_it() {
    let mut recording = Recording::new();
    let id = recording.series(series("http errors", "1"));
    for row in 0..250 {
        let value = if row < 240 { 0.0 } else { 0.3 };
        recording.sample(id, START + row * 5 * SECOND, value);
    }
    recording.tick(START + 1_800 * SECOND);
    recording.tick(START + 7_200 * SECOND);
    recording.tick(START + 7_260 * SECOND);
    let findings = check_detector::<Baseline>(&json!({}), &recording);
    let last = findings.last().expect("findings");
    assert!(!last.firing && last.row.is_none());
    assert_eq!(last.at, START + 7_200 * SECOND);
    assert_eq!(last.attributes.value_of("ending"), Some("silent"));
    assert_eq!(findings.iter().filter(|finding| !finding.firing).count(), 1);
}

#[test]
fn series_over_the_limit_are_said_once_and_not_watched() {
    let config = json!({"series-max": 2, "ignore-metrics": ["go_*"]});
    let mut bench = DetectorBench::<Baseline>::new(&config);
    for id in 0..5 {
        let series = series(&format!("m{id}"), "").with_id(id);
        bench.introduce(&[series], &[]).expect("introduced");
    }
    let ignored = series("go_threads", "").with_id(9);
    bench.introduce(&[ignored], &[]).expect("introduced");
    let lines = bench.host().lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].1.contains("series-max"), "{lines:?}");
    let mut rows = Samples::new();
    for id in [0, 4, 9, 77] {
        rows.push(id, START, 1.0);
    }
    assert_eq!(bench.samples(&rows).expect("no fault"), []);
}

#[test]
fn a_changed_configuration_goes_on_from_the_same_state() {
    let mut bench = DetectorBench::<Baseline>::new(&json!({}));
    let mut random = Random::new(13);
    bench
        .introduce(&[series("m", "").with_id(0)], &[])
        .expect("introduced");
    let mut rows = Samples::new();
    for row in 0..1_000 {
        rows.push(0, START + row * 15 * SECOND, 10.0 + random.normal());
    }
    bench.samples(&rows).expect("no fault");
    bench
        .reconfigure(&json!({"report-once-in-days": 5.0}))
        .expect("reconfigured");
    let mut rows = Samples::new();
    for row in 1_000..1_004 {
        rows.push(0, START + row * 15 * SECOND, 200.0);
    }
    let findings = bench.samples(&rows).expect("no fault");
    assert!(findings.iter().any(|finding| finding.firing));
}

#[test]
fn rows_that_the_host_would_not_send_are_left_out() {
    let mut bench = DetectorBench::<Baseline>::new(&json!({}));
    bench
        .introduce(&[series("m", "").with_id(0)], &[])
        .expect("introduced");
    let mut rows = Samples::new();
    for (time, value) in [
        (5, 1.0),
        (5, 2.0),
        (4, 3.0),
        (6, f64::NAN),
        (7, f64::INFINITY),
    ] {
        rows.push(0, START + time, value);
    }
    assert_eq!(bench.samples(&rows).expect("no fault"), []);
}

#[test]
fn a_configuration_that_does_not_fit_is_refused_with_its_place() {
    for (config, place) in [
        (json!({"settle-hours": "x"}), "`settle-hours`"),
        (json!({"absolute-floors": {"s": []}}), "`absolute-floors.s`"),
        (json!({"sensitivity": 1}), "`sensitivity`"),
    ] {
        let mut bench = DetectorBench::<Baseline>::new(&config);
        let fault = bench.introduce(&[], &[]).expect_err("refused");
        assert_eq!(fault.code, "config");
        assert!(fault.message.contains(place), "{}", fault.message);
    }
}

#[test]
fn many_announcements_over_the_limit_cost_one_look_around() {
    let config = json!({"series-max": 1_000});
    let mut bench = DetectorBench::<Baseline>::new(&config);
    let all: Vec<Series> = (0..1_000)
        .map(|id| series(&format!("m{id}"), "").with_id(id))
        .collect();
    bench.introduce(&all, &[]).expect("introduced");
    assert_eq!(bench.tick(START), Ok(Vec::new()));
    // What was announced at the beginning of time and never had a row makes
    // room; what was announced just now stays.
    let more: Vec<Series> = (0..60_000)
        .map(|id| series(&format!("n{id}"), "").with_id(10_000 + id))
        .collect();
    bench.introduce(&more, &[]).expect("introduced");
    let lines = bench.host().lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].1.starts_with("59000 series are not watched"),
        "{lines:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever the rows: batches and reloads change nothing, and of each
    /// series only what was said to be wrong is said to be over.
    #[test]
    fn what_ends_has_begun(
        rows in proptest::collection::vec(
            (0..2_u32, 1..30_u64, prop_oneof![4 => Just(5.0), 4 => 0.0..10.0_f64, 1 => -1e9..1e9]),
            100..400,
        ),
    ) {
        let mut recording = Recording::new();
        recording.series(series("a", "s"));
        recording.series(series("b", "1"));
        let mut time = START;
        for (id, step, value) in rows {
            time += step * SECOND;
            recording.sample(id, time, value);
        }
        recording.tick(time + 7_200 * SECOND);
        let findings = check_detector::<Baseline>(&json!({"report-once-in-days": 1.1}), &recording);
        let mut open = BTreeSet::new();
        for finding in findings {
            prop_assert!((0.0..=1.0).contains(&finding.score));
            prop_assert!(finding.started <= finding.at);
            prop_assert!(finding.expected.is_none_or(|(low, high)| low <= high));
            let subject = format!("{:?}", finding.subject);
            if finding.firing {
                open.insert(subject);
            } else {
                prop_assert!(open.remove(&subject));
            }
        }
        prop_assert!(open.is_empty(), "two hours of silence end all");
    }
}
