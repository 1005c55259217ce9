//! Which entities labels speak of, by the conventions that everybody follows:
//! OpenTelemetry resources (semantic conventions 1.x), Kubernetes, and the
//! habits of Prometheus.

use crate::entity::Entity;
use crate::labels::Labels;

/// A rule: the first of these labels that is set names an entity of this kind.
struct Rule {
    kind: &'static str,
    labels: &'static [&'static str],
}

/// In the order of precedence for [`primary_entity`]: from what people operate
/// to what it runs on.
const RULES: &[Rule] = &[
    Rule {
        kind: "service",
        labels: &[
            "service.name",
            "service_name",
            "service",
            "app.kubernetes.io/name",
            "app_kubernetes_io_name",
            "app",
            "application",
        ],
    },
    Rule {
        kind: "workload",
        labels: &[
            "k8s.deployment.name",
            "deployment",
            "k8s.statefulset.name",
            "statefulset",
            "k8s.daemonset.name",
            "daemonset",
        ],
    },
    Rule {
        kind: "pod",
        labels: &["k8s.pod.name", "k8s_pod_name", "pod", "pod_name"],
    },
    Rule {
        kind: "host",
        labels: &["host.name", "host_name", "hostname", "host", "nodename"],
    },
    Rule {
        kind: "node",
        labels: &["k8s.node.name", "k8s_node_name", "node"],
    },
];

/// Jobs of Prometheus whose `instance` is a host and not a replica of a
/// service.
const HOST_JOBS: &[&str] = &["node", "node-exporter", "node_exporter", "windows_exporter"];

/// Every entity that the labels name, the most telling first, none twice.
///
/// Where nothing better is there, Prometheus' `job` is a service; `instance`
/// without its port is a host if the job is a node exporter, and otherwise
/// says nothing: it is one of many replicas.
pub fn entities(labels: &Labels) -> Vec<Entity> {
    let mut found: Vec<Entity> = RULES
        .iter()
        .filter_map(|rule| {
            let name = rule.labels.iter().find_map(|label| labels.get(label))?;
            Entity::new(rule.kind, name).ok()
        })
        .collect();
    let job = labels.get("job");
    let is_host_job = job.is_some_and(|job| HOST_JOBS.contains(&job));
    if is_host_job {
        let host = labels.get("instance").map(without_port);
        if let Some(host) = host.and_then(|name| Entity::new("host", name).ok())
            && !found.iter().any(|entity| entity.kind() == "host")
        {
            found.push(host);
        }
    } else if !found.iter().any(|entity| entity.kind() == "service")
        && let Some(service) = job.and_then(|job| Entity::new("service", job).ok())
    {
        found.insert(0, service);
    }
    found
}

/// The one entity that a series or a log line belongs to: the first of
/// [`entities`].
pub fn primary_entity(labels: &Labels) -> Option<Entity> {
    entities(labels).into_iter().next()
}

/// `10.0.0.7:9100` is `10.0.0.7`, `[::1]:9100` is `::1`, `::1` is itself.
fn without_port(instance: &str) -> &str {
    if let Some(rest) = instance.strip_prefix('[') {
        return rest.split_once(']').map_or(instance, |(host, _)| host);
    }
    match instance.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => {
            host
        }
        _ => instance,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(labels: &[(&str, &str)], expected: &[&str]) {
        let labels: Labels = labels.iter().copied().collect();
        let found: Vec<String> = entities(&labels).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{labels:?}");
    }

    #[test]
    fn follows_the_conventions() {
        check(
            &[("service.name", "cart"), ("host.name", "n1")],
            &["service/cart", "host/n1"],
        );
        check(
            &[("service.name", "cart"), ("app", "other")],
            &["service/cart"],
        );
        check(
            &[
                ("k8s.deployment.name", "cart"),
                ("k8s.pod.name", "cart-0"),
                ("k8s.node.name", "n1"),
            ],
            &["workload/cart", "pod/cart-0", "node/n1"],
        );
        check(
            &[("job", "cart"), ("instance", "10.0.0.7:80")],
            &["service/cart"],
        );
        check(
            &[("job", "node"), ("instance", "db-1:9100")],
            &["host/db-1"],
        );
        check(
            &[("job", "node"), ("instance", "[::1]:9100")],
            &["host/::1"],
        );
        check(
            &[
                ("job", "node"),
                ("service", "pg"),
                ("instance", "db-1:9100"),
            ],
            &["service/pg", "host/db-1"],
        );
        check(&[("severity", "page")], &[]);
    }
}
