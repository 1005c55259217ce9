//! The observe stage as a fold over the journal: envelopes in, results out.
//!
//! The unit is the envelope: what is made of one depends on those before it
//! and on itself, never on how many were read at once. Batches only save calls
//! and commits. Each batch goes through in two steps, so that alerts that are
//! not at hand can be fetched in between: [`Observer::watch`] decodes, derives
//! and detects; [`Observer::conclude`] lets reports and findings act on alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use faultline_domain::alert::{Measurement, Origin, Outcome, Report, fingerprint};
use faultline_domain::conventions;
use faultline_domain::decode::Decoded;
use faultline_domain::entity::Entity;
use faultline_domain::envelope::{Envelope, Format, Position};
use faultline_domain::fault::Fault;
use faultline_domain::finding::Subject;
use faultline_domain::id::{AlertId, InstanceName, SourceName};
use faultline_domain::incidents::Command;
use faultline_domain::labels::Labels;
use faultline_domain::plugin::DetectorFactory;
use faultline_domain::signal::{AlertReport, Change, Dependency, Signal, StatedSeverity};
use faultline_domain::situation::AlertView;
use faultline_domain::supervision::{Supervision, SupervisionPolicy};
use faultline_domain::time::Timestamp;
use faultline_domain::topology::Topology;
use faultline_store::{
    ChangeRecord, Checkpoint, CommandEnvelope, CommandRecord, DeadLetter, DependencyRecord,
    HostEnvelope, ObserveCommit, SourceRecord, StagePosition, TransitionWrite,
};

use crate::alert_book::{AlertBook, OverShare, Share};
use crate::decoding::{self, Stopped, Unread};
use crate::detection::{Placed, Shard, ShardFailure, run_all};
use crate::feed::Feed;
use crate::plugins::Plugins;
use crate::recorded::Recorded;
use crate::settings::ObserveSettings;
use crate::telemetry::{Audience, Memory, Passage, Telemetry, sane};

/// Under which name the state of derived telemetry is saved.
pub(crate) const TELEMETRY: &str = "telemetry";

/// Under which name supervisors are saved.
pub(crate) const SUPERVISION: &str = "supervision";

/// Everything that the stage knows.
pub(crate) struct Observer {
    pub(crate) settings: ObserveSettings,
    pub(crate) plugins: Plugins,
    pub(crate) telemetry: Telemetry,
    pub(crate) shards: Vec<Shard>,
    /// States of detectors that were not started, as they were saved.
    pub(crate) unstarted: Vec<Checkpoint>,
    /// Who may be called.
    pub(crate) supervision: Supervision,
    /// As of the last commit.
    pub(crate) supervision_written: Supervision,
    /// Failures that are on record.
    pub(crate) recorded: Recorded,
    pub(crate) book: AlertBook,
    pub(crate) topology: Topology,
    /// The last envelope that was dealt with.
    pub(crate) reached: StagePosition,
    /// When state was last saved, by arrival.
    pub(crate) saved: Timestamp,
}

/// Why a batch did not get half way.
#[derive(Debug)]
pub(crate) enum Unwatched {
    /// Detectors failed.
    Failed(Vec<ShardFailure>),
    /// A plugin was stopped by the host.
    Stopped,
}

