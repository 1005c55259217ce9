//! What brought the envelopes of the journal, and what was made of them, as far
//! as this process saw it.
//!
//! By position, for that is all that one stage tells the next. It is written
//! down before the commit that lets others read the envelopes, while the
//! positions are still ours alone: so nobody finds an envelope whose origin is
//! yet to come. What it costs is bounded, and what is lost of it, by a restart
//! or because another process took the envelopes in, costs a link between two
//! traces and nothing else.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

use opentelemetry::Context;
use opentelemetry::trace::SpanContext;

use crate::work::{are_made, origin_of};

/// The most ranges of positions that are remembered: the latest.
const RANGES_MAX: usize = 4_096;

/// The most origins of one piece of work.
const ORIGINS_MAX: usize = 65;

/// What a piece of work came from: another piece of work that was sampled.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin(pub(crate) SpanContext);

/// Origins by positions.
struct Origins {
    /// By the first position of each range: the last one, and the origin.
    ranges: BTreeMap<u64, (u64, Origin)>,
}

/// What appended the envelopes.
static APPENDED: Mutex<Origins> = Mutex::new(Origins::new());

/// What observed them.
static OBSERVED: Mutex<Origins> = Mutex::new(Origins::new());

/// Envelopes are about to come into the journal at these positions, from what
/// this task is at.
pub fn appended(positions: RangeInclusive<u64>) {
    if are_made() {
        let origin = Context::map_current(origin_of);
        lock(&APPENDED).note(positions, origin);
    }
}

/// What was made of these envelopes is about to be committed.
pub fn observed(positions: RangeInclusive<u64>, by: Option<Origin>) {
    if are_made() {
        lock(&OBSERVED).note(positions, by);
    }
}

/// What appended these envelopes, each once.
pub(crate) fn of_appended(positions: RangeInclusive<u64>) -> Vec<Origin> {
    lock(&APPENDED).within(positions)
}

/// What observed the envelopes at these positions, each once.
pub(crate) fn of_observed(positions: impl IntoIterator<Item = u64>) -> Vec<Origin> {
    let origins = lock(&OBSERVED);
    let mut found = Vec::new();
    let mut seen_to = None;
    for position in positions {
        if seen_to.is_some_and(|end| position <= end) {
            continue;
        }
        if let Some((end, origin)) = origins.at(position) {
            seen_to = Some(end);
            add(&mut found, origin);
        }
    }
    found
}

impl Origins {
    const fn new() -> Self {
        Self {
            ranges: BTreeMap::new(),
        }
    }

    fn note(&mut self, positions: RangeInclusive<u64>, origin: Option<Origin>) {
        let (first, last) = positions.into_inner();
        // Positions only grow: what stands there is from a commit that failed.
        drop(self.ranges.split_off(&first));
        if let Some(mut before) = self.ranges.last_entry() {
            let end = &mut before.get_mut().0;
            *end = (*end).min(first.saturating_sub(1));
        }
        if let Some(origin) = origin {
            self.ranges.insert(first, (last, origin));
        }
        while self.ranges.len() > RANGES_MAX {
            self.ranges.pop_first();
        }
    }

    /// The end of the range that a position is in, and its origin.
    fn at(&self, position: u64) -> Option<(u64, &Origin)> {
        let (_, (end, origin)) = self.ranges.range(..=position).next_back()?;
        (position <= *end).then_some((*end, origin))
    }

    fn within(&self, positions: RangeInclusive<u64>) -> Vec<Origin> {
        let (first, last) = positions.into_inner();
        let mut found = Vec::new();
        if let Some((_, origin)) = self.at(first) {
            found.push(origin.clone());
        }
        if first < last {
            for (_, origin) in self.ranges.range(first + 1..=last).map(|(_, range)| range) {
                add(&mut found, origin);
            }
        }
        found
    }
}

/// Adds an origin that is not there yet, if there is room.
fn add(found: &mut Vec<Origin>, origin: &Origin) {
    if found.len() < ORIGINS_MAX && !found.contains(origin) {
        found.push(origin.clone());
    }
}

fn lock(origins: &'static Mutex<Origins>) -> MutexGuard<'static, Origins> {
    // Entries are put in whole.
    origins.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use opentelemetry::{SpanId, TraceFlags, TraceId};

    use super::*;

    fn origin(number: u64) -> Origin {
        Origin(SpanContext::new(
            TraceId::from(u128::from(number)),
            SpanId::from(number),
            TraceFlags::SAMPLED,
            false,
            opentelemetry::trace::TraceState::default(),
        ))
    }

    #[test]
    fn origins_are_found_by_the_positions_that_they_brought() {
        let mut origins = Origins::new();
        origins.note(1..=3, Some(origin(1)));
        origins.note(4..=4, None);
        origins.note(5..=9, Some(origin(2)));
        for (positions, expected) in [
            (1..=1, vec![1]),
            (2..=4, vec![1]),
            (3..=5, vec![1, 2]),
            (4..=4, vec![]),
            (6..=20, vec![2]),
            (10..=20, vec![]),
        ] {
            let expected: Vec<Origin> = expected.into_iter().map(origin).collect();
            assert_eq!(origins.within(positions.clone()), expected, "{positions:?}");
        }
    }

    #[test]
    fn what_a_commit_that_failed_left_is_replaced() {
        let mut origins = Origins::new();
        origins.note(1..=5, Some(origin(1)));
        origins.note(3..=4, Some(origin(2)));
        assert_eq!(origins.within(1..=2), [origin(1)]);
        assert_eq!(origins.within(3..=9), [origin(2)]);
        origins.note(1..=1, None);
        assert!(origins.within(1..=9).is_empty());
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let mut origins = Origins::new();
        for number in 1..=RANGES_MAX as u64 + 10 {
            origins.note(number..=number, Some(origin(number)));
        }
        assert_eq!(origins.ranges.len(), RANGES_MAX);
        assert!(origins.within(1..=10).is_empty());
        let all = origins.within(1..=u64::MAX);
        assert_eq!((all.len(), &all[0]), (ORIGINS_MAX, &origin(11)));
    }
}
