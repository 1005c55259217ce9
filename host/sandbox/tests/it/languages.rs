//! The same plugin in five languages: equal answers to equal input, and no
//! memory that grows. The components are built by `cargo xtask plugins` and
//! `cargo xtask examples`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use faultline_domain::decode::Decoder as _;
use faultline_domain::entity::Entity;
use faultline_domain::envelope::Envelope;
use faultline_domain::plugin::{
    CallError, Detector, DetectorFactory as _, IntroducedSeries, IntroducedSource, Limits, Reuse,
};
use faultline_domain::telemetry::{LogLines, LogSource, Samples, SeriesKey};
use faultline_domain::time::Timestamp;
use faultline_sandbox::{LoadError, Loaded, Usage, WasmConnector, WasmDetectorFactory};

use crate::random::Random;
use crate::{Bench, envelope};

const LANGUAGES: [&str; 5] = ["rust", "c", "javascript", "go", "python"];

const DETECTOR: usize = 0;
const CONNECTOR: usize = 1;

/// Time enough for an interpreter on a busy machine: speed is not what this is
/// about.
fn patient() -> Limits {
    Limits {
        cpu_per_call: Duration::from_secs(60),
        wall_per_call: Duration::from_secs(240),
        log_bytes_per_minute: 1 << 30,
        ..Limits::default()
    }
}

fn bundle_of(language: &str) -> String {
    format!("hello-{language}")
}

fn detector(bench: &Bench, language: &str, config: &str) -> Arc<WasmDetectorFactory> {
    let loaded = bench.load_component(&bundle_of(language), DETECTOR, config, patient(), |_| ());
    match loaded {
        Ok(Loaded::Detector(factory)) => factory,
        Ok(_) => panic!("{language}: not a detector"),
        Err(error) => panic!("{language}: {error}"),
    }
}

fn connector(bench: &Bench, language: &str, reuse: Reuse) -> Arc<WasmConnector> {
    let config = r#"{"severity": "low"}"#;
    let name = bundle_of(language);
    let loaded = bench.load_component(&name, CONNECTOR, config, patient(), |spec| {
        spec.reuse = reuse;
    });
    match loaded {
        Ok(Loaded::Connector(connector)) => connector,
        Ok(_) => panic!("{language}: not a connector"),
        Err(error) => panic!("{language}: {error}"),
    }
}

/// A step of a recording for detectors.
#[derive(Debug)]
enum Step {
    Introduce(Vec<IntroducedSeries>, Vec<IntroducedSource>),
    Samples(Samples),
    Logs(LogLines),
    Tick(Timestamp),
    /// Saves, and goes on in a new guest that has loaded it.
    Restart,
    /// A state that is none.
    Foreign(Vec<u8>),
}

fn series(id: u32, name: &str) -> IntroducedSeries {
    IntroducedSeries {
        id,
        key: SeriesKey {
            name: name.to_owned(),
            unit: "s".to_owned(),
            // Every other one names no entity.
            entity: id
                .is_multiple_of(2)
                .then(|| Entity::new("host", "db-1").expect("an entity")),
            attributes: [("route", "/pay")].into_iter().collect(),
        },
    }
}

fn source(id: u32) -> IntroducedSource {
    IntroducedSource {
        id,
        source: LogSource {
            entity: None,
            attributes: [("unit", "cron")].into_iter().collect(),
        },
    }
}

/// Values that languages could disagree on: ties of rounding, both zeros, very
/// large and very small ones.
const AWKWARD: [f64; 12] = [
    0.125,
    0.375,
    -0.125,
    2.5,
    -0.0,
    1e21,
    -1e22,
    1e300,
    5e-324,
    0.1,
    123_456_789.125,
    -1e-9,
];

const NAMES: [&str; 4] = ["latency", "größe ± 1", "a\u{0}b", "𝄞"];

