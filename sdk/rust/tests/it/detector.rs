//! Detectors: good ones pass the checks of the test kit, bad ones do not.

use std::collections::BTreeMap;

use faultline_sdk::testkit::{DetectorBench, Recording, check_detector};
use faultline_sdk::{
    Detector, Entity, Fault, Finding, Findings, LogLines, LogSource, Samples, Series, Subject,
    Timestamp, state, time,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    above: f64,
}

/// Says what is above a bound, which lines say `panic`, and which series are
/// silent.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Watch {
    last: BTreeMap<u32, (Timestamp, bool)>,
}

impl Detector for Watch {
    type Config = Config;
    const STATE_NAME: &'static str = "test/watch";
    const STATE_VERSION: u32 = 2;

    fn new(config: &Config) -> Result<Self, Fault> {
        if config.above.is_nan() {
            return Err(Fault::config("`above` is not a number"));
        }
        Ok(Self::default())
    }

    fn introduce(&mut self, _config: &Config, series: &[Series], _sources: &[LogSource]) {
        for series in series {
            self.last.insert(series.id, (0, false));
        }
    }

    fn samples(&mut self, config: &Config, batch: &Samples, findings: &mut Findings) {
        for sample in batch.rows() {
            let Some((last, is_above)) = self.last.get_mut(&sample.series) else {
                continue;
            };
            *last = sample.time;
            let now_above = sample.value > config.above;
            if now_above && !*is_above {
                findings.push(Finding::firing("above", sample).with_score(2.0));
            } else if *is_above && !now_above {
                findings.push(Finding::recovered("above", sample));
            }
            *is_above = now_above;
        }
    }

    fn logs(&mut self, _config: &Config, batch: &LogLines, findings: &mut Findings) {
        for line in batch.rows().filter(|line| line.text.contains("panic")) {
            findings.push(Finding::firing("panic", line).with_title(line.text));
        }
    }

    fn tick(&mut self, _config: &Config, watermark: Timestamp, findings: &mut Findings) {
        for (&series, (last, _)) in &self.last {
            if watermark - *last > time::MINUTE {
                let seen = (Subject::Series(series), watermark);
                findings.push(Finding::firing("silent", seen).with_started(*last));
            }
        }
    }

    fn migrate(version: u32, bytes: &[u8]) -> Result<Self, Fault> {
        // Version 1 knew the times alone.
        assert_eq!(version, 1);
        let last: BTreeMap<u32, Timestamp> = state::from_bytes(bytes)?;
        let last = last.into_iter().map(|(id, time)| (id, (time, false)));
        Ok(Self {
            last: last.collect(),
        })
    }
}

fn recording() -> Recording {
    let mut recording = Recording::new();
    let entity = Entity::new("host", "a");
    let a = recording.series(Series::new("a", "", entity.clone()));
    let b = recording.series(Series::new("b", "", entity.clone()));
    let log = recording.log_source(LogSource::new(entity));
    for second in 0..300_u32 {
        let at = u64::from(second) * time::SECOND;
        recording.sample(a, at, f64::from(second % 50));
        if second < 100 {
            recording.sample(b, at, 1.0);
        }
        if second == 70 {
            recording.line(log, at, 17, "kernel panic");
        }
    }
    recording.with_ticks_every(30 * time::SECOND)
}

#[test]
fn a_good_detector_passes() {
    let findings = check_detector::<Watch>(&json!({"above": 45.0}), &recording());
    let count = |key: &str, firing: bool| {
        findings
            .iter()
            .filter(|finding| finding.key == key && finding.firing == firing)
            .count()
    };
    assert_eq!(count("above", true), 6);
    assert_eq!(count("above", false), 5);
    assert_eq!(count("panic", true), 1);
    // Series b fell silent at 99 s: noticed at 180, 210, 240 and 270.
    assert_eq!(count("silent", true), 4);
    let panic = findings.iter().find(|finding| finding.key == "panic");
    let panic = panic.expect("one panic");
    assert_eq!(panic.subject, Subject::LogSource(0));
    assert_eq!(panic.at, 70 * time::SECOND);
    let above = findings.iter().find(|finding| finding.key == "above");
    let above = above.expect("six of them");
    assert_eq!((above.value, above.score), (Some(46.0), 1.0));
}

/// Looks ahead within a batch.
#[derive(Debug, Serialize, Deserialize)]
struct Peeking;

impl Detector for Peeking {
    type Config = Config;
    const STATE_NAME: &'static str = "test/peeking";

    fn new(_config: &Config) -> Result<Self, Fault> {
        Ok(Self)
    }

    fn introduce(&mut self, _config: &Config, _series: &[Series], _sources: &[LogSource]) {}

