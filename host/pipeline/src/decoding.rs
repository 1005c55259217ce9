//! Decoding a batch: each format by its reader, connectors under supervision.

use std::collections::BTreeMap;

use faultline_domain::decode::Decoded;
use faultline_domain::envelope::{Envelope, Format, Position};
use faultline_domain::fault::Fault;
use faultline_domain::id::{Digest, InstanceName};
use faultline_domain::plugin::Failure;
use faultline_domain::supervision::{Failed, Supervision, SupervisionPolicy};
use faultline_store::LetterKind;

use crate::plugins::{Plugins, Reader};
use crate::recorded::{Recorded, input};

/// The most envelopes, and bytes, that a decoder is given at once.
const DECODE_ENVELOPES_MAX: usize = 64;
const DECODE_BYTES_MAX: usize = 4 << 20;

/// Why there is nothing of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unread {
    pub(crate) kind: LetterKind,
    pub(crate) fault: Fault,
}

impl Unread {
    pub(crate) const fn fault(fault: Fault) -> Self {
        let kind = LetterKind::Fault;
        Self { kind, fault }
    }

    /// A plugin failed; on what it was given, unless it was not to blame.
    const fn failure(is_poison: bool, fault: Fault) -> Self {
        let kind = if is_poison {
            LetterKind::Poison
        } else {
            LetterKind::Failure
        };
        Self { kind, fault }
    }
}

/// A plugin was stopped by the host: the batch is begun again without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped;

/// What decoders said, by envelope.
pub(crate) type Answers = BTreeMap<Position, Result<Decoded, Unread>>;

/// Decodes what senders sent.
pub(crate) fn decode(
    envelopes: &[Envelope],
    plugins: &Plugins,
    supervision: &mut Supervision,
    policy: &SupervisionPolicy,
    recorded: &Recorded,
) -> Result<Answers, Stopped> {
    let mut by_format: BTreeMap<&Format, Vec<&Envelope>> = BTreeMap::new();
    for envelope in envelopes {
        let format = &envelope.arrival.format;
        if !format.is_own() {
            by_format.entry(format).or_default().push(envelope);
        }
    }
    let mut answers = Answers::new();
    for (format, envelopes) in by_format {
        let Some(reader) = plugins.readers.get(format) else {
            let fault = Fault::never(
                "no-reader",
                format!("nothing that runs reads `{format}`: enable its connector"),
            );
            let unread = Unread::fault(fault);
            answers.extend(envelopes.iter().map(|e| (e.position, Err(unread.clone()))));
            continue;
        };
        let mut desk = Desk {
            reader,
            supervised: match (format, reader.digest) {
                (Format::Connector(instance), Some(digest)) => Some((instance, digest)),
                _ => None,
            },
            supervision,
            policy,
            recorded,
            answers: &mut answers,
        };
        for some in portions(&envelopes) {
            desk.portion(some)?;
        }
    }
    Ok(answers)
}

/// Where the envelopes of one format are dealt with.
struct Desk<'a> {
    reader: &'a Reader,
    /// None if it is the host's own decoder.
    supervised: Option<(&'a InstanceName, Digest)>,
    supervision: &'a mut Supervision,
    policy: &'a SupervisionPolicy,
    recorded: &'a Recorded,
    answers: &'a mut Answers,
}

