//! Requests of Prometheus remote write 1.0, as an independent encoder writes
//! them.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

/// What a request is sent with.
pub(crate) const HEADERS: [(&str, &str); 2] = [
    ("content-type", "application/x-protobuf"),
    ("content-encoding", "snappy"),
];

/// A request with one series of a job, not yet compressed.
pub(crate) fn request(name: &str, job: &str, samples: &[(u64, f64)]) -> Vec<u8> {
    let label = |name: &str, value: &str| Label {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let series = TimeSeries {
        labels: vec![label("__name__", name), label("job", job)],
        samples: samples
            .iter()
            .map(|&(millis, value)| Sample {
                value,
                timestamp: i64::try_from(millis).expect("a time"),
            })
            .collect(),
    };
    WriteRequest {
        timeseries: vec![series],
    }
    .encode_to_vec()
}

/// As remote write compresses it.
pub(crate) fn snappy(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = snap::raw::Encoder::new();
    encoder.compress_vec(bytes).expect("it is short enough")
}
