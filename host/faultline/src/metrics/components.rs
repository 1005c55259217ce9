//! How components fare on their way to being instances.

use std::sync::atomic::AtomicU64;

use faultline_sandbox::ComponentUsage;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};

/// What a look into the cache found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabels {
    result: &'static str,
}

/// What was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    code: &'static str,
}

pub(super) fn register(registry: &mut Registry, usage: &ComponentUsage) {
    let registry = registry.sub_registry_with_prefix("faultline_component");
    let compiled = Counter::<u64, AtomicU64>::default();
    compiled.inc_by(usage.compiled);
    registry.register("compiled", "Components that were compiled", compiled);
    let time = Counter::<f64, AtomicU64>::default();
    time.inc_by(usage.compile_time.as_secs_f64());
    registry.register_with_unit("compile", "Time that compiling took", Unit::Seconds, time);
    let cache = Family::<CacheLabels, Counter>::default();
    for (result, count) in [
        ("hit", usage.cache_hits),
        ("miss", usage.cache_misses),
        ("refused", usage.cache_refused),
    ] {
        cache.get_or_create(&CacheLabels { result }).inc_by(count);
    }
    registry.register(
        "cache",
        "Looks into the cache of compiled components",
        cache,
    );
    let refused = Family::<CodeLabels, Counter>::default();
    for (code, count) in &usage.refused {
        refused.get_or_create(&CodeLabels { code }).inc_by(*count);
    }
    registry.register(
        "refused",
        "Components that were not loaded, by what was wrong",
        refused,
    );
}
