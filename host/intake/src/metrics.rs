//! What intake counts, for whoever shows metrics.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::endpoint::Endpoint;

/// Which requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    endpoint: &'static str,
    /// `accepted`, `partial`, or why not.
    outcome: &'static str,
}

/// Which endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: &'static str,
}

/// Counters of intake. Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    requests: Family<RequestLabels, Counter>,
    body_bytes: Family<EndpointLabels, Counter>,
    items: Family<EndpointLabels, Counter>,
    items_rejected: Family<EndpointLabels, Counter>,
    seconds: Family<EndpointLabels, Histogram, fn() -> Histogram>,
    requests_in_flight: Gauge,
    connections: Gauge,
    envelopes_appended: Counter,
    bytes_appended: Counter,
    appends: Counter,
    append_failures: Counter,
}

/// From half a millisecond to about four seconds.
fn request_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_5, 2.0, 14))
}

impl Default for Metrics {
    fn default() -> Self {
        Self(Arc::new(Counters {
            requests: Family::default(),
            body_bytes: Family::default(),
            items: Family::default(),
            items_rejected: Family::default(),
            seconds: Family::new_with_constructor(request_seconds),
            requests_in_flight: Gauge::default(),
            connections: Gauge::default(),
            envelopes_appended: Counter::default(),
            bytes_appended: Counter::default(),
            appends: Counter::default(),
            append_failures: Counter::default(),
        }))
    }
}

impl Metrics {
    /// Makes the counters part of what a registry shows, under
    /// `faultline_intake_…`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("faultline_intake");
        let counters = &self.0;
        registry.register(
            "requests",
            "Requests by endpoint and by what became of them",
            counters.requests.clone(),
        );
        registry.register_with_unit(
            "body",
            "Bodies of accepted requests, decoded",
            Unit::Bytes,
            counters.body_bytes.clone(),
        );
        registry.register(
            "items",
            "Alerts, samples, log lines and spans that were accepted",
            counters.items.clone(),
        );
        registry.register(
            "items_rejected",
            "Alerts, samples, log lines and spans that could not be used",
            counters.items_rejected.clone(),
        );
        registry.register_with_unit(
            "request",
            "From the headers of a request to its answer",
            Unit::Seconds,
            counters.seconds.clone(),
        );
        registry.register(
            "requests_in_flight",
            "Requests that are being answered",
            counters.requests_in_flight.clone(),
        );
        registry.register(
            "connections",
            "Open connections",
            counters.connections.clone(),
        );
        registry.register(
            "envelopes_appended",
            "Envelopes that were appended to the journal",
            counters.envelopes_appended.clone(),
        );
        registry.register_with_unit(
            "appended",
            "Bodies that were appended to the journal",
            Unit::Bytes,
            counters.bytes_appended.clone(),
        );
        registry.register(
            "appends",
            "Batches that were appended to the journal",
            counters.appends.clone(),
        );
        registry.register(
            "append_failures",
            "Batches that the journal did not take",
            counters.append_failures.clone(),
        );
    }

    /// How many requests to an endpoint had this outcome.
    pub fn requests(&self, endpoint: Endpoint, outcome: &'static str) -> u64 {
        self.0
            .requests
            .get_or_create(&RequestLabels {
                endpoint: endpoint.as_str(),
                outcome,
            })
            .get()
    }

    /// How many requests are being answered.
    pub fn requests_in_flight(&self) -> i64 {
        self.0.requests_in_flight.get()
    }

    pub(crate) fn answered(&self, endpoint: Endpoint, outcome: &'static str, seconds: f64) {
        let endpoint = endpoint.as_str();
        let labels = RequestLabels { endpoint, outcome };
        self.0.requests.get_or_create(&labels).inc();
        let labels = EndpointLabels { endpoint };
        self.0.seconds.get_or_create(&labels).observe(seconds);
    }

    pub(crate) fn received(&self, endpoint: Endpoint, bytes: usize, items: u64, rejected: u64) {
        let labels = EndpointLabels {
            endpoint: endpoint.as_str(),
        };
        let counters = &self.0;
        counters
            .body_bytes
            .get_or_create(&labels)
            .inc_by(bytes as u64);
        counters.items.get_or_create(&labels).inc_by(items);
        counters
            .items_rejected
            .get_or_create(&labels)
            .inc_by(rejected);
    }

    pub(crate) fn appended(&self, envelopes: u64, bytes: u64) {
        self.0.appends.inc();
        self.0.envelopes_appended.inc_by(envelopes);
        self.0.bytes_appended.inc_by(bytes);
    }

    pub(crate) fn append_failed(&self) {
        self.0.append_failures.inc();
    }

    /// Counts a request until what is returned is dropped.
    pub(crate) fn request_begins(&self) -> Counted {
        Counted::one_more(self.0.requests_in_flight.clone())
    }

    /// Counts a connection until what is returned is dropped.
    pub(crate) fn connection_begins(&self) -> Counted {
        Counted::one_more(self.0.connections.clone())
    }
}

/// One in a gauge, for as long as it lives.
pub(crate) struct Counted(Gauge);

impl Counted {
    fn one_more(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
