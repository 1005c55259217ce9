//! The readers of standard formats.

use std::collections::BTreeMap;
use std::sync::Arc;

use faultline_domain::envelope::Format;
use faultline_intake::formats;
use faultline_pipeline::Reader;

use crate::config::Config;

/// The family of everything that speaks Prometheus' dialect of alerts: an alert
/// that comes directly and through Alertmanager's webhook is one alert.
const PROMETHEUS: &str = "prometheus";

/// What the reader of remote write may remember of each series that there may
/// be: of one that it has seen lately, and of one that it is about to forget. That
/// is enough for 256 bytes of labels each. With more on the average, or with many
/// buckets of histograms, which it remembers too and which are no series, it can
/// become too little for all of them; and then it is of no use at all, since
/// senders name all of theirs in turn.
const SERIES_CACHE_BYTES_EACH: usize = 2 * 1_536;

/// A reader for each standard format.
pub(crate) fn standard_readers(config: &Config) -> BTreeMap<Format, Reader> {
    let cache_bytes_max = (config.pipeline.series_max).saturating_mul(SERIES_CACHE_BYTES_EACH);
    Format::STANDARD
        .into_iter()
        .filter_map(|format| {
            let limits = formats::Limits::default();
            let decoder = formats::decoder(&format, limits, cache_bytes_max)?;
            let reader = Reader {
                decoder: Arc::from(decoder),
                family: match format {
                    Format::AlertmanagerAlerts => PROMETHEUS.to_owned(),
                    _ => "opentelemetry".to_owned(),
                },
                digest: None,
                resolve_timeout: matches!(format, Format::AlertmanagerAlerts)
                    .then_some(config.intake.resolve_timeout),
            };
            Some((format, reader))
        })
        .collect()
}
