//! Detectors at work: shards that live as long as the stage does.

use std::sync::Arc;

use faultline_domain::finding::{Finding, Subject};
use faultline_domain::id::InstanceName;
use faultline_domain::plugin::{CallError, Detector, DetectorFactory, Failure, Inputs};
use faultline_own_traces::carried;
use serde::{Deserialize, Serialize};

use crate::feed::{Call, Feed};
use crate::numbers::Numbers;

/// A shard of one detector.
pub(crate) struct Shard {
    factory: Arc<dyn DetectorFactory>,
    /// Which of the detectors, in configured order.
    order: u32,
    /// Which of its shards.
    pub(crate) index: u32,
    detector: Box<dyn Detector>,
    introduced: Introduced,
}

/// What a shard has been told about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Introduced {
    series: Numbers,
    sources: Numbers,
}

/// A shard as it is saved: what the detector says, and what it was told.
#[derive(Serialize, Deserialize)]
struct Saved {
    introduced: Introduced,
    state: Vec<u8>,
}

/// A finding in its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placed {
    /// The envelope that brought it about, within the batch.
    pub(crate) envelope: u32,
    pub(crate) instance: InstanceName,
    pub(crate) finding: Finding,
    order: Order,
}

/// What decides in which order the findings of one envelope apply. Whether rows
/// came in one call or in many does not matter: rows before steps of time, then
/// by time, subject and key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    detector: u32,
    step: Option<u64>,
    at: u64,
    subject: (u8, String),
    key: String,
    /// Findings that agree in all that keep the order in which they were made.
    sequence: usize,
}

/// A detector failed while it dealt with an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShardFailure {
    pub(crate) instance: InstanceName,
    /// The first envelope of the call that failed, and the last, within the
    /// batch.
    pub(crate) envelopes: (u32, u32),
    pub(crate) failure: Failure,
}

impl ShardFailure {
    /// The detector could not say what its state is.
    pub(crate) fn while_saving(shard: &Shard, error: CallError) -> Self {
        let failure = match error {
            CallError::Failure(failure) => failure,
            CallError::Fault(fault) => Failure::Contract(format!("refuses to save: {fault}")),
        };
        Self {
            instance: shard.instance().clone(),
            envelopes: (0, u32::MAX),
            failure,
        }
    }

    /// Whether it was not its own doing.
    pub(crate) fn is_stop(&self) -> bool {
        self.failure == Failure::Stopped
    }

    /// The one envelope that it failed on, within the batch, if it is certain
    /// which.
    pub(crate) fn only_envelope(&self, batch: usize) -> Option<usize> {
        match self.envelopes {
            (first, last) if first == last => Some(first as usize),
            _ if batch == 1 => Some(0),
            _ => None,
        }
    }
}

impl Shard {
    /// A shard that goes on from a saved state; from nothing if there is none,
    /// or the detector refuses it.
    pub(crate) fn resume(
        factory: &Arc<dyn DetectorFactory>,
        order: u32,
        index: u32,
        saved: Option<&[u8]>,
    ) -> Result<Self, Failure> {
        let mut shard = Self {
            factory: Arc::clone(factory),
            order,
            index,
            detector: factory.start()?,
            introduced: Introduced::default(),
        };
        match saved.map(|saved| shard.load(saved)) {
            None | Some(Ok(())) => {}
            Some(Err(CallError::Fault(fault))) => tracing::warn!(
                plugin.instance = %shard.instance(),
                "detector {} begins anew, as it refuses what it saved: {fault}",
                shard.instance()
            ),
            Some(Err(CallError::Failure(failure))) => return Err(failure),
        }
        Ok(shard)
    }

    /// Under which name the state of a shard is saved. Another number of
    /// shards is another state.
    pub(crate) fn checkpoint_name_of(instance: &InstanceName, index: u32, shards: u32) -> String {
        format!("detector/{instance}/{index}-of-{shards}")
    }

    /// Under which name its state is saved.
    pub(crate) fn checkpoint_name(&self, shards: u32) -> String {
        Self::checkpoint_name_of(self.instance(), self.index, shards)
    }

    pub(crate) fn instance(&self) -> &InstanceName {
        self.factory.instance()
    }

    pub(crate) fn inputs(&self) -> Inputs {
        self.factory.inputs()
    }

    /// Whether the series has been announced; from now on it has.
    pub(crate) fn knows_series(&mut self, id: u32) -> bool {
        !self.introduced.series.insert(id)
    }

    /// Whether the log source has been announced; from now on it has.
    pub(crate) fn knows_source(&mut self, id: u32) -> bool {
        !self.introduced.sources.insert(id)
    }

