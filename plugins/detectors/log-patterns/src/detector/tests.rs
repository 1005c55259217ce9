use faultline_sdk::testkit::{DetectorBench, Recording, check_detector};
use faultline_sdk::{Attributes, Entity, Finding, Severity};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;
/// A Monday at midnight.
const START: u64 = 1_699_833_600 * SECOND;

const INFO: u8 = 9;
const ERROR: u8 = 17;

/// `SplitMix64` (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

fn orders() -> LogSource {
    LogSource::new(Entity::new("service", "orders"))
}

/// A service that writes about `lines` lines every 10 seconds for so many
/// minutes, with an error now and then.
fn daily_life(
    recording: &mut Recording,
    source: u32,
    minutes: u64,
    lines: u64,
    random: &mut Random,
) {
    for step in 0..minutes * 6 {
        let time = START + step * 10 * SECOND;
        for line in 0..lines / 2 + random.below(lines) {
            let at = time + line * 1_000;
            let number = random.below(10_000);
            match random.below(100) {
                0 => recording.line(source, at, ERROR, format!("card {number} was declined")),
                1..=30 => recording.line(source, at, INFO, format!("order {number} was paid")),
                _ => recording.line(source, at, INFO, format!("order {number} took {line} ms")),
            }
        }
    }
}

fn keyed<'a>(findings: &'a [Finding], key: &str) -> Vec<&'a Finding> {
    let is = |finding: &&Finding| finding.key.starts_with(key);
    findings.iter().filter(is).collect()
}

fn attribute<'a>(finding: &'a Finding, key: &str) -> &'a str {
    finding.attributes.value_of(key).unwrap_or_default()
}

/// Plays lines that come in the order of their time.
fn play(config: &Value, recording: Recording) -> Vec<Finding> {
    check_detector::<LogPatterns>(config, &recording.with_ticks_every(30 * SECOND))
}

#[test]
fn nothing_is_said_about_daily_life() {
    let mut recording = Recording::new();
    let source = recording.log_source(orders());
    daily_life(&mut recording, source, 120, 10, &mut Random(1));
    assert_eq!(play(&json!({}), recording), []);
}

#[test]
fn an_incident_from_beginning_to_end() {
    let mut recording = Recording::new();
    let source = recording.log_source(orders());
    let mut random = Random(2);
    let mut incident = Recording::new();
    incident.log_source(orders());
    daily_life(&mut recording, source, 20, 10, &mut random);
    // For five minutes nearly everything fails, in a way never seen before.
    let broken = START + 20 * MINUTE;
    for step in 0..300 {
        let at = broken + step * SECOND;
        for line in 0..4 {
            let number = random.below(10_000);
            recording.line(
                source,
                at + line,
                ERROR,
                format!("order {number}: no connection to 10.0.0.5:5432: too many clients"),
            );
        }
    }
    // And is mended.
    for step in 300..3_000 {
        let number = random.below(10_000);
        let at = broken + step * SECOND;
        recording.line(source, at, INFO, format!("order {number} was paid"));
    }
    let findings = play(&json!({}), recording);

    let [first, worse, over] = keyed(&findings, "new-pattern")[..] else {
        panic!("{findings:#?}");
    };
    assert!(first.firing && worse.firing && !over.firing);
    assert_eq!(first.at, broken, "at once");
    assert!(first.row.is_some());
    assert_eq!((&first.key, &worse.key), (&over.key, &over.key));
    assert_eq!(first.subject, Subject::LogSource(source));
    assert_eq!(first.severity, Severity::Warning.as_str());
    assert_eq!(worse.severity, Severity::High.as_str());
    assert_eq!(over.started, first.started);
    assert_eq!(
        first.title,
        "service/orders: a new kind of error: order <*>: no connection to <*>: too many clients"
    );
    assert!(attribute(first, "excerpt").contains("10.0.0.5:5432"));
    assert_eq!(attribute(over, "ending"), "recovered");

    let [errors, over] = keyed(&findings, "errors")[..] else {
        panic!("{findings:#?}");
    };
    assert!(
        errors.firing && errors.at <= broken + 2 * MINUTE,
        "{errors:?}"
    );
    assert!(
        errors.title.contains("% of lines are errors") && errors.title.contains("too many clients"),
        "{}",
        errors.title
    );
    let (low, high) = errors.expected.expect("a band");
    assert!(low == 0.0 && high < 0.2 && errors.value.is_some_and(|value| value > 0.9));
    assert!(
        errors.score > 0.3 && errors.score <= 1.0,
        "{}",
        errors.score
    );
    assert_eq!(attribute(errors, "direction"), "above");
    assert!(!over.firing && over.at <= broken + 10 * MINUTE, "{over:?}");
}

