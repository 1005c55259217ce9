//! Rate, errors and duration of what spans report, in windows of event time
//! (Wilkie's "RED" method).

use std::collections::BTreeMap;
use std::time::Duration;

use faultline_domain::entity::Entity;
use faultline_domain::labels::Labels;
use faultline_domain::telemetry::{Reading, SeriesDef, SeriesKey, SpanOutcome};
use faultline_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use sketches_ddsketch::{Config, DDSketch};

/// A subject that was silent for so long is no longer said to be silent.
const SILENCE_MAX: Duration = Duration::from_secs(600);

/// The most services and edges that are measured; others are counted.
const SUBJECTS_MAX: usize = 5_000;

/// Quantiles are within 1 % of a value that was seen, down to a microsecond
/// (Masson, Rim and Lee, VLDB 2019).
fn sketch() -> DDSketch {
    DDSketch::new(Config::new(0.01, 2_048, 1e-6))
}

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum CallSubject {
    /// Requests that a service answered.
    Service(Entity),
    /// Requests that one made to the other.
    Edge(Entity, Entity),
}

#[derive(Clone, Serialize, Deserialize)]
struct Window {
    calls: u64,
    errors: u64,
    durations: DDSketch,
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Window")
            .field("calls", &self.calls)
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}

/// Windows that are not closed yet, and who was heard of lately.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Windows {
    open: BTreeMap<Timestamp, BTreeMap<CallSubject, Window>>,
    /// When each subject was last heard of.
    known: BTreeMap<CallSubject, Timestamp>,
    /// Windows that begin before this are closed.
    closed: Timestamp,
}

/// A value of a derived series.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DerivedSample {
    pub(crate) def: SeriesDef,
    pub(crate) time: Timestamp,
    pub(crate) value: f64,
}

impl Windows {
    /// Counts a call. False if its window is closed, or there are too many
    /// subjects.
    pub(crate) fn count(
        &mut self,
        subject: CallSubject,
        end: Timestamp,
        duration: Duration,
        outcome: SpanOutcome,
        length: Duration,
    ) -> bool {
        let start = end.floor(length);
        if start < self.closed {
            return false;
        }
        let seen = self.known.get(&subject).copied();
        if seen.is_none() && self.known.len() >= SUBJECTS_MAX {
            return false;
        }
        self.known
            .insert(subject.clone(), seen.map_or(end, |seen| seen.max(end)));
        let windows = self.open.entry(start).or_default();
        let window = windows.entry(subject).or_insert_with(|| Window {
            calls: 0,
            errors: 0,
            durations: sketch(),
        });
        window.calls += 1;
        window.errors += u64::from(outcome == SpanOutcome::Error);
        window.durations.add(duration.as_secs_f64());
        true
    }

    /// Closes the windows that end at or before the watermark and gives what
    /// they amount to, in the order of time and subject. Who was heard of
    /// lately but not in a window has a rate of zero there.
    pub(crate) fn close(&mut self, watermark: Timestamp, length: Duration) -> Vec<DerivedSample> {
        let mut samples = Vec::new();
        while let Some(start) = self.next_due(watermark, length) {
            let end = start.plus(length);
            let mut windows = self.open.remove(&start).unwrap_or_default();
            for (subject, seen) in &self.known {
                match windows.remove(subject) {
                    Some(window) => summarise(subject, &window, end, length, &mut samples),
                    None if *seen < end => samples.push(derived(subject, "rate", "1/s", end, 0.0)),
                    None => {}
                }
            }
            self.closed = end;
            self.known.retain(|_, seen| end.since(*seen) <= SILENCE_MAX);
        }
        // Those that were passed over are closed, too.
        if !self.known.is_empty() && self.closed > Timestamp::ZERO {
            self.closed = self.closed.max(watermark.floor(length));
        }
        samples
    }

    /// The next window that is due: the one after the last that was closed, as
    /// long as anybody is known; else the first that anything was counted in.
    /// Windows in which nothing was counted, and before which nobody was heard
    /// of, are passed over: nothing would be said of them, and between a span
    /// that claims to be of 1970 and one of today lie 180 million.
    fn next_due(&self, watermark: Timestamp, length: Duration) -> Option<Timestamp> {
        let first_open = self.open.keys().next().copied();
        let next = if self.known.is_empty() || self.closed == Timestamp::ZERO {
            first_open?
        } else {
            let heard_of = self.known.values().min().map(|seen| seen.floor(length));
            self.closed
                .max(first_open.into_iter().chain(heard_of).min()?)
        };
        (next.plus(length) <= watermark).then_some(next)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of calls in one window are small"
)]
fn summarise(
    subject: &CallSubject,
    window: &Window,
    end: Timestamp,
    length: Duration,
    samples: &mut Vec<DerivedSample>,
) {
    let calls = window.calls as f64;
    let mut push = |what, unit, value| samples.push(derived(subject, what, unit, end, value));
    push("rate", "1/s", calls / length.as_secs_f64());
    push("errors", "1", window.errors as f64 / calls);
    for (what, quantile) in [("duration.p50", 0.5), ("duration.p99", 0.99)] {
        if let Ok(Some(value)) = window.durations.quantile(quantile) {
            push(what, "s", value);
        }
    }
}

