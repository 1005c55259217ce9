//! From what envelopes say of telemetry to what detectors are told.
//!
//! Everything here is state that could be computed anew from the journal; it
//! is saved now and then so that little has to be.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use faultline_domain::decode::Decoded;
use faultline_domain::envelope::Envelope;
use faultline_domain::id::InstanceName;
use faultline_domain::plugin::{IntroducedSeries, IntroducedSource};
use faultline_domain::signal::Dependency;
use faultline_domain::telemetry::{Reading, SeriesDef};
use faultline_domain::time::Timestamp;
use faultline_store::SourceRecord;
use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::chunks::Chunks;
use crate::derive::calls::SpanMemory;
use crate::derive::rates::{Rates, Read};
use crate::derive::windows::Windows;
use crate::detection::Shard;
use crate::event_clock::{EventClock, steps};
use crate::feed::Feed;
use crate::settings::ObserveSettings;

/// The most steps of time that detectors are told of at once.
const STEPS_MAX: u32 = 60;

/// What is saved.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    rates: Rates,
    windows: Windows,
    spans: SpanMemory,
    clock: EventClock,
}

/// Telemetry, its catalogue and its history.
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    pub(crate) memory: Memory,
    pub(crate) catalog: Catalog,
    pub(crate) chunks: Chunks,
}

/// The shards, and what each is to be told.
pub(crate) struct Audience<'a> {
    pub(crate) shards: &'a mut [Shard],
    pub(crate) feeds: Vec<Feed>,
    /// Shards of each detector.
    pub(crate) shards_each: u32,
    /// Detectors that are not shown the envelope that is dealt with.
    pub(crate) hidden_from: BTreeSet<InstanceName>,
}

impl Audience<'_> {
    /// Those of the shards that take part in this, each with its feed.
    fn each(
        &mut self,
        takes: impl Fn(&Shard, u32) -> bool,
    ) -> impl Iterator<Item = (&mut Shard, &mut Feed)> {
        let (hidden_from, shards_each) = (&self.hidden_from, self.shards_each);
        self.shards
            .iter_mut()
            .zip(&mut self.feeds)
            .filter(move |(shard, _)| {
                takes(shard, shards_each) && !hidden_from.contains(shard.instance())
            })
    }
}

/// One envelope on its way through.
pub(crate) struct Passage<'a> {
    pub(crate) envelope: &'a Envelope,
    /// Its index within the batch.
    pub(crate) index: u32,
    pub(crate) counts: &'a mut SourceRecord,
    pub(crate) settings: &'a ObserveSettings,
}

impl Passage<'_> {
    fn received(&self) -> Timestamp {
        self.envelope.arrival.received
    }

    /// A time that is absurdly far ahead becomes the time of arrival.
    fn sane(&self, time: Timestamp) -> Timestamp {
        sane(time, self.received(), self.settings.skew_max)
    }
}

/// A time that is missing or absurdly far ahead of its arrival becomes the
/// time of arrival.
pub(crate) fn sane(time: Timestamp, received: Timestamp, skew_max: Duration) -> Timestamp {
    if time == Timestamp::ZERO || time > received.plus(skew_max) {
        received
    } else {
        time
    }
}

impl Telemetry {
    /// Takes in what an envelope says of telemetry, and tells the audience.
    /// Gives the edges that its spans show.
    pub(crate) fn take_in(
        &mut self,
        decoded: &Decoded,
        passage: &mut Passage<'_>,
        audience: &mut Audience<'_>,
    ) -> Vec<Dependency> {
        let high = [
            self.take_samples(decoded, passage, audience),
            self.take_logs(decoded, passage, audience),
            spans_high(decoded, passage),
        ]
        .into_iter()
        .max()
        .unwrap_or(Timestamp::ZERO);
        let dependencies = self.take_spans(decoded, passage);
        if high > Timestamp::ZERO {
            let source = &passage.envelope.arrival.source;
            self.memory.clock.reach(source, high, passage.received());
        }
        dependencies
    }

    /// Arrival time has come to that of the envelope: what is due by then is
    /// told to the audience.
    pub(crate) fn pass_time(&mut self, passage: &mut Passage<'_>, audience: &mut Audience<'_>) {
        let settings = passage.settings;
        let Some((before, watermark)) =
            self.memory
                .clock
                .advance(passage.received(), settings.lateness, settings.idle_after)
        else {
            return;
        };
        let derived = self.memory.windows.close(watermark, settings.span_window);
        for sample in derived {
            if let Some(id) = self.number(&Arc::new(sample.def), passage) {
                self.take_sample(
                    id,
                    Reading::Gauge,
                    sample.time,
                    sample.value,
                    passage,
                    audience,
                );
            }
        }
        for step in steps(before, watermark, settings.tick_step, STEPS_MAX) {
            for (_, feed) in audience.each(|_, _| true) {
                feed.tick(passage.index, step);
            }
        }
    }

