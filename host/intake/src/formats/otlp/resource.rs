//! What sends telemetry: `opentelemetry.proto.resource.v1.Resource`, reduced to
//! its entity and to what tells one instance of it from another.

use faultline_domain::conventions;
use faultline_domain::entity::Entity;
use faultline_domain::labels::Labels;

use super::value::Attribute;
use crate::formats::limits::Limits;
use crate::formats::refusal::check_label;
use crate::formats::wire::{Unreadable, Within as _, repeated};

/// Attributes beside those of Kubernetes that become attributes of each series
/// and log source: without them, the series of two replicas would be one.
///
/// Not among them is what changes with each release or start while the thing
/// stays the same (`service.version`, `telemetry.sdk.*`, command lines, ids of
/// containers): a detector would have to learn each anew.
const INSTANCE_ATTRIBUTES: &[&str] = &[
    "service.instance.id",
    "service.namespace",
    "host.name",
    "host.id",
    "container.name",
    "deployment.environment",
    "deployment.environment.name",
    "cloud.region",
    "cloud.availability_zone",
];

/// The most bytes of what tells instances apart. Each series has a copy of it;
/// what does not fit is left out, in the order of the names.
const INSTANCE_BYTES_MAX: usize = 4_096;

/// What SDKs write where nobody configured a name. Everything that was not
/// configured would be one service.
const UNKNOWN_SERVICE: &str = "unknown_service";

/// What sends telemetry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Resource {
    /// What it is; none if nothing names it.
    pub(super) entity: Option<Entity>,
    /// The service that it belongs to; none if it names none.
    pub(super) service: Option<Entity>,
    /// What tells it apart from others of the same entity.
    pub(super) instance: Labels,
}

impl Resource {
    /// Reads the resource of a `ResourceMetrics`, `ResourceLogs` or
    /// `ResourceSpans`, which all have it in field 1.
    ///
    /// Attributes with values longer than a label may have are passed over:
    /// command lines and the like, which name nothing.
    pub(super) fn of(resource_items: &[u8], limits: Limits) -> Result<Self, Unreadable> {
        let mut labels = Labels::default();
        for (index, resource) in repeated(resource_items, 1).enumerate() {
            resource
                .and_then(|resource| read_attributes(resource, limits, &mut labels))
                .within("resource", index)?;
        }
        Ok(Self::from_labels(&labels))
    }

    fn from_labels(labels: &Labels) -> Self {
        let entities = conventions::entities(labels);
        let service = entities
            .iter()
            .find(|entity| entity.kind() == "service")
            .cloned();
        let has_instance_id = labels.get("service.instance.id").is_some();
        let mut bytes = 0;
        let instance = labels
            .iter()
            .filter(|(name, _)| tells_instances_apart(name, has_instance_id))
            .take_while(|(name, value)| {
                bytes += name.len() + value.len();
                bytes <= INSTANCE_BYTES_MAX
            })
            .collect();
        Self {
            entity: entities.into_iter().next(),
            service,
            instance,
        }
    }
}

fn read_attributes(resource: &[u8], limits: Limits, labels: &mut Labels) -> Result<(), Unreadable> {
    for (index, attribute) in repeated(resource, 1).enumerate() {
        let (key, value) = attribute
            .and_then(Attribute::read)
            .and_then(|attribute| {
                let value = attribute.value.into_text(limits.label_value_bytes_max)?;
                Ok((attribute.key, value))
            })
            .within("attributes", index)?;
        let fits = check_label(&key, &value, limits).is_ok() && labels.len() < limits.labels_max;
        if fits && is_known(&key, &value) {
            labels.set(key, value);
        }
    }
    Ok(())
}

fn is_known(key: &str, value: &str) -> bool {
    key != "service.name" || !value.starts_with(UNKNOWN_SERVICE)
}

fn tells_instances_apart(name: &str, has_instance_id: bool) -> bool {
    // `k8s.pod.name` and `k8s.namespace.name`, but not `k8s.pod.label.…`, ids
    // and times of start, which say the same again or change with each start.
    let names_in_kubernetes = name
        .strip_prefix("k8s.")
        .and_then(|rest| rest.strip_suffix(".name"))
        .is_some_and(|kind| !kind.contains(".label.") && !kind.contains(".annotation."));
    // Without it, the worker processes of one host would write one counter.
    let is_process = name == "process.pid" && !has_instance_id;
    INSTANCE_ATTRIBUTES.contains(&name) || names_in_kubernetes || is_process
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(labels: &[(&str, &str)], entity: &str, instance: &[&str]) {
        let labels: Labels = labels.iter().copied().collect();
        let resource = Resource::from_labels(&labels);
        assert_eq!(
            resource.entity.map(|entity| entity.to_string()).as_deref(),
            Some(entity)
        );
        let names: Vec<_> = resource.instance.iter().map(|(name, _)| name).collect();
        assert_eq!(names, instance);
    }

    #[test]
    fn keeps_what_tells_instances_apart() {
        check(
            &[
                ("service.name", "cart"),
                ("service.version", "1.2.3"),
                ("service.instance.id", "a"),
                ("process.pid", "17"),
                ("k8s.pod.name", "cart-0"),
                ("k8s.pod.uid", "0-0"),
                ("k8s.pod.label.app.name", "cart"),
            ],
            "service/cart",
            &["k8s.pod.name", "service.instance.id"],
        );
        check(
            &[("host.name", "db-1"), ("process.pid", "17")],
            "host/db-1",
            &["host.name", "process.pid"],
        );
    }

    #[test]
    fn what_each_series_copies_is_limited() {
        let long = "x".repeat(2_000);
        let labels: Labels = (0..100)
            .map(|number| (format!("k8s.kind{number:02}.name"), long.clone()))
            .collect();
        let resource = Resource::from_labels(&labels);
        assert_eq!(resource.instance.len(), 2);
    }

    #[test]
    fn a_service_nobody_named_is_none() {
        assert!(!is_known("service.name", "unknown_service:java"));
        assert!(is_known("service.name", "cart"));
    }
}
