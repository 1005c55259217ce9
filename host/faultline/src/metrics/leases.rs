//! Metrics of the leases, as this node has them.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::leases::LeaseCounts;

/// Which lease.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LeaseLabels {
    lease: &'static str,
}

pub(super) fn register(registry: &mut Registry, leases: &[LeaseCounts]) {
    let registry = registry.sub_registry_with_prefix("faultline_lease");
    let held = Family::<LeaseLabels, Gauge>::default();
    let taken = Family::<LeaseLabels, Counter>::default();
    let lost = Family::<LeaseLabels, Counter>::default();
    for lease in leases {
        let labels = LeaseLabels {
            lease: lease.name.as_str(),
        };
        held.get_or_create(&labels).set(lease.is_held.into());
        taken.get_or_create(&labels).inc_by(lease.taken);
        lost.get_or_create(&labels).inc_by(lease.lost);
    }
    registry.register("held", "1 if this node has the lease, 0 if not", held);
    registry.register("taken", "How often this node has taken the lease", taken);
    registry.register(
        "lost",
        "How often this node has lost the lease without having let go of it",
        lost,
    );
}
