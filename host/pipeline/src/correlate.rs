//! The correlate stage: reads what observe committed, asks correlators what it
//! means, and commits what becomes of incidents together with its position.
//!
//! It works in *rounds*: what arrived within the same tenth of a second is shown
//! to correlators at once. Rounds are cut by arrival, which is in the journal;
//! how far observe had come whenever this stage looked makes no difference. A
//! round is dealt with once it is over, that is, once something arrived later.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use faultline_domain::envelope::Position;
use faultline_domain::id::{AlertId, IncidentId, InstanceName, ScopeName, SourceName};
use faultline_domain::incident::{Author, IncidentEvent};
use faultline_domain::incidents::{Command, Incidents, Moment};
use faultline_domain::lease::Fence;
use faultline_domain::plugin::{CallError, Correlator, Failure};
use faultline_domain::proposal::{Blob, Verdict};
use faultline_domain::situation::Situation;
use faultline_domain::supervision::{Failed, Supervision};
use faultline_domain::time::Timestamp;
use faultline_own_traces::{Work, are_made, correlate_round};
use faultline_store::{
    ChangeRecord, CommandRecord, CommitPoint, CorrelateCommit, DeadLetter, DependencyRecord,
    Keeper, LetterKind, News, StageName, StagePosition, Store, StoreError, TransitionRecord,
};

use crate::committed::committed;
use crate::counters::Counters;
use crate::decoding::Stopped;
use crate::observe::{Progress, blocking};
use crate::plugins::Plugins;
use crate::recorded::{host_source, input};
use crate::settings::CorrelateSettings;
use crate::situation::World;

/// The stage, for one scope.
pub struct CorrelateStage {
    store: Store,
    scope: ScopeName,
    settings: CorrelateSettings,
    plugins: Plugins,
    counters: Arc<Counters>,
    /// Of the lease that its commits are made under.
    fence: Fence,
    correlation: Option<Box<Correlation>>,
}

