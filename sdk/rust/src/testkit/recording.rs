//! Recordings: what a detector is shown, event by event, before anything is
//! cut into batches.

use crate::{LogLines, LogSource, Samples, Series, Timestamp};

/// Series, log sources, and the rows and ticks that follow, in order of
/// arrival.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    series: Vec<Series>,
    sources: Vec<LogSource>,
    events: Vec<Event>,
}

#[derive(Debug, Clone, PartialEq)]
enum Event {
    Sample {
        series: u32,
        time: Timestamp,
        value: f64,
    },
    Line {
        source: u32,
        time: Timestamp,
        severity: u8,
        text: String,
    },
    Tick(Timestamp),
}

impl Event {
    fn time(&self) -> Timestamp {
        match self {
            Event::Sample { time, .. } | Event::Line { time, .. } | Event::Tick(time) => *time,
        }
    }
}

/// Events as the host would hand them over: rows of one sort that follow one
/// another make a batch.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Batch {
    Samples(Samples),
    Lines(LogLines),
    Tick(Timestamp),
}

impl Recording {
    /// Nothing happened yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Announces a series under the next free number, which it gives.
    pub fn series(&mut self, series: Series) -> u32 {
        let id = number(self.series.len());
        self.series.push(series.with_id(id));
        id
    }

    /// Announces a log source under the next free number, which it gives.
    pub fn log_source(&mut self, source: LogSource) -> u32 {
        let id = number(self.sources.len());
        self.sources.push(source.with_id(id));
        id
    }

    /// A row arrives.
    pub fn sample(&mut self, series: u32, time: Timestamp, value: f64) {
        self.events.push(Event::Sample {
            series,
            time,
            value,
        });
    }

    /// A line arrives.
    pub fn line(&mut self, source: u32, time: Timestamp, severity: u8, text: impl Into<String>) {
        self.events.push(Event::Line {
            source,
            time,
            severity,
            text: text.into(),
        });
    }

    /// Event time reaches this.
    pub fn tick(&mut self, watermark: Timestamp) {
        self.events.push(Event::Tick(watermark));
    }

    /// The same events with ticks at all multiples of `step` that event time
    /// reaches, each before the first event at or after it.
    #[must_use]
    pub fn with_ticks_every(self, step: Timestamp) -> Self {
        let mut events = Vec::with_capacity(self.events.len());
        let mut reached = self.events.first().map_or(0, Event::time) / step;
        for event in self.events {
            while reached < event.time() / step {
                reached += 1;
                events.push(Event::Tick(reached * step));
            }
            events.push(event);
        }
        Self { events, ..self }
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// What is announced before the first event.
    pub(super) fn announced(&self) -> (&[Series], &[LogSource]) {
        (&self.series, &self.sources)
    }

    /// The events in batches of at most so many rows, each with the number of
    /// its first event.
    pub(super) fn batches(&self, rows_max: usize) -> Vec<(usize, Batch)> {
        let mut batches: Vec<(usize, Batch)> = Vec::new();
        for (index, event) in self.events.iter().enumerate() {
            let open = batches.last_mut().map(|(_, batch)| batch);
            match (event, open) {
                (
                    Event::Sample {
                        series,
                        time,
                        value,
                    },
                    Some(Batch::Samples(rows)),
                ) if rows.len() < rows_max => rows.push(*series, *time, *value),
                (
                    Event::Line {
                        source,
                        time,
                        severity,
                        text,
                    },
                    Some(Batch::Lines(lines)),
                ) if lines.len() < rows_max => {
                    assert!(lines.push(*source, *time, *severity, text), "4 GiB of text");
                }
                (event, _) => batches.push((index, batch_of(event))),
            }
        }
        batches
    }
}

fn batch_of(event: &Event) -> Batch {
    match event {
        Event::Sample {
            series,
            time,
            value,
        } => {
            let mut rows = Samples::new();
            rows.push(*series, *time, *value);
            Batch::Samples(rows)
        }
        Event::Line {
            source,
            time,
            severity,
            text,
        } => {
            let mut lines = LogLines::new();
            assert!(lines.push(*source, *time, *severity, text), "4 GiB of text");
            Batch::Lines(lines)
        }
        Event::Tick(watermark) => Batch::Tick(*watermark),
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("fewer than 4 billion of them in a test")
}
