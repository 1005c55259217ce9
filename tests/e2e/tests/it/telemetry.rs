//! An application with the OpenTelemetry SDK for Python: what it measures, logs
//! and traces becomes series, lines and edges.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::programs::{of_package, python};
use crate::support::server::{Server, Site};
use crate::support::wait::eventually;

/// Runs the application to its end. It serves orders for some seconds.
fn run_application(server: &Server) {
    let output = Command::new(python())
        .arg(of_package("applications/orders.py"))
        .env(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("http://{}", server.intake.authority()),
        )
        .env(
            "OTEL_EXPORTER_OTLP_HEADERS",
            format!("authorization=Bearer%20{}", server.ingest_token),
        )
        .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        .output()
        .expect("python can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("Failed to export"), "{said}");
}

/// The latest value of the one series of this name and entity, once it is one
/// that is asked for.
fn value_once(server: &Server, entity: &str, name: &str, is_good: impl Fn(f64) -> bool) -> Value {
    eventually(&format!("{name} of {entity} is measured"), || {
        let series = server.list(&format!("/series?entity={entity}"));
        let named: Vec<&Value> = series
            .iter()
            .filter(|series| series["name"] == name)
            .collect();
        let [found] = named.as_slice() else {
            let known: Vec<&Value> = series.iter().map(|series| &series["name"]).collect();
            return Err(format!("there are {known:?}"));
        };
        let samples = server.get(&format!("/series/{}/samples", found["id"]));
        let points = samples["points"].as_array().expect("a list");
        let values = points.iter().filter_map(|point| point["value"].as_f64());
        if values.clone().any(&is_good) {
            return Ok(samples["series"].clone());
        }
        Err(format!("values {:?}", values.collect::<Vec<f64>>()))
    })
}

#[test]
fn an_instrumented_application_is_seen() {
    let site = Site::new();
    let mut server = site.serve();
    // Learns for ten minutes by default.
    let eager = json!({"config": {"learn-minutes": 0, "learn-lines": 20}});
    server.put("PUT", "/instances/log-patterns/config", &eager);
    server.wait_for_instance("log-patterns", "running");
    run_application(&server);

    // Metrics: a counter becomes a rate, sum and count of a histogram a mean.
    let orders = value_once(&server, "service/orders", "rate(orders.placed)", |rate| {
        rate > 0.0
    });
    assert_eq!(orders["attributes"]["payment"], "card");
    value_once(&server, "service/orders", "mean(orders.price)", |mean| {
        (10.0..=30.0).contains(&mean)
    });
    value_once(&server, "service/orders", "orders.open", |open| open >= 1.0);

    // Traces: rate, errors and duration of each service, and of each edge.
    value_once(&server, "service/orders", "requests.rate", |rate| {
        rate > 0.0
    });
    value_once(&server, "service/orders", "requests.errors", |share| {
        share > 0.0
    });
    value_once(
        &server,
        "service/orders",
        "requests.duration.p99",
        |seconds| seconds > 0.0,
    );
    let stock = value_once(&server, "service/orders", "calls.rate", |rate| rate > 0.0);
    assert_eq!(stock["attributes"]["provider"], "service/stock");
    value_once(&server, "service/stock", "requests.rate", |rate| rate > 0.0);
    let edges = server.list("/topology?entity=service/orders");
    let calls: Vec<(&Value, &Value, &Value)> = edges
        .iter()
        .map(|edge| (&edge["dependent"], &edge["relation"], &edge["provider"]))
        .filter(|(_, relation, _)| **relation == "calls")
        .collect();
    let [(dependent, _, provider)] = calls.as_slice() else {
        panic!("{edges:?}");
    };
    assert_eq!(
        (*dependent, *provider),
        (&"service/orders".into(), &"service/stock".into())
    );

    // Logs, and that nothing of it was in vain.
    let sources = server.list("/sources");
    let otlp = sources
        .iter()
        .find(|source| source["name"] == "otlp")
        .expect("it has sent");
    for counted in ["log_lines", "spans", "samples"] {
        assert!(otlp[counted].as_u64() > Some(0), "{counted}: {otlp}");
    }
    for wrong in ["rejected", "faults", "without_entity"] {
        assert_eq!(otlp[wrong], 0, "{wrong}: {otlp}");
    }
    let alert = eventually("the lines of a fault are noticed", || {
        let alerts = server.list("/alerts?origin=log-patterns");
        let found = alerts
            .iter()
            .find(|alert| alert["entities"][0] == "service/orders");
        found.cloned().ok_or_else(|| format!("{alerts:?}"))
    });
    assert_eq!(alert["origin"]["kind"], "detector");
    server.assert_serves();
}
