//! Components and what they answer: bytes of plugins that nobody need trust.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};

use faultline_domain::decode::Decoder as _;
use faultline_domain::envelope::{Arrival, Envelope, Format, Position};
use faultline_domain::id::{InstanceName, SourceName};
use faultline_domain::plugin::{Correlator as _, Detector, DetectorFactory as _, Inputs};
use faultline_domain::poll::Poller as _;
use faultline_domain::proposal::Blob;
use faultline_domain::situation::Situation;
use faultline_domain::telemetry::Samples;
use faultline_domain::time::Timestamp;
use faultline_sandbox::{Loaded, Role};

use crate::columns;
use crate::mirror::Mirror;

/// Bytes of which no answer is made are too few to be one.
const ANSWER_BYTES_MIN: usize = 8;

/// The bytes of a component, before anything is compiled: what they are said to
/// be, they are.
pub fn component(data: &[u8]) {
    let files = [
        ("plugin.toml", MANIFEST.as_bytes()),
        ("under-test.wasm", data),
    ];
    let files = files.map(|(name, content)| (name.to_owned(), content.to_vec()));
    if let Ok(bundle) = faultline_bundle::Bundle::from_files(files.into()) {
        // `\0asm`, version 13, layer 1 (Component Model, "Binary format").
        assert!(data.starts_with(b"\0asm\x0d\0\x01\0"));
        assert_eq!(bundle.manifest().components.len(), 1);
    }
}

const MANIFEST: &str = r#"
schema = 1
[plugin]
id = "tests/fuzz"
version = "0.1.0"
api = "0.1"
license = "Apache-2.0"
summary = "Under test"
[[component]]
name = "under-test"
kind = "correlator"
wasm = "under-test.wasm"
"#;

/// An answer of `decode`.
pub fn wit_decoded(data: &[u8]) {
    static MIRROR: LazyLock<Mirror> = LazyLock::new(|| {
        // The body of the first envelope stands at 16 of its record.
        let decode = r#"(func (export "faultline:plugin/decode@0.1.0#decode")
            (param $envelopes i32) (param i32) (result i32)
            (i32.load offset=16 (local.get $envelopes)))"#;
        let family = "fuzz".to_owned();
        Mirror::load("connector", decode, Role::Connector { family })
    });
    let Loaded::Connector(connector) = &MIRROR.loaded else {
        unreachable!("it is a connector");
    };
    if data.len() < ANSWER_BYTES_MIN {
        return;
    }
    let envelope = Envelope {
        position: Position(1),
        arrival: Arrival {
            source: SourceName::new("fuzz").expect("a name"),
            format: Format::Connector(InstanceName::new("mirror").expect("a name")),
            content_type: String::new(),
            headers: Vec::new(),
            body: data.to_vec(),
            received: Timestamp::from_secs(5),
        },
    };
    let Ok(mut answers) = connector.decode(&[&envelope]) else {
        return;
    };
    assert_eq!(answers.len(), 1, "one answer to one envelope");
    let Some(Ok(decoded)) = answers.pop() else {
        return;
    };
    columns(&decoded);
}

/// An answer of `samples`: findings.
pub fn wit_findings(data: &[u8]) {
    thread_local! {
        static SHARD: RefCell<Option<Box<dyn Detector>>> = const { RefCell::new(None) };
    }
    static MIRROR: LazyLock<Mirror> = LazyLock::new(|| {
        // Times are the third and fourth of the flat parameters; other answers
        // are never asked for.
        let detect = r#"
            (func (export "faultline:plugin/detect@0.1.0#samples")
              (param i32 i32) (param $times i32) (param i32 i32 i32) (result i32)
              (local.get $times))
            (func (export "faultline:plugin/detect@0.1.0#introduce")
              (param i32 i32 i32 i32) (result i32) unreachable)
            (func (export "faultline:plugin/detect@0.1.0#logs")
              (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable)
            (func (export "faultline:plugin/detect@0.1.0#tick") (param i64) (result i32) unreachable)
            (func (export "faultline:plugin/detect@0.1.0#save") (result i32) unreachable)
            (func (export "faultline:plugin/detect@0.1.0#load") (param i32 i32) (result i32)
              unreachable)"#;
        let inputs = Inputs {
            samples: true,
            logs: false,
        };
        Mirror::load("detector", detect, Role::Detector { inputs })
    });
    let Loaded::Detector(factory) = &MIRROR.loaded else {
        unreachable!("it is a detector");
    };
    let time: Vec<u64> = data
        .chunks_exact(8)
        .map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight")))
        .collect();
    if time.is_empty() {
        return;
    }
    let batch = Samples {
        series: vec![0; time.len()],
        value: vec![0.0; time.len()],
        time,
    };
    SHARD.with_borrow_mut(|shard| {
        let mut detector = shard
            .take()
            .unwrap_or_else(|| factory.start().expect("mirrors start"));
        if let Ok(findings) = detector.samples(&batch) {
            for finding in findings {
                assert!((0.0..=1.0).contains(&finding.score));
                assert!(finding.row.is_none_or(|row| (row as usize) < batch.len()));
            }
            *shard = Some(detector);
        }
    });
}

/// An answer of `correlate`: proposals, and a state.
pub fn wit_verdict(data: &[u8]) {
    static MIRROR: LazyLock<Mirror> = LazyLock::new(|| {
        // The situation: the time, and five lists. The state: whether there is
        // one, its media type, its bytes.
        let correlate = r#"(func (export "faultline:plugin/correlate@0.1.0#correlate")
            (param i64 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)
            (param i32 i32 i32) (param $state i32) (param i32) (result i32)
            (local.get $state))"#;
        Mirror::load("correlator", correlate, Role::Correlator)
    });
    let Loaded::Correlator(correlator) = &MIRROR.loaded else {
        unreachable!("it is a correlator");
    };
    if data.len() < ANSWER_BYTES_MIN {
        return;
    }
    let state = Blob {
        media_type: String::new(),
        bytes: data.to_vec(),
    };
    if let Ok(verdict) = correlator.correlate(&Situation::default(), Some(&state)) {
        for proposal in &verdict.proposals {
            let confidence = proposal.because().confidence.value();
            assert!((0.0..=1.0).contains(&confidence));
        }
    }
}

/// An answer of `poll`: a page.
pub fn wit_page(data: &[u8]) {
    static MIRROR: LazyLock<Mirror> = LazyLock::new(|| {
        let poll = r#"
            (func (export "faultline:plugin/poll@0.1.0#poll")
              (param i32) (param $cursor i32) (param i32 i32) (result i32)
              (local.get $cursor))
            (func (export "faultline:plugin/decode@0.1.0#decode") (param i32 i32) (result i32)
              unreachable)"#;
        let family = "fuzz".to_owned();
        Mirror::load("poller", poll, Role::Connector { family })
    });
    let Loaded::Poller(_, poller) = &MIRROR.loaded else {
        unreachable!("it is a poller");
    };
    if data.len() < ANSWER_BYTES_MIN {
        return;
    }
    let poller = Arc::clone(poller);
    // Whatever it is, it is a page or says why not.
    let _ = poller.poll(Some(data), 10);
}
