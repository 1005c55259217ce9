//! Golden cases: what passes, and what the complaint says where one does not.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use faultline_sdk::testkit::check_golden_cases;
use faultline_sdk::{Alert, Connector, Decoded, Entity, Envelope, Fault, LogSource, Series, log};
use serde::Deserialize;

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
