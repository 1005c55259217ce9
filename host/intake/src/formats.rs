//! The standard formats: from bytes to what they say.
//!
//! One file per format, each a pure function. What cannot be read at all is a
//! fault; what is wrong with one item rejects that item, and the others count.
//! Whatever the bytes are, decoding ends, does not panic, and takes memory in
//! proportion to [`Limits`] and to the payload.

pub mod alertmanager;
mod checked;
mod limits;
pub mod otlp;
mod prometheus;
mod refusal;
pub mod remote_write;
mod series;
mod wire;

#[cfg(test)]
mod show;
#[cfg(test)]
mod tests;

use faultline_domain::decode::Decoder;
use faultline_domain::envelope::{Arrival, Format};
use faultline_domain::fault::Fault;

pub use checked::Checked;
pub use limits::Limits;
pub(crate) use wire::write;

use self::otlp::{Otlp, Subject};

/// The decoder of a standard format; none for other formats. The one of remote
/// write remembers series in about `series_cache_bytes_max` bytes.
pub fn decoder(
    format: &Format,
    limits: Limits,
    series_cache_bytes_max: usize,
) -> Option<Box<dyn Decoder>> {
    let otlp = |subject| Box::new(Otlp { subject, limits });
    Some(match format {
        Format::OtlpMetrics => otlp(Subject::Metrics),
        Format::OtlpLogs => otlp(Subject::Logs),
        Format::OtlpTraces => otlp(Subject::Traces),
        Format::RemoteWrite => Box::new(remote_write::RemoteWrite::new(
            limits,
            series_cache_bytes_max,
        )),
        Format::AlertmanagerAlerts => Box::new(alertmanager::AlertmanagerAlerts { limits }),
        Format::Connector(_) | Format::Clock | Format::Command | Format::Host => return None,
    })
}

/// What a payload of a standard format amounts to; none for other formats,
/// which are not read here.
///
/// # Errors
/// If it cannot be read; see the format.
pub fn check(arrival: &Arrival, limits: Limits) -> Option<Result<Checked, Fault>> {
    let otlp = |subject| otlp::decode_arrival(subject, arrival, limits).map(Checked::from);
    Some(match arrival.format {
        Format::OtlpMetrics => otlp(Subject::Metrics),
        Format::OtlpLogs => otlp(Subject::Logs),
        Format::OtlpTraces => otlp(Subject::Traces),
        Format::RemoteWrite => remote_write::check(&arrival.body, limits),
        Format::AlertmanagerAlerts => {
            alertmanager::decode(&arrival.body, arrival.received, limits).map(Checked::from)
        }
        Format::Connector(_) | Format::Clock | Format::Command | Format::Host => return None,
    })
}
