//! What the name of a Prometheus metric says: remote write 1.0 sends names and
//! numbers, and the kinds of metrics apart, if at all. The naming conventions
//! (<https://prometheus.io/docs/practices/naming/>) are followed by nearly
//! everybody and do not change from request to request, which is what matters:
//! a series that is a counter today has to be one tomorrow.

use faultline_domain::telemetry::Reading;

/// Endings of series that only grow.
const COUNTER_ENDINGS: &[&str] = &["_total", "_count", "_sum", "_bucket"];

/// Gauges of exporters in wide use whose names end as those of counters do:
/// there is nothing else that tells.
const GAUGES: &[&str] = &[
    // postgres_exporter
    "pg_locks_count",
    "pg_stat_activity_count",
];

/// Base units by the ending of a name, in UCUM.
const UNITS: &[(&str, &str)] = &[
    ("_seconds", "s"),
    ("_bytes", "By"),
    ("_ratio", "1"),
    ("_celsius", "Cel"),
    ("_meters", "m"),
    ("_volts", "V"),
    ("_amperes", "A"),
    ("_joules", "J"),
    ("_grams", "g"),
    ("_hertz", "Hz"),
];

/// The kind of a metric family, as metadata states it
/// (`prometheus.MetricMetadata.MetricType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FamilyKind {
    Counter,
    Gauge,
    /// Also a summary: count and sum grow, the rest does not.
    Histogram,
}

impl FamilyKind {
    /// None if it says nothing about how to read the values.
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        match number {
            1 => Some(FamilyKind::Counter),
            // Gauge, gauge histogram, info and state set.
            2 | 4 | 6 | 7 => Some(FamilyKind::Gauge),
            3 | 5 => Some(FamilyKind::Histogram),
            _ => None,
        }
    }
}

/// The name of the family without the ending that names one of its series.
pub(crate) fn family_of(name: &str) -> &str {
    COUNTER_ENDINGS
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(name)
}

/// How to read the values of a series.
pub(crate) fn reading(name: &str, stated: Option<FamilyKind>) -> Reading {
    let by_name =
        || COUNTER_ENDINGS.iter().any(|end| name.ends_with(end)) && !GAUGES.contains(&name);
    let counts = match stated {
        Some(FamilyKind::Counter) => true,
        Some(FamilyKind::Gauge) => false,
        Some(FamilyKind::Histogram) | None => by_name(),
    };
    if counts {
        Reading::Counter
    } else {
        Reading::Gauge
    }
}

/// The unit of a series, or empty.
pub(crate) fn unit(name: &str) -> &'static str {
    if name.ends_with("_count") {
        return "1";
    }
    let base = name
        .strip_suffix("_total")
        .or_else(|| name.strip_suffix("_sum"))
        .unwrap_or(name);
    UNITS
        .iter()
        .find(|(ending, _)| base.ends_with(ending))
        .map_or("", |(_, unit)| unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_counters_and_units() {
        let check = |name, expected, unit_expected| {
            assert_eq!(reading(name, None), expected, "{name}");
            assert_eq!(unit(name), unit_expected, "{name}");
        };
        check("node_cpu_seconds_total", Reading::Counter, "s");
        check("http_request_duration_seconds_sum", Reading::Counter, "s");
        check("http_request_duration_seconds_count", Reading::Counter, "1");
        check("http_request_duration_seconds", Reading::Gauge, "s");
        check("node_memory_MemFree_bytes", Reading::Gauge, "By");
        check("up", Reading::Gauge, "");
        check("pg_stat_activity_count", Reading::Gauge, "1");
    }

    #[test]
    fn what_metadata_state_counts_more_than_the_name() {
        assert_eq!(
            reading("jobs_total", Some(FamilyKind::Gauge)),
            Reading::Gauge
        );
        assert_eq!(reading("jobs", Some(FamilyKind::Counter)), Reading::Counter);
        let histogram = Some(FamilyKind::Histogram);
        assert_eq!(reading("wait_seconds_sum", histogram), Reading::Counter);
        assert_eq!(reading("wait_seconds", histogram), Reading::Gauge);
        assert_eq!(family_of("wait_seconds_bucket"), "wait_seconds");
        assert_eq!(FamilyKind::from_number(0), None);
    }
}