/// What happens to a detector, by a seed.
fn recording(seed: u64, steps: usize) -> Vec<Step> {
    let mut random = Random::new(seed);
    let mut time = 1_772_366_400_000_000_u64;
    let all = (0..8).map(|id| series(id, NAMES[id as usize % NAMES.len()]));
    let mut recording = vec![Step::Introduce(all.collect(), (0..4).map(source).collect())];
    for _ in 0..steps {
        recording.push(match random.below(20) {
            0 => Step::Restart,
            1 => Step::Foreign(random.bytes(40)),
            2 => {
                // Announcing one again replaces it.
                let id = u32::try_from(random.below(8)).expect("small");
                Step::Introduce(vec![series(id, "again")], vec![source(id)])
            }
            3..=6 => {
                time += 60_000_000;
                Step::Tick(Timestamp::from_micros(time))
            }
            7..=10 => Step::Logs(lines(&mut random, &mut time)),
            _ => Step::Samples(samples(&mut random, &mut time)),
        });
    }
    recording
}

fn samples(random: &mut Random, time: &mut u64) -> Samples {
    let mut batch = Samples::default();
    for _ in 0..random.below(60) {
        *time += 1_000;
        // One of them was never introduced.
        let series = u32::try_from(random.below(9)).expect("small");
        let value = match random.below(30) {
            0 => AWKWARD[random.below(AWKWARD.len())],
            1 => random.unit() * 1_000.0,
            _ => f64::from(series) + random.unit() / 10.0,
        };
        batch.push(series, Timestamp::from_micros(*time), value);
    }
    batch
}

fn lines(random: &mut Random, time: &mut u64) -> LogLines {
    let mut batch = LogLines::default();
    for _ in 0..random.below(20) {
        *time += 1_000;
        let source = u32::try_from(random.below(5)).expect("small");
        let severity = u8::try_from(random.below(25)).expect("small");
        let pushed = batch.push(source, Timestamp::from_micros(*time), severity, "größe");
        assert!(pushed);
    }
    batch
}

/// Plays a recording; gives all that the detector says, to the bit.
fn play(language: &str, factory: &WasmDetectorFactory, recording: &[Step]) -> Vec<String> {
    let mut detector = factory.start().expect("starts");
    let mut said = Vec::new();
    for step in recording {
        let answer = match step {
            Step::Introduce(series, sources) => {
                detector.introduce(series, sources).map(|()| Vec::new())
            }
            Step::Samples(batch) => detector.samples(batch),
            Step::Logs(batch) => detector.logs(batch),
            Step::Tick(watermark) => detector.tick(*watermark),
            Step::Restart => {
                let saved = detector.save().expect("saves");
                detector = factory.start().expect("starts");
                detector.load(&saved).map(|()| Vec::new())
            }
            Step::Foreign(state) => {
                match detector.load(state) {
                    Err(CallError::Fault(fault)) => assert_eq!(fault.code, "state"),
                    other => panic!("{language}: a foreign state must be refused: {other:?}"),
                }
                Ok(Vec::new())
            }
        };
        // Debug writes a number so that no two are written alike.
        said.push(format!(
            "{:?}",
            answer.unwrap_or_else(|error| panic!("{language}: {error}"))
        ));
    }
    said
}

#[test]
fn detectors_in_all_languages_say_the_same() {
    let bench = Bench::new();
    let config = r#"{"deviations": 2.5, "warm-up-rows": 3, "errors": 4}"#;
    let recordings: Vec<_> = (0..12).map(|seed| recording(seed, 120)).collect();
    let mut expected: Vec<Vec<String>> = Vec::new();
    for language in LANGUAGES {
        let factory = detector(&bench, language, config);
        for (seed, recording) in recordings.iter().enumerate() {
            let said = play(language, &factory, recording);
            if language == LANGUAGES[0] {
                expected.push(said);
                continue;
            }
            for (index, (said, expected)) in said.iter().zip(&expected[seed]).enumerate() {
                let step = &recording[index];
                assert_eq!(said, expected, "{language}, seed {seed}, {step:?}");
            }
        }
    }
    // Enough was said for this to mean something.
    let all: String = expected
        .iter()
        .flatten()
        .fold(String::new(), |mut all, said| {
            let _ = write!(all, "{said}");
            all
        });
    for (text, least) in [
        ("far-from-usual", 100),
        ("many-errors", 50),
        ("firing: false", 50),
        ("band: ", 0),
    ] {
        let count = all.matches(text).count();
        assert!(count >= least, "{text}: {count}");
    }
}

