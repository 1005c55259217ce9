//! What one shard of a detector is to be told, in order.
//!
//! Rows of many envelopes become one call; what a finding then is about is
//! known by its row. Rows keep the order of their envelopes, and a step of time
//! comes after the rows of the envelope that brought it.

use faultline_domain::plugin::{IntroducedSeries, IntroducedSource};
use faultline_domain::telemetry::{LogLines, Samples};
use faultline_domain::time::Timestamp;

/// The most rows of one call: what a guest must hold in its memory at once.
const ROWS_PER_CALL_MAX: usize = 50_000;

/// The most bytes of log lines of one call.
const TEXT_BYTES_PER_CALL_MAX: usize = 4 << 20;

/// One call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Call {
    /// Series and sources that the next calls name.
    Introduce(Vec<IntroducedSeries>, Vec<IntroducedSource>),
    /// Rows, and for each the index of its envelope within the batch.
    Samples(Samples, Vec<u32>),
    /// Lines, and for each the index of its envelope within the batch.
    Logs(LogLines, Vec<u32>),
    /// A step of time, and the index of the envelope that brought it.
    Tick(Timestamp, u32),
}

/// The calls of one shard for one batch of envelopes.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    calls: Vec<Call>,
    series: Vec<IntroducedSeries>,
    sources: Vec<IntroducedSource>,
    samples: (Samples, Vec<u32>),
    logs: (LogLines, Vec<u32>),
}

impl Feed {
    pub(crate) fn introduce_series(&mut self, series: IntroducedSeries) {
        self.series.push(series);
    }

    pub(crate) fn introduce_source(&mut self, source: IntroducedSource) {
        self.sources.push(source);
    }

    pub(crate) fn sample(&mut self, envelope: u32, series: u32, time: Timestamp, value: f64) {
        if !self.logs.1.is_empty() || self.samples.1.len() >= ROWS_PER_CALL_MAX {
            self.cut();
        }
        self.samples.0.push(series, time, value);
        self.samples.1.push(envelope);
    }

    pub(crate) fn line(
        &mut self,
        envelope: u32,
        source: u32,
        time: Timestamp,
        severity: u8,
        text: &str,
    ) {
        let full = self.logs.1.len() >= ROWS_PER_CALL_MAX
            || self.logs.0.text.len() + text.len() > TEXT_BYTES_PER_CALL_MAX;
        if !self.samples.1.is_empty() || full {
            self.cut();
        }
        if self.logs.0.push(source, time, severity, text) {
            self.logs.1.push(envelope);
        }
    }

    pub(crate) fn tick(&mut self, envelope: u32, watermark: Timestamp) {
        self.cut();
        self.calls.push(Call::Tick(watermark, envelope));
    }

    /// All calls, in order.
    pub(crate) fn into_calls(mut self) -> Vec<Call> {
        self.cut();
        self.calls
    }

    /// Ends the call that is being filled.
    fn cut(&mut self) {
        if !self.series.is_empty() || !self.sources.is_empty() {
            self.calls.push(Call::Introduce(
                std::mem::take(&mut self.series),
                std::mem::take(&mut self.sources),
            ));
        }
        if !self.samples.1.is_empty() {
            let (samples, envelopes) = std::mem::take(&mut self.samples);
            self.calls.push(Call::Samples(samples, envelopes));
        }
        if !self.logs.1.is_empty() {
            let (logs, envelopes) = std::mem::take(&mut self.logs);
            self.calls.push(Call::Logs(logs, envelopes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_lines_and_steps_keep_their_order() {
        let mut feed = Feed::default();
        let at = Timestamp::from_secs;
        feed.sample(0, 7, at(1), 1.0);
        feed.sample(1, 7, at(2), 2.0);
        feed.line(1, 3, at(2), 9, "one");
        feed.sample(2, 7, at(3), 3.0);
        feed.tick(2, at(2));
        feed.tick(2, at(3));
        let shape: Vec<String> = feed
            .into_calls()
            .iter()
            .map(|call| match call {
                Call::Introduce(..) => "introduce".to_owned(),
                Call::Samples(_, envelopes) => format!("samples {envelopes:?}"),
                Call::Logs(_, envelopes) => format!("logs {envelopes:?}"),
                Call::Tick(_, envelope) => format!("tick {envelope}"),
            })
            .collect();
        let expected = [
            "samples [0, 1]",
            "logs [1]",
            "samples [2]",
            "tick 2",
            "tick 2",
        ];
        assert_eq!(shape, expected);
    }

    #[test]
    fn calls_are_bounded() {
        let mut feed = Feed::default();
        for i in 0..=ROWS_PER_CALL_MAX as u64 {
            feed.sample(0, 0, Timestamp::from_micros(i + 1), 0.0);
        }
        assert_eq!(feed.into_calls().len(), 2);
    }
}