    fn take_samples(
        &mut self,
        decoded: &Decoded,
        passage: &mut Passage<'_>,
        audience: &mut Audience<'_>,
    ) -> Timestamp {
        let ids: Vec<Option<(u32, Reading)>> = decoded
            .series
            .iter()
            .map(|def| {
                passage.counts.without_entity += u64::from(def.key.entity.is_none());
                self.number(def, passage).map(|id| (id, def.reading))
            })
            .collect();
        let mut high = Timestamp::ZERO;
        for (series, time, value) in decoded.samples.rows() {
            passage.counts.samples += 1;
            let known = ids.get(series as usize).copied().flatten();
            let (Some((id, reading)), true) = (known, value.is_finite()) else {
                passage.counts.rejected += 1;
                continue;
            };
            let time = passage.sane(time);
            high = high.max(time);
            self.take_sample(id, reading, time, value, passage, audience);
        }
        high
    }

    fn take_sample(
        &mut self,
        id: u32,
        reading: Reading,
        time: Timestamp,
        value: f64,
        passage: &mut Passage<'_>,
        audience: &mut Audience<'_>,
    ) {
        match self.memory.rates.read(id, reading, time, value) {
            Read::First => return,
            Read::Late => {
                passage.counts.late += 1;
                return;
            }
            Read::Value(value) => self.tell(id, time, value, passage, audience),
        }
        let Some(mean) = self.catalog.mean_of(id) else {
            return;
        };
        let Some((time, value)) = self.memory.rates.mean(mean.sum, mean.count) else {
            return;
        };
        let read = self
            .memory
            .rates
            .read(mean.series, Reading::Gauge, time, value);
        if let Read::Value(value) = read {
            self.tell(mean.series, time, value, passage, audience);
        }
    }

    fn tell(
        &mut self,
        id: u32,
        time: Timestamp,
        value: f64,
        passage: &Passage<'_>,
        audience: &mut Audience<'_>,
    ) {
        self.chunks.push(id, time, value);
        let takes =
            |shard: &Shard, shards: u32| shard.inputs().samples && id % shards == shard.index;
        for (shard, feed) in audience.each(takes) {
            if !shard.knows_series(id)
                && let Some(def) = self.catalog.series_def(id)
            {
                let key = def.measured();
                feed.introduce_series(IntroducedSeries { id, key });
            }
            feed.sample(passage.index, id, time, value);
        }
    }

    fn take_logs(
        &mut self,
        decoded: &Decoded,
        passage: &mut Passage<'_>,
        audience: &mut Audience<'_>,
    ) -> Timestamp {
        let (position, most) = (passage.envelope.position, passage.settings.log_sources_max);
        let ids: Vec<Option<u32>> = decoded
            .log_sources
            .iter()
            .map(|source| {
                passage.counts.without_entity += u64::from(source.entity.is_none());
                self.catalog.source(source, position, most)
            })
            .collect();
        let logs = &decoded.logs;
        let mut high = Timestamp::ZERO;
        for row in 0..logs.len() {
            passage.counts.log_lines += 1;
            let Some(id) = ids.get(logs.source[row] as usize).copied().flatten() else {
                passage.counts.rejected += 1;
                continue;
            };
            let time = passage.sane(Timestamp::from_micros(logs.time[row]));
            high = high.max(time);
            let takes =
                |shard: &Shard, shards: u32| shard.inputs().logs && id % shards == shard.index;
            for (shard, feed) in audience.each(takes) {
                if !shard.knows_source(id)
                    && let Some(source) = self.catalog.log_source(id)
                {
                    let source = source.clone();
                    feed.introduce_source(IntroducedSource { id, source });
                }
                feed.line(
                    passage.index,
                    id,
                    time,
                    logs.severity[row],
                    logs.text_of(row),
                );
            }
        }
        high
    }

    fn take_spans(&mut self, decoded: &Decoded, passage: &mut Passage<'_>) -> Vec<Dependency> {
        passage.counts.spans += decoded.spans.len() as u64;
        let found = self.memory.spans.take_in(&decoded.spans);
        for call in found.calls {
            let end = passage.sane(call.end);
            let counted = self.memory.windows.count(
                call.subject,
                end,
                call.duration,
                call.outcome,
                passage.settings.span_window,
            );
            passage.counts.late += u64::from(!counted);
        }
        found.dependencies
    }

    fn number(&mut self, def: &Arc<SeriesDef>, passage: &Passage<'_>) -> Option<u32> {
        let position = passage.envelope.position;
        let most = passage.settings.series_max;
        self.catalog.series(def, position, most)
    }
}

/// The latest end of the spans, which is about when they were sent.
fn spans_high(decoded: &Decoded, passage: &Passage<'_>) -> Timestamp {
    decoded
        .spans
        .iter()
        .map(|span| passage.sane(span.end))
        .max()
        .unwrap_or(Timestamp::ZERO)
}