/// A payload for connectors: mostly right, and wrong in many ways.
fn payload(random: &mut Random) -> String {
    match random.below(25) {
        0 => return "not JSON".to_owned(),
        1 => return r#"["alerts"]"#.to_owned(),
        2 => return r#"{"alerts": {}}"#.to_owned(),
        3 => return r#"{"readings": null}"#.to_owned(),
        4 => return r#"{"readings": [{"name": "n", "value": 1e999}]}"#.to_owned(),
        5 => return r#"{"readings": [{"name": "n", "value": NaN}]}"#.to_owned(),
        6 => return r#"{"alerts": [], "alerts": [1, 2]}"#.to_owned(),
        7 => return "{} x".to_owned(),
        8 => return "\u{feff}{}".to_owned(),
        _ => {}
    }
    let items = |random: &mut Random, item: fn(&mut Random) -> String| {
        let most = if random.below(10) == 0 { 150 } else { 6 };
        let items: Vec<String> = (0..random.below(most)).map(|_| item(random)).collect();
        items.join(", ")
    };
    let alerts = items(random, alert);
    let readings = items(random, reading);
    format!(r#"{{"alerts": [{alerts}], "readings": [{readings}], "else": {{"a": [null]}}}}"#)
}

/// A text in JSON, or something that is none.
fn word(random: &mut Random) -> &'static str {
    const WORDS: [&str; 12] = [
        r#""disk full""#,
        r#""db-1""#,
        r#""db-2""#,
        r#""gr\u00f6\u00dfe""#,
        r#""größe""#,
        r#""\ud834\udd1e""#,
        r#""a\"b\\c\/d\n\u0000e""#,
        r#""""#,
        "null",
        "7",
        "true",
        r#"["a"]"#,
    ];
    // Mostly good ones.
    WORDS[random.below(WORDS.len()).min(random.below(WORDS.len()))]
}

/// A number in JSON, or something that is none.
fn number(random: &mut Random) -> String {
    const NUMBERS: [&str; 14] = [
        "0",
        "-0",
        "-0.0",
        "0.1",
        "1e-7",
        "123456789.123456789",
        "9007199254740993",
        "1.7976931348623157e308",
        "4.9e-324",
        "2.2250738585072011e-308",
        "100000000000000000000000000000",
        "\"1\"",
        "null",
        "false",
    ];
    if random.below(2) == 0 {
        return NUMBERS[random.below(NUMBERS.len())].to_owned();
    }
    // As many digits as nobody needs: the nearest number counts.
    format!("{}.{:020}", random.below(1_000), random.next())
}

fn time(random: &mut Random) -> String {
    const TIMES: [&str; 8] = [
        "0",
        "-0",
        "-1",
        "1.5",
        "9007199254740",
        "9007199254741",
        "1772366400000.0",
        "\"now\"",
    ];
    if random.below(4) == 0 {
        return TIMES[random.below(TIMES.len())].to_owned();
    }
    format!("17723664{:02}000", random.below(5))
}

fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(key, value)| format!(r#""{key}": {value}"#))
        .collect();
    format!("{{{}}}", fields.join(", "))
}

fn alert(random: &mut Random) -> String {
    if random.below(20) == 0 {
        return "3".to_owned();
    }
    let mut fields = vec![("name", word(random).to_owned())];
    for (key, one_in) in [("host", 8), ("severity", 2), ("note", 2)] {
        if random.below(one_in) > 0 || key == "severity" && random.below(2) == 0 {
            fields.push((key, word(random).to_owned()));
        }
    }
    if random.below(2) == 0 {
        fields.push(("since", time(random)));
    }
    if random.below(2) == 0 {
        let firing = ["true", "false", "false", "1", "null"][random.below(5)];
        fields.push(("firing", firing.to_owned()));
    }
    object(&fields)
}

