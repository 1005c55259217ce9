//! A detector that says when a value is far from what it usually is, and when
//! a log source writes many errors.

use std::collections::BTreeMap;

use faultline_sdk::{
    ConfigCheck, Detector, Fault, Finding, Findings, LogLines, LogSource, Sample, Samples, Series,
    Subject, Timestamp, export_config_check, export_detector, log,
};
use serde::{Deserialize, Serialize};

/// What an operator can set.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// How many standard deviations away is far.
    pub deviations: f64,
    /// How many rows of a series are seen before anything is said about it.
    pub warm_up_rows: u32,
    /// How many errors of a log source from one tick to the next are many.
    pub errors: u32,
}

/// What is remembered, by the ids of series and log sources.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    series: BTreeMap<u32, Usual>,
    sources: BTreeMap<u32, Errors>,
}

/// What is usual for one series.
#[derive(Debug, Serialize, Deserialize)]
struct Usual {
    name: String,
    rows: u32,
    mean: f64,
    variance: f64,
    is_far: bool,
}

/// What one log source has written since the last tick.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Errors {
    lines: u32,
    are_many: bool,
}

impl Usual {
    fn of(series: &Series) -> Self {
        Self {
            name: series.name.clone(),
            rows: 0,
            mean: 0.0,
            variance: 0.0,
            is_far: false,
        }
    }

    /// Moves mean and variance towards a value; old values fade.
    fn learn(&mut self, value: f64) {
        self.rows = self.rows.saturating_add(1);
        let weight = (1.0 / f64::from(self.rows)).max(0.05);
        let distance = value - self.mean;
        self.mean += weight * distance;
        self.variance = (1.0 - weight) * (self.variance + weight * distance * distance);
    }
}

/// OpenTelemetry's severity numbers from here on are errors.
const ERROR: u8 = 17;

impl Detector for Hello {
    type Config = Config;
    const STATE_NAME: &'static str = "example/hello-detector";

    fn new(_config: &Config) -> Result<Self, Fault> {
        Ok(Self {
            series: BTreeMap::new(),
            sources: BTreeMap::new(),
        })
    }

    fn introduce(&mut self, _config: &Config, series: &[Series], sources: &[LogSource]) {
        for series in series {
            self.series.insert(series.id, Usual::of(series));
        }
        for source in sources {
            self.sources.insert(source.id, Errors::default());
        }
        let (series, sources) = (self.series.len(), self.sources.len());
        log::debug(format!("watches {series} series and {sources} log sources"));
    }

    fn samples(&mut self, config: &Config, batch: &Samples, findings: &mut Findings) {
        for sample in batch.rows() {
            let Some(usual) = self.series.get_mut(&sample.series) else {
                continue;
            };
            let band = config.deviations * usual.variance.sqrt();
            let distance = (sample.value - usual.mean).abs();
            // What is far stays so until it is well within the band again.
            let is_far = if usual.is_far {
                distance > band / 2.0
            } else {
                usual.rows >= config.warm_up_rows && distance > band
            };
            if is_far && !usual.is_far {
                findings.push(far(usual, sample, band, distance));
            } else if usual.is_far && !is_far {
                findings.push(Finding::recovered("far-from-usual", sample));
            }
            usual.is_far = is_far;
            usual.learn(sample.value);
        }
    }

    fn logs(&mut self, _config: &Config, batch: &LogLines, _findings: &mut Findings) {
        for line in batch.rows() {
            if line.severity >= ERROR
                && let Some(errors) = self.sources.get_mut(&line.source)
            {
                errors.lines = errors.lines.saturating_add(1);
            }
        }
    }

    fn tick(&mut self, config: &Config, watermark: Timestamp, findings: &mut Findings) {
        for (&id, errors) in &mut self.sources {
            let seen = (Subject::LogSource(id), watermark);
            let are_many = errors.lines >= config.errors;
            if are_many && !errors.are_many {
                let title = format!("{} errors since the last tick", errors.lines);
                findings.push(Finding::firing("many-errors", seen).with_title(title));
            } else if errors.are_many && !are_many {
                findings.push(Finding::recovered("many-errors", seen));
            }
            *errors = Errors { lines: 0, are_many };
        }
    }
}

fn far(usual: &Usual, sample: Sample, band: f64, distance: f64) -> Finding {
    let Usual { name, mean, .. } = usual;
    Finding::firing("far-from-usual", sample)
        .with_title(format!(
            "{name} is {:.2}, and usually {mean:.2} ± {band:.2}",
            sample.value
        ))
        .with_score(1.0 - band / distance)
        .with_expected(mean - band, mean + band)
}

export_detector!(Hello);

impl ConfigCheck for Config {
    fn check(&self) -> Result<(), Vec<String>> {
        if self.deviations > 0.0 {
            Ok(())
        } else {
            Err(vec!["`deviations` must be above 0".to_owned()])
        }
    }
}

export_config_check!(Config);

#[cfg(test)]
mod tests {
    use faultline_sdk::testkit::{Recording, check_detector};
    use faultline_sdk::{Entity, time};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_spike_fires_and_recovers() {
        let mut recording = Recording::new();
        let latency = Series::new("latency", "s", Entity::new("service", "checkout"));
        let latency = recording.series(latency);
        for minute in 0..120_u32 {
            let usual = 0.2 + f64::from(minute % 5) / 100.0;
            let value = if minute == 90 { 3.0 } else { usual };
            recording.sample(latency, u64::from(minute) * time::MINUTE, value);
        }

        let config = json!({"deviations": 6.0, "warm-up-rows": 30, "errors": 10});
        let findings = check_detector::<Hello>(&config, &recording);

        let [spike, recovery] = findings.as_slice() else {
            panic!("one spike, one recovery: {findings:?}");
        };
        assert!(spike.firing);
        assert_eq!(spike.row, Some(90));
        assert_eq!(spike.title, "latency is 3.00, and usually 0.22 ± 0.08");
        assert!(!recovery.firing);
        assert_eq!(recovery.row, Some(91));
    }
}