impl From<Stopped> for Unwatched {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<Vec<ShardFailure>> for Unwatched {
    fn from(failures: Vec<ShardFailure>) -> Self {
        if failures.iter().any(ShardFailure::is_stop) {
            Self::Stopped
        } else {
            Self::Failed(failures)
        }
    }
}

/// A batch, half way through.
pub(crate) struct Watched {
    read: Vec<ReadEnvelope>,
    findings: Vec<Placed>,
    /// The alerts that are spoken of.
    pub(crate) alerts: BTreeSet<AlertId>,
}

struct ReadEnvelope {
    position: Position,
    received: Timestamp,
    source: SourceName,
    format: Format,
    signals: Vec<Signal>,
    commands: Vec<CommandRecord>,
    unread: Option<Unread>,
    counts: SourceRecord,
}

impl Observer {
    /// Decodes a batch, derives telemetry, and lets detectors look at it.
    ///
    /// # Errors
    /// The detectors that failed, or that a plugin was stopped. The state is
    /// then neither that of before nor that of after: begin again from a
    /// checkpoint.
    pub(crate) fn watch(&mut self, envelopes: &[Envelope]) -> Result<Watched, Unwatched> {
        for envelope in envelopes {
            self.resume_asked(envelope);
        }
        let policy = &self.settings.supervision;
        let mut decoded = decoding::decode(
            envelopes,
            &self.plugins,
            &mut self.supervision,
            policy,
            &self.recorded,
        )?;
        let mut audience = Audience {
            feeds: self.shards.iter().map(|_| Feed::default()).collect(),
            shards: &mut self.shards,
            shards_each: self.plugins.detector_shards.max(1),
            hidden_from: BTreeSet::new(),
        };
        let mut read = Vec::with_capacity(envelopes.len());
        for (index, envelope) in (0..).zip(envelopes) {
            audience.hidden_from = supervise(
                &self.plugins.detectors,
                &mut self.supervision,
                policy,
                &self.recorded,
                envelope,
            );
            let mut entry = ReadEnvelope::new(envelope);
            let mut passage = Passage {
                envelope,
                index,
                counts: &mut entry.counts,
                settings: &self.settings,
            };
            if let Some(answer) = decoded.remove(&envelope.position) {
                match answer {
                    Ok(decoded) => {
                        let edges = self
                            .telemetry
                            .take_in(&decoded, &mut passage, &mut audience);
                        self.telemetry.pass_time(&mut passage, &mut audience);
                        entry.take(decoded, edges);
                    }
                    Err(unread) => {
                        self.telemetry.pass_time(&mut passage, &mut audience);
                        entry.fail(unread);
                    }
                }
            } else {
                self.telemetry.pass_time(&mut passage, &mut audience);
                entry.take_own(envelope);
            }
            read.push(entry);
        }
        let feeds = audience.feeds;
        let findings = run_all(&mut self.shards, feeds)?;
        let mut watched = Watched {
            read,
            findings,
            alerts: BTreeSet::new(),
        };
        watched.alerts = self.alerts_spoken_of(&watched);
        if let Some(last) = envelopes.last() {
            self.reached.position = last.position;
            self.reached.clock = last.arrival.received;
        }
        Ok(watched)
    }

    /// The alerts that must be at hand but are not.
    pub(crate) fn missing(&self, watched: &Watched) -> Vec<AlertId> {
        watched
            .alerts
            .iter()
            .filter(|id| !self.book.has(**id))
            .copied()
            .collect()
    }

    /// Lets time, reports and findings act, envelope by envelope.
    pub(crate) fn conclude(&mut self, from: Position, watched: Watched) -> ObserveCommit {
        let mut commit = ObserveCommit {
            from,
            ..ObserveCommit::default()
        };
        let mut sources: BTreeMap<SourceName, SourceRecord> = BTreeMap::new();
        let mut findings = watched.findings.into_iter().peekable();
        for (index, entry) in (0..).zip(watched.read) {
            let mut desk = Desk {
                commit: &mut commit,
                position: entry.position,
                received: entry.received,
                ordinal: 0,
                over_limit: 0,
                over: None,
            };
            for (id, outcome) in self.book.pass_time(entry.received) {
                if let Some(alert) = self.book.get(id) {
                    let view = AlertView::from(alert);
                    desk.transition(view, alert.version, outcome, None);
                }
            }
            for signal in entry.signals {
                self.act(signal, &entry.format, &entry.source, &mut desk);
            }
            while let Some(placed) = findings.next_if(|placed| placed.envelope <= index) {
                self.act_on_finding(placed, &mut desk);
            }
            // One letter says what became of a payload: that it could not be
            // read comes before what of it was too much.
            let mut counts = entry.counts;
            counts.over_limit += desk.over_limit;
            let over = desk.over.take().map(Unread::fault);
            if let Some(unread) = entry.unread.or(over) {
                desk.dead_letter(&entry.format, &entry.source, &unread);
            }
            commit.commands.extend(entry.commands);
            if !entry.format.is_own() {
                merge(&mut sources, counts);
            }
        }
        let news = commit.transitions.iter().map(|write| write.view.at);
        self.reached.now = news.chain([self.reached.now]).max().unwrap_or_default();
        (commit.series, commit.log_sources) = self.telemetry.catalog.take_new();
        commit.chunks = self.telemetry.chunks.take_full();
        commit.alerts = self.book.take_touched();
        commit.sources = sources.into_values().collect();
        commit.to = self.reached;
        if self.supervision != self.supervision_written {
            commit.supervision = Some(self.supervision.clone());
            self.supervision_written = self.supervision.clone();
        }
        commit
    }

