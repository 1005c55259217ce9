//! What the API counts about itself.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    /// As in the description of the API; `none` for what is no operation.
    operation: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
}

/// Counters of the API.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<OperationLabels, Histogram, fn() -> Histogram>,
    pub(crate) streams: Gauge,
    pub(crate) bundles_refused: Counter,
}

/// From one millisecond to about sixteen seconds: acts are waited for.
fn request_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(request_seconds),
            streams: Gauge::default(),
            bundles_refused: Counter::default(),
        }
    }
}

impl Metrics {
    pub(crate) fn answered(&self, operation: &'static str, status: u16, seconds: f64) {
        let labels = RequestLabels { operation, status };
        self.requests.get_or_create(&labels).inc();
        let labels = OperationLabels { operation };
        self.seconds.get_or_create(&labels).observe(seconds);
    }

    /// Makes the counters part of what a registry shows, under
    /// `faultline_api_…`.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("faultline_api");
        registry.register(
            "requests",
            "Requests by operation and by the status of the answer",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "request",
            "From the headers of a request to those of its answer",
            Unit::Seconds,
            self.seconds.clone(),
        );
        registry.register(
            "streams",
            "Streams of events that are open",
            self.streams.clone(),
        );
        registry.register(
            "bundles_refused",
            "Bundles that were sent to be installed and could not be read",
            self.bundles_refused.clone(),
        );
    }
}