    fn samples(&mut self, _config: &Config, batch: &Samples, findings: &mut Findings) {
        let highest = batch.value.iter().copied().fold(f64::MIN, f64::max);
        for sample in batch.rows().filter(|sample| sample.value >= highest) {
            findings.push(Finding::firing("highest", sample));
        }
    }
}

#[test]
#[should_panic(expected = "in batches of 7 rows rather than one by one")]
fn a_detector_that_looks_ahead_is_found_out() {
    check_detector::<Peeking>(&json!({"above": 0.0}), &recording());
}

/// Forgets to save.
#[derive(Debug, Serialize, Deserialize)]
struct Forgetful {
    #[serde(skip)]
    rows: u32,
}

impl Detector for Forgetful {
    type Config = Config;
    const STATE_NAME: &'static str = "test/forgetful";

    fn new(_config: &Config) -> Result<Self, Fault> {
        Ok(Self { rows: 0 })
    }

    fn introduce(&mut self, _config: &Config, _series: &[Series], _sources: &[LogSource]) {}

    fn samples(&mut self, _config: &Config, batch: &Samples, findings: &mut Findings) {
        for sample in batch.rows() {
            self.rows += 1;
            if self.rows == 20 {
                findings.push(Finding::firing("twentieth", sample));
            }
        }
    }
}

#[test]
#[should_panic(expected = "with a save and a reload after each row")]
fn a_detector_that_forgets_is_found_out() {
    check_detector::<Forgetful>(&json!({"above": 0.0}), &recording());
}

#[test]
fn a_bad_configuration_is_a_fault_at_every_call() {
    let mut bench = DetectorBench::<Watch>::new(&json!({"above": "x"}));
    let faults = [
        bench.introduce(&[], &[]).err(),
        bench.samples(&Samples::new()).err(),
        bench.logs(&LogLines::new()).err(),
        bench.tick(1).err(),
    ];
    for fault in faults {
        let fault = fault.expect("the configuration is bad");
        assert_eq!(fault.code, "config");
        assert!(fault.message.starts_with("`above`: "), "{}", fault.message);
    }
    // It has nothing to remember, and says so.
    assert_eq!(bench.save(), Ok(Vec::new()));
    assert_eq!(bench.load(&[]), Ok(()));
}

fn batch(value: f64) -> Samples {
    let mut batch = Samples::new();
    batch.push(0, time::SECOND, value);
    batch
}

fn introduced(above: f64) -> DetectorBench<Watch> {
    let mut bench = DetectorBench::new(&json!({ "above": above }));
    let series = Series::new("a", "", Entity::new("host", "a"));
    bench.introduce(&[series], &[]).expect("it lives");
    bench
}

#[test]
fn a_changed_configuration_applies_to_a_loaded_state() {
    let mut bench = introduced(10.0);
    assert_eq!(bench.samples(&batch(7.0)), Ok(Vec::new()));
    bench
        .reconfigure(&json!({"above": 5.0}))
        .expect("it goes on");
    let findings = bench.samples(&batch(7.0)).expect("it lives");
    assert_eq!(findings.len(), 1);
}

#[test]
fn a_refused_state_changes_nothing() {
    let mut bench = introduced(5.0);
    bench.samples(&batch(7.0)).expect("it lives");
    let before = bench.save();
    let foreign = DetectorBench::<Peeking>::new(&json!({"above": 0.0}));
    let mut foreign = foreign;
    foreign.introduce(&[], &[]).expect("it lives");
    let newer = state::seal("test/watch", 3, &0_u8).expect("plain data");
    let another_shape = state::seal("test/watch", 2, &"x").expect("plain data");
    for (bytes, part) in [
        (b"x".to_vec(), "not a saved state"),
        (foreign.save().expect("a state"), "`test/peeking`"),
        (newer, "version 3"),
        (another_shape, "STATE_VERSION"),
    ] {
        let fault = bench.load(&bytes).expect_err("a foreign state");
        assert_eq!(fault.code, "state");
        assert!(fault.message.contains(part), "{}", fault.message);
        assert_eq!(bench.save(), before);
    }
}

#[test]
fn an_older_state_is_migrated_or_refused() {
    let times = BTreeMap::from([(0_u32, 5 * time::SECOND)]);
    let older = state::seal("test/watch", 1, &times).expect("plain data");
    let mut bench = DetectorBench::<Watch>::new(&json!({"above": 5.0}));
    bench.load(&older).expect("it is migrated");
    let silent = bench.tick(2 * time::MINUTE).expect("it lives");
    assert_eq!(silent[0].started, 5 * time::SECOND);

    let older = state::seal("test/peeking", 0, &()).expect("plain data");
    let mut bench = DetectorBench::<Peeking>::new(&json!({"above": 5.0}));
    let fault = bench.load(&older).expect_err("it does not know version 0");
    assert!(fault.message.contains("version 0"), "{}", fault.message);
}
