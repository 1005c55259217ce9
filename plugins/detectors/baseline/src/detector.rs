//! The detector as the host sees it.

use std::collections::BTreeSet;

use faultline_sdk::{
    Detector, Fault, Findings, LogSource, Samples, Series, Subject, Timestamp, log,
};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::episode::Event;
use crate::report;
use crate::roster::{Admission, Roster};

/// The open episode of a series without rows for so long is ended.
const ABANDON_MICROS: u64 = 3_600_000_000;

/// Watches series, each by itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct Baseline {
    roster: Roster,
    /// The latest event time seen.
    now: u64,
    /// The numbers of series with an open episode.
    open: BTreeSet<u32>,
    /// Announcements that found no room.
    refused: u64,
}

impl Detector for Baseline {
    type Config = Config;
    const STATE_NAME: &'static str = "faultline/baseline";

    fn new(_config: &Config) -> Result<Self, Fault> {
        Ok(Self {
            roster: Roster::default(),
            now: 0,
            open: BTreeSet::new(),
            refused: 0,
        })
    }

    fn introduce(&mut self, config: &Config, series: &[Series], _sources: &[LogSource]) {
        let most = usize::try_from(config.series_max).unwrap_or(usize::MAX);
        let unknown = series
            .iter()
            .filter(|series| config.watches(&series.name) && !self.roster.has(series.id))
            .count();
        if self.roster.len().saturating_add(unknown) > most {
            self.roster.drop_silent(self.now);
        }
        let mut refused = 0_u64;
        for series in series.iter().filter(|series| config.watches(&series.name)) {
            match self.roster.admit(series, most, self.now) {
                Admission::Watched => {}
                Admission::Full => refused += 1,
            }
        }
        if refused > 0 {
            if self.refused == 0 {
                log::warn(format!(
                    "{refused} series are not watched: {} are, which is the limit; raise \
                     series-max, or name what need not be watched in ignore-metrics",
                    self.roster.len()
                ));
            }
            self.refused = self.refused.saturating_add(refused);
        }
    }

    fn samples(&mut self, config: &Config, batch: &Samples, findings: &mut Findings) {
        let rules = config.rules();
        for sample in batch.rows() {
            self.now = self.now.max(sample.time);
            let Some(series) = self.roster.get_mut(sample.series) else {
                continue;
            };
            let floors = series.floors(config);
            let Some(event) = series.observe(sample.time, sample.value, floors, &rules) else {
                continue;
            };
            if matches!(event, Event::Closed(..)) {
                self.open.remove(&sample.series);
            } else {
                self.open.insert(sample.series);
            }
            findings.push(report::finding(series, &event, sample));
        }
    }

    fn tick(&mut self, _config: &Config, watermark: Timestamp, findings: &mut Findings) {
        self.now = self.now.max(watermark);
        let roster = &mut self.roster;
        self.open.retain(|&id| {
            // A series that had to make room, or whose number was given to
            // another, takes its episode with it: the host ends what it said.
            let Some(series) = roster.get_mut(id) else {
                return false;
            };
            if watermark.saturating_sub(series.last()) < ABANDON_MICROS {
                return true;
            }
            if let Some(episode) = series.abandon() {
                let seen = (Subject::Series(id), watermark);
                findings.push(report::silent(series, &episode, seen));
            }
            false
        });
    }
}

#[cfg(test)]
mod tests;
