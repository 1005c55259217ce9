//! Plugins in process: simple enough to predict, with state enough to show
//! when it is lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use faultline_domain::decode::{Decoded, Decoder};
use faultline_domain::entity::Entity;
use faultline_domain::envelope::Envelope;
use faultline_domain::fault::Fault;
use faultline_domain::finding::{Finding, Subject};
use faultline_domain::id::{ChangeId, Digest, InstanceName};
use faultline_domain::labels::Labels;
use faultline_domain::plugin::{
    CallError, Correlator, Detector, DetectorFactory, Failure, Inputs, IntroducedSeries,
    IntroducedSource, Limit,
};
use faultline_domain::proposal::{
    Because, Blob, Cause, Confidence, Proposal, Reference, Target, Verdict,
};
use faultline_domain::severity::Severity;
use faultline_domain::signal::{AlertReport, Change, Dependency, Signal, StatedSeverity};
use faultline_domain::situation::Situation;
use faultline_domain::telemetry::{
    LogLines, Reading, Samples, SeriesDef, SeriesKey, Span, SpanKind, SpanOutcome,
};
use faultline_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What the decoder reads; times in seconds.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Payload {
    alerts: Vec<PayloadAlert>,
    changes: Vec<PayloadChange>,
    /// Metric, entity, time, value. Metrics that end in `_total`, `_sum` or
    /// `_count` are counters.
    samples: Vec<(String, String, u64, f64)>,
    spans: Vec<PayloadSpan>,
    /// Dependent and provider.
    edges: Vec<(String, String)>,
    /// Makes the decoder fail as a plugin does: `trap`, `memory`, `stopped`.
    fails: Option<String>,
}

#[derive(Debug, Deserialize)]
struct PayloadAlert {
    name: String,
    entity: String,
    firing: bool,
    started: u64,
    ended: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct PayloadChange {
    id: String,
    entity: String,
    at: u64,
}

#[derive(Debug, Deserialize)]
struct PayloadSpan {
    id: u8,
    parent: Option<u8>,
    service: String,
    client: bool,
    end: u64,
    failed: bool,
}

/// Decodes; counts the envelopes that it was given.
#[derive(Default)]
pub(crate) struct JsonDecoder {
    pub(crate) given: AtomicUsize,
    /// Whether it is a version that fails at nothing.
    pub(crate) mended: bool,
}

impl Decoder for JsonDecoder {
    fn decode(&self, envelopes: &[&Envelope]) -> Result<Vec<Result<Decoded, Fault>>, Failure> {
        self.given.fetch_add(envelopes.len(), Ordering::Relaxed);
        for envelope in envelopes {
            let payload: Result<Payload, _> = serde_json::from_slice(&envelope.arrival.body);
            let fails = payload.ok().and_then(|payload| payload.fails);
            match fails.filter(|_| !self.mended).as_deref() {
                None => {}
                Some("stopped") => return Err(Failure::Stopped),
                Some("memory") => {
                    return Err(Failure::Limit {
                        limit: Limit::Memory,
                        message: "wanted too much".to_owned(),
                    });
                }
                Some(_) => return Err(Failure::Trap("unreachable".to_owned())),
            }
        }
        let answers = envelopes.iter().map(|envelope| {
            let payload: Payload = serde_json::from_slice(&envelope.arrival.body)
                .map_err(|error| Fault::malformed(error.to_string()))?;
            decode(payload)
        });
        Ok(answers.collect())
    }
}

fn decode(payload: Payload) -> Result<Decoded, Fault> {
    let mut decoded = Decoded::default();
    for alert in payload.alerts {
        decoded.signals.push(Signal::Alert(AlertReport {
            identity: [("name", &alert.name)].into_iter().collect(),
            firing: alert.firing,
            title: alert.name,
            severity: StatedSeverity::from_word("high"),
            started: Timestamp::from_secs(alert.started),
            ended: alert.ended.map(Timestamp::from_secs),
            entities: vec![entity(&alert.entity)?],
            labels: Labels::default(),
            annotations: Labels::default(),
            link: None,
        }));
    }
    for change in payload.changes {
        decoded.signals.push(Signal::Change(Change {
            id: ChangeId::derive([change.id.as_bytes()]),
            reference: change.id.clone(),
            kind: "deployment".to_owned(),
            title: change.id,
            at: Timestamp::from_secs(change.at),
            entities: vec![entity(&change.entity)?],
            attributes: Labels::default(),
            link: None,
        }));
    }
    for (index, (name, of, time, value)) in (0..).zip(payload.samples) {
        let is_counter = ["_total", "_sum", "_count"]
            .iter()
            .any(|end| name.ends_with(end));
        let series = SeriesDef {
            key: SeriesKey {
                name,
                unit: String::new(),
                entity: Some(entity(&of)?),
                attributes: Labels::default(),
            },
            reading: if is_counter {
                Reading::Counter
            } else {
                Reading::Gauge
            },
        };
        decoded.series.push(Arc::new(series));
        decoded
            .samples
            .push(index, Timestamp::from_secs(time), value);
    }
    for (dependent, provider) in payload.edges {
        decoded.signals.push(Signal::Dependency(Dependency {
            dependent: entity(&dependent)?,
            provider: entity(&provider)?,
            relation: "calls".to_owned(),
            seen: Timestamp::ZERO,
        }));
    }
    for span in payload.spans {
        decoded.spans.push(Span {
            trace: [1; 16],
            id: [span.id; 8],
            parent: span.parent.map(|parent| [parent; 8]),
            service: Some(entity(&span.service)?),
            kind: if span.client {
                SpanKind::Client
            } else {
                SpanKind::Server
            },
            operation: "GET /".to_owned(),
            peer: None,
            start: Timestamp::from_secs(span.end - 1),
            end: Timestamp::from_secs(span.end),
            outcome: if span.failed {
                SpanOutcome::Error
            } else {
                SpanOutcome::Ok
            },
        });
    }
    Ok(decoded)
}

fn entity(text: &str) -> Result<Entity, Fault> {
    text.parse()
        .map_err(|error| Fault::malformed(format!("{error}")))
}

/// A value of which it finds that something is wrong when it comes twice.
pub(crate) const WRONG: f64 = 100.0;
/// A value that makes it trap.
pub(crate) const TRAPS: f64 = 666.0;
/// A value that makes it trap even if it is one of many in a call.
pub(crate) const LOOPS: f64 = 777.0;
/// A value that makes it trap only if it is one of many in a call.
pub(crate) const CROWDED: f64 = 555.0;
/// A value after which it cannot say any more what it knows.
pub(crate) const FORGETS: f64 = 444.0;

/// Finds that a series is wrong when two values in a row are over a hundred,
/// and right again at the first that is not. At each tick it finds who has said
/// nothing since the tick before.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Twice {
    series: BTreeMap<u32, Watched>,
    forgets: bool,
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Watched {
    name: String,
    in_a_row: u32,
    heard: bool,
    silent: bool,
}

pub(crate) struct TwiceFactory(InstanceName);

impl Twice {
    pub(crate) fn factory(name: &str) -> TwiceFactory {
        TwiceFactory(InstanceName::new(name).expect("a name"))
    }
}

impl DetectorFactory for TwiceFactory {
    fn instance(&self) -> &InstanceName {
        &self.0
    }

