//! From counters to rates, and from sums and counts to means.

use std::time::Duration;

use faultline_domain::telemetry::Reading;
use faultline_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// After a gap this long a counter begins anew: what it grew by meanwhile says
/// nothing about now.
const GAP_MAX: Duration = Duration::from_secs(600);

/// What is remembered of each series, by number.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rates {
    memory: Vec<Memory>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Memory {
    /// The last sample; zero if there was none.
    time: Timestamp,
    value: f64,
    /// How much it last grew by, and until when.
    growth: f64,
    grown: Timestamp,
}

/// What a sample says once it is read the way its series is to be read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Read {
    /// A value worth looking at.
    Value(f64),
    /// The first of a counter: nothing to compare it with.
    First,
    /// Not after the one before it.
    Late,
}

impl Rates {
    /// Takes a sample in.
    pub(crate) fn read(&mut self, id: u32, reading: Reading, time: Timestamp, value: f64) -> Read {
        let index = id as usize;
        if index >= self.memory.len() {
            self.memory.resize(index + 1, Memory::default());
        }
        let memory = &mut self.memory[index];
        let before = std::mem::replace(
            memory,
            Memory {
                time,
                value,
                growth: 0.0,
                grown: Timestamp::ZERO,
            },
        );
        if before.time != Timestamp::ZERO && time <= before.time {
            *memory = before;
            return Read::Late;
        }
        if reading == Reading::Gauge {
            return Read::Value(value);
        }
        let elapsed = time.since(before.time);
        if before.time == Timestamp::ZERO || elapsed > GAP_MAX {
            return Read::First;
        }
        memory.growth = match reading {
            // A counter that fell was set to zero, and has grown since.
            Reading::Counter if value >= before.value => value - before.value,
            _ => value,
        };
        memory.grown = time;
        let rate = memory.growth / elapsed.as_secs_f64();
        // Growth beyond all numbers is a mistake of the sender: nobody is told.
        if rate.is_finite() {
            Read::Value(rate)
        } else {
            Read::First
        }
    }

    /// The quotient of how much two counters grew, if both just did, at the
    /// same time.
    pub(crate) fn mean(&self, sum: u32, count: u32) -> Option<(Timestamp, f64)> {
        let sum = self.memory.get(sum as usize)?;
        let count = self.memory.get(count as usize)?;
        let together = sum.grown == count.grown && sum.grown != Timestamp::ZERO;
        let mean = sum.growth / count.growth;
        (together && count.growth > 0.0 && mean.is_finite()).then_some((sum.grown, mean))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn counters_become_rates() {
        let mut rates = Rates::default();
        let mut read = |secs, value| rates.read(3, Reading::Counter, at(secs), value);
        assert_eq!(read(10, 100.0), Read::First);
        assert_eq!(read(20, 150.0), Read::Value(5.0));
        assert_eq!(read(20, 160.0), Read::Late);
        assert_eq!(
            read(30, 20.0),
            Read::Value(2.0),
            "it was set to zero and grew to 20"
        );
        assert_eq!(read(2_000, 30.0), Read::First, "after a gap");
    }

    #[test]
    fn rates_are_numbers() {
        let mut rates = Rates::default();
        let close = |micros| at(10).plus(Duration::from_micros(micros));
        rates.read(0, Reading::Counter, close(0), -f64::MAX);
        rates.read(1, Reading::Counter, close(0), 0.0);
        let read = rates.read(0, Reading::Counter, close(1), f64::MAX);
        assert_eq!(read, Read::First);
        rates.read(1, Reading::Counter, close(1), 1e-300);
        assert_eq!(rates.mean(0, 1), None);
        let read = rates.read(0, Reading::Delta, close(2), f64::MAX);
        assert_eq!(read, Read::First);
    }

    #[test]
    fn deltas_become_rates_and_gauges_stay() {
        let mut rates = Rates::default();
        assert_eq!(rates.read(0, Reading::Delta, at(10), 7.0), Read::First);
        assert_eq!(rates.read(0, Reading::Delta, at(20), 7.0), Read::Value(0.7));
        assert_eq!(rates.read(1, Reading::Gauge, at(10), 7.0), Read::Value(7.0));
        assert_eq!(rates.read(1, Reading::Gauge, at(9), 7.0), Read::Late);
    }

    #[test]
    fn a_sum_over_a_count_is_a_mean() {
        let mut rates = Rates::default();
        for (secs, sum, count) in [(10, 1.0, 10.0), (20, 3.0, 14.0)] {
            rates.read(0, Reading::Counter, at(secs), sum);
            rates.read(1, Reading::Counter, at(secs), count);
        }
        assert_eq!(rates.mean(0, 1), Some((at(20), 0.5)));
        rates.read(0, Reading::Counter, at(30), 4.0);
        assert_eq!(rates.mean(0, 1), None, "the count is not there yet");
        rates.read(1, Reading::Counter, at(30), 14.0);
        assert_eq!(rates.mean(0, 1), None, "nothing was counted");
    }
}
