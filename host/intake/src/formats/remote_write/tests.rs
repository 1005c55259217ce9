//! Requests as an independent encoder writes them in, decoded out.

use faultline_domain::envelope::{Arrival, Format, Position};
use faultline_domain::id::SourceName;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::formats::show::show;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
    #[prost(message, repeated, tag = "3")]
    pub metadata: Vec<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    pub exemplars: Vec<Sample>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub histograms: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Label {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Sample {
    #[prost(double, tag = "1")]
    pub value: f64,
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metadata {
    #[prost(int32, tag = "1")]
    pub kind: i32,
    #[prost(string, tag = "2")]
    pub family: String,
}

fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> TimeSeries {
    TimeSeries {
        labels: labels
            .iter()
            .map(|(name, value)| Label {
                name: (*name).to_owned(),
                value: (*value).to_owned(),
            })
            .collect(),
        samples: samples
            .iter()
            .map(|(timestamp, value)| Sample {
                value: *value,
                timestamp: *timestamp,
            })
            .collect(),
        ..TimeSeries::default()
    }
}

fn request(timeseries: Vec<TimeSeries>) -> Vec<u8> {
    let metadata = Vec::new();
    WriteRequest {
        timeseries,
        metadata,
    }
    .encode_to_vec()
}

/// A request with a bit of everything.
pub(crate) fn sample() -> Vec<u8> {
    let mut body = WriteRequest {
        timeseries: vec![
            series(
                &[("__name__", "a_total"), ("job", "cart")],
                &[(MILLIS, 1.0)],
            ),
            series(&[("__name__", "b_bucket"), ("le", "1")], &[(MILLIS, 1.0)]),
        ],
        metadata: vec![],
    };
    body.metadata.push(Metadata {
        kind: 3,
        family: "b".to_owned(),
    });
    body.encode_to_vec()
}

/// A request with a series that is none, and one that is one.
pub(crate) fn sample_half_good() -> Vec<u8> {
    request(vec![
        series(&[("job", "cart")], &[(MILLIS, 1.0)]),
        series(&[("__name__", "up")], &[(MILLIS, 1.0)]),
    ])
}

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
const MILLIS: i64 = 1_767_225_599_250;

fn check_shown(body: &[u8], expected: &str) {
    let decoded = decode(body, NOW, Limits::default());
    assert_eq!(show(&decoded), expected);
    // Whatever is decoded with a memory of earlier payloads is the same.
    let remembering = RemoteWrite::new(Limits::default(), 1 << 20);
    for _ in 0..2 {
        assert_eq!(
            remembering.decode(&[&envelope(body)]).expect("never fails")[0],
            decoded
        );
    }
    let checked = check(body, Limits::default());
    assert_eq!(checked, decoded.map(Checked::from));
}

fn envelope(body: &[u8]) -> Envelope {
    Envelope {
        position: Position(1),
        arrival: Arrival {
            source: SourceName::new("prometheus").expect("a name"),
            format: Format::RemoteWrite,
            content_type: "application/x-protobuf".to_owned(),
            headers: Vec::new(),
            body: body.to_vec(),
            received: NOW,
        },
    }
}

#[test]
fn reads_series_and_samples() {
    let cpu = [
        ("__name__", "node_cpu_seconds_total"),
        ("cpu", "0"),
        ("instance", "db-1:9100"),
        ("job", "node"),
    ];
    let up = [
        ("__name__", "up"),
        ("instance", "10.0.0.7:80"),
        ("job", "cart"),
    ];
    let body = request(vec![
        series(&cpu, &[(MILLIS, 12.5)]),
        series(&up, &[(MILLIS, 1.0)]),
        series(&cpu, &[(MILLIS + 15_000, 13.0)]),
    ]);
    check_shown(
        &body,
        "series host/db-1 node_cpu_seconds_total Counter[s] {cpu=0 instance=db-1:9100 job=node}\n\
         series service/cart up Gauge[] {instance=10.0.0.7:80 job=cart}\n\
         sample 0 2025-12-31T23:59:59.250Z 12.5\n\
         sample 1 2025-12-31T23:59:59.250Z 1\n\
         sample 0 2026-01-01T00:00:14.250Z 13\n",
    );
}

#[test]
fn leaves_out_what_is_no_value_and_counts_it() {
    let stale = f64::from_bits(STALE_BITS);
    let mut with_exemplar = series(&[("__name__", "a")], &[(MILLIS, 1.0)]);
    with_exemplar.exemplars = vec![Sample::default()];
    with_exemplar.histograms = vec![vec![]];
    let bucket = [("__name__", "wait_seconds_bucket"), ("le", "+Inf")];
    let body = request(vec![
        series(&[("__name__", "a")], &[(MILLIS, stale), (MILLIS, f64::NAN)]),
        series(&[("__name__", "a")], &[(MILLIS, f64::INFINITY)]),
        with_exemplar,
        series(&bucket, &[(MILLIS, 1.0)]),
        series(&bucket, &[(MILLIS, 2.0)]),
        series(&[("__name__", "rain_bucket")], &[(0, 2.0)]),
    ]);
    check_shown(
        &body,
        "series - a Gauge[] {}\n\
         series - rain_bucket Counter[] {}\n\
         sample 0 2025-12-31T23:59:59.250Z 1\n\
         sample 1 2026-01-01T00:00:00Z 2\n\
         note stale 1\n\
         note not-finite 2\n\
         note bucket 2\n\
         note native-histogram 1\n\
         note exemplar 1\n\
         note timeless 1\n",
    );
}

#[test]
fn rejects_a_series_and_takes_the_others() {
    let long = "x".repeat(Limits::default().label_value_bytes_max + 1);
    let mut not_utf8 = series(&[("__name__", "a"), ("b", "@@@")], &[(MILLIS, 1.0)]).encode_to_vec();
    for byte in &mut not_utf8 {
        if *byte == b'@' {
            *byte = 0xff;
        }
    }
    let mut body = request(vec![
        series(&[("job", "cart")], &[(MILLIS, 1.0)]),
        series(
            &[("__name__", "a"), ("x", "1"), ("x", "2")],
            &[(MILLIS, 1.0)],
        ),
        series(&[("__name__", "a"), ("", "2")], &[(MILLIS, 1.0)]),
        series(&[("__name__", "a"), ("long", &long)], &[(MILLIS, 1.0)]),
        series(&[("__name__", "a")], &[(-1, 1.0), (MILLIS, 2.0)]),
    ]);
    write::bytes(&mut body, 1, &not_utf8);
    check_shown(
        &body,
        "series - a Gauge[] {}\n\
         sample 0 2025-12-31T23:59:59.250Z 2\n\
         rejected malformed: timeseries[0]: no metric name: label `__name__` is missing\n\
         rejected malformed: timeseries[1]: label `x` stands twice\n\
         rejected malformed: timeseries[2]: a label without a name\n\
         rejected malformed: timeseries[3]: the value of label `long` has 2049 bytes, more than 2048\n\
         rejected malformed: timeseries[4]: a sample at -1 ms, which is before 1970\n\
         rejected malformed: timeseries[5]: the value of label `b` is not UTF-8\n",
    );
}

#[test]
fn labels_may_stand_in_any_order() {
    let sorted = [("__name__", "a"), ("b", "1"), ("c", "2")];
    let unsorted = [("c", "2"), ("b", "1"), ("__name__", "a"), ("empty", "")];
    let of = |labels: &[(&str, &str)]| {
        let body = request(vec![series(labels, &[(MILLIS, 1.0)])]);
        decode(&body, NOW, Limits::default())
    };
    assert_eq!(of(&sorted), of(&unsorted));
    // Samples before, between and after the labels.
    let mut apart = Vec::new();
    let parts = series(&sorted, &[(MILLIS, 1.0)]);
    write::bytes(&mut apart, 2, &parts.samples[0].encode_to_vec());
    for label in &parts.labels {
        write::bytes(&mut apart, 1, &label.encode_to_vec());
    }
    let mut body = Vec::new();
    write::bytes(&mut body, 1, &apart);
    assert_eq!(decode(&body, NOW, Limits::default()), of(&sorted));
}

#[test]
fn metadata_in_the_request_count_more_than_names() {
    let body = WriteRequest {
        timeseries: vec![
            series(&[("__name__", "jobs")], &[(MILLIS, 1.0)]),
            series(&[("__name__", "queue_total")], &[(MILLIS, 1.0)]),
        ],
        metadata: vec![
            Metadata {
                kind: 1,
                family: "jobs".to_owned(),
            },
            Metadata {
                kind: 2,
                family: "queue_total".to_owned(),
            },
        ],
    };
    check_shown(
        &body.encode_to_vec(),
        "series - jobs Counter[] {}\n\
         series - queue_total Gauge[] {}\n\
         sample 0 2025-12-31T23:59:59.250Z 1\n\
         sample 1 2025-12-31T23:59:59.250Z 1\n",
    );
}

#[test]
fn says_where_a_payload_is_malformed() {
    let mut body = request(vec![series(&[("__name__", "a")], &[(MILLIS, 1.0)])]);
    write::bytes(&mut body, 1, &[0x0a, 9, 1]);
    check_shown(
        &body,
        "fault malformed: timeseries[1]: a field of 9 bytes where 1 are left\n",
    );
    check_shown(
        b"\x0bnot protobuf",
        "fault malformed: timeseries[0]: field 1 is of wire type 3, which is not one of proto3\n",
    );
    check_shown(b"", "");
}

#[test]
fn a_payload_has_limits() {
    let limits = Limits {
        samples_per_payload_max: 3,
        series_per_payload_max: 2,
        labels_per_payload_max: 4,
        labels_max: 3,
        ..Limits::default()
    };
    let code = |timeseries| {
        let body = request(timeseries);
        let fault = decode(&body, NOW, limits).expect_err("over the limit");
        assert_eq!(check(&body, limits).expect_err("too").code, fault.code);
        fault.code
    };
    let a = [("__name__", "a")];
    let samples = [(MILLIS, 1.0); 4];
    assert_eq!(
        code(vec![series(&a, &samples)]),
        "limit.samples-per-payload"
    );
    let three = || series(&a, &samples[..1]);
    assert_eq!(
        code(vec![three(), three(), three()]),
        "limit.series-per-payload"
    );
    let wide = |name| series(&[("__name__", name), ("b", "1"), ("c", "2")], &[]);
    let body = request(vec![wide("x"), wide("y")]);
    assert!(decode(&body, NOW, limits).is_ok());
    let too_wide = [("__name__", "a"), ("b", "1"), ("c", "2"), ("d", "3")];
    let body = request(vec![series(&too_wide, &[])]);
    let decoded = decode(&body, NOW, limits).expect("readable");
    assert_eq!(
        decoded.rejected[0].message,
        "timeseries[0]: more than 3 labels"
    );
}

#[test]
fn empty_messages_do_not_multiply() {
    let limits = Limits {
        series_per_payload_max: usize::MAX,
        ..Limits::default()
    };
    let body = [0x0a, 0x00].repeat(100_000);
    let decoded = decode(&body, NOW, limits).expect("readable");
    assert_eq!(decoded.rejected.len(), 100);
    assert_eq!(decoded.rejected_count(), 100_000);
}

#[test]
fn who_finds_the_memory_in_use_does_without() {
    let decoder = RemoteWrite::new(Limits::default(), 1 << 20);
    let body = request(vec![series(&[("__name__", "a")], &[(MILLIS, 1.0)])]);
    let held = decoder.cache.lock().expect("unpoisoned");
    let without = decoder.decode(&[&envelope(&body)]);
    drop(held);
    assert_eq!(without, decoder.decode(&[&envelope(&body)]));
}

fn any_series() -> impl Strategy<Value = TimeSeries> {
    let label = ("[a-c_]{0,3}|__name__|le", "[a-z]{0,4}|x_bucket|y_total")
        .prop_map(|(name, value)| Label { name, value });
    let sample =
        (any::<f64>(), any::<i64>()).prop_map(|(value, timestamp)| Sample { value, timestamp });
    let labels = prop::collection::vec(label, 0..4);
    let samples = prop::collection::vec(sample, 0..3);
    (labels, samples).prop_map(|(labels, samples)| TimeSeries {
        labels,
        samples,
        ..TimeSeries::default()
    })
}

proptest! {
    #[test]
    fn checking_finds_what_decoding_rejects(
        timeseries in prop::collection::vec(any_series(), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let whole = request(timeseries);
        for body in [&whole[..], &whole[..cut.index(whole.len() + 1)]] {
            let decoded = decode(body, NOW, Limits::default());
            let checked = check(body, Limits::default());
            prop_assert_eq!(decoded.is_err(), checked.is_err());
            if let (Ok(decoded), Ok(checked)) = (decoded, checked) {
                prop_assert_eq!(Checked::from(decoded), checked);
            }
        }
    }

    #[test]
    fn remembering_changes_nothing(
        requests in prop::collection::vec(prop::collection::vec(any_series(), 0..6), 1..6),
    ) {
        // So little memory that it is forgotten again and again.
        let remembering = RemoteWrite::new(Limits::default(), 4_000);
        for timeseries in requests {
            let body = request(timeseries);
            let plain = decode(&body, NOW, Limits::default());
            prop_assert_eq!(remembering.decode(&[&envelope(&body)]), Ok(vec![plain]));
        }
    }
}
