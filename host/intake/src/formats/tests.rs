//! What holds for all standard formats, whatever the bytes.

use faultline_domain::decode::Decoded;
use faultline_domain::envelope::{Arrival, Envelope, Format, Position};
use faultline_domain::fault::Fault;
use faultline_domain::id::SourceName;
use faultline_domain::time::Timestamp;
use proptest::prelude::*;

use super::*;

/// Small, so that they are met.
const LIMITS: Limits = Limits {
    samples_per_payload_max: 20,
    series_per_payload_max: 30,
    log_lines_per_payload_max: 10,
    spans_per_payload_max: 10,
    alerts_per_payload_max: 5,
    alert_bytes_max: 400,
    labels_max: 5,
    labels_per_payload_max: 60,
    label_bytes_per_payload_max: 4_096,
    label_name_bytes_max: 30,
    label_value_bytes_max: 30,
    annotation_bytes_max: 20,
    title_bytes_max: 10,
    log_line_bytes_max: 20,
    operation_bytes_max: 10,
};

fn decode(format: &Format, content_type: &str, body: Vec<u8>) -> Result<Decoded, Fault> {
    let envelope = Envelope {
        position: Position(1),
        arrival: Arrival {
            source: SourceName::new("any").expect("a name"),
            format: format.clone(),
            content_type: content_type.to_owned(),
            headers: Vec::new(),
            body,
            received: Timestamp::from_secs(1_767_225_600),
        },
    };
    let decoder = decoder(format, LIMITS, 1 << 20).expect("a standard format");
    let mut answers = decoder
        .decode(&[&envelope])
        .expect("host decoders never fail");
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

/// What every answer has to be like.
fn check_sound(decoded: &Decoded) {
    let samples = &decoded.samples;
    assert_eq!(samples.series.len(), samples.time.len());
    assert_eq!(samples.series.len(), samples.value.len());
    for (series, _, value) in samples.rows() {
        assert!((series as usize) < decoded.series.len());
        assert!(value.is_finite());
    }
    assert!(samples.len() <= LIMITS.samples_per_payload_max);
    for row in 0..decoded.logs.len() {
        assert!((decoded.logs.source[row] as usize) < decoded.log_sources.len());
        assert!(decoded.logs.text_of(row).len() <= LIMITS.log_line_bytes_max);
    }
    for span in &decoded.spans {
        assert!(span.start <= span.end);
        assert!(span.operation.len() <= LIMITS.operation_bytes_max);
    }
    for fault in &decoded.rejected {
        assert!(fault.message.len() < 1_000, "{}", fault.message.len());
    }
}

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

/// A payload of each format and encoding, with a bit of everything.
fn samples() -> Vec<(Format, &'static str, Vec<u8>)> {
    let mut samples = otlp::tests::samples();
    samples.push((Format::RemoteWrite, PROTOBUF, remote_write::tests::sample()));
    samples.push((
        Format::AlertmanagerAlerts,
        JSON,
        alertmanager::tests::SAMPLE.as_bytes().to_vec(),
    ));
    samples
}

#[test]
fn every_truncation_is_answered() {
    for (format, content_type, body) in samples() {
        let whole = decode(&format, content_type, body.clone());
        check_sound(&whole.unwrap_or_else(|fault| panic!("{format} {content_type}: {fault}")));
        for end in 0..body.len() {
            let cut = decode(&format, content_type, body[..end].to_vec());
            match cut {
                Ok(decoded) => check_sound(&decoded),
                Err(fault) => assert_eq!(fault.code, "malformed"),
            }
            // Half a JSON text is none.
            assert!(content_type != JSON || decode(&format, JSON, body[..end].to_vec()).is_err());
        }
    }
}

#[test]
fn other_formats_have_no_decoder_here() {
    assert!(decoder(&Format::Clock, LIMITS, 0).is_none());
}

proptest! {
    #[test]
    fn random_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for format in Format::STANDARD {
            for content_type in [PROTOBUF, JSON] {
                if let Ok(decoded) = decode(&format, content_type, bytes.clone()) {
                    check_sound(&decoded);
                }
            }
        }
    }

    #[test]
    fn spoiled_payloads_are_answered(
        which in any::<prop::sample::Index>(),
        spoils in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..8),
    ) {
        let mut samples = samples();
        let (format, content_type, mut body) = samples.swap_remove(which.index(samples.len()));
        for (at, byte, how) in spoils {
            let at = at.index(body.len());
            match how {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                2 => { let again = body[at..].to_vec(); body.extend(again); }
                _ => body[at] ^= 1 << (byte % 8),
            }
            body.truncate(20_000);
        }
        if let Ok(decoded) = decode(&format, content_type, body) {
            check_sound(&decoded);
        }
    }
}
