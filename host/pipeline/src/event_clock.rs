//! Event time: how far it has come, and by when all of it has probably
//! arrived.
//!
//! The watermark is the time up to which nothing more is expected: the least
//! of what each active source has reached, less the declared lateness
//! (Akidau et al., "The Dataflow Model", VLDB 2015, section 2.3). It is a
//! function of the journal alone, arrival times included.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use faultline_domain::id::SourceName;
use faultline_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A source that is this far behind the one that is furthest ahead is not
/// waited for: what it sends is late, or its clock is wrong, and time must not
/// stand still for all others. Nobody counts as further ahead than the time of
/// arrival, or one who is ahead could leave the others behind.
const BEHIND_MAX: Duration = Duration::from_secs(900);

/// How far each source has come that is awake. There can be thousands, and each
/// envelope asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Saved", into = "Saved")]
pub(crate) struct EventClock {
    sources: BTreeMap<SourceName, Reached>,
    watermark: Timestamp,
    /// How many have come just as far.
    highs: BTreeMap<Timestamp, usize>,
    /// The sources by when they last sent.
    by_arrival: BTreeSet<(Timestamp, SourceName)>,
}

/// As it is saved.
#[derive(Serialize, Deserialize)]
struct Saved {
    sources: BTreeMap<SourceName, Reached>,
    watermark: Timestamp,
}

impl From<Saved> for EventClock {
    fn from(saved: Saved) -> Self {
        let mut clock = Self {
            watermark: saved.watermark,
            ..Self::default()
        };
        for (source, reached) in saved.sources {
            clock.put(source, reached);
        }
        clock
    }
}