    /// Detectors that may be called but were not started, as that failed.
    pub(crate) fn lacks_detectors(&mut self) -> bool {
        let now = self.reached.clock;
        let started: BTreeSet<&InstanceName> = self.shards.iter().map(Shard::instance).collect();
        self.plugins.detectors.iter().any(|factory| {
            let instance = factory.instance();
            !started.contains(instance) && self.supervision.may_call(instance, now)
        })
    }

    /// A person wants an instance to be called again.
    fn resume_asked(&mut self, envelope: &Envelope) {
        if envelope.arrival.format == Format::Command
            && let Ok(CommandEnvelope { command, .. }) =
                CommandEnvelope::parse(&envelope.arrival.body)
            && let Command::Resume { instance } = &command
        {
            self.supervision.resumed(instance);
        }
    }

    /// Whether enough time has passed to save the state.
    pub(crate) fn is_checkpoint_due(&self) -> bool {
        self.reached.clock.since(self.saved) >= self.settings.checkpoint_every
    }

    /// Adds the state to a commit, so that work can be resumed from there.
    ///
    /// # Errors
    /// The detectors that failed to give their state.
    pub(crate) fn checkpoint(
        &mut self,
        commit: &mut ObserveCommit,
    ) -> Result<(), Vec<ShardFailure>> {
        let shards = self.plugins.detector_shards.max(1);
        let mut checkpoints = Vec::with_capacity(self.shards.len() + 1);
        let mut failures = Vec::new();
        for shard in &mut self.shards {
            match shard.save() {
                Ok(data) => checkpoints.push(Checkpoint {
                    name: shard.checkpoint_name(shards),
                    data,
                }),
                Err(error) => {
                    let failed = ShardFailure::while_saving(shard, error);
                    let may_call = self
                        .supervision
                        .may_call(shard.instance(), self.reached.clock);
                    // One that goes away, or that failed before, begins anew.
                    let known = self
                        .recorded
                        .at(&failed.instance, self.reached.position)
                        .is_some();
                    if failed.is_stop() || !may_call || known {
                        tracing::warn!(
                            plugin.instance = %failed.instance,
                            failure.code = failed.failure.code(),
                            "the state of detector {} is not saved: {}",
                            failed.instance, failed.failure
                        );
                    } else {
                        failures.push(failed);
                    }
                }
            }
        }
        if !failures.is_empty() {
            return Err(failures);
        }
        checkpoints.extend(self.unstarted.iter().cloned());
        checkpoints.push(Checkpoint {
            name: SUPERVISION.to_owned(),
            data: serde_json::to_vec(&self.supervision).expect("plain structures"),
        });
        checkpoints.push(Checkpoint {
            name: TELEMETRY.to_owned(),
            data: postcard::to_allocvec(&self.telemetry.memory)
                .expect("lengths are known and nothing refuses to be written"),
        });
        let saved = self.telemetry.chunks.save();
        (commit.tails, commit.tails_done) = (saved.tails, saved.done);
        commit.chunks.extend(self.telemetry.chunks.take_full());
        commit.checkpoints = checkpoints;
        self.saved = self.reached.clock;
        Ok(())
    }

    /// Goes on with the state of derived telemetry that was saved. One that
    /// cannot be read was saved by another version: then it begins anew.
    pub(crate) fn restore_memory(&mut self, data: &[u8]) {
        match postcard::from_bytes::<Memory>(data) {
            Ok(memory) => self.telemetry.memory = memory,
            Err(error) => tracing::warn!(
                "the saved state of derived telemetry cannot be read and begins anew: {error}"
            ),
        }
    }

    fn alerts_spoken_of(&self, watched: &Watched) -> BTreeSet<AlertId> {
        let reported = watched.read.iter().flat_map(|entry| {
            let origin = self.origin(&entry.format);
            entry.signals.iter().filter_map(move |signal| match signal {
                Signal::Alert(said) => fingerprint(&origin, &said.identity),
                _ => None,
            })
        });
        let found = watched.findings.iter().filter_map(|placed| {
            fingerprint(&detector_origin(&placed.instance), &self.identity(placed))
        });
        reported.chain(found).collect()
    }