fn reading(random: &mut Random) -> String {
    if random.below(20) == 0 {
        return "[]".to_owned();
    }
    let mut fields = vec![("name", word(random).to_owned())];
    for key in ["host", "unit"] {
        if random.below(2) == 0 {
            fields.push((key, word(random).to_owned()));
        }
    }
    if random.below(4) > 0 {
        fields.push(("time", time(random)));
    }
    if random.below(10) > 0 {
        fields.push(("value", number(random)));
    }
    object(&fields)
}

fn envelopes() -> Vec<Envelope> {
    let mut random = Random::new(7);
    let mut all: Vec<_> = (0..300).map(|_| envelope(&payload(&mut random))).collect();
    let mut not_utf8 = envelope("");
    not_utf8.arrival.body = b"{\"alerts\": [{\"name\": \"\xff\", \"host\": \"a\"}]}".to_vec();
    all.push(not_utf8);
    all
}

fn decode(connector: &WasmConnector, envelopes: &[Envelope], at_once: usize) -> Vec<String> {
    let envelopes: Vec<&Envelope> = envelopes.iter().collect();
    envelopes
        .chunks(at_once)
        .flat_map(|batch| connector.decode(batch).expect("answers"))
        .map(|answer| format!("{answer:?}"))
        .collect()
}

#[test]
fn connectors_in_all_languages_say_the_same_fresh_and_warm() {
    let bench = Bench::new();
    let envelopes = envelopes();
    let rust = connector(&bench, "rust", Reuse::Fresh);
    let expected = decode(&rust, &envelopes, 1);
    for language in LANGUAGES {
        let warm = connector(&bench, language, Reuse::Warm);
        for at_once in [1, 17] {
            let answers = decode(&warm, &envelopes, at_once);
            for (index, (answer, expected)) in answers.iter().zip(&expected).enumerate() {
                let body = String::from_utf8_lossy(&envelopes[index].arrival.body);
                assert_eq!(answer, expected, "{language}, {at_once} at once: {body}");
            }
        }
        let usage = Loaded::Connector(Arc::clone(&warm)).usage();
        assert!(usage.failures.is_empty(), "{language}: {usage:?}");
    }
    // Fresh guests, too. Python's takes long to compile once more, and the pool
    // has compared its warm guests with fresh ones above.
    for language in LANGUAGES.into_iter().filter(|one| *one != "python") {
        let fresh = connector(&bench, language, Reuse::Fresh);
        assert_eq!(decode(&fresh, &envelopes, 60), expected, "{language}");
    }
    let good = expected
        .iter()
        .filter(|said| said.starts_with("Ok"))
        .count();
    assert!(good > 150, "{good}");
}

#[test]
fn all_check_their_configurations() {
    let bench = Bench::new();
    // Python's takes long to compile once more; it is asked in other tests, and
    // has no complaint.
    for language in LANGUAGES.into_iter().filter(|one| *one != "python") {
        let name = bundle_of(language);
        let config = r#"{"severity": "dire"}"#;
        let loaded = bench.load_component(&name, CONNECTOR, config, patient(), |_| ());
        let Err(LoadError::Config(complaints)) = loaded else {
            panic!("{language}: should complain");
        };
        assert_eq!(
            complaints,
            ["`severity` must be info, low, warning, high or critical"],
            "{language}"
        );
    }
}

/// Batches of the soak, and samples in each.
const BATCHES: u64 = 1_000;
const ROWS: u64 = 1_000;

