//! The history of series on its way into the store.
//!
//! Samples gather in open chunks, one of each series. A full one is written and
//! done with. What is in open ones is written with each checkpoint, once and
//! side by side, as tails; those are of use until the last of their samples are
//! in chunks. What came after the last checkpoint comes again from the journal
//! after a crash; readers drop what then stands twice.

use std::time::Duration;

use faultline_domain::time::Timestamp;
use faultline_store::{BAND_SERIES, Chunk, Tail, TailsDone};

/// A chunk of so many samples is full, or of up to twice as many: the chunks of
/// series that are sampled at the same times fill up one after the other, and
/// not all at once.
const CHUNK_SAMPLES_LEAST: usize = 80;

/// A chunk that spans this much is full.
const CHUNK_SPAN_MAX: Duration = Duration::from_secs(4 * 3_600);

/// A chunk of which so many tails may hold samples is full, or after half as
/// many: readers look through them all.
const TAILS_MAX: u64 = 240;

/// Open chunks by series, whose numbers have no gaps.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    open: Vec<Open>,
    full: Vec<Chunk>,
    /// The ordinal of the next tails.
    next: u64,
    /// The first tail of each band that is of use.
    firsts: Vec<u64>,
}

#[derive(Debug)]
struct Open {
    chunk: Chunk,
    /// So many of its samples stand in tails.
    saved: usize,
    /// The first of those tails.
    first: u64,
    /// The last sample of the chunk before, if tails have some of that which do
    /// not know yet that it is written.
    closed: Option<Timestamp>,
}

impl Open {
    const fn new(series: u32) -> Self {
        Self {
            chunk: empty(series),
            saved: 0,
            first: 0,
            closed: None,
        }
    }

    fn add(&mut self, time: Timestamp, value: f64) {
        self.chunk.times.push(time);
        self.chunk.values.push(value);
    }

    fn is_full(&self) -> bool {
        let stagger = self.chunk.series as usize % CHUNK_SAMPLES_LEAST;
        let times = &self.chunk.times;
        let span = times.first().zip(times.last());
        times.len() >= CHUNK_SAMPLES_LEAST + stagger
            || span.is_some_and(|(first, last)| last.since(*first) >= CHUNK_SPAN_MAX)
    }

    /// Whether it has samples in tails for so long that they are many.
    fn is_old(&self, ordinal: u64) -> bool {
        let most = TAILS_MAX - u64::from(self.chunk.series) % (TAILS_MAX / 2);
        self.saved > 0 && ordinal.saturating_sub(self.first) >= most
    }

    /// Gives the chunk away and begins the next.
    fn close(&mut self) -> Chunk {
        if self.saved > 0 {
            self.closed = self.chunk.times.last().copied();
        }
        self.saved = 0;
        let next = empty(self.chunk.series);
        std::mem::replace(&mut self.chunk, next)
    }

    /// What stands in no tail yet, for the one with this number.
    fn save(&mut self, ordinal: u64) -> impl Iterator<Item = (u32, Timestamp, f64)> {
        if self.saved == 0 {
            self.first = ordinal;
        }
        let (chunk, from) = (&self.chunk, self.saved);
        self.saved = chunk.times.len();
        let samples = chunk.times[from..].iter().zip(&chunk.values[from..]);
        samples.map(|(time, value)| (chunk.series, *time, *value))
    }

    /// What a tail has of it.
    fn restore(&mut self, ordinal: u64, time: Timestamp, value: f64) {
        if self.saved == 0 {
            self.first = ordinal;
        }
        self.add(time, value);
        self.saved += 1;
    }

    /// Lets go of what is in a chunk.
    fn forget_until(&mut self, closed: Timestamp) {
        // All of it: a tail has what came after the chunk was closed.
        if self.chunk.times.last().is_some_and(|last| *last <= closed) {
            self.chunk = empty(self.chunk.series);
            self.saved = 0;
        }
    }
}

/// What a checkpoint writes, and what is then of no use.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    pub(crate) tails: Vec<Tail>,
    pub(crate) done: Vec<TailsDone>,
}

