//! The readers of standard formats.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use faultline_domain::envelope::Format;
use faultline_intake::formats;
use faultline_pipeline::Reader;

/// The family of everything that speaks Prometheus' dialect of alerts: an alert
/// that comes directly and through Alertmanager's webhook is one alert.
const PROMETHEUS: &str = "prometheus";

/// What the reader of remote write may remember of series it has seen.
const SERIES_CACHE_BYTES_MAX: usize = 64 << 20;

/// A reader for each standard format.
pub(crate) fn standard_readers(resolve_timeout: Duration) -> BTreeMap<Format, Reader> {
    Format::STANDARD
        .into_iter()
        .filter_map(|format| {
            let limits = formats::Limits::default();
            let decoder = formats::decoder(&format, limits, SERIES_CACHE_BYTES_MAX)?;
            let reader = Reader {
                decoder: Arc::from(decoder),
                family: match format {
                    Format::AlertmanagerAlerts => PROMETHEUS.to_owned(),
                    _ => "opentelemetry".to_owned(),
                },
                digest: None,
                resolve_timeout: matches!(format, Format::AlertmanagerAlerts)
                    .then_some(resolve_timeout),
            };
            Some((format, reader))
        })
        .collect()
}
