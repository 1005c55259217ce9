//! The catalogue: every series and log source that was ever spoken of, under a
//! number.
//!
//! Numbers are given in the order of first appearance in the journal, so that
//! a replay gives the same ones.

use std::collections::HashMap;
use std::sync::Arc;

use faultline_domain::entity::Entity;
use faultline_domain::envelope::Position;
use faultline_domain::labels::Labels;
use faultline_domain::telemetry::{LogSource, Reading, SeriesDef, SeriesKey};
use faultline_store::{LogSourceRecord, SeriesRecord};

/// Series and log sources by number, and numbers by what they stand for.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    series: Numbered<SeriesDef>,
    sources: Numbered<LogSource>,
    /// By number: for the sum and the count of one thing each other, and the
    /// series of their quotient.
    means: Vec<Option<Mean>>,
    /// The sum and the count of each thing, as far as they have come.
    halves: HashMap<Half, (Option<u32>, Option<u32>)>,
    new_series: Vec<SeriesRecord>,
    new_sources: Vec<LogSourceRecord>,
}

/// Two counters that make a mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mean {
    pub(crate) sum: u32,
    pub(crate) count: u32,
    /// The series of the quotient of their growth.
    pub(crate) series: u32,
}

impl Catalog {
    /// From what was recorded, in the order of numbers.
    pub(crate) fn restore(series: Vec<SeriesRecord>, sources: Vec<LogSourceRecord>) -> Self {
        let mut catalog = Self::default();
        for record in series {
            catalog.series.restore(record.id, record.def);
        }
        for record in sources {
            catalog.sources.restore(record.id, record.source);
        }
        let ids = 0..u32::try_from(catalog.series.len()).unwrap_or(u32::MAX);
        for id in ids {
            if let Some((sum, count)) = catalog.summands(id)
                && let Some(series) = catalog.mean_def(sum)
                && let Some(series) = catalog.series.find(&series)
            {
                catalog.pair(Mean { sum, count, series });
            }
        }
        catalog
    }

    /// The number of a series, which it gets now if it has none. None if there
    /// are too many.
    pub(crate) fn series(
        &mut self,
        def: &Arc<SeriesDef>,
        position: Position,
        series_max: usize,
    ) -> Option<u32> {
        if let Some(id) = self.series.find_shared(def) {
            return Some(id);
        }
        let id = self.add(def, position, series_max)?;
        self.look_for_mean(id, position, series_max);
        Some(id)
    }

    /// The number of a log source, which it gets now if it has none. None if
    /// there are too many.
    pub(crate) fn source(
        &mut self,
        source: &LogSource,
        position: Position,
        sources_max: usize,
    ) -> Option<u32> {
        if let Some(id) = self.sources.find(source) {
            return Some(id);
        }
        if self.sources.len() >= sources_max {
            return None;
        }
        let id = self.sources.add(Arc::new(source.clone()))?;
        self.new_sources.push(LogSourceRecord {
            id,
            source: source.clone(),
            first: position,
        });
        Some(id)
    }

    /// What a number stands for.
    pub(crate) fn series_def(&self, id: u32) -> Option<&SeriesDef> {
        self.series.get(id)
    }

    /// What a number stands for.
    pub(crate) fn log_source(&self, id: u32) -> Option<&LogSource> {
        self.sources.get(id)
    }

    /// The mean that a counter is a part of.
    pub(crate) fn mean_of(&self, id: u32) -> Option<Mean> {
        self.means.get(id as usize).copied().flatten()
    }

    /// How many series there are.
    pub(crate) fn series_count(&self) -> usize {
        self.series.len()
    }

    /// What is new since this was last asked.
    pub(crate) fn take_new(&mut self) -> (Vec<SeriesRecord>, Vec<LogSourceRecord>) {
        (
            std::mem::take(&mut self.new_series),
            std::mem::take(&mut self.new_sources),
        )
    }

    fn add(&mut self, def: &Arc<SeriesDef>, position: Position, series_max: usize) -> Option<u32> {
        if self.series.len() >= series_max {
            return None;
        }
        let id = self.series.add(Arc::clone(def))?;
        self.new_series.push(SeriesRecord {
            id,
            def: SeriesDef::clone(def),
            first: position,
        });
        Some(id)
    }

