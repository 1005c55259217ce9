//! Golden cases: what passes, and what the complaint says where one does not.

use std::cell::{OnceCell, RefCell};
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use faultline_sdk::testkit::check_golden_cases;
use faultline_sdk::{Alert, Connector, Decoded, Entity, Envelope, Fault, LogSource, Series, log};
use serde::Deserialize;
use serde_json::json;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    kind: Option<String>,
}

/// A little of everything, from a text.
struct Echo;

impl Connector for Echo {
    type Config = Config;

    fn decode(config: &Config, envelope: &Envelope) -> Result<Decoded, Fault> {
        let text = envelope.text()?;
        if text.is_empty() {
            return Err(Fault::malformed("empty").retry_after_ms(5));
        }
        log::debug(text);
        let kind = config.kind.as_deref().unwrap_or("host");
        let entity = Entity::new(kind, envelope.header("from").unwrap_or("nobody"));
        let mut decoded = Decoded::builder();
        decoded.signal(
            Alert::firing([("text", text)], text, envelope.received).with_entity(entity.clone()),
        );
        let series = decoded.series(Series::new("length", "By", entity.clone()));
        let length = u32::try_from(text.len()).expect("a short text");
        decoded.sample(series, envelope.received, f64::from(length));
        let source = decoded.log_source(LogSource::new(entity));
        decoded.line(source, envelope.received, 9, text)?;
        decoded.finish()
    }
}

const GOOD: &str = r#"{
  "about": "all there is",
  "config": {"kind": "service"},
  "steps": [
    {
      "envelope": {
        "received": "2026-03-01T13:00:00+01:00", "content-type": "text/plain",
        "headers": {"from": "web"}, "text": "hi"
      },
      "decoded": {
        "signals": [{"alert": {
          "identity": {"text": "hi"}, "firing": true, "title": "hi", "severity": "warning",
          "started": "2026-03-01T12:00:00Z", "entities": ["service/web"]
        }}],
        "series": [{
          "name": "length", "unit": "By", "entity": "service/web",
          "samples": [["2026-03-01T12:00:00Z", 2]]
        }],
        "logs": [{
          "entity": "service/web",
          "lines": [{"time": "2026-03-01T12:00:00Z", "severity": 9, "text": "hi"}]
        }]
      }
    },
    {
      "envelope": {"received": "2026-03-01T12:00:00Z", "base64": ""},
      "fault": {"code": "malformed", "message": "empty", "retry": {"after-ms": 5}}
    }
  ],
  "lines": [{"level": "debug", "message": "hi"}]
}"#;

thread_local! {
    static PREFIX: OnceCell<String> = const { OnceCell::new() };
    static LONGEST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// An alert with this title.
fn titled(envelope: &Envelope, title: &str) -> Result<Decoded, Fault> {
    let mut decoded = Decoded::builder();
    decoded.signal(Alert::firing([("name", "a")], title, envelope.received));
    decoded.finish()
}

/// Keeps what follows from its configuration.
struct Thrifty;

impl Connector for Thrifty {
    type Config = Config;

    fn decode(config: &Config, envelope: &Envelope) -> Result<Decoded, Fault> {
        let kind = config.kind.clone().unwrap_or_default();
        let prefix = PREFIX.with(|kept| kept.get_or_init(|| kind).clone());
        titled(envelope, &format!("{prefix}{}", envelope.text()?))
    }
}

/// Keeps the longest text that it has seen.
struct Hoarder;

impl Connector for Hoarder {
    type Config = Config;

    fn decode(_: &Config, envelope: &Envelope) -> Result<Decoded, Fault> {
        let text = envelope.text()?;
        LONGEST.with_borrow_mut(|longest| {
            if text.len() >= longest.len() {
                text.clone_into(longest);
            }
            titled(envelope, longest)
        })
    }
}

/// A case for [`titled`], for a text and a configuration.
fn case(text: &str, kind: &str, title: &str) -> String {
    json!({
        "about": "a title",
        "config": {"kind": kind},
        "steps": [{
            "envelope": {"received": "2026-03-01T12:00:00Z", "text": text},
            "decoded": {"signals": [{"alert": {
                "identity": {"name": "a"}, "firing": true, "title": title,
                "severity": "warning", "started": "2026-03-01T12:00:00Z"
            }}]}
        }]
    })
    .to_string()
}

/// Runs cases, and gives the complaint about them.
fn complaint_of<C: Connector>(cases: &[String]) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, case) in cases.iter().enumerate() {
        fs::write(folder.path().join(format!("{number}.json")), case).expect("a file");
    }
    let panic = catch_unwind(|| check_golden_cases::<C>(folder.path())).err()?;
    Some(
        panic
            .downcast_ref::<String>()
            .expect("says something")
            .clone(),
    )
}

#[test]
fn what_follows_from_the_configuration_may_be_kept() {
    let cases = [
        case("x", "a", "ax"),
        case("y", "b", "by"),
        case("z", "a", "az"),
    ];
    assert_eq!(complaint_of::<Thrifty>(&cases), None);
}

#[test]
fn a_connector_that_remembers_is_told_so() {
    // Each by itself, or with the other in this order, is as it should be.
    let cases = [case("hi", "a", "hi"), case("there", "a", "there")];
    let complaint = complaint_of::<Hoarder>(&cases).expect("it remembers");
    assert!(complaint.contains("0.json: steps[0]"), "{complaint}");
    assert!(!complaint.contains("1.json"), "{complaint}");
    assert!(complaint.contains("the connector remembers"), "{complaint}");
    // Guests of different configurations never meet.
    let cases = [case("hi", "a", "hi"), case("there", "b", "there")];
    assert_eq!(complaint_of::<Hoarder>(&cases), None);
}

/// Runs one case, and gives the complaint about it.
fn complaint(case: &str) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("case.json"), case).expect("a file");
    complaint_about(folder.path())
}

fn complaint_about(folder: &Path) -> Option<String> {
    let panic = catch_unwind(|| check_golden_cases::<Echo>(folder)).err()?;
    Some(
        panic
            .downcast_ref::<String>()
            .expect("panics say something")
            .clone(),
    )
}

#[test]
fn a_good_case_passes() {
    assert_eq!(complaint(GOOD), None);
}

#[test]
fn every_difference_is_noticed() {
    for (what, instead) in [
        ("\"title\": \"hi\"", "\"title\": \"ho\""),
        ("\"entities\": [\"service/web\"]", "\"entities\": []"),
        ("Z\", 2]", "Z\", 3]"),
        ("\"severity\": 9", "\"severity\": 10"),
        ("\"message\": \"empty\"", "\"message\": \"full\""),
        ("{\"after-ms\": 5}", "\"later\""),
        ("\"level\": \"debug\"", "\"level\": \"info\""),
        ("{\"kind\": \"service\"}", "{}"),
        ("\"fault\"", "\"decoded\": {}, \"fault\""),
        ("\"base64\": \"\"", "\"base64\": \"\", \"text\": \"\""),
        ("\"about\"", "\"abuot\""),
        ("+01:00", ""),
    ] {
        assert!(GOOD.contains(what), "{what}");
        let complaint = complaint(&GOOD.replacen(what, instead, 1));
        let complaint = complaint.unwrap_or_else(|| panic!("{instead} passes"));
        assert!(complaint.contains("case.json"), "{complaint}");
    }
}

#[test]
fn an_empty_folder_is_a_mistake() {
    let folder = tempfile::tempdir().expect("a folder");
    let complaint = complaint_about(folder.path()).expect("nothing to run");
    assert!(complaint.contains("no golden cases"), "{complaint}");
}
