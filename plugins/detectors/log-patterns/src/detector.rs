//! The detector as the host sees it.

use std::collections::BTreeMap;

use faultline_sdk::{
    Detector, Fault, Findings, LogLines, LogSource, Samples, Series, Sighting, Subject, Timestamp,
    log,
};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::source::{Line, Occasion, Source};

/// Sources without lines for so long make room for others.
const SILENT_MICROS: u64 = 86_400_000_000;

/// Watches log sources, each by itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct LogPatterns {
    sources: BTreeMap<u32, Source>,
    /// The latest event time seen.
    now: u64,
    /// Announcements that found no room.
    refused: u64,
}

impl Detector for LogPatterns {
    type Config = Config;
    const STATE_NAME: &'static str = "faultline/log-patterns";

    fn new(_config: &Config) -> Result<Self, Fault> {
        Ok(Self {
            sources: BTreeMap::new(),
            now: 0,
            refused: 0,
        })
    }

    fn introduce(&mut self, config: &Config, _series: &[Series], sources: &[LogSource]) {
        let unknown = sources
            .iter()
            .filter(|source| !self.sources.contains_key(&source.id))
            .count();
        if self.sources.len().saturating_add(unknown) > config.sources_max() {
            let now = self.now;
            self.sources
                .retain(|_, source| !source.is_idle(now, SILENT_MICROS));
        }
        let mut refused = 0;
        for source in sources {
            refused += u64::from(!self.admit(config, source));
        }
        if refused > 0 && self.refused == 0 {
            log::warn(format!(
                "{refused} log sources are not watched: {} are, which is the limit; raise \
                 sources-max",
                self.sources.len()
            ));
        }
        self.refused = self.refused.saturating_add(refused);
    }

    fn samples(&mut self, _config: &Config, _batch: &Samples, _findings: &mut Findings) {}

    fn logs(&mut self, config: &Config, batch: &LogLines, findings: &mut Findings) {
        let mut found = Vec::new();
        for row in batch.rows() {
            self.now = self.now.max(row.time);
            let Some(source) = self.sources.get_mut(&row.source) else {
                continue;
            };
            let (unreported, forgotten) = (source.unreported(), source.forgotten());
            let line = Line {
                time: row.time,
                severity: row.severity,
                text: row.text,
            };
            let mut occasion = Occasion {
                config,
                seen: &row.into(),
                findings: &mut found,
            };
            source.line(&line, &mut occasion);
            if unreported == 0 && source.unreported() > 0 {
                log::warn(format!(
                    "{} has more new kinds of lines than {}: no more are reported until some \
                     are over; see new-patterns-open-max",
                    source.label(),
                    config.new_patterns_open_max
                ));
            }
            if forgotten == 0 && source.forgotten() > 0 {
                log::warn(format!(
                    "{} has more kinds of lines than there is room for: those not seen for \
                     longest are forgotten, and none is called new while what is forgotten was \
                     seen within a day; see templates-per-source-max",
                    source.label()
                ));
            }
            for finding in found.drain(..) {
                findings.push(finding);
            }
        }
    }

    fn tick(&mut self, config: &Config, watermark: Timestamp, findings: &mut Findings) {
        self.now = self.now.max(watermark);
        let mut found = Vec::new();
        for (id, source) in &mut self.sources {
            let seen: Sighting = (Subject::LogSource(*id), watermark).into();
            let mut occasion = Occasion {
                config,
                seen: &seen,
                findings: &mut found,
            };
            source.tick(watermark, &mut occasion);
        }
        for finding in found {
            findings.push(finding);
        }
    }
}

impl LogPatterns {
    /// Watches a source, or goes on watching it if it is the same as before.
    /// False if there is no room.
    fn admit(&mut self, config: &Config, source: &LogSource) -> bool {
        let room = self.sources.len() < config.sources_max();
        match self.sources.get_mut(&source.id) {
            Some(watched) if watched.is(source) => true,
            Some(watched) => {
                *watched = Source::new(source, self.now);
                true
            }
            None if room => {
                self.sources
                    .insert(source.id, Source::new(source, self.now));
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests;
