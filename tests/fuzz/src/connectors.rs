//! First-party connectors, run natively: what hooks are sent.

use faultline_plugin_alertmanager::Alertmanager;
use faultline_plugin_cloudevents::CloudEvents;
use faultline_plugin_json::Json;
use faultline_plugin_prometheus::Prometheus;
use faultline_sdk::testkit::decode;
use faultline_sdk::{Connector, Envelope, Signal, time};
use serde_json::{Value, json};

use crate::parts;

/// Alertmanager's webhook.
pub fn connector_alertmanager(data: &[u8]) {
    check::<Alertmanager>(
        &json!({}),
        &Envelope::new("application/json", data, time::DAY),
    );
}

/// What the poller has put into the journal, or what somebody else has.
pub fn connector_prometheus(data: &[u8]) {
    check::<Prometheus>(
        &json!({"url": "http://prometheus:9090"}),
        &Envelope::new("application/json", data, time::DAY),
    );
}

/// An event of `CloudEvents`: its content type, its headers a line each, and its body,
/// between NUL bytes.
pub fn connector_cloudevents(data: &[u8]) {
    let [content_type, headers, body] = parts(data, 3)[..] else {
        return;
    };
    let mut envelope = Envelope::new(String::from_utf8_lossy(content_type), body, time::DAY);
    for line in String::from_utf8_lossy(headers).lines() {
        if let Some((name, value)) = line.split_once(':') {
            envelope = envelope.with_header(name.to_ascii_lowercase(), value);
        }
    }
    check::<CloudEvents>(&json!({}), &envelope);
}

/// Any JSON: a mapping, a NUL byte, a payload. A configuration that the check
/// lets pass is one that decoding can work with.
pub fn connector_json(data: &[u8]) {
    let [config, body] = parts(data, 2)[..] else {
        return;
    };
    let Ok(config) = serde_json::from_slice::<Value>(config) else {
        return;
    };
    check::<Json>(&config, &Envelope::new("application/json", body, time::DAY));
}

/// What any connector answers to any envelope.
pub(crate) fn check<C: Connector>(config: &Value, envelope: &Envelope) {
    let first = decode::<C>(config, envelope);
    // NaN is not itself; written out it is.
    let again = format!("{:?}", decode::<C>(config, envelope));
    assert_eq!(
        format!("{first:?}"),
        again,
        "it remembers what it should not"
    );
    let Ok(decoded) = first else { return };
    for signal in &decoded.signals {
        if let Signal::Alert(alert) = signal {
            assert!(!alert.identity.is_empty(), "an alert without identity");
        }
    }
    if let Some(samples) = &decoded.samples {
        assert_eq!(samples.series.len(), samples.time.len());
        assert_eq!(samples.series.len(), samples.value.len());
    }
}