impl From<EventClock> for Saved {
    fn from(clock: EventClock) -> Self {
        Self {
            sources: clock.sources,
            watermark: clock.watermark,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Reached {
    /// The latest event time of its telemetry.
    high: Timestamp,
    /// When that telemetry arrived.
    received: Timestamp,
}

impl EventClock {
    /// A source sent telemetry with this latest event time.
    pub(crate) fn reach(&mut self, source: &SourceName, high: Timestamp, received: Timestamp) {
        let before = self.sources.get(source).map_or(high, |it| it.high);
        let high = high.max(before);
        self.forget(source);
        self.put(source.clone(), Reached { high, received });
    }

    fn put(&mut self, source: SourceName, reached: Reached) {
        *self.highs.entry(reached.high).or_default() += 1;
        self.by_arrival.insert((reached.received, source.clone()));
        self.sources.insert(source, reached);
    }

    fn forget(&mut self, source: &SourceName) {
        if let Some(reached) = self.sources.remove(source) {
            if let Some(count) = self.highs.get_mut(&reached.high) {
                *count -= 1;
                if *count == 0 {
                    self.highs.remove(&reached.high);
                }
            }
            self.by_arrival.remove(&(reached.received, source.clone()));
        }
    }

    /// Arrival time has come to `clock`. Gives the watermarks before and now,
    /// if it moved.
    pub(crate) fn advance(
        &mut self,
        clock: Timestamp,
        lateness: Duration,
        idle_after: Duration,
    ) -> Option<(Timestamp, Timestamp)> {
        if self.sources.is_empty() && self.watermark == Timestamp::ZERO {
            return None;
        }
        while let Some((received, source)) = self.by_arrival.first().cloned()
            && clock.since(received) >= idle_after
        {
            self.forget(&source);
        }
        // Where all are idle, time goes on all the same: what has not come by
        // now is not late but absent.
        let reached = match self.highs.last_key_value() {
            None => clock.minus(idle_after),
            Some((furthest, _)) => {
                let least = (*furthest).min(clock).minus(BEHIND_MAX);
                *self.highs.range(least..).next()?.0
            }
        };
        let watermark = reached.minus(lateness);
        if watermark <= self.watermark {
            return None;
        }
        let before = self.watermark;
        self.watermark = watermark;
        Some((before, watermark))
    }
}

/// The steps of time between two watermarks, the later included. At most
/// `most`, the last ones: after a long silence detectors need to know what time
/// it is, not to be told of every step.
pub(crate) fn steps(
    before: Timestamp,
    now: Timestamp,
    step: Duration,
    most: u32,
) -> impl Iterator<Item = Timestamp> {
    let last = now.floor(step);
    let first = if before == Timestamp::ZERO {
        last
    } else {
        before
            .floor(step)
            .plus(step)
            .max(last.minus(step * most.saturating_sub(1)))
    };
    std::iter::successors(Some(first), move |at| Some(at.plus(step)))
        .take_while(move |at| *at <= last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATENESS: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(60);

    fn source(name: &str) -> SourceName {
        SourceName::new(name).expect("a name")
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn waits_for_the_slowest_source_that_is_awake() {
        let mut clock = EventClock::default();
        assert_eq!(clock.advance(at(100), LATENESS, IDLE), None);
        clock.reach(&source("fast"), at(100), at(100));
        clock.reach(&source("slow"), at(70), at(100));
        assert_eq!(
            clock.advance(at(100), LATENESS, IDLE),
            Some((at(0), at(60)))
        );
        clock.reach(&source("fast"), at(150), at(150));
        assert_eq!(clock.advance(at(150), LATENESS, IDLE), None);
        clock.reach(&source("fast"), at(165), at(165));
        assert_eq!(
            clock.advance(at(165), LATENESS, IDLE),
            Some((at(60), at(155)))
        );
    }

    #[test]
    fn nobody_holds_time_back_for_all_others() {
        let mut clock = EventClock::default();
        clock.reach(&source("good"), at(10_000), at(10_000));
        clock.reach(&source("of-1970"), at(1), at(10_000));
        assert_eq!(
            clock.advance(at(10_000), LATENESS, IDLE),
            Some((at(0), at(9_990)))
        );
        // Nor does anybody drive it.
        clock.reach(&source("ahead"), at(10_320), at(10_020));
        clock.reach(&source("good"), at(10_015), at(10_020));
        assert_eq!(
            clock.advance(at(10_020), LATENESS, IDLE),
            Some((at(9_990), at(10_005)))
        );
        // What is old is taken as it is where there is nothing else.
        let mut clock = EventClock::default();
        clock.reach(&source("of-1970"), at(100), at(10_000));
        assert_eq!(
            clock.advance(at(10_000), LATENESS, IDLE),
            Some((at(0), at(90)))
        );
    }

    #[test]
    fn goes_on_when_all_are_silent_and_never_back() {
        let mut clock = EventClock::default();
        clock.reach(&source("one"), at(100), at(100));
        clock.advance(at(100), LATENESS, IDLE);
        assert_eq!(
            clock.advance(at(400), LATENESS, IDLE),
            Some((at(90), at(330)))
        );
        clock.reach(&source("one"), at(200), at(401));
        assert_eq!(clock.advance(at(401), LATENESS, IDLE), None);
    }

    #[test]
    fn steps_are_the_same_however_time_is_cut() {
        let step = Duration::from_secs(10);
        let all: Vec<_> = steps(at(5), at(42), step, 60).collect();
        assert_eq!(all, [at(10), at(20), at(30), at(40)]);
        let cut: Vec<_> = steps(at(5), at(20), step, 60)
            .chain(steps(at(20), at(42), step, 60))
            .collect();
        assert_eq!(cut, all);
        assert_eq!(
            steps(at(5), at(1_000), step, 2).collect::<Vec<_>>(),
            [at(990), at(1_000)]
        );
        assert_eq!(
            steps(at(0), at(1_000), step, 60).collect::<Vec<_>>(),
            [at(1_000)]
        );
        assert_eq!(steps(at(41), at(49), step, 60).count(), 0);
    }
}
