//! How pollers fare.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use faultline_domain::id::InstanceName;
use faultline_domain::poll::PollState;
use faultline_domain::time::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Which poller.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PollerLabels {
    instance: String,
}

/// Where the pollers stand that this process asks.
pub(crate) struct Polls {
    pub(crate) states: BTreeMap<InstanceName, PollState>,
    pub(crate) now: Timestamp,
}

pub(super) fn register(registry: &mut Registry, polls: &Polls) {
    let registry = registry.sub_registry_with_prefix("faultline_poll");
    let pages = Family::<PollerLabels, Counter>::default();
    let envelopes = Family::<PollerLabels, Counter>::default();
    let faults = Family::<PollerLabels, Counter>::default();
    let in_a_row = Family::<PollerLabels, Gauge>::default();
    let cursor = Family::<PollerLabels, Gauge>::default();
    let lag = Family::<PollerLabels, Gauge<f64, AtomicU64>>::default();
    for (instance, state) in &polls.states {
        let labels = PollerLabels {
            instance: instance.to_string(),
        };
        pages.get_or_create(&labels).inc_by(state.pages);
        envelopes.get_or_create(&labels).inc_by(state.envelopes);
        faults.get_or_create(&labels).inc_by(state.faults);
        in_a_row
            .get_or_create(&labels)
            .set(i64::from(state.faults_in_a_row));
        let bytes = state.cursor.as_ref().map_or(0, Vec::len);
        cursor
            .get_or_create(&labels)
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
        if let Some(known) = state.lag(polls.now) {
            lag.get_or_create(&labels).set(known.as_secs_f64());
        }
    }
    registry.register("pages", "Pages that were fetched", pages);
    registry.register("envelopes", "Envelopes in them", envelopes);
    registry.register("faults", "Polls that gave no page", faults);
    registry.register(
        "faults_in_a_row",
        "Polls that gave no page since the last one that did",
        in_a_row,
    );
    registry.register_with_unit("cursor", "Length of the cursor", Unit::Bytes, cursor);
    registry.register_with_unit(
        "lag",
        "Time since everything that there was had been fetched",
        Unit::Seconds,
        lag,
    );
}