impl CorrelateStage {
    /// A stage that will begin where it left off.
    pub fn new(
        store: Store,
        scope: ScopeName,
        settings: CorrelateSettings,
        plugins: Plugins,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            store,
            scope,
            settings,
            plugins,
            counters,
            fence: Fence::default(),
            correlation: None,
        }
    }

    /// Works under this lease from now on, and begins where the stage is then:
    /// others may have worked on it since.
    pub fn hold(&mut self, fence: Fence) {
        self.forget();
        self.fence = fence;
    }

    /// Drops all that it has made of what it read. For a stage whose lease is
    /// somebody else's.
    pub fn forget(&mut self) {
        self.correlation = None;
    }

    /// Goes on with other plugins.
    pub fn replace_plugins(&mut self, plugins: Plugins) {
        self.plugins = plugins;
        self.correlation = None;
    }

    /// Works until there is nothing left to do.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn drain(&mut self) -> Result<(), StoreError> {
        while self.step().await? == Progress::More {}
        Ok(())
    }

    /// Deals with the rounds that are over. If this fails, or is cut off, what
    /// was not committed is done again next time.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn step(&mut self) -> Result<Progress, StoreError> {
        let correlation = match self.correlation.take() {
            Some(correlation) => correlation,
            None => self.resume().await?,
        };
        let observed = self
            .store
            .stage_position(&self.scope, StageName::Observe)
            .await?;
        let over = observed.clock.floor(self.settings.round);
        if over <= correlation.clock {
            self.correlation = Some(correlation);
            return Ok(Progress::Idle);
        }
        let began = Instant::now();
        let (news, until) = self.read(&correlation, over).await?;
        let round = round_of(&news);
        let dealing = self.deal_with(correlation, (news, until), began, &round);
        let Some(correlation) = round.around(dealing).await? else {
            return Ok(Progress::Stopped);
        };
        self.counters.correlate_clock.set_time(until);
        self.correlation = Some(correlation);
        Ok(if until < over {
            Progress::More
        } else {
            Progress::Idle
        })
    }

    /// Deals with the news up to a time, and commits what comes of it; none if
    /// the host stopped a correlator.
    async fn deal_with(
        &self,
        mut correlation: Box<Correlation>,
        (news, until): (News, Timestamp),
        began: Instant,
        round: &Work,
    ) -> Result<Option<Box<Correlation>>, StoreError> {
        let (mut correlation, outcome) = blocking(move || {
            let outcome = correlation.take_in(news, until);
            (correlation, outcome)
        })
        .await;
        let Ok(mut made) = outcome else {
            return Ok(None);
        };
        correlation.clock = until;
        if made.is_worth_writing() {
            made.to.clock = until;
            made.fence = self.fence;
            round.count("faultline.incident_events", made.events.len());
            round.count("faultline.refusals", made.refusals.len());
            let committing = self.store.correlate_commit(&self.scope, &made);
            committed(CommitPoint::CorrelateCommit, committing).await?;
            self.count(&made, &correlation);
            self.counters.correlate_steps.committed(began.elapsed());
        }
        Ok(Some(correlation))
    }

    /// Whole rounds after those that are dealt with, about as much as is dealt with
    /// at once, and the time up to which that is all: later than before, whatever
    /// the store says there is.
    async fn read(
        &self,
        correlation: &Correlation,
        over: Timestamp,
    ) -> Result<(News, Timestamp), StoreError> {
        let after = correlation.reached.position;
        let (store, scope, round) = (&self.store, &self.scope, self.settings.round);
        let most = self.settings.batch_records_max;
        let horizon = store.news_horizon(scope, after, over, most).await?;
        let until = horizon.floor(round);
        let news = store.news(scope, after, until).await?;
        if until == over || !news.is_empty() {
            return Ok((news, until));
        }
        // One round has more records than that: it is dealt with as a whole.
        let until = until.max(correlation.clock).plus(round);
        Ok((store.news(scope, after, until).await?, until))
    }

    /// Builds the state as of the stage's position.
    async fn resume(&self) -> Result<Box<Correlation>, StoreError> {
        let (store, scope) = (&self.store, &self.scope);
        let reached = store.stage_position(scope, StageName::Correlate).await?;
        let mut world = World::default();
        let since = reached.clock.minus(self.settings.alerts_window);
        for record in store.alert_views_at(scope, reached.position, since).await? {
            world.alert(record);
        }
        let since = reached.clock.minus(self.settings.changes_window);
        for record in store.changes_at(scope, reached.position, since).await? {
            world.change(record);
        }
        let since = reached.clock.minus(self.settings.edge_lifetime);
        for (key, seen) in store.topology_at(scope, reached.position, since).await? {
            world.topology.restore(key, seen);
        }
        let mut voices = Vec::new();
        for correlator in &self.plugins.correlators {
            let state = store.correlator_state(scope, correlator.instance()).await?;
            voices.push(Voice {
                correlator: Arc::clone(correlator),
                state,
            });
        }
        let mut supervision = store.supervision_fetch(scope, Keeper::Correlate).await?;
        supervision.retain(&self.plugins.correlating());
        Ok(Box::new(Correlation {
            supervision,
            settings: self.settings.clone(),
            incidents: Incidents::new(
                scope.clone(),
                self.settings.incidents.clone(),
                store.incident_open(scope).await?,
            ),
            world,
            voices,
            clock: reached.clock,
            reached,
        }))
    }

    fn count(&self, commit: &CorrelateCommit, correlation: &Correlation) {
        let counters = &self.counters;
        let open = correlation.incidents.iter().count();
        counters.incidents_open.set(open as u64);
        counters.incident_events.add(commit.events.len() as u64);
        counters.refusals.add(commit.refusals.len() as u64);
        counters
            .plugin_failures
            .add(commit.dead_letters.len() as u64);
        counters.correlate_position.set_position(commit.to.position);
    }
}

/// A correlator, and what it wants to be given back.
struct Voice {
    correlator: Arc<dyn Correlator>,
    state: Option<Blob>,
}

/// Everything that the stage knows.
struct Correlation {
    settings: CorrelateSettings,
    supervision: Supervision,
    incidents: Incidents,
    world: World,
    voices: Vec<Voice>,
    /// The last record that was dealt with.
    reached: StagePosition,
    /// Arrival time up to which all rounds are dealt with.
    clock: Timestamp,
}

/// One record, in its place.
enum Record {
    Transition(TransitionRecord),
    Change(ChangeRecord),
    Dependency(DependencyRecord),
    Command(CommandRecord),
}

impl Record {
    fn place(&self) -> (Position, u32) {
        match self {
            Record::Transition(record) => (record.position, record.ordinal),
            Record::Change(record) => (record.position, record.ordinal),
            Record::Dependency(record) => (record.position, record.ordinal),
            Record::Command(record) => (record.position, 0),
        }
    }

    fn received(&self) -> Timestamp {
        match self {
            Record::Transition(record) => record.received,
            Record::Change(record) => record.received,
            Record::Dependency(record) => record.received,
            Record::Command(record) => record.received,
        }
    }
}