    fn look_for_mean(&mut self, id: u32, position: Position, series_max: usize) {
        if let Some((sum, count)) = self.summands(id)
            && let Some(def) = self.mean_def(sum)
            && let Some(series) = self.add(&Arc::new(def), position, series_max)
        {
            self.pair(Mean { sum, count, series });
        }
    }

    /// The sum and the count that a counter makes with one that was there
    /// before it.
    fn summands(&mut self, id: u32) -> Option<(u32, u32)> {
        let (half, role) = self.series.get(id).and_then(half)?;
        let both = self.halves.entry(half).or_default();
        match role {
            Role::Sum => both.0 = Some(id),
            Role::Count => both.1 = Some(id),
        }
        Some((both.0?, both.1?))
    }

    /// What the mean of a sum measures.
    fn mean_def(&self, sum: u32) -> Option<SeriesDef> {
        let def = self.series.get(sum)?;
        let (half, _) = half(def)?;
        Some(SeriesDef {
            key: SeriesKey {
                name: format!("mean({})", half.name),
                unit: def.key.unit.clone(),
                entity: half.entity,
                attributes: half.attributes,
            },
            reading: Reading::Gauge,
        })
    }

    fn pair(&mut self, mean: Mean) {
        let most = mean.sum.max(mean.count) as usize;
        if self.means.len() <= most {
            self.means.resize(most + 1, None);
        }
        self.means[mean.sum as usize] = Some(mean);
        self.means[mean.count as usize] = Some(mean);
    }
}

/// Things with the numbers 0, 1, 2, …
#[derive(Debug)]
struct Numbered<T> {
    things: Vec<Arc<T>>,
    numbers: HashMap<Arc<T>, u32>,
    /// The numbers of things that somebody else holds too, by where they lie in
    /// memory. They are held here as well, so that nothing else comes to lie
    /// there.
    places: HashMap<usize, (Arc<T>, u32)>,
}

/// Places are forgotten when there are more than so many for each thing: those
/// who held what lies there have let go of it, and made it anew.
const PLACES_PER_THING: usize = 2;
/// But not while there are only a few.
const PLACES_MIN: usize = 1_024;

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self {
            things: Vec::new(),
            numbers: HashMap::new(),
            places: HashMap::new(),
        }
    }
}

impl<T: Eq + std::hash::Hash> Numbered<T> {
    /// Recorded numbers have no gaps; one that is not the next is ignored.
    fn restore(&mut self, id: u32, thing: T) {
        if id as usize == self.things.len() {
            let _ = self.add(Arc::new(thing));
        }
    }

    fn add(&mut self, thing: Arc<T>) -> Option<u32> {
        let id = u32::try_from(self.things.len()).ok()?;
        self.things.push(Arc::clone(&thing));
        self.numbers.insert(thing, id);
        Some(id)
    }

    /// As [`Numbered::find`]. Decoders that remember what they have met give the
    /// same object again, which is found without looking at what is in it.
    fn find_shared(&mut self, thing: &Arc<T>) -> Option<u32> {
        let place = Arc::as_ptr(thing).addr();
        if let Some((_, number)) = self.places.get(&place) {
            return Some(*number);
        }
        let number = self.find(thing)?;
        // What nobody else holds is not met again.
        if Arc::strong_count(thing) > 1 {
            self.hold(number, thing);
            let most = PLACES_MIN.max(self.things.len() * PLACES_PER_THING);
            if self.places.len() >= most {
                self.places.clear();
            }
            self.places.insert(place, (Arc::clone(thing), number));
        }
        Some(number)
    }

    /// Lets go of the object that a number stands for, for an equal one: two of
    /// them would take the memory of two.
    fn hold(&mut self, number: u32, thing: &Arc<T>) {
        if let Some(held) = self.things.get_mut(number as usize) {
            let former = std::mem::replace(held, Arc::clone(thing));
            self.places.remove(&Arc::as_ptr(&former).addr());
            self.numbers.remove(thing);
            self.numbers.insert(Arc::clone(thing), number);
        }
    }