    fn origin(&self, format: &Format) -> Origin {
        if *format == Format::Host {
            let family = HostEnvelope::SOURCE.to_owned();
            return Origin::Sender { family };
        }
        let family = self
            .plugins
            .readers
            .get(format)
            .map_or_else(|| format.to_string(), |reader| reader.family.clone());
        Origin::Sender { family }
    }

    fn act(&mut self, signal: Signal, format: &Format, source: &SourceName, desk: &mut Desk<'_>) {
        match signal {
            Signal::Alert(said) => self.act_on_report(said, format, source, desk),
            Signal::Change(change) => desk.change(self.mended(change, desk.received), source),
            Signal::Dependency(mut dependency) => {
                dependency.seen = sane(dependency.seen, desk.received, self.settings.skew_max);
                let settings = &self.settings;
                // As of this envelope, wherever the batch ends.
                let oldest = desk.received.minus(settings.edge_lifetime);
                self.topology.age_out(oldest);
                if self.topology.len() >= settings.edges_max && !self.topology.has(&dependency) {
                    desk.over_limit += 1;
                    let most = settings.edges_max;
                    desk.over = Some(Fault::never(
                        "limit.edges",
                        format!("{most} edges are known: new ones are left out until some age"),
                    ));
                } else if self.topology.see(&dependency, settings.edge_granularity) {
                    desk.dependency(dependency, source);
                }
            }
            Signal::Ticket(ticket) => {
                let record = (source.clone(), desk.position, desk.received, ticket);
                desk.commit.tickets.push(record);
            }
        }
    }

    fn mended(&self, mut change: Change, received: Timestamp) -> Change {
        change.at = sane(change.at, received, self.settings.skew_max);
        if change.entities.is_empty() {
            change.entities = conventions::entities(&change.attributes);
        }
        change
    }

    fn act_on_report(
        &mut self,
        mut said: AlertReport,
        format: &Format,
        source: &SourceName,
        desk: &mut Desk<'_>,
    ) {
        let origin = self.origin(format);
        let Some(id) = fingerprint(&origin, &said.identity) else {
            let fault = Fault::malformed("an alert without identity would be every alert");
            desk.dead_letter(format, source, &Unread::fault(fault));
            return;
        };
        said.started = sane(said.started, desk.received, self.settings.skew_max);
        if !said.firing {
            // What ended cannot have ended much later. The end becomes the time
            // that the stages have come to, and that never goes back.
            let ended = said.ended.take();
            said.ended = ended.map(|at| sane(at, desk.received, self.settings.skew_max));
        }
        if said.entities.is_empty() {
            said.entities = conventions::entities(&said.labels);
        }
        let reader = self.plugins.readers.get(format);
        let report = Report {
            origin,
            source: source.clone(),
            position: desk.position,
            received: desk.received,
            resolve_timeout: reader.and_then(|reader| reader.resolve_timeout),
            said,
            score: 1.0,
            measurement: None,
        };
        self.report(id, report, desk);
    }

    fn act_on_finding(&mut self, placed: Placed, desk: &mut Desk<'_>) {
        let identity = self.identity(&placed);
        let origin = detector_origin(&placed.instance);
        let Some(id) = fingerprint(&origin, &identity) else {
            return;
        };
        let (labels, entities, series) = self.describe(&placed.finding.subject);
        let finding = placed.finding;
        let mut labels: Labels = labels;
        for (name, value) in &finding.attributes {
            labels.set(name.clone(), value.clone());
        }
        let report = Report {
            origin,
            source: detector_source(&placed.instance),
            position: desk.position,
            received: desk.received,
            resolve_timeout: None,
            said: AlertReport {
                identity,
                firing: finding.firing,
                title: finding.title,
                severity: StatedSeverity::from(finding.severity),
                started: sane(finding.started, desk.received, self.settings.skew_max),
                ended: (!finding.firing)
                    .then(|| sane(finding.at, desk.received, self.settings.skew_max)),
                entities,
                labels,
                annotations: Labels::default(),
                link: None,
            },
            score: finding.score.clamp(0.0, 1.0),
            measurement: Some(Measurement {
                series,
                value: finding.value,
                expected: finding.expected,
                extra: finding.extra,
            }),
        };
        self.report(id, report, desk);
    }