#[test]
fn a_pattern_is_new_only_once_a_source_is_known() {
    let mut recording = Recording::new();
    let source = recording.log_source(orders());
    daily_life(&mut recording, source, 5, 10, &mut Random(3));
    recording.line(source, START + 5 * MINUTE, ERROR, "disk is full");
    let after = START + 11 * MINUTE;
    recording.line(source, after, ERROR, "disk is full");
    assert_eq!(play(&json!({}), recording.clone()), []);
    recording.line(source, after + SECOND, INFO, "a harmless word");
    recording.line(source, after + SECOND, ERROR, "the roof is on fire");
    let findings = play(&json!({}), recording);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(findings[0].title.ends_with("the roof is on fire"));
}

#[test]
fn what_began_while_the_source_was_learned_is_no_news_later() {
    let mut recording = Recording::new();
    let source = recording.log_source(orders());
    daily_life(&mut recording, source, 8, 10, &mut Random(4));
    for step in 0..1_200 {
        let at = START + 8 * MINUTE + step * SECOND;
        for line in 0..3 {
            recording.line(
                source,
                at + line,
                INFO,
                format!("cache entry {step} is gone"),
            );
        }
    }
    assert_eq!(keyed(&play(&json!({}), recording), "new-pattern").len(), 0);
}

#[test]
fn a_burst_is_told() {
    let mut recording = Recording::new();
    let source = recording.log_source(orders());
    let mut random = Random(5);
    daily_life(&mut recording, source, 180, 20, &mut random);
    let begin = START + 180 * MINUTE;
    for step in 0..60 {
        for line in 0..300 {
            let at = begin + step * SECOND + line;
            recording.line(source, at, INFO, format!("order {line} was paid"));
        }
    }
    for step in 60..1_800 {
        let at = begin + step * SECOND;
        recording.line(source, at, INFO, format!("order {step} took 3 ms"));
        recording.line(source, at, INFO, format!("order {step} was paid"));
    }
    let findings = play(&json!({}), recording);
    let [burst, over] = keyed(&findings, "burst")[..] else {
        panic!("{findings:#?}");
    };
    assert!(burst.firing && !over.firing && over.key == burst.key);
    assert_eq!(attribute(burst, "template"), "order <*> was paid");
    assert!(burst.value.expect("lines") > 5_000.0);
    assert!(burst.expected.expect("a band").1 < 100.0);
    let [volume, over] = keyed(&findings, "volume")[..] else {
        panic!("{findings:#?}");
    };
    assert_eq!(attribute(volume, "direction"), "above");
    assert!(!over.firing);
}

#[test]
fn a_source_that_falls_silent_is_missed() {
    let mut recording = Recording::new();
    let source = recording.log_source(orders());
    let mut random = Random(10);
    daily_life(&mut recording, source, 180, 100, &mut random);
    for minute in 180..200 {
        recording.tick(START + minute * MINUTE);
    }
    let findings = play(&json!({}), recording);
    let [missed] = &findings[..] else {
        panic!("{findings:#?}");
    };
    assert!(missed.firing && missed.row.is_none());
    assert!(missed.at <= START + 182 * MINUTE);
    assert_eq!(
        (missed.value, attribute(missed, "direction")),
        (Some(0.0), "below")
    );
    assert!(
        missed
            .title
            .starts_with("service/orders: 0 lines in 30 s, expected "),
        "{}",
        missed.title
    );
}