fn derived(
    subject: &CallSubject,
    what: &str,
    unit: &str,
    time: Timestamp,
    value: f64,
) -> DerivedSample {
    let (name, entity, attributes) = match subject {
        CallSubject::Service(service) => ("requests", service, Labels::default()),
        CallSubject::Edge(dependent, provider) => {
            let attributes = [("provider", provider.to_string())].into_iter().collect();
            ("calls", dependent, attributes)
        }
    };
    DerivedSample {
        def: SeriesDef {
            key: SeriesKey {
                name: format!("{name}.{what}"),
                unit: unit.to_owned(),
                entity: Some(entity.clone()),
                attributes,
            },
            reading: Reading::Gauge,
        },
        time,
        value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(10);

    fn service(name: &str) -> CallSubject {
        CallSubject::Service(Entity::new("service", name).expect("an entity"))
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn show(samples: &[DerivedSample]) -> Vec<String> {
        samples
            .iter()
            .map(|s| {
                let entity = s.def.key.entity.as_ref().expect("an entity");
                let secs = s.time.as_micros() / 1_000_000;
                format!("{secs} {} {} {:.2}", entity.name(), s.def.key.name, s.value)
            })
            .collect()
    }

    #[test]
    fn windows_close_at_the_watermark_and_silence_is_a_rate_of_zero() {
        let mut windows = Windows::default();
        let half = Duration::from_millis(500);
        for secs in [101, 102, 109, 111] {
            let outcome = if secs == 102 {
                SpanOutcome::Error
            } else {
                SpanOutcome::Ok
            };
            assert!(windows.count(service("cart"), at(secs), half, outcome, LENGTH));
        }
        assert!(windows.close(at(109), LENGTH).is_empty());
        let closed = show(&windows.close(at(115), LENGTH));
        let expected = [
            "110 cart requests.rate 0.30",
            "110 cart requests.errors 0.33",
            "110 cart requests.duration.p50 0.50",
            "110 cart requests.duration.p99 0.50",
        ];
        assert_eq!(closed, expected);
        assert!(!windows.count(service("cart"), at(105), half, SpanOutcome::Ok, LENGTH));
        let closed = show(&windows.close(at(130), LENGTH));
        assert_eq!(closed.len(), 5);
        assert_eq!(closed[4], "130 cart requests.rate 0.00");
    }

    #[test]
    fn how_often_windows_are_closed_makes_no_difference() {
        let feed = |watermarks: &[u64]| {
            let mut windows = Windows::default();
            let mut samples = Vec::new();
            for secs in 100..105 {
                windows.count(service("a"), at(secs), LENGTH, SpanOutcome::Ok, LENGTH);
            }
            for watermark in watermarks {
                samples.extend(windows.close(at(*watermark), LENGTH));
            }
            samples
        };
        assert_eq!(feed(&[1_000]), feed(&[105, 110, 125, 1_000]));
        assert_eq!(
            feed(&[200, 50_000, 900_000]),
            feed(&[900_000]),
            "nobody is left to be silent"
        );
        // 1 window with calls, then silence until it is no longer remarkable.
        let silent = feed(&[10_000]);
        assert_eq!(silent.len(), 4 + 60);
    }

    #[test]
    fn a_span_of_long_ago_does_not_have_every_window_since_then_looked_at() {
        let now = 1_767_225_600;
        let mut windows = Windows::default();
        for secs in [1, now] {
            assert!(windows.count(service("a"), at(secs), LENGTH, SpanOutcome::Ok, LENGTH));
        }
        let began = std::time::Instant::now();
        let closed = show(&windows.close(at(now + 25), LENGTH));
        assert!(
            began.elapsed() < Duration::from_millis(100),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(closed.len(), 4 + 4 + 1, "{closed:?}");
        assert_eq!(closed[8], format!("{} a requests.rate 0.00", now + 20));
        assert!(!windows.count(service("a"), at(now + 19), LENGTH, SpanOutcome::Ok, LENGTH));
    }
}