    fn report(&mut self, id: AlertId, report: Report, desk: &mut Desk<'_>) {
        let source = report.source.clone();
        let share = Share {
            per_source: self.settings.alerts_firing_per_source_max,
            all: self.settings.alerts_firing_max,
        };
        let (alert, outcome) = match self.book.report(id, report, share) {
            Ok(reported) => reported,
            Err(OverShare { limit, most }) => {
                desk.over_limit += 1;
                desk.over = Some(Fault::never(
                    limit,
                    format!("{most} alerts fire already: new ones are left out until some end"),
                ));
                return;
            }
        };
        if outcome.is_transition() || outcome == Outcome::ResolvedUnseen {
            let view = AlertView::from(alert);
            let version = alert.version;
            desk.transition(view, version, outcome, Some(source));
        }
    }

    /// What makes a finding the same condition next time: what it is about,
    /// and the detector's key.
    fn identity(&self, placed: &Placed) -> Labels {
        let (mut identity, entities, _) = self.describe(&placed.finding.subject);
        if let Some(entity) = entities.first() {
            identity.set("entity", entity.to_string());
        }
        identity.set("finding", placed.finding.key.clone());
        identity
    }

    fn describe(&self, subject: &Subject) -> (Labels, Vec<Entity>, Option<u32>) {
        let with = |first: Option<(&str, String)>, attributes: &Labels| -> Labels {
            let attributes = attributes.iter().map(|(k, v)| (k.to_owned(), v.to_owned()));
            let first = first.map(|(k, v)| (k.to_owned(), v));
            attributes.chain(first).collect()
        };
        match subject {
            Subject::Series(id) => match self.telemetry.catalog.series_def(*id) {
                Some(def) => {
                    let key = def.measured();
                    let labels = with(Some(("metric", key.name)), &key.attributes);
                    (labels, key.entity.into_iter().collect(), Some(*id))
                }
                None => (Labels::default(), Vec::new(), None),
            },
            Subject::LogSource(id) => match self.telemetry.catalog.log_source(*id) {
                Some(source) => {
                    let labels = with(None, &source.attributes);
                    (labels, source.entity.iter().cloned().collect(), None)
                }
                None => (Labels::default(), Vec::new(), None),
            },
            Subject::Entity(entity) => (Labels::default(), vec![entity.clone()], None),
        }
    }
}

impl ReadEnvelope {
    fn new(envelope: &Envelope) -> Self {
        let arrival = &envelope.arrival;
        Self {
            position: envelope.position,
            received: arrival.received,
            source: arrival.source.clone(),
            format: arrival.format.clone(),
            signals: Vec::new(),
            commands: Vec::new(),
            unread: None,
            counts: SourceRecord {
                envelopes: 1,
                body_bytes: arrival.body.len() as u64,
                last_position: envelope.position,
                last_received: arrival.received,
                ..SourceRecord::empty(arrival.source.clone())
            },
        }
    }

    fn take(&mut self, decoded: Decoded, edges: Vec<Dependency>) {
        self.counts.rejected += decoded.rejected_count();
        self.counts.signals += decoded.signals.len() as u64;
        if let Some(first) = decoded.rejected.first() {
            let count = decoded.rejected_count();
            self.unread = Some(Unread::fault(Fault::never(
                "rejected",
                format!("{count} of its items: {}", first.message),
            )));
        }
        self.signals = decoded.signals;
        self.signals
            .extend(edges.into_iter().map(Signal::Dependency));
        self.counts.without_entity += self
            .signals
            .iter()
            .filter(|signal| match signal {
                Signal::Alert(said) => {
                    said.entities.is_empty() && conventions::primary_entity(&said.labels).is_none()
                }
                Signal::Change(change) => change.entities.is_empty(),
                Signal::Dependency(_) | Signal::Ticket(_) => false,
            })
            .count() as u64;
    }

    fn fail(&mut self, unread: Unread) {
        self.counts.faults += 1;
        self.unread = Some(unread);
    }

