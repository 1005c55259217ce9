//! Prometheus remote write 1.0, from the sender's side.

use anyhow::{Context, Result};
use prost::Message;

/// `prometheus.WriteRequest`, as far as samples need it:
/// <https://prometheus.io/docs/specs/prw/remote_write_spec/>.
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

/// Some series with their samples, each a time in milliseconds and a value: the
/// body of a request.
///
/// # Errors
/// If the compressor refuses, which it does for gigabytes only, or a time is
/// beyond all dates.
pub(crate) fn body<S: Iterator<Item = (u64, f64)>>(
    series: std::ops::Range<u32>,
    samples: impl Fn(u32) -> S,
) -> Result<Vec<u8>> {
    let label = |name: &str, value: String| Label {
        name: name.to_owned(),
        value,
    };
    let timeseries = series
        .map(|number| {
            Ok(TimeSeries {
                // In the order of their names, as the protocol wants them.
                labels: vec![
                    label("__name__", "queue_length".to_owned()),
                    label(
                        "instance",
                        format!("10.0.{}.{}:9100", number / 250, number % 250),
                    ),
                    label("job", "checkout".to_owned()),
                    label("pod", format!("checkout-{number}")),
                    label("service", format!("checkout-{}", number % 50)),
                ],
                samples: samples(number)
                    .map(|(millis, value)| {
                        Ok(Sample {
                            value,
                            timestamp: i64::try_from(millis).context("a time beyond all dates")?,
                        })
                    })
                    .collect::<Result<_>>()?,
            })
        })
        .collect::<Result<_>>()?;
    let message = WriteRequest { timeseries }.encode_to_vec();
    snap::raw::Encoder::new()
        .compress_vec(&message)
        .context("compressing samples")
}