/// What happens in the course of some rounds.
#[derive(Default)]
struct Minutes {
    commit: CorrelateCommit,
    touched: BTreeSet<IncidentId>,
    /// Which voices have a new state.
    changed_states: BTreeSet<usize>,
}

impl Minutes {
    fn note(&mut self, events: Vec<IncidentEvent>) {
        self.touched
            .extend(events.iter().map(|event| event.incident));
        self.commit.events.extend(events);
    }
}

impl Correlation {
    /// Deals with all rounds up to a time; or not, if the host stopped a
    /// correlator.
    fn take_in(&mut self, news: News, until: Timestamp) -> Result<CorrelateCommit, Stopped> {
        let supervision_before = self.supervision.clone();
        let mut minutes = Minutes::default();
        minutes.commit.from = self.reached;
        let mut round: Vec<Record> = Vec::new();
        let mut begun = Timestamp::ZERO;
        for record in in_order(news) {
            let begins = record.received().floor(self.settings.round);
            if begins != begun && !round.is_empty() {
                self.hold(begun, std::mem::take(&mut round), &mut minutes)?;
            }
            begun = begins;
            round.push(record);
        }
        if !round.is_empty() {
            self.hold(begun, round, &mut minutes)?;
        }
        self.pass_time(until, &mut minutes);
        self.world.forget(until, &self.settings);
        let Minutes {
            mut commit,
            touched,
            changed_states,
        } = minutes;
        commit.incidents = self.incidents.take_finished();
        let open = touched.iter().filter_map(|id| self.incidents.get(*id));
        commit.incidents.extend(open.cloned());
        commit.states = changed_states
            .into_iter()
            .filter_map(|index| {
                let voice = &self.voices[index];
                Some((voice.correlator.instance().clone(), voice.state.clone()?))
            })
            .collect();
        commit.to = self.reached;
        if self.supervision != supervision_before {
            commit.supervision = Some(self.supervision.clone());
        }
        Ok(commit)
    }

    /// One round: time, then the records in order, then the correlators.
    fn hold(
        &mut self,
        begins: Timestamp,
        records: Vec<Record>,
        minutes: &mut Minutes,
    ) -> Result<(), Stopped> {
        self.pass_time(begins, minutes);
        self.world.forget(begins, &self.settings);
        let mut news: BTreeSet<AlertId> = BTreeSet::new();
        let mut is_new = false;
        let mut source = None;
        for record in records {
            self.reached.position = record.place().0;
            match record {
                Record::Transition(record) => {
                    is_new = true;
                    news.insert(record.view.id);
                    self.reached.now = self.reached.now.max(record.at);
                    source = record.source.clone().or(source);
                    let moment = self.moment();
                    minutes.note(self.incidents.alert_changed(&record.view, moment));
                    self.world.alert(record);
                }
                Record::Change(record) => {
                    is_new = true;
                    self.reached.now = self.reached.now.max(record.change.at);
                    self.world.change(record);
                }
                Record::Dependency(record) => self.world.dependency(&record),
                Record::Command(record) => self.obey(&record, minutes),
            }
        }
        // A change can shed new light on incidents; without any it only waits.
        if is_new && (!news.is_empty() || self.incidents.iter().next().is_some()) {
            self.ask(&news, begins, source.as_ref(), minutes)?;
        }
        Ok(())
    }

    fn pass_time(&mut self, until: Timestamp, minutes: &mut Minutes) {
        let moment = Moment {
            at: until,
            position: self.reached.position,
        };
        // What one thing that was due brings about may be due itself.
        loop {
            let events = self.incidents.pass_time(moment);
            if events.is_empty() {
                return;
            }
            minutes.note(events);
        }
    }

    fn obey(&mut self, record: &CommandRecord, minutes: &mut Minutes) {
        let moment = Moment {
            at: self.reached.now.max(record.received),
            position: record.position,
        };
        if let Command::Resume { instance } = &record.command {
            self.supervision.resumed(instance);
        }
        let outcome = self
            .incidents
            .command(&record.command, &record.person, moment);
        let refusal = match outcome {
            Ok(events) => {
                minutes.note(events);
                None
            }
            Err(refusal) => Some(refusal.to_string()),
        };
        let outcomes = &mut minutes.commit.command_outcomes;
        outcomes.push((record.position, refusal));
    }

