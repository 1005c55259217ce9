//! A detector that does what the values say that it is shown: it counts what
//! it has seen, so that it shows when that is lost.

use std::hint::black_box;

use faultline_sdk::{
    Detector, Fault, Finding, Findings, LogSource, Samples, Series, export_detector,
};
use serde::{Deserialize, Serialize};

/// Values that make it do something else than counting.
pub mod value {
    /// Panics.
    pub const TRAP: f64 = 666.0;
    /// Never comes back.
    pub const LOOP: f64 = 777.0;
    /// From now on its state is too long to keep.
    pub const BLOAT: f64 = 888.0;
    /// Finds something about a row that was not there.
    pub const LIE: f64 = 999.0;
    /// Finds something that is no number.
    pub const UNSURE: f64 = 1001.0;
    /// Finds something about no row at all.
    pub const ELSEWHERE: f64 = 1002.0;
}

/// The configuration: nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Counting {
    rows: u64,
    series: u64,
    bloat: Vec<u8>,
}

impl Detector for Counting {
    type Config = Config;
    const STATE_NAME: &'static str = "faultline/hostile-detector";

    fn new(_: &Config) -> Result<Self, Fault> {
        Ok(Self::default())
    }

    fn introduce(&mut self, _: &Config, series: &[Series], _: &[LogSource]) {
        self.series += series.len() as u64;
    }

    fn samples(&mut self, _: &Config, batch: &Samples, findings: &mut Findings) {
        for (row, sample) in (0..).zip(batch.rows()) {
            self.rows += 1;
            if sample.value == value::TRAP {
                panic!("as it was told");
            } else if sample.value == value::LOOP {
                loop {
                    black_box(());
                }
            } else if sample.value == value::BLOAT {
                self.bloat = vec![1; 40 << 20];
            }
            let (row, score) = match sample.value {
                value::LIE => (Some(row + 1_000), 0.5),
                value::UNSURE => (Some(row), f64::NAN),
                value::ELSEWHERE => (None, 0.5),
                _ => (Some(row), 0.5),
            };
            let title = format!("row {} of {} series", self.rows, self.series);
            let mut finding = Finding::firing("count", sample)
                .with_title(title)
                .with_score(score);
            finding.score = score;
            finding.row = row;
            findings.push(finding);
        }
    }
}

export_detector!(Counting);
