//! Which entities labels speak of, by the conventions that everybody follows:
//! OpenTelemetry resources (semantic conventions 1.x), Kubernetes, and the
//! habits of Prometheus.

use crate::entity::Entity;
use crate::labels::Labels;

/// The kinds of entities that labels name, in the order of precedence for
/// [`primary_entity`]: from what people operate to what it runs on.
const KINDS: [&str; 5] = ["service", "workload", "pod", "host", "node"];

const SERVICE: usize = 0;
const WORKLOAD: usize = 1;
const POD: usize = 2;
const HOST: usize = 3;
const NODE: usize = 4;

/// Which kind of entity a label names, and how telling it is among the labels
/// that name this kind: the lowest number counts.
///
/// A function and not a table, for it is asked about every label of every
/// series that comes in: this is a comparison with the names of the same
/// length.
fn naming(label: &str) -> Option<(usize, u8)> {
    Some(match label {
        "service.name" => (SERVICE, 0),
        "service_name" => (SERVICE, 1),
        "service" => (SERVICE, 2),
        "app.kubernetes.io/name" => (SERVICE, 3),
        "app_kubernetes_io_name" => (SERVICE, 4),
        "app" => (SERVICE, 5),
        "application" => (SERVICE, 6),
        "k8s.deployment.name" => (WORKLOAD, 0),
        "deployment" => (WORKLOAD, 1),
        "k8s.statefulset.name" => (WORKLOAD, 2),
        "statefulset" => (WORKLOAD, 3),
        "k8s.daemonset.name" => (WORKLOAD, 4),
        "daemonset" => (WORKLOAD, 5),
        "k8s.pod.name" => (POD, 0),
        "k8s_pod_name" => (POD, 1),
        "pod" => (POD, 2),
        "pod_name" => (POD, 3),
        "host.name" => (HOST, 0),
        "host_name" => (HOST, 1),
        "hostname" => (HOST, 2),
        "host" => (HOST, 3),
        "nodename" => (HOST, 4),
        "k8s.node.name" => (NODE, 0),
        "k8s_node_name" => (NODE, 1),
        "node" => (NODE, 2),
        _ => return None,
    })
}

/// Jobs of Prometheus whose `instance` is a host and not a replica of a
/// service.
const HOST_JOBS: &[&str] = &["node", "node-exporter", "node_exporter", "windows_exporter"];

/// The names that labels give to entities of each of the [`KINDS`], before the
/// habits of Prometheus are considered.
fn names(labels: &Labels) -> [Option<&str>; KINDS.len()] {
    let mut best: [Option<(u8, &str)>; KINDS.len()] = [None; KINDS.len()];
    for (label, value) in labels.iter() {
        if let Some((kind, rank)) = naming(label)
            && best[kind].is_none_or(|(found, _)| rank < found)
        {
            best[kind] = Some((rank, value));
        }
    }
    best.map(|found| found.map(|(_, name)| name))
}

/// The entities that labels name, the most telling first, each made when it is
/// asked for.
fn candidates(labels: &Labels) -> impl Iterator<Item = Entity> {
    let mut names = names(labels);
    let job = labels.get("job");
    if job.is_some_and(|job| HOST_JOBS.contains(&job)) {
        names[HOST] = names[HOST].or_else(|| labels.get("instance").map(without_port));
    } else {
        names[SERVICE] = names[SERVICE].or(job);
    }
    KINDS
        .into_iter()
        .zip(names)
        .filter_map(|(kind, name)| Entity::new(kind, name?).ok())
}

/// Every entity that the labels name, the most telling first, none twice.
///
/// Where nothing better is there, Prometheus' `job` is a service; `instance`
/// without its port is a host if the job is a node exporter, and otherwise
/// says nothing: it is one of many replicas.
pub fn entities(labels: &Labels) -> Vec<Entity> {
    candidates(labels).collect()
}

/// The one entity that a series or a log line belongs to: the first of
/// [`entities`].
pub fn primary_entity(labels: &Labels) -> Option<Entity> {
    candidates(labels).next()
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