#[test]
fn what_lasts_is_normal_in_the_end() {
    let mut recording = Recording::new();
    let source = recording.log_source(orders());
    let mut random = Random(6);
    daily_life(&mut recording, source, 60, 10, &mut random);
    for step in 0..3 * 3_600 {
        let at = START + 60 * MINUTE + step * SECOND;
        for line in 0..3 {
            let text = format!("mail {step} was refused");
            recording.line(source, at + line, ERROR, text);
        }
    }
    let findings = play(&json!({"settle-hours": 1}), recording);
    for key in ["new-pattern", "errors"] {
        let all = keyed(&findings, key);
        let last = all.last().expect("findings");
        assert_eq!(attribute(last, "ending"), "settled", "{all:#?}");
        assert_eq!(all.iter().filter(|finding| !finding.firing).count(), 1);
    }
}

#[test]
fn only_so_many_new_patterns_are_open() {
    let mut recording = Recording::new();
    let source = recording.log_source(orders());
    daily_life(&mut recording, source, 15, 10, &mut Random(7));
    let words = ["alpha", "beta", "gamma", "delta", "epsilon"];
    for word in words {
        let line = format!("{word} {word} {word} failed");
        recording.line(source, START + 15 * MINUTE, ERROR, line);
    }
    let config = json!({"new-patterns-open-max": 2});
    let findings = play(&config, recording.clone());
    assert_eq!(findings.len(), 2, "{findings:#?}");
    let mut bench = DetectorBench::<LogPatterns>::new(&config);
    bench.play(&recording, 100).expect("no fault");
    let lines = bench.host().lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].1.contains("new-patterns-open-max"), "{lines:?}");
}

#[test]
fn a_source_of_endless_kinds_stays_small_and_quiet() {
    let config = json!({"templates-per-source-max": 20});
    let mut recording = Recording::new();
    let source = recording.log_source(orders());
    for step in 0..4_000_u64 {
        let word = |salt: u64| -> String {
            let mut number = step.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt;
            std::iter::repeat_with(|| {
                number = number.rotate_left(7).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                char::from(b'g' + u8::try_from(number % 20).expect("below 20"))
            })
            .take(9)
            .collect()
        };
        let line = format!("{} failed {}", word(1), word(2));
        recording.line(source, START + step * SECOND, ERROR, line);
    }
    let recording = recording.with_ticks_every(30 * SECOND);
    let mut bench = DetectorBench::<LogPatterns>::new(&config);
    let findings = bench.play(&recording, 500).expect("no fault");
    assert_eq!(findings, []);
    let lines = bench.host().lines();
    assert!(lines[0].1.contains("templates-per-source-max"), "{lines:?}");
    let state = bench.save().expect("a state");
    assert!(state.len() < 16_384, "{} bytes", state.len());
}

#[test]
fn hostile_lines_do_no_harm() {
    let mut recording = Recording::new();
    let source = recording.log_source(orders());
    let huge = "x=1 ".repeat(100_000);
    let lines = [
        "",
        " ",
        "\0\0\u{7f}\u{1b}[31m",
        "\u{feff}\u{202e}\u{fffd}",
        &huge,
        "''''''''''''''''''''''''",
        "\"\"\"{[(<>)]}:::===",
        "日本語のログ行 🦀🦀🦀 エラー",
    ];
    for step in 0..240_u64 {
        for line in lines {
            recording.line(source, START + step * 5 * SECOND, 0, line);
        }
    }
    let mut bench = DetectorBench::<LogPatterns>::new(&json!({}));
    bench
        .play(&recording.with_ticks_every(30 * SECOND), 50)
        .expect("no fault");
    let state = bench.save().expect("a state");
    assert!(state.len() < 32_768, "{} bytes", state.len());
}

#[test]
fn sources_over_the_limit_are_said_once_and_not_watched() {
    let mut bench = DetectorBench::<LogPatterns>::new(&json!({"sources-max": 2}));
    for id in 0..5 {
        let source = LogSource::new(Entity::new("service", format!("s{id}"))).with_id(id);
        bench.introduce(&[], &[source]).expect("introduced");
    }
    let lines = bench.host().lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].1.contains("sources-max"), "{lines:?}");
    let mut rows = LogLines::new();
    for id in [0, 4, 77] {
        assert!(rows.push(id, START, INFO, "hello"));
    }
    assert_eq!(bench.logs(&rows), Ok(Vec::new()));
    // A day later those that are silent make room.
    assert_eq!(bench.tick(START + 90_000 * SECOND), Ok(Vec::new()));
    bench
        .introduce(&[], &[orders().with_id(9)])
        .expect("introduced");
    assert_eq!(bench.host().lines().len(), 1);
}