impl Chunks {
    /// Adds a sample; later than those before it of the same series.
    pub(crate) fn push(&mut self, series: u32, time: Timestamp, value: f64) {
        let open = self.open_of(series);
        open.add(time, value);
        if open.is_full() {
            let chunk = open.close();
            self.full.push(chunk);
        }
    }

    /// The chunks that are full.
    pub(crate) fn take_full(&mut self) -> Vec<Chunk> {
        std::mem::take(&mut self.full)
    }

    /// Writes down what came since the last time. Closes chunks that were open
    /// for long, so what is full is to be taken afterwards.
    pub(crate) fn save(&mut self) -> Saved {
        let ordinal = self.next;
        let mut saved = Saved::default();
        let bands = self.open.chunks_mut(BAND_SERIES as usize);
        self.firsts.resize(bands.len(), 0);
        for ((band, open), first) in (0..).zip(bands).zip(&mut self.firsts) {
            let old = open.iter_mut().filter(|open| open.is_old(ordinal));
            self.full.extend(old.map(Open::close));
            let mut tail = Tail {
                band,
                ordinal,
                closed: (open.iter_mut())
                    .filter_map(|open| Some((open.chunk.series, open.closed.take()?)))
                    .collect(),
                samples: open
                    .iter_mut()
                    .flat_map(|open| open.save(ordinal))
                    .collect(),
            };
            tail.samples
                .sort_by_key(|(series, time, _)| (*time, *series));
            let is_empty = tail.closed.is_empty() && tail.samples.is_empty();
            let in_tails = open.iter().filter(|open| open.saved > 0);
            let of_use = in_tails.map(|open| open.first).min();
            if of_use.is_some() && !is_empty {
                saved.tails.push(tail);
            }
            // If none is, all that were written are done with.
            let of_use = of_use.unwrap_or(ordinal);
            if of_use > *first {
                saved.done.push(TailsDone {
                    band,
                    before: of_use,
                });
                *first = of_use;
            }
        }
        if !saved.tails.is_empty() {
            self.next += 1;
        }
        saved
    }

    /// Goes on with what stands in the tails of a band, all of them, in their
    /// order.
    pub(crate) fn restore(&mut self, tails: Vec<Tail>) {
        for tail in tails {
            self.next = self.next.max(tail.ordinal + 1);
            for (series, closed) in tail.closed {
                self.open_of(series).forget_until(closed);
            }
            for (series, time, value) in tail.samples {
                self.open_of(series).restore(tail.ordinal, time, value);
            }
        }
    }

    fn open_of(&mut self, series: u32) -> &mut Open {
        let index = series as usize;
        if self.open.len() <= index {
            let first = u32::try_from(self.open.len()).unwrap_or(series);
            self.open.extend((first..=series).map(Open::new));
        }
        &mut self.open[index]
    }
}