    fn digest(&self) -> Digest {
        Digest::of(b"twice")
    }

    fn inputs(&self) -> Inputs {
        Inputs {
            samples: true,
            logs: false,
        }
    }

    fn start(&self) -> Result<Box<dyn Detector>, Failure> {
        Ok(Box::new(Twice::default()))
    }
}

impl Detector for Twice {
    fn introduce(
        &mut self,
        series: &[IntroducedSeries],
        _: &[IntroducedSource],
    ) -> Result<(), CallError> {
        for series in series {
            let watched = self.series.entry(series.id).or_default();
            watched.name.clone_from(&series.key.name);
        }
        Ok(())
    }

    fn samples(&mut self, batch: &Samples) -> Result<Vec<Finding>, CallError> {
        let mut findings = Vec::new();
        for (row, (series, at, value)) in (0..).zip(batch.rows()) {
            if value == TRAPS {
                return Err(Failure::Trap("unreachable".to_owned()).into());
            }
            if value == CROWDED && batch.len() > 4 {
                return Err(Failure::Trap("too many".to_owned()).into());
            }
            self.forgets |= value == FORGETS;
            if value == LOOPS {
                return Err(Failure::Limit {
                    limit: Limit::Cpu,
                    message: "too long".to_owned(),
                }
                .into());
            }
            let Some(watched) = self.series.get_mut(&series) else {
                return Err(Fault::never("unknown", "never introduced").into());
            };
            watched.heard = true;
            let before = watched.in_a_row;
            watched.in_a_row = if value > WRONG { before + 1 } else { 0 };
            if watched.in_a_row == 2 || (before >= 2 && watched.in_a_row == 0) {
                findings.push(Finding {
                    value: Some(value),
                    row: Some(row),
                    ..finding("wrong", series, watched, watched.in_a_row == 2, at)
                });
            }
        }
        Ok(findings)
    }