#[test]
fn buckets_of_another_length_begin_anew() {
    let mut recording = Recording::new();
    let source = recording.log_source(orders());
    daily_life(&mut recording, source, 60, 10, &mut Random(8));
    for seconds in [5, 300] {
        let mut bench = DetectorBench::<LogPatterns>::new(&json!({}));
        bench.play(&recording, 1_000).expect("no fault");
        bench
            .reconfigure(&json!({"bucket-seconds": seconds}))
            .expect("it goes on");
        let mut found = Vec::new();
        for step in 0..3_600 {
            let at = START + 60 * MINUTE + step * SECOND;
            let mut rows = LogLines::new();
            let text = if step == 3_000 {
                "it failed badly"
            } else {
                "order 4 was paid"
            };
            assert!(rows.push(source, at, 0, text));
            found.extend(bench.logs(&rows).expect("no fault"));
            if step % 30 == 0 {
                found.extend(bench.tick(at).expect("no fault"));
            }
        }
        assert_eq!(
            keyed(&found, "new-pattern").len(),
            1,
            "{seconds} s: {found:#?}"
        );
    }
}

#[test]
fn a_long_silence_ends_what_is_open() {
    let mut recording = Recording::new();
    let source = recording.log_source(orders());
    daily_life(&mut recording, source, 15, 10, &mut Random(9));
    recording.line(source, START + 15 * MINUTE, ERROR, "the roof is on fire");
    recording.tick(START + 30 * 24 * 60 * MINUTE);
    let findings = check_detector::<LogPatterns>(&json!({}), &recording);
    let [fire, over] = &findings[..] else {
        panic!("{findings:#?}");
    };
    assert!(fire.firing && !over.firing && over.key == fire.key);
    assert!(over.row.is_none() && attribute(over, "ending") == "silent");
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused_with_its_place() {
    for (config, place) in [
        (json!({"bucket-seconds": "x"}), "`bucket-seconds`"),
        (json!({"buckets": 1}), "`buckets`"),
    ] {
        let mut bench = DetectorBench::<LogPatterns>::new(&config);
        let fault = bench.introduce(&[], &[]).expect_err("refused");
        assert_eq!(fault.code, "config");
        assert!(fault.message.contains(place), "{}", fault.message);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the lines, in whatever order: batches and reloads change
    /// nothing, and what ends was open.
    #[test]
    fn takes_anything(
        lines in proptest::collection::vec(
            (0..2_u32, 0..40_u64, 0..25_u8, "[a-c]{1,3}( [a-c0-9=]{1,2}){0,3}|\\PC{0,12}"),
            1..150,
        ),
    ) {
        let mut recording = Recording::new();
        recording.log_source(orders());
        recording.log_source(orders().with_attribute("pod", "b"));
        let mut time = START;
        for (source, step, severity, text) in lines {
            // Mostly forward, now and then a little back.
            time = (time + step * SECOND).saturating_sub(if step == 7 { 20 * SECOND } else { 0 });
            recording.line(source, time, severity, text);
        }
        let config = json!({
            "learn-minutes": 0, "learn-lines": 3, "bucket-seconds": 1, "quiet-minutes": 1,
            "templates-per-source-max": 5, "report-once-in-days": 1.1
        });
        let findings = check_detector::<LogPatterns>(
            &config,
            &recording.with_ticks_every(10 * SECOND),
        );
        let mut open = std::collections::BTreeSet::new();
        for finding in findings {
            prop_assert!((0.0..=1.0).contains(&finding.score));
            prop_assert!(finding.started <= finding.at);
            let condition = (format!("{:?}", finding.subject), finding.key);
            if finding.firing {
                open.insert(condition);
            } else {
                prop_assert!(open.remove(&condition));
            }
        }
    }
}