const fn empty(series: u32) -> Chunk {
    Chunk {
        series,
        times: Vec::new(),
        values: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn samples(saved: &Saved) -> Vec<(u32, Timestamp, f64)> {
        let tails = saved.tails.iter();
        tails.flat_map(|tail| tail.samples.clone()).collect()
    }

    #[test]
    fn every_sample_is_written_to_one_tail_or_to_a_full_chunk() {
        let mut chunks = Chunks::default();
        for secs in 0..10 {
            chunks.push(1, at(secs), 0.5);
        }
        assert_eq!(samples(&chunks.save()).len(), 10);
        assert!(chunks.save().tails.is_empty(), "nothing new");
        for secs in 10..86 {
            chunks.push(1, at(secs), 0.5);
        }
        let full = chunks.take_full();
        assert_eq!(full.len(), 1);
        assert_eq!(full[0].times.len(), CHUNK_SAMPLES_LEAST + 1);
        let saved = chunks.save();
        assert_eq!(samples(&saved).len(), 5);
        assert_eq!(saved.tails[0].closed, [(1, at(80))]);
        let done = TailsDone { band: 0, before: 1 };
        assert_eq!(saved.done, [done], "the first tail's are in the chunk");
    }

    #[test]
    fn a_tail_is_kept_for_the_slowest_of_its_series() {
        let mut chunks = Chunks::default();
        chunks.push(0, at(0), 0.5);
        for secs in 0..100 {
            chunks.push(1, at(secs), 0.5);
            let saved = chunks.save();
            assert!(saved.done.is_empty(), "at {secs}");
        }
        // Another band has its own.
        chunks.push(BAND_SERIES, at(0), 0.5);
        let bands: Vec<u32> = chunks.save().tails.iter().map(|tail| tail.band).collect();
        assert_eq!(bands, [1]);
    }

    #[test]
    fn tails_are_not_kept_for_ever_for_what_is_silent() {
        let mut chunks = Chunks::default();
        chunks.push(0, at(0), 0.5);
        let mut kept = 0_u64;
        for secs in 0..1_000 {
            chunks.push(1, at(secs), 0.5);
            let saved = chunks.save();
            kept = saved.done.first().map_or(kept, |done| done.before);
            assert!(secs - kept <= TAILS_MAX, "at {secs}, from {kept}");
        }
        let full = chunks.take_full();
        assert_eq!(full.iter().filter(|chunk| chunk.series == 0).count(), 1);
    }

    #[test]
    fn the_chunks_of_many_series_do_not_fill_up_together() {
        let mut chunks = Chunks::default();
        let mut most = 0;
        for secs in 0..500 {
            for series in 0..800 {
                chunks.push(series, at(secs), 0.5);
            }
            most = most.max(chunks.take_full().len());
        }
        assert!(most <= 40, "{most} of 800 at once");
    }

    #[test]
    fn slow_series_are_written_too() {
        let mut chunks = Chunks::default();
        chunks.push(1, at(0), 0.5);
        chunks.push(1, at(5 * 3_600), 0.5);
        assert_eq!(chunks.take_full().len(), 1);
    }

    /// What four series measure in a second.
    fn measure(chunks: &mut Chunks, secs: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let value = secs as f64;
        for series in [0, 1, 2, 300] {
            if secs.is_multiple_of(u64::from(series) % 7 + 1) {
                chunks.push(series, at(secs), value);
            }
        }
    }

    /// Chunks as the store keeps them: one that comes again takes the place of the
    /// one before, of which it must be the equal.
    fn keep(kept: &mut BTreeMap<(u32, Timestamp), Chunk>, chunks: Vec<Chunk>) {
        for chunk in chunks {
            let place = (chunk.series, chunk.times[0]);
            if let Some(before) = kept.insert(place, chunk) {
                assert_eq!(before, kept[&place], "written anew after a crash");
            }
        }
    }

    /// Whatever was written when, and cut off when, it goes on from the last
    /// checkpoint as if nothing had been.
    #[test]
    fn what_goes_on_from_tails_writes_the_same_chunks() {
        let mut whole = Chunks::default();
        let mut tails: Vec<Tail> = Vec::new();
        let mut resumed = Chunks::default();
        let mut written = (BTreeMap::new(), BTreeMap::new());
        let mut saved_at = 0;
        for secs in 0..2_000_u64 {
            measure(&mut whole, secs);
            measure(&mut resumed, secs);
            if secs % 11 == 0 {
                whole.save();
                let saved = resumed.save();
                tails.extend(saved.tails);
                for done in saved.done {
                    tails.retain(|tail| tail.band != done.band || tail.ordinal >= done.before);
                }
                saved_at = secs;
            }
            keep(&mut written.0, whole.take_full());
            keep(&mut written.1, resumed.take_full());
            // At all distances from a checkpoint.
            if secs % 37 == 0 {
                resumed = Chunks::default();
                tails.sort_by_key(|tail| (tail.band, tail.ordinal));
                resumed.restore(tails.clone());
                for again in saved_at + 1..=secs {
                    measure(&mut resumed, again);
                }
            }
        }
        assert!(written.0.len() > 30, "{}", written.0.len());
        assert_eq!(written.0, written.1);
    }
}