    fn logs(&mut self, _: &LogLines) -> Result<Vec<Finding>, CallError> {
        Err(Fault::never("unsupported", "no lines, please").into())
    }

    fn tick(&mut self, watermark: Timestamp) -> Result<Vec<Finding>, CallError> {
        let mut findings = Vec::new();
        for (id, watched) in &mut self.series {
            let silent = !std::mem::take(&mut watched.heard);
            if silent != watched.silent {
                watched.silent = silent;
                findings.push(finding("silent", *id, watched, silent, watermark));
            }
        }
        Ok(findings)
    }

    fn save(&mut self) -> Result<Vec<u8>, CallError> {
        if self.forgets {
            return Err(Failure::Limit {
                limit: Limit::State,
                message: "too much to say".to_owned(),
            }
            .into());
        }
        Ok(serde_json::to_vec(self).expect("plain structures"))
    }

    fn load(&mut self, state: &[u8]) -> Result<(), CallError> {
        *self = serde_json::from_slice(state)
            .map_err(|error| Fault::never("state", error.to_string()))?;
        Ok(())
    }
}

fn finding(key: &str, series: u32, watched: &Watched, firing: bool, at: Timestamp) -> Finding {
    Finding {
        key: key.to_owned(),
        firing,
        subject: Subject::Series(series),
        row: None,
        title: format!("{} is {key}", watched.name),
        severity: Severity::High,
        score: 0.9,
        started: at,
        at,
        value: None,
        expected: None,
        attributes: Labels::default(),
        extra: Some(Blob {
            media_type: "text/plain".to_owned(),
            bytes: key.as_bytes().to_vec(),
        }),
    }
}

/// One incident an entity; suspects every change of it. Counts its calls.
pub(crate) struct ByEntity {
    instance: InstanceName,
    fails: bool,
}

impl ByEntity {
    pub(crate) fn new() -> Self {
        Self {
            instance: InstanceName::new("by-entity").expect("a name"),
            fails: false,
        }
    }

    /// One that traps at every call.
    pub(crate) fn failing() -> Self {
        Self {
            fails: true,
            ..Self::new()
        }
    }
}

impl Correlator for ByEntity {
    fn instance(&self) -> &InstanceName {
        &self.instance
    }

    fn digest(&self) -> Digest {
        Digest::of(b"by-entity")
    }

    fn correlate(&self, situation: &Situation, state: Option<&Blob>) -> Result<Verdict, CallError> {
        if self.fails {
            return Err(Failure::Trap("unreachable".to_owned()).into());
        }
        let calls = state
            .and_then(|blob| blob.bytes.first().copied())
            .unwrap_or(0);
        let because = |reason: &str, references: Vec<Reference>| Because {
            reason: reason.to_owned(),
            confidence: Confidence::new(0.5).expect("0 to 1"),
            evidence: vec![faultline_domain::proposal::Evidence {
                text: format!("call {calls}"),
                references,
            }],
            against: Vec::new(),
        };
        let mut proposals = Vec::new();
        let mut targets: BTreeMap<&Entity, Target> = BTreeMap::new();
        for incident in &situation.incidents {
            for entity in &incident.entities {
                targets.insert(entity, Target::Incident(incident.id));
            }
        }
        for alert in &situation.alerts {
            let is_member = situation.membership.contains_key(&alert.id);
            if !situation.news.contains(&alert.id) || is_member || !alert.firing {
                continue;
            }
            let Some(entity) = alert.entities.first() else {
                continue;
            };
            let references = vec![Reference::Alert(alert.id)];
            let members = vec![alert.id];
            if let Some(target) = targets.get(entity) {
                proposals.push(Proposal::Join {
                    target: target.clone(),
                    members,
                    because: because("same entity", references),
                });
                continue;
            }
            let tag = entity.to_string();
            targets.insert(entity, Target::Opening(tag.clone()));
            proposals.push(Proposal::Open {
                tag,
                title: format!("{entity}: {}", alert.title),
                members,
                because: because("alone", references),
            });
        }
        for change in &situation.changes {
            if let Some(target) = change.entities.first().and_then(|e| targets.get(e)) {
                proposals.push(Proposal::Blame {
                    target: target.clone(),
                    cause: Cause::Change(change.id),
                    because: Because {
                        evidence: Vec::new(),
                        ..because("changed", Vec::new())
                    },
                });
            }
        }
        Ok(Verdict {
            proposals,
            state: Some(Blob {
                media_type: "application/x-calls".to_owned(),
                bytes: vec![calls.wrapping_add(1)],
            }),
        })
    }
}