    fn find(&self, thing: &T) -> Option<u32> {
        self.numbers.get(thing).copied()
    }

    fn get(&self, id: u32) -> Option<&T> {
        self.things.get(id as usize).map(Arc::as_ref)
    }

    fn len(&self) -> usize {
        self.things.len()
    }
}

/// Which part of a mean a counter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Sum,
    Count,
}

/// What a sum and a count have in common. Not the unit: a count counts things,
/// whatever unit their sum is in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Half {
    name: String,
    reading: Reading,
    entity: Option<Entity>,
    attributes: Labels,
}

/// How the names of sums and counts end, in Prometheus and in OpenTelemetry.
const ENDS: [(&str, Role); 4] = [
    ("_sum", Role::Sum),
    ("_count", Role::Count),
    (".sum", Role::Sum),
    (".count", Role::Count),
];

/// Whether a counter is the sum or the count of something, by its name.
fn half(def: &SeriesDef) -> Option<(Half, Role)> {
    if def.reading == Reading::Gauge {
        return None;
    }
    let (name, role) = ENDS.iter().find_map(|(end, role)| {
        let name = def.key.name.strip_suffix(end)?;
        (!name.is_empty()).then_some((name, *role))
    })?;
    let half = Half {
        name: name.to_owned(),
        reading: def.reading,
        entity: def.key.entity.clone(),
        attributes: def.key.attributes.clone(),
    };
    Some((half, role))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(name: &str, unit: &str) -> Arc<SeriesDef> {
        Arc::new(SeriesDef {
            key: SeriesKey {
                name: name.to_owned(),
                unit: unit.to_owned(),
                entity: None,
                attributes: Labels::default(),
            },
            reading: Reading::Counter,
        })
    }

    #[test]
    fn numbers_are_given_once_and_in_order() {
        let mut catalog = Catalog::default();
        let position = Position(1);
        assert_eq!(catalog.series(&counter("a", ""), position, 2), Some(0));
        assert_eq!(catalog.series(&counter("b", ""), position, 2), Some(1));
        assert_eq!(catalog.series(&counter("c", ""), position, 2), None);
        assert_eq!(catalog.series(&counter("a", ""), position, 2), Some(0));
        assert_eq!(catalog.take_new().0.len(), 2);
        assert_eq!(catalog.take_new().0.len(), 0);
    }

    #[test]
    fn the_same_object_has_the_number_of_its_contents() {
        let mut catalog = Catalog::default();
        let (first, again) = (counter("a", ""), counter("a", ""));
        let kept = Arc::clone(&again);
        for def in [&first, &again, &kept, &again] {
            assert_eq!(catalog.series(def, Position(1), 1), Some(0));
        }
        assert!(Arc::ptr_eq(&catalog.series.things[0], &again), "held twice");
        // What lies where something lay before is found by what is in it.
        for number in 0..2 * PLACES_MIN {
            let other = counter(&format!("b{number}"), "");
            let held = Arc::clone(&other);
            assert_eq!(catalog.series(&held, Position(1), 1), None);
            let same = counter("a", "");
            let held = Arc::clone(&same);
            assert_eq!(catalog.series(&held, Position(1), 1), Some(0));
        }
        assert!(catalog.series.places.len() <= PLACES_MIN);
    }

    #[test]
    fn a_sum_and_a_count_make_a_mean_also_after_a_restart() {
        for (sum, count, unit) in [("d_sum", "d_count", ""), ("d.sum", "d.count", "s")] {
            let mut catalog = Catalog::default();
            let sum = catalog.series(&counter(sum, unit), Position(1), 10);
            let count = catalog.series(&counter(count, ""), Position(1), 10);
            let mean = catalog.mean_of(0).expect("a mean");
            assert_eq!((Some(mean.sum), Some(mean.count)), (sum, count));
            let def = catalog.series_def(mean.series).expect("a series");
            assert_eq!(
                (def.key.name.as_str(), def.key.unit.as_str()),
                ("mean(d)", unit)
            );
            let restored = Catalog::restore(catalog.take_new().0, Vec::new());
            assert_eq!(restored.mean_of(1), Some(mean));
        }
    }
}
