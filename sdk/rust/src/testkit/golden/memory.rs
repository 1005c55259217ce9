//! Whether a connector remembers: a guest that is kept warm must answer as one
//! that was started for the call.

use std::collections::BTreeMap;
use std::slice;

use serde_json::Value;

use crate::testkit::FakeHost;
use crate::testkit::apart::apart;
use crate::{Connector, Decoded, Envelope, Fault};

/// One for each envelope.
pub(super) type Answers = Vec<Result<Decoded, Fault>>;

/// A case that was gone through: what was answered to each envelope by a guest
/// that had seen none before.
pub(super) struct Played {
    /// The file.
    pub(super) place: String,
    pub(super) config: Value,
    pub(super) envelopes: Vec<Envelope>,
    pub(super) answers: Answers,
}

/// Has all cases of one configuration decoded once more by what would be one
/// guest, there and back, so that each payload comes before and after each other
/// one; and gives a complaint about each answer that is another one then.
///
/// What follows from the configuration may be kept, so guests of different
/// configurations have nothing to do with one another.
pub(super) fn complaints<C: Connector>(played: &[Played]) -> Vec<String> {
    let mut by_config: BTreeMap<String, Vec<&Played>> = BTreeMap::new();
    for case in played {
        let of_config = by_config.entry(case.config.to_string()).or_default();
        of_config.push(case);
    }
    let guests = by_config.into_values();
    guests
        .flat_map(|cases| complaints_of::<C>(&cases))
        .collect()
}

fn complaints_of<C: Connector>(cases: &[&Played]) -> Vec<String> {
    let steps: Vec<(&str, usize, &Envelope, &Result<Decoded, Fault>)> = cases
        .iter()
        .flat_map(|case| {
            let answered = case.envelopes.iter().zip(&case.answers).enumerate();
            answered
                .map(|(index, (envelope, answer))| (case.place.as_str(), index, envelope, answer))
        })
        .collect();
    let Some(config) = cases.first().map(|case| &case.config) else {
        return Vec::new();
    };
    apart(|| {
        let host = FakeHost::new().with_config(config);
        let there_and_back = steps.iter().chain(steps.iter().rev());
        let differs = there_and_back.filter(|(_, _, envelope, answer)| {
            let envelope = slice::from_ref(*envelope);
            host.run(|| crate::connector::decode::<C>(envelope)) != slice::from_ref(*answer)
        });
        let mut complaints: Vec<String> = differs
            .map(|(place, index, _, _)| {
                format!(
                    "{place}: steps[{index}]: after other envelopes this one has another answer: \
                     the connector remembers what came in, and a guest that is kept warm must \
                     not. Keep what follows from the configuration, and nothing else"
                )
            })
            .collect();
        complaints.sort();
        complaints.dedup();
        complaints
    })
}