    /// What the host itself put into the journal.
    fn take_own(&mut self, envelope: &Envelope) {
        let arrival = &envelope.arrival;
        match arrival.format {
            Format::Command => match CommandEnvelope::parse(&arrival.body) {
                Ok(CommandEnvelope { person, command }) => self.commands.push(CommandRecord {
                    position: envelope.position,
                    received: arrival.received,
                    person,
                    command,
                }),
                Err(fault) => self.fail(Unread::fault(fault)),
            },
            Format::Host => match HostEnvelope::parse(&arrival.body) {
                Ok(HostEnvelope { alerts }) => {
                    self.signals.extend(alerts.into_iter().map(Signal::Alert));
                }
                Err(fault) => self.fail(Unread::fault(fault)),
            },
            _ => {}
        }
    }
}

/// Where the records of one envelope are put.
struct Desk<'a> {
    commit: &'a mut ObserveCommit,
    position: Position,
    received: Timestamp,
    ordinal: u32,
    /// Alerts and edges of the envelope that are over a limit, and the last of
    /// the limits.
    over_limit: u64,
    over: Option<Fault>,
}

impl Desk<'_> {
    fn next_ordinal(&mut self) -> u32 {
        self.ordinal += 1;
        self.ordinal - 1
    }

    fn transition(
        &mut self,
        view: AlertView,
        version: u64,
        outcome: Outcome,
        source: Option<SourceName>,
    ) {
        let ordinal = self.next_ordinal();
        self.commit.transitions.push(TransitionWrite {
            position: self.position,
            ordinal,
            received: self.received,
            outcome,
            source,
            version,
            view,
        });
    }

    fn change(&mut self, change: Change, source: &SourceName) {
        let ordinal = self.next_ordinal();
        self.commit.changes.push(ChangeRecord {
            position: self.position,
            ordinal,
            received: self.received,
            source: source.clone(),
            change,
        });
    }

    fn dependency(&mut self, dependency: Dependency, source: &SourceName) {
        let ordinal = self.next_ordinal();
        self.commit.dependencies.push(DependencyRecord {
            position: self.position,
            ordinal,
            received: self.received,
            source: source.clone(),
            dependency,
        });
    }

    fn dead_letter(&mut self, format: &Format, source: &SourceName, unread: &Unread) {
        let Unread { kind, fault } = unread;
        self.commit.dead_letters.push(DeadLetter {
            position: self.position,
            reader: format.to_string(),
            kind: *kind,
            received: self.received,
            source: source.clone(),
            code: fault.code.clone(),
            message: fault.message.clone(),
        });
    }
}

/// Lets the supervisors of all detectors know that an envelope is dealt with,
/// and gives those that are not shown it: they may not be called, or have failed
/// on it before.
fn supervise(
    detectors: &[Arc<dyn DetectorFactory>],
    supervision: &mut Supervision,
    policy: &SupervisionPolicy,
    recorded: &Recorded,
    envelope: &Envelope,
) -> BTreeSet<InstanceName> {
    let (position, now) = (envelope.position, envelope.arrival.received);
    let mut hidden = BTreeSet::new();
    for factory in detectors {
        let instance = factory.instance();
        let mut is_shown = supervision.may_call(instance, now);
        match recorded.at(instance, position) {
            Some(record) => {
                let failed = record.failed(position);
                supervision.failed(instance, factory.digest(), now, &failed, policy);
                is_shown &= !record.is_poison;
            }
            None if is_shown => supervision.succeeded(instance, now, policy),
            None => {}
        }
        if !is_shown {
            hidden.insert(instance.clone());
        }
    }
    hidden
}

fn merge(sources: &mut BTreeMap<SourceName, SourceRecord>, counts: SourceRecord) {
    match sources.get_mut(&counts.name) {
        Some(sum) => sum.add(&counts),
        None => {
            sources.insert(counts.name.clone(), counts);
        }
    }
}

fn detector_origin(instance: &InstanceName) -> Origin {
    Origin::Detector {
        instance: instance.clone(),
    }
}

/// The source that findings of a detector come from.
fn detector_source(instance: &InstanceName) -> SourceName {
    SourceName::new(format!("detector.{instance}"))
        .expect("an instance's name with a prefix is a source's name: shorter, of the same letters")
}
