//! The observe stage as a fold over the journal: envelopes in, results out.
//!
//! The unit is the envelope: what is made of one depends on those before it
//! and on itself, never on how many were read at once. Batches only save calls
//! and commits. Each batch goes through in two steps, so that alerts that are
//! not at hand can be fetched in between: [`Observer::watch`] decodes, derives
//! and detects; [`Observer::conclude`] lets reports and findings act on alerts.

use std::collections::{BTreeMap, BTreeSet};

use faultline_domain::alert::{Measurement, Origin, Outcome, Report, fingerprint};
use faultline_domain::conventions;
use faultline_domain::decode::Decoded;
use faultline_domain::entity::Entity;
use faultline_domain::envelope::{Envelope, Format, Position};
use faultline_domain::fault::Fault;
use faultline_domain::finding::Subject;
use faultline_domain::id::{AlertId, InstanceName, SourceName};
use faultline_domain::labels::Labels;
use faultline_domain::signal::{AlertReport, Change, Dependency, Signal, StatedSeverity};
use faultline_domain::situation::AlertView;
use faultline_domain::time::Timestamp;
use faultline_domain::topology::Topology;
use faultline_store::{
    ChangeRecord, Checkpoint, CommandEnvelope, CommandRecord, DeadLetter, DependencyRecord,
    ObserveCommit, SourceRecord, StagePosition, TransitionWrite,
};

use crate::alert_book::AlertBook;
use crate::detection::{Placed, Poison, Shard, ShardFailure, run_all};
use crate::feed::Feed;
use crate::plugins::Plugins;
use crate::settings::ObserveSettings;
use crate::telemetry::{Audience, Memory, Passage, Telemetry, sane};

/// Under which name the state of derived telemetry is saved.
pub(crate) const TELEMETRY: &str = "telemetry";

/// The most envelopes, and bytes, that a decoder is given at once.
const DECODE_ENVELOPES_MAX: usize = 64;
const DECODE_BYTES_MAX: usize = 4 << 20;

/// Everything that the stage knows.
pub(crate) struct Observer {
    pub(crate) settings: ObserveSettings,
    pub(crate) plugins: Plugins,
    pub(crate) telemetry: Telemetry,
    pub(crate) shards: Vec<Shard>,
    pub(crate) poison: Poison,
    pub(crate) book: AlertBook,
    pub(crate) topology: Topology,
    /// The last envelope that was dealt with.
    pub(crate) reached: StagePosition,
    /// When state was last saved, by arrival.
    pub(crate) saved: Timestamp,
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
    fault: Option<Fault>,
    counts: SourceRecord,
}

impl Observer {
    /// Decodes a batch, derives telemetry, and lets detectors look at it.
    ///
    /// # Errors
    /// The detectors that failed. The state is then neither that of before nor
    /// that of after: begin again from a checkpoint.
    pub(crate) fn watch(&mut self, envelopes: &[Envelope]) -> Result<Watched, Vec<ShardFailure>> {
        let mut decoded = self.decode(envelopes);
        let mut audience = Audience {
            feeds: self.shards.iter().map(|_| Feed::default()).collect(),
            shards: &mut self.shards,
            shards_each: self.plugins.detector_shards.max(1),
            poison: &self.poison,
        };
        let mut read = Vec::with_capacity(envelopes.len());
        for (index, envelope) in (0..).zip(envelopes) {
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
                    Err(fault) => {
                        self.telemetry.pass_time(&mut passage, &mut audience);
                        entry.fail(fault);
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
            if let Some(fault) = entry.fault {
                desk.dead_letter(&entry.format, &entry.source, &fault);
            }
            let own = matches!(entry.format, Format::Clock | Format::Command);
            commit.commands.extend(entry.commands);
            if !own {
                merge(&mut sources, entry.counts);
            }
        }
        self.topology
            .age_out(self.reached.clock.minus(self.settings.edge_lifetime));
        let news = commit.transitions.iter().map(|write| write.view.at);
        self.reached.now = news.chain([self.reached.now]).max().unwrap_or_default();
        (commit.series, commit.log_sources) = self.telemetry.catalog.take_new();
        commit.chunks = self.telemetry.chunks.take_full();
        commit.alerts = self.book.take_touched();
        commit.sources = sources.into_values().collect();
        commit.to = self.reached;
        commit
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
                Err(error) => failures.push(ShardFailure::while_saving(shard, error)),
            }
        }
        if !failures.is_empty() {
            return Err(failures);
        }
        checkpoints.push(Checkpoint {
            name: TELEMETRY.to_owned(),
            data: postcard::to_allocvec(&self.telemetry.memory)
                .expect("lengths are known and nothing refuses to be written"),
        });
        commit.chunks.extend(self.telemetry.chunks.copy_open());
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

    fn decode(&self, envelopes: &[Envelope]) -> BTreeMap<Position, Result<Decoded, Fault>> {
        let mut by_format: BTreeMap<&Format, Vec<&Envelope>> = BTreeMap::new();
        for envelope in envelopes {
            let format = &envelope.arrival.format;
            if !matches!(format, Format::Clock | Format::Command) {
                by_format.entry(format).or_default().push(envelope);
            }
        }
        let mut answers = BTreeMap::new();
        for (format, envelopes) in by_format {
            let Some(reader) = self.plugins.readers.get(format) else {
                let fault = Fault::never(
                    "no-reader",
                    format!("nothing that runs reads `{format}`: enable its connector"),
                );
                answers.extend(envelopes.iter().map(|e| (e.position, Err(fault.clone()))));
                continue;
            };
            for some in portions(&envelopes) {
                let decoded = reader.decoder.decode(some);
                answers.extend(some.iter().map(|e| e.position).zip(decoded));
            }
        }
        answers
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
                if self
                    .topology
                    .see(&dependency, self.settings.edge_granularity)
                {
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
            desk.dead_letter(format, source, &fault);
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
            }),
        };
        self.report(id, report, desk);
    }

    fn report(&mut self, id: AlertId, report: Report, desk: &mut Desk<'_>) {
        let source = report.source.clone();
        let (alert, outcome) = self.book.report(id, report);
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
            fault: None,
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
            self.fault = Some(Fault::never(
                "rejected",
                format!("{count} of its items: {}", first.message),
            ));
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

    fn fail(&mut self, fault: Fault) {
        self.counts.faults += 1;
        self.fault = Some(fault);
    }

    /// What the host itself put into the journal.
    fn take_own(&mut self, envelope: &Envelope) {
        if envelope.arrival.format != Format::Command {
            return;
        }
        match CommandEnvelope::parse(&envelope.arrival.body) {
            Ok(CommandEnvelope { person, command }) => self.commands.push(CommandRecord {
                position: envelope.position,
                received: envelope.arrival.received,
                person,
                command,
            }),
            Err(fault) => self.fail(fault),
        }
    }
}

/// Where the records of one envelope are put.
struct Desk<'a> {
    commit: &'a mut ObserveCommit,
    position: Position,
    received: Timestamp,
    ordinal: u32,
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

    fn dead_letter(&mut self, format: &Format, source: &SourceName, fault: &Fault) {
        self.commit.dead_letters.push(DeadLetter {
            position: self.position,
            reader: format.to_string(),
            received: self.received,
            source: source.clone(),
            code: fault.code.clone(),
            message: fault.message.clone(),
        });
    }
}

fn merge(sources: &mut BTreeMap<SourceName, SourceRecord>, counts: SourceRecord) {
    match sources.get_mut(&counts.name) {
        Some(sum) => sum.add(&counts),
        None => {
            sources.insert(counts.name.clone(), counts);
        }
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