impl Desk<'_> {
    /// All of a portion in one call if that goes well, and one by one if not:
    /// the one that is to blame costs only itself, and each that fails counts,
    /// so that a connector that fails on everything is soon not called any more.
    /// One that comes alone is to blame itself, and is not given again to see.
    fn portion(&mut self, envelopes: &[&Envelope]) -> Result<(), Stopped> {
        let are_several = envelopes.len() > 1;
        if are_several && envelopes.iter().all(|envelope| self.may_be_given(envelope)) {
            match self.reader.decoder.decode(envelopes) {
                Ok(given) if given.len() == envelopes.len() => {
                    for (envelope, answer) in envelopes.iter().zip(given) {
                        self.answer(envelope, answer.map_err(Unread::fault));
                    }
                    return Ok(());
                }
                Err(Failure::Stopped) => return Err(Stopped),
                Ok(_) | Err(_) => {}
            }
        }
        for envelope in envelopes {
            self.single(envelope)?;
        }
        Ok(())
    }

    /// Whether nothing speaks against giving it this envelope.
    fn may_be_given(&mut self, envelope: &Envelope) -> bool {
        self.supervised.is_none_or(|(instance, _)| {
            let on_record = self.recorded.at(instance, envelope.position).is_some();
            let received = envelope.arrival.received;
            !on_record && self.supervision.may_call(instance, received)
        })
    }

    fn single(&mut self, envelope: &Envelope) -> Result<(), Stopped> {
        let Some((instance, _)) = self.supervised else {
            let answer = self.call(envelope)?;
            self.answer(envelope, answer);
            return Ok(());
        };
        let (position, received) = (envelope.position, envelope.arrival.received);
        if let Some(record) = self.recorded.at(instance, position) {
            self.failed(envelope, &record.failed(position));
            self.answers.insert(
                position,
                Err(Unread::failure(record.is_poison, record.fault())),
            );
        } else if self.supervision.may_call(instance, received) {
            let answer = self.call(envelope)?;
            self.answer(envelope, answer);
        } else {
            let state = self.supervision.get(instance);
            let state = state.map_or("stopped", |it| it.standing().as_str());
            let fault = Fault::never(
                state,
                format!("{instance} is {state}: send it again when that is over"),
            );
            let kind = LetterKind::Held;
            self.answers.insert(position, Err(Unread { kind, fault }));
        }
        Ok(())
    }

    fn call(&mut self, envelope: &Envelope) -> Result<Result<Decoded, Unread>, Stopped> {
        let failure = match self.reader.decoder.decode(&[envelope]) {
            Ok(answers) => match <[_; 1]>::try_from(answers) {
                Ok([answer]) => return Ok(answer.map_err(Unread::fault)),
                Err(answers) => {
                    Failure::Contract(format!("{} answers to one envelope", answers.len()))
                }
            },
            Err(Failure::Stopped) => return Err(Stopped),
            Err(failure) => failure,
        };
        let message = failure.to_string();
        let is_poison = !matches!(failure, Failure::Start(_));
        let on = is_poison.then(|| input(envelope.position));
        self.failed(envelope, &Failed::of(&failure, &message, on));
        Ok(Err(Unread::failure(is_poison, failure.to_fault())))
    }

    fn failed(&mut self, envelope: &Envelope, failed: &Failed<'_>) {
        if let Some((instance, digest)) = self.supervised {
            let received = envelope.arrival.received;
            self.supervision
                .failed(instance, digest, received, failed, self.policy);
        }
    }

    /// What was answered in words is an answer, be it a fault.
    fn answer(&mut self, envelope: &Envelope, answer: Result<Decoded, Unread>) {
        let answered = match &answer {
            Ok(_) => true,
            Err(unread) => unread.kind == LetterKind::Fault,
        };
        if let (true, Some((instance, _))) = (answered, self.supervised) {
            let received = envelope.arrival.received;
            self.supervision.succeeded(instance, received, self.policy);
        }
        self.answers.insert(envelope.position, answer);
    }
}

/// Runs of envelopes that are few enough, and small enough, for one call.
fn portions<'a, 'b>(envelopes: &'b [&'a Envelope]) -> Vec<&'b [&'a Envelope]> {
    let mut portions = Vec::new();
    let mut rest = envelopes;
    while !rest.is_empty() {
        let mut bytes = 0;
        let count = rest
            .iter()
            .take(DECODE_ENVELOPES_MAX)
            .take_while(|envelope| {
                let first = bytes == 0;
                bytes += envelope.arrival.body.len().max(1);
                first || bytes <= DECODE_BYTES_MAX
            })
            .count();
        let (portion, later) = rest.split_at(count.max(1));
        portions.push(portion);
        rest = later;
    }
    portions
}