    /// Makes the calls, and gives what was found.
    pub(crate) fn run(&mut self, feed: Feed) -> Result<Vec<Placed>, ShardFailure> {
        let mut placed = Vec::new();
        for call in feed.into_calls() {
            let envelopes = span(&call);
            let findings = self.call(&call).map_err(|failure| ShardFailure {
                instance: self.instance().clone(),
                envelopes,
                failure,
            })?;
            for finding in findings {
                let sequence = placed.len();
                placed.push(self.place(finding, &call, sequence));
            }
        }
        placed.sort_by(|a, b| (a.envelope, &a.order).cmp(&(b.envelope, &b.order)));
        Ok(placed)
    }

    /// The state, to be given to [`Shard::load`].
    pub(crate) fn save(&mut self) -> Result<Vec<u8>, CallError> {
        let saved = Saved {
            introduced: self.introduced.clone(),
            state: self.detector.save()?,
        };
        postcard::to_allocvec(&saved)
            .map_err(|error| Failure::Contract(format!("state cannot be kept: {error}")).into())
    }

    fn load(&mut self, data: &[u8]) -> Result<(), CallError> {
        let saved: Saved = postcard::from_bytes(data)
            .map_err(|error| Failure::Contract(format!("not a saved state: {error}")))?;
        self.detector.load(&saved.state)?;
        self.introduced = saved.introduced;
        Ok(())
    }

    /// A fault of a detector is an answer without findings.
    fn call(&mut self, call: &Call) -> Result<Vec<Finding>, Failure> {
        let answer = match call {
            Call::Introduce(series, sources) => self
                .detector
                .introduce(series, sources)
                .map(|()| Vec::new()),
            Call::Samples(samples, _) => self.detector.samples(samples),
            Call::Logs(logs, _) => self.detector.logs(logs),
            Call::Tick(watermark, _) => self.detector.tick(*watermark),
        };
        match answer {
            Ok(findings) => Ok(findings),
            Err(CallError::Fault(fault)) => {
                tracing::warn!(
                    plugin.instance = %self.instance(),
                    fault.code = %fault.code,
                    "detector {} refuses: {fault}",
                    self.instance()
                );
                Ok(Vec::new())
            }
            Err(CallError::Failure(failure)) => Err(failure),
        }
    }

    fn place(&self, finding: Finding, call: &Call, sequence: usize) -> Placed {
        let (first, last) = span(call);
        let (rows, step) = match call {
            Call::Samples(_, envelopes) | Call::Logs(_, envelopes) => (envelopes.as_slice(), None),
            Call::Tick(watermark, _) => ([].as_slice(), Some(watermark.as_micros())),
            Call::Introduce(..) => ([].as_slice(), None),
        };
        // Findings of steps of time have no row, and belong to the last envelope
        // before the step.
        let envelope = finding
            .row
            .and_then(|row| rows.get(row as usize).copied())
            .unwrap_or(last)
            .max(first);
        let subject = match &finding.subject {
            Subject::Series(id) => (0, format!("{id:010}")),
            Subject::LogSource(id) => (1, format!("{id:010}")),
            Subject::Entity(entity) => (2, entity.to_string()),
        };
        Placed {
            envelope,
            instance: self.instance().clone(),
            order: Order {
                detector: self.order,
                step,
                at: finding.at.as_micros(),
                subject,
                key: finding.key.clone(),
                sequence,
            },
            finding,
        }
    }
}

/// The first and the last envelope that a call deals with.
fn span(call: &Call) -> (u32, u32) {
    match call {
        Call::Introduce(..) => (0, u32::MAX),
        Call::Samples(_, envelopes) | Call::Logs(_, envelopes) => (
            envelopes.first().copied().unwrap_or(0),
            envelopes.last().copied().unwrap_or(u32::MAX),
        ),
        Call::Tick(_, envelope) => (*envelope, *envelope),
    }
}

/// Runs all shards side by side and gives what they found, in the order in
/// which it applies; or the failures, if any failed.
pub(crate) fn run_all(
    shards: &mut [Shard],
    feeds: Vec<Feed>,
) -> Result<Vec<Placed>, Vec<ShardFailure>> {
    let outcomes: Vec<Result<Vec<Placed>, ShardFailure>> = if shards.len() <= 1 {
        shards
            .iter_mut()
            .zip(feeds)
            .map(|(shard, feed)| shard.run(feed))
            .collect()
    } else {
        std::thread::scope(|scope| {
            let running: Vec<_> = shards
                .iter_mut()
                .zip(feeds)
                .map(|(shard, feed)| scope.spawn(carried(move || shard.run(feed))))
                .collect();
            running
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        })
    };
    let mut all = Vec::new();
    let mut failures = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(placed) => all.extend(placed),
            Err(failure) => failures.push(failure),
        }
    }
    if !failures.is_empty() {
        return Err(failures);
    }
    all.sort_by(|a, b| (a.envelope, &a.order).cmp(&(b.envelope, &b.order)));
    Ok(all)
}