/// A guest that is fed for long: the most memory that it has had at the end of
/// each half.
fn soak(factory: &Arc<WasmDetectorFactory>) -> [u64; 2] {
    let mut detector: Box<dyn Detector> = factory.start().expect("starts");
    let all: Vec<_> = (0..100).map(|id| series(id, "latency")).collect();
    let sources: Vec<_> = (0..4).map(source).collect();
    detector.introduce(&all, &sources).expect("introduces");
    let mut random = Random::new(1);
    let mut peaks = [0, 0];
    let mut time = 1_772_366_400_000_000;
    for batch in 0..BATCHES {
        let mut rows = Samples::default();
        for row in 0..ROWS {
            time += 1_000;
            let series = u32::try_from(row % 100).expect("small");
            let spike = if random.below(500) == 0 { 50.0 } else { 0.0 };
            let value = random.unit() + spike;
            rows.push(series, Timestamp::from_micros(time), value);
        }
        detector.samples(&rows).expect("findings");
        if batch % 50 == 0 {
            detector
                .logs(&lines(&mut random, &mut time))
                .expect("findings");
            detector
                .tick(Timestamp::from_micros(time))
                .expect("findings");
            let state = detector.save().expect("a state");
            detector.load(&state).expect("its own state");
        }
        let half = usize::from(batch >= BATCHES / 2);
        peaks[half] = memory(factory);
    }
    peaks
}

fn usage(factory: &Arc<WasmDetectorFactory>) -> Usage {
    Loaded::Detector(Arc::clone(factory)).usage()
}

fn memory(factory: &Arc<WasmDetectorFactory>) -> u64 {
    usage(factory).memory_peak_bytes
}

#[test]
fn a_million_samples_leave_memory_as_it_was() {
    let bench = Bench::new();
    for language in LANGUAGES {
        let factory = detector(&bench, language, "{}");
        let [first, second] = soak(&factory);
        // A page or two may come late.
        let slack = 256 << 10;
        assert!(
            second <= first + slack,
            "{language}: {first} bytes in the first half, {second} in the second"
        );
        assert!(usage(&factory).failures.is_empty(), "{language}");
    }
}

/// A payload of a thousand signals, none twice.
fn large_payload(number: u64) -> Envelope {
    let half = number * ROWS..number * ROWS + ROWS / 2;
    let alerts = half.clone().map(|id| {
        format!(
            r#"{{"name": "disk full {id}", "host": "db-{}", "firing": {}, "severity": "high", "note": "{} %"}}"#,
            id % 50,
            id % 3 > 0,
            id % 100
        )
    });
    let readings = half.map(|id| {
        format!(
            r#"{{"name": "temperature", "unit": "Cel", "host": "db-{id}", "value": {}.5}}"#,
            id % 90
        )
    });
    let list = |items: Vec<String>| items.join(", ");
    let (alerts, readings) = (list(alerts.collect()), list(readings.collect()));
    envelope(&format!(
        r#"{{"alerts": [{alerts}], "readings": [{readings}]}}"#
    ))
}

#[test]
fn a_million_signals_leave_memory_as_it_was_or_what_is_known_to_leak() {
    let bench = Bench::new();
    let envelopes: Vec<Envelope> = (0..8).map(large_payload).collect();
    for language in LANGUAGES {
        let warm = connector(&bench, language, Reuse::Warm);
        let usage = || Loaded::Connector(Arc::clone(&warm)).usage();
        let mut peaks = [0, 0];
        for (batch, envelope) in (0..BATCHES).zip(envelopes.iter().cycle()) {
            for answer in warm.decode(&[envelope]).expect("answers") {
                let decoded = answer.expect("signals");
                let read = decoded.signals.len() + decoded.samples.len();
                assert_eq!(read as u64, ROWS, "{language}: {:?}", decoded.rejected);
            }
            peaks[usize::from(batch >= BATCHES / 2)] = usage().memory_peak_bytes;
        }
        let [first, second] = peaks;
        // componentize-py 0.25 does not free the numbers of the columns that are
        // returned, here 20 bytes a reading; the host replaces a guest after
        // 1,000 calls.
        let leak = if language == "python" {
            BATCHES / 2 * ROWS / 2 * 30
        } else {
            0
        };
        let slack = (256 << 10) + leak;
        assert!(
            second <= first + slack,
            "{language}: {first} bytes in the first half, {second} in the second"
        );
        assert!(usage().failures.is_empty(), "{language}: {:?}", usage());
    }
}
