//! Failures that are on record: what an instance failed on is known when the
//! same envelopes are dealt with again, and need not be found out by failing.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use faultline_domain::envelope::{Envelope, Format, Position};
use faultline_domain::fault::Fault;
use faultline_domain::id::{InstanceName, SourceName};
use faultline_domain::plugin::Failure;
use faultline_domain::supervision::Failed;
use faultline_domain::time::Timestamp;
use faultline_store::{DeadLetter, LetterKind, StagePosition};

/// What letters about detectors name as their reader, before the instance.
const DETECTOR_READER: &str = "detector:";

/// Where a failure happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) position: Position,
    pub(crate) received: Timestamp,
    pub(crate) source: SourceName,
}

impl From<&Envelope> for Place {
    fn from(envelope: &Envelope) -> Self {
        Self {
            position: envelope.position,
            received: envelope.arrival.received,
            source: envelope.arrival.source.clone(),
        }
    }
}

impl From<StagePosition> for Place {
    fn from(reached: StagePosition) -> Self {
        Self {
            position: reached.position,
            received: reached.clock,
            source: host_source(),
        }
    }
}

/// What letters name as their source where no payload is to blame.
pub(crate) fn host_source() -> SourceName {
    SourceName::new("host").expect("four letters")
}

/// Failures by instance and envelope.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorded(BTreeMap<InstanceName, BTreeMap<Position, Record>>);

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Whether the envelope is to blame, and therefore not shown again.
    pub(crate) is_poison: bool,
    code: String,
    message: String,
}

impl Record {
    /// As the supervisor is told of it.
    pub(crate) fn failed(&self, position: Position) -> Failed<'_> {
        Failed {
            code: &self.code,
            message: &self.message,
            input: self.is_poison.then(|| input(position)),
        }
    }

    /// As the letter says it.
    pub(crate) fn fault(&self) -> Fault {
        Fault::never(self.code.clone(), self.message.clone())
    }
}

/// What supervisors call an envelope.
pub(crate) fn input(position: Position) -> String {
    format!("envelope {position}")
}

impl Recorded {
    /// What is on record about an instance and an envelope.
    pub(crate) fn at(&self, instance: &InstanceName, position: Position) -> Option<&Record> {
        self.0.get(instance)?.get(&position)
    }

    /// An instance failed. Poison stays poison, whatever else happens there.
    pub(crate) fn add(&mut self, instance: InstanceName, position: Position, record: Record) {
        let records = self.0.entry(instance).or_default();
        let known = records.get(&position);
        if !known.is_some_and(|known| known.is_poison) {
            records.insert(position, record);
        }
    }

    /// Whether any of these envelopes is to blame for a failure of an instance.
    pub(crate) fn has_poison(
        &self,
        instance: &InstanceName,
        within: RangeInclusive<Position>,
    ) -> bool {
        self.0
            .get(instance)
            .is_some_and(|records| records.range(within).any(|(_, record)| record.is_poison))
    }

    /// What lies at or before a position is not dealt with again.
    pub(crate) fn forget_until(&mut self, position: Position) {
        for records in self.0.values_mut() {
            records.retain(|at, _| *at > position);
        }
        self.0.retain(|_, records| !records.is_empty());
    }

    /// From letters that lie in the store.
    pub(crate) fn restore(&mut self, letters: Vec<DeadLetter>) {
        for letter in letters {
            if let Some(instance) = instance_of(&letter.reader) {
                let record = Record {
                    is_poison: letter.kind == LetterKind::Poison,
                    code: letter.code,
                    message: letter.message,
                };
                self.add(instance, letter.position, record);
            }
        }
    }

    /// A detector failed on an envelope: puts it on record, and gives the letter
    /// about it.
    pub(crate) fn detector_failed(
        &mut self,
        instance: &InstanceName,
        place: Place,
        kind: LetterKind,
        failure: &Failure,
        message: String,
    ) -> DeadLetter {
        let letter = DeadLetter {
            position: place.position,
            reader: format!("{DETECTOR_READER}{instance}"),
            kind,
            received: place.received,
            source: place.source,
            code: failure.code().to_owned(),
            message,
        };
        self.restore(vec![letter.clone()]);
        letter
    }
}

fn instance_of(reader: &str) -> Option<InstanceName> {
    if let Some(instance) = reader.strip_prefix(DETECTOR_READER) {
        return InstanceName::new(instance).ok();
    }
    match Format::try_from(reader.to_owned()) {
        Ok(Format::Connector(instance)) => Some(instance),
        _ => None,
    }
}
