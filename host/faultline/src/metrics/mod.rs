//! Metrics of the stages, of intake, of sources and of plugins, as text.
//!
//! `host/METRICS.md` says what each of them means. Labels are bounded: stages,
//! functions, outcomes and limits are words of ours; instances are what the
//! operator installed; of sources those that send most have their own rows, and
//! the others share one.

mod components;
mod conditions;
mod leases;
mod own_traces;
mod plugins;
mod pollers;
mod snapshot;
mod sources;
mod stages;

use faultline_api::Condition;
use faultline_intake::metrics::Metrics as IntakeMetrics;
use faultline_sandbox::ComponentUsage;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;

use crate::leases::LeaseCounts;
use crate::own_traces::SpanCount;

pub(crate) use plugins::PluginRow;
pub(crate) use pollers::Polls;
pub(crate) use sources::SourceRows;
pub(crate) use stages::StageRows;

/// In the text format of OpenMetrics, without its end.
#[expect(
    clippy::too_many_arguments,
    reason = "each is a part of the page, and they have nothing else in common"
)]
pub(crate) fn text(
    stages: &StageRows<'_>,
    intake: &IntakeMetrics,
    sources: &SourceRows,
    plugins: &[PluginRow],
    components: &ComponentUsage,
    polls: &Polls,
    conditions: &[Condition],
    leases: &[LeaseCounts],
    own_spans: &SpanCount,
) -> String {
    let mut registry = Registry::default();
    intake.register(&mut registry);
    stages::register(&mut registry, stages);
    sources::register(&mut registry, sources);
    plugins::register(&mut registry, plugins);
    components::register(&mut registry, components);
    pollers::register(&mut registry, polls);
    conditions::register(&mut registry, conditions);
    leases::register(&mut registry, leases);
    own_traces::register(&mut registry, own_spans);
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode_registry(&mut text, &registry);
    text
}
