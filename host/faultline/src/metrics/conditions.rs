//! What is not as it should be at the moment.

use faultline_api::Condition;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What does not work, and what is the matter with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabels {
    part: String,
    condition: String,
}

pub(super) fn register(registry: &mut Registry, conditions: &[Condition]) {
    let family = Family::<ConditionLabels, Gauge>::default();
    for condition in conditions {
        let labels = ConditionLabels {
            part: condition.part.clone(),
            condition: condition.condition.clone(),
        };
        family.get_or_create(&labels).set(1);
    }
    registry.register(
        "faultline_condition",
        "What is not as it should be at the moment: 1 for each part and condition",
        family,
    );
}
