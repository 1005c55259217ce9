//! What the operator can set.

use std::collections::BTreeMap;

use faultline_robust::rough_log10;
use faultline_sdk::ConfigCheck;
use serde::Deserialize;

use crate::episode::Rules;
use crate::model::Floors;

/// The most microseconds that a configured time may have: a year.
const SETTLE_HOURS_MAX: f64 = 8_760.0;
const HOUR_MICROS: f64 = 3_600e6;

/// The configuration, with the defaults of the schema.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Report what chance alone would bring about no more often than once in
    /// so many days of a series.
    pub report_once_in_days: f64,
    /// What lasts for so many hours is the new normal.
    pub settle_hours: f64,
    /// Deviations of less than this share of a series' usual magnitude do not
    /// matter.
    pub relative_floor: f64,
    /// Deviations of less than this do not matter, by unit.
    pub absolute_floors: BTreeMap<String, f64>,
    /// Metrics that are not watched: names, in which `*` stands for anything.
    pub ignore_metrics: Vec<String>,
    /// The most series that are watched.
    pub series_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        let floors = [
            ("s", 0.001),
            ("ms", 1.0),
            ("us", 1_000.0),
            ("ns", 1e6),
            ("1", 0.001),
            ("%", 0.1),
        ];
        Self {
            report_once_in_days: 2.0,
            settle_hours: 6.0,
            relative_floor: 0.001,
            absolute_floors: floors.map(|(unit, floor)| (unit.to_owned(), floor)).into(),
            ignore_metrics: Vec::new(),
            series_max: 10_000,
        }
    }
}

impl Config {
    /// When to open and close episodes.
    pub(crate) fn rules(&self) -> Rules {
        let settle = (self.settle_hours * HOUR_MICROS).clamp(0.0, SETTLE_HOURS_MAX * HOUR_MICROS);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped just above"
        )]
        let settle_micros = settle as u64;
        Rules {
            open_rarity: rough_log10(self.report_once_in_days.max(1.01)),
            settle_micros,
        }
    }

    /// The floors of series in this unit.
    pub(crate) fn floors(&self, unit: &str) -> Floors {
        Floors {
            relative: self.relative_floor,
            absolute: self.absolute_floors.get(unit).copied().unwrap_or(0.0),
        }
    }

    /// Whether a metric is watched.
    pub(crate) fn watches(&self, metric: &str) -> bool {
        !self
            .ignore_metrics
            .iter()
            .any(|pattern| matches(pattern, metric))
    }
}

impl ConfigCheck for Config {
    fn check(&self) -> Result<(), Vec<String>> {
        let mut complaints = Vec::new();
        let mut demand = |holds: bool, complaint: &str| {
            if !holds {
                complaints.push(complaint.to_owned());
            }
        };
        demand(
            self.report_once_in_days > 1.0,
            "report-once-in-days must be more than 1: rarer things only are told from noise",
        );
        demand(
            (0.0..=SETTLE_HOURS_MAX).contains(&self.settle_hours),
            "settle-hours must be between 0 and 8760",
        );
        demand(
            (0.0..1.0).contains(&self.relative_floor),
            "relative-floor is a share: it must be at least 0 and less than 1",
        );
        demand(
            self.absolute_floors.values().all(|floor| *floor >= 0.0),
            "absolute-floors must not be negative",
        );
        demand(self.series_max > 0, "series-max must be at least 1");
        if complaints.is_empty() {
            Ok(())
        } else {
            Err(complaints)
        }
    }
}

/// Whether a text has the form of a pattern in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|head| text.strip_prefix(head)) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        if let Some(before) = last.replace(part) {
            match rest.find(before) {
                Some(at) => rest = &rest[at + before.len()..],
                None => return false,
            }
        }
    }
    match last {
        None => rest.is_empty(),
        Some(tail) => rest.ends_with(tail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, text, expected) in [
            ("up", "up", true),
            ("up", "upper", false),
            ("go_*", "go_gc_seconds", true),
            ("go_*", "cargo_x", false),
            ("*_bucket", "http_bucket", true),
            ("*_bucket", "http_bucket_x", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("*", "", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn the_schema_and_the_defaults_agree() {
        let schema: serde_json::Value =
            serde_json::from_str(include_str!("../config.schema.json")).expect("the schema");
        let defaults: serde_json::Map<String, serde_json::Value> = schema["properties"]
            .as_object()
            .expect("properties")
            .iter()
            .map(|(key, property)| (key.clone(), property["default"].clone()))
            .collect();
        let from_schema: Config =
            serde_json::from_value(defaults.into()).expect("defaults that parse");
        assert_eq!(from_schema, Config::default());
        assert_eq!(from_schema.check(), Ok(()));
    }

    #[test]
    fn complains_about_what_makes_no_sense() {
        let config = Config {
            report_once_in_days: 0.5,
            relative_floor: 1.0,
            series_max: 0,
            ..Config::default()
        };
        let complaints = config.check().expect_err("three complaints");
        assert_eq!(complaints.len(), 3, "{complaints:?}");
    }
}
