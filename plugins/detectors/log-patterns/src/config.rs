//! What the operator can set.

use faultline_robust::rough_log10;
use faultline_sdk::ConfigCheck;
use serde::Deserialize;

const SECOND_MICROS: u64 = 1_000_000;
const DAY_SECONDS: f64 = 86_400.0;

/// The configuration, with the defaults of the schema.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Lines are counted in buckets of so many seconds.
    pub bucket_seconds: u32,
    /// A source must be known for so long before a pattern of it is new.
    pub learn_minutes: u32,
    /// And must have written so many lines.
    pub learn_lines: u64,
    /// Report counts that chance alone would bring about no more often than
    /// once in so many days of a source.
    pub report_once_in_days: f64,
    /// A new pattern is over when there was no line of it for so long.
    pub quiet_minutes: u32,
    /// What lasts for so many hours is the new normal.
    pub settle_hours: u32,
    /// The most findings about new patterns that one source has at a time.
    pub new_patterns_open_max: u32,
    /// The most patterns that are kept for one source.
    pub templates_per_source_max: u32,
    /// The most sources that are watched.
    pub sources_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bucket_seconds: 30,
            learn_minutes: 10,
            learn_lines: 200,
            report_once_in_days: 10.0,
            quiet_minutes: 15,
            settle_hours: 6,
            new_patterns_open_max: 10,
            templates_per_source_max: 500,
            sources_max: 300,
        }
    }
}

impl Config {
    /// Microseconds of a bucket.
    pub(crate) fn bucket_micros(&self) -> u64 {
        u64::from(self.bucket_seconds.max(1)) * SECOND_MICROS
    }

    /// Buckets in a day.
    pub(crate) fn buckets_per_day(&self) -> f64 {
        DAY_SECONDS / f64::from(self.bucket_seconds.max(1))
    }

    /// Microseconds for which a source is only learned.
    pub(crate) fn learn_micros(&self) -> u64 {
        u64::from(self.learn_minutes) * 60 * SECOND_MICROS
    }

    /// Microseconds without a line after which a new pattern is over.
    pub(crate) fn quiet_micros(&self) -> u64 {
        u64::from(self.quiet_minutes) * 60 * SECOND_MICROS
    }

    /// Microseconds after which something is the new normal.
    pub(crate) fn settle_micros(&self) -> u64 {
        u64::from(self.settle_hours) * 3_600 * SECOND_MICROS
    }

    /// The rarity from which a count is reported: minus the decimal logarithm
    /// of how often a day chance alone brings it about.
    pub(crate) fn open_rarity(&self) -> f64 {
        rough_log10(self.report_once_in_days.max(1.01))
    }

    /// The most findings about new patterns at a time.
    pub(crate) fn new_patterns_open_max(&self) -> usize {
        usize::try_from(self.new_patterns_open_max).unwrap_or(usize::MAX)
    }

    /// The most sources that are watched.
    pub(crate) fn sources_max(&self) -> usize {
        usize::try_from(self.sources_max.max(1)).unwrap_or(usize::MAX)
    }

    /// The most patterns that are kept for one source.
    pub(crate) fn templates_max(&self) -> usize {
        usize::try_from(self.templates_per_source_max.max(1)).unwrap_or(usize::MAX)
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
            (1..=3_600).contains(&self.bucket_seconds),
            "bucket-seconds must be between 1 and 3600",
        );
        demand(
            self.report_once_in_days > 1.0,
            "report-once-in-days must be more than 1: rarer things only are told from noise",
        );
        demand(
            self.templates_per_source_max > 0,
            "templates-per-source-max must be at least 1",
        );
        demand(self.sources_max > 0, "sources-max must be at least 1");
        if complaints.is_empty() {
            Ok(())
        } else {
            Err(complaints)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            bucket_seconds: 0,
            report_once_in_days: 1.0,
            sources_max: 0,
            ..Config::default()
        };
        let complaints = config.check().expect_err("three complaints");
        assert_eq!(complaints.len(), 3, "{complaints:?}");
    }
}
