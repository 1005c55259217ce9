//! Everything that reads bytes from outside, as functions of bytes.
//!
//! A fuzzer calls them with what it thinks of (`cargo xtask fuzz`), and the
//! tests of this crate with `seeds/`, which are good and bad examples, and with
//! `findings/`, which once broke something. A target does more than wait for a
//! panic: it states what must hold whatever the bytes are.

#![expect(
    clippy::missing_panics_doc,
    reason = "to panic if what must hold does not is what targets are for"
)]

pub mod answers;
pub mod bundles;
pub mod code;
pub mod components;
pub mod connectors;
pub mod formats;
mod mirror;
pub mod words;

use faultline_domain::decode::Decoded;

/// A function of bytes from outside. It panics if what must hold does not.
pub type Target = fn(&[u8]);

/// All targets, by the names of their folders in `seeds/` and `findings/`.
pub const TARGETS: [(&str, Target); 28] = [
    ("otlp_metrics", formats::otlp_metrics),
    ("otlp_logs", formats::otlp_logs),
    ("otlp_traces", formats::otlp_traces),
    ("remote_write", formats::remote_write),
    ("alertmanager_alerts", formats::alertmanager_alerts),
    ("connector_alertmanager", connectors::connector_alertmanager),
    ("connector_cloudevents", connectors::connector_cloudevents),
    ("connector_json", connectors::connector_json),
    ("manifest", bundles::manifest),
    ("bundle", bundles::bundle),
    ("config_schema", bundles::config_schema),
    ("component", components::component),
    ("wit_decoded", components::wit_decoded),
    ("wit_findings", components::wit_findings),
    ("wit_verdict", components::wit_verdict),
    ("wit_page", components::wit_page),
    ("connector_prometheus", connectors::connector_prometheus),
    ("poller_prometheus", answers::poller_prometheus),
    ("egress_answer", answers::egress_answer),
    ("egress_rule", words::egress_rule),
    ("egress_url", words::egress_url),
    ("egress_template", words::egress_template),
    ("egress_network", words::egress_network),
    ("secret_reference", words::secret_reference),
    ("grant_terms", words::grant_terms),
    ("names", words::names),
    ("component_load", code::component_load),
    ("code_cache", code::code_cache),
];

/// The parts between NUL bytes, at most so many; the last has the rest.
fn parts(data: &[u8], most: usize) -> Vec<&[u8]> {
    data.splitn(most, |byte| *byte == 0).collect()
}

/// Columns are equally long, and refer to what there is.
fn columns(decoded: &Decoded) {
    let (samples, logs) = (&decoded.samples, &decoded.logs);
    assert_eq!(
        (samples.time.len(), samples.value.len()),
        (samples.len(), samples.len())
    );
    let series = decoded.series.len();
    assert!(samples.series.iter().all(|id| (*id as usize) < series));
    let sources = decoded.log_sources.len();
    assert!(logs.source.iter().all(|id| (*id as usize) < sources));
    assert!(logs.ends.is_sorted());
    assert_eq!(
        logs.ends.last().map_or(0, |end| *end as usize),
        logs.text.len()
    );
}