    /// Asks the correlators one after the other; each sees what those before
    /// it brought about.
    fn ask(
        &mut self,
        news: &BTreeSet<AlertId>,
        received: Timestamp,
        source: Option<&SourceName>,
        minutes: &mut Minutes,
    ) -> Result<(), Stopped> {
        for index in 0..self.voices.len() {
            let instance = self.voices[index].correlator.instance().clone();
            if !self.supervision.may_call(&instance, received) {
                continue;
            }
            let situation =
                self.world
                    .situation(news, &self.incidents, self.reached.now, &self.settings);
            let voice = &mut self.voices[index];
            let digest = voice.correlator.digest();
            match voice.correlator.correlate(&situation, voice.state.as_ref()) {
                Ok(verdict) => {
                    // Said again as it was, it need not be written again.
                    if verdict.state.is_some() && verdict.state != voice.state {
                        voice.state.clone_from(&verdict.state);
                        minutes.changed_states.insert(index);
                    }
                    let policy = &self.settings.supervision;
                    self.supervision.succeeded(&instance, received, policy);
                    let author = Author::Plugin { instance, digest };
                    self.judge(verdict, &situation, &author, minutes);
                }
                Err(CallError::Failure(Failure::Stopped)) => return Err(Stopped),
                Err(error) => {
                    let policy = &self.settings.supervision;
                    match &error {
                        CallError::Fault(_) => {
                            self.supervision.succeeded(&instance, received, policy);
                        }
                        CallError::Failure(failure) => {
                            let message = failure.to_string();
                            let on = Some(input(self.reached.position));
                            let failed = Failed::of(failure, &message, on);
                            self.supervision
                                .failed(&instance, digest, received, &failed, policy);
                        }
                    }
                    let letter = self.letter(&instance, &error, received, source);
                    minutes.commit.dead_letters.push(letter);
                }
            }
        }
        Ok(())
    }

    fn judge(
        &mut self,
        verdict: Verdict,
        situation: &Situation,
        author: &Author,
        minutes: &mut Minutes,
    ) {
        let moment = self.moment();
        let (events, refused) = self.incidents.propose(verdict, situation, author, moment);
        minutes.note(events);
        let refusals = refused
            .into_iter()
            .map(|refused| (moment.position, moment.at, refused));
        minutes.commit.refusals.extend(refusals);
    }

    fn moment(&self) -> Moment {
        Moment {
            at: self.reached.now,
            position: self.reached.position,
        }
    }

    fn letter(
        &self,
        instance: &InstanceName,
        error: &CallError,
        received: Timestamp,
        source: Option<&SourceName>,
    ) -> DeadLetter {
        let (kind, code) = match error {
            CallError::Fault(fault) => (LetterKind::Fault, fault.code.as_str()),
            CallError::Failure(failure @ Failure::Start(_)) => {
                (LetterKind::Failure, failure.code())
            }
            CallError::Failure(failure) => (LetterKind::Poison, failure.code()),
        };
        tracing::warn!(
            plugin.instance = %instance,
            failure.code = code,
            "correlator {instance} gave no verdict: {error}"
        );
        DeadLetter {
            position: self.reached.position,
            reader: format!("correlator:{instance}"),
            kind,
            received,
            source: source.cloned().unwrap_or_else(host_source),
            code: code.to_owned(),
            message: error.to_string(),
        }
    }
}

/// A round is worth a trace if there is something that correlators or people
/// said or are told: edges that were seen again are not.
fn round_of(news: &News) -> Work {
    let edges_only =
        news.transitions.is_empty() && news.changes.is_empty() && news.commands.is_empty();
    if !are_made() || edges_only {
        return Work::default();
    }
    let transitions = news.transitions.iter().map(|record| record.position.0);
    let changes = news.changes.iter().map(|record| record.position.0);
    let commands = news.commands.iter().map(|record| record.position.0);
    let positions: BTreeSet<u64> = transitions.chain(changes).chain(commands).collect();
    let round = correlate_round(positions);
    round.count("faultline.transitions", news.transitions.len());
    round.count("faultline.changes", news.changes.len());
    round.count("faultline.commands", news.commands.len());
    round
}

/// All records in the order in which they came about.
fn in_order(news: News) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    records.extend(news.transitions.into_iter().map(Record::Transition));
    records.extend(news.changes.into_iter().map(Record::Change));
    records.extend(news.dependencies.into_iter().map(Record::Dependency));
    records.extend(news.commands.into_iter().map(Record::Command));
    records.sort_by_key(Record::place);
    records
}
