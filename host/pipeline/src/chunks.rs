//! The history of series on its way into the store.
//!
//! Samples gather in open chunks. Full ones are written and done with; open
//! ones are written as they are whenever state is saved, and written again,
//! longer, the next time. What is lost in a crash comes again from the journal;
//! readers drop what then stands twice.

use std::time::Duration;

use faultline_domain::time::Timestamp;
use faultline_store::Chunk;

/// A chunk of so many samples is full.
const CHUNK_SAMPLES_MAX: usize = 120;

/// A chunk that spans this much is full.
const CHUNK_SPAN_MAX: Duration = Duration::from_secs(4 * 3_600);

/// Open chunks by series, whose numbers have no gaps.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    open: Vec<Open>,
    full: Vec<Chunk>,
}

#[derive(Debug)]
struct Open {
    chunk: Chunk,
    /// Whether there are samples in it that are not written yet.
    dirty: bool,
}

impl Chunks {
    /// Adds a sample; later than those before it of the same series.
    pub(crate) fn push(&mut self, series: u32, time: Timestamp, value: f64) {
        let index = series as usize;
        if self.open.len() <= index {
            let first = u32::try_from(self.open.len()).unwrap_or(series);
            self.open.extend((first..=series).map(|series| Open {
                chunk: empty(series),
                dirty: false,
            }));
        }
        let open = &mut self.open[index];
        open.chunk.times.push(time);
        open.chunk.values.push(value);
        open.dirty = true;
        let span = open
            .chunk
            .times
            .first()
            .map_or(Duration::ZERO, |first| time.since(*first));
        if open.chunk.times.len() >= CHUNK_SAMPLES_MAX || span >= CHUNK_SPAN_MAX {
            self.full
                .push(std::mem::replace(&mut open.chunk, empty(series)));
            open.dirty = false;
        }
    }

    /// The chunks that are full.
    pub(crate) fn take_full(&mut self) -> Vec<Chunk> {
        std::mem::take(&mut self.full)
    }

    /// The open chunks that have grown since they were last written.
    pub(crate) fn copy_open(&mut self) -> Vec<Chunk> {
        self.open
            .iter_mut()
            .filter(|open| open.dirty)
            .map(|open| {
                open.dirty = false;
                open.chunk.clone()
            })
            .collect()
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
    use super::*;

    #[test]
    fn every_sample_is_written_and_full_chunks_once() {
        let mut chunks = Chunks::default();
        for i in 0..CHUNK_SAMPLES_MAX as u64 + 5 {
            chunks.push(1, Timestamp::from_secs(i), 0.5);
        }
        let full = chunks.take_full();
        assert_eq!(full.len(), 1);
        assert_eq!(full[0].times.len(), CHUNK_SAMPLES_MAX);
        assert_eq!(chunks.copy_open()[0].times.len(), 5);
        assert!(chunks.copy_open().is_empty(), "nothing new");
        chunks.push(1, Timestamp::from_secs(1_000), 0.5);
        assert_eq!(chunks.copy_open()[0].times.len(), 6);
    }

    #[test]
    fn slow_series_are_written_too() {
        let mut chunks = Chunks::default();
        chunks.push(1, Timestamp::from_secs(0), 0.5);
        chunks.push(1, Timestamp::from_secs(5 * 3_600), 0.5);
        assert_eq!(chunks.take_full().len(), 1);
    }
}
