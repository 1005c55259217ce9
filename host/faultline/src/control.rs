//! What the API asks of a [node](crate::node).

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use faultline_api::{
    Answer, Candidate, ComponentCache, Condition, Control, InstanceStatus, Reason, StageStatus,
};
use faultline_bundle::Bundle;
use faultline_domain::id::InstanceName;
use faultline_domain::supervision::Supervisor;
use faultline_intake::access::TokenTable;
use faultline_intake::metrics::Metrics as IntakeMetrics;
use faultline_pipeline::{Counters, PollBoard, PollFrom};
use faultline_store::{Journal, StageName, Store};
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::{self, now};
use crate::faults::{Faults, Part};
use crate::leases::Leases;
use crate::metrics::{self, SourceRows, StageRows};
use crate::own_traces::SpanCounts;
use crate::plugin_host::PluginHost;
use crate::polls::PollRequest;

/// How long stages may take to let go of plugins by themselves: to finish the
/// batch that they are at, and save what detectors know. After that, plugins
/// that may not run any more are stopped in the middle of it.
const LET_GO_GRACE: Duration = Duration::from_secs(2);

/// How long to wait for stages after that, at most.
const LET_GO_MAX: Duration = Duration::from_secs(90);

/// How long to wait for instances that are loaded anew.
const LOADED_MAX: Duration = Duration::from_secs(2);

/// How long until what could not be read is read again.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// How long metrics wait for the database. They are looked at the more when it
/// does not answer, and whoever scrapes them does not wait for long.
const STORED_MAX: Duration = Duration::from_secs(2);

/// The node, as the API sees it.
pub(crate) struct NodeControl {
    host: Arc<PluginHost>,
    store: Store,
    journal: Journal,
    tokens: Arc<TokenTable>,
    counters: Arc<Counters>,
    board: Arc<PollBoard>,
    intake_metrics: IntakeMetrics,
    faults: Faults,
    /// Where to ask for a poll; nowhere before pollers are at work.
    polls: OnceLock<mpsc::Sender<PollRequest>>,
    leases: Arc<Leases>,
    own_spans: Arc<SpanCounts>,
    /// Whether plugins run in this process at all.
    started: AtomicBool,
    /// The edition of the plugins that each stage works with.
    stages: Mutex<Vec<watch::Receiver<u64>>>,
    /// One look at what was changed at a time: the later one has the last word.
    reading: tokio::sync::Mutex<()>,
    /// What was changed and could not be read.
    unread: watch::Sender<Unread>,
}

/// What was changed and could not be read, so that what was before still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Unread {
    plugins: bool,
    tokens: bool,
}

impl NodeControl {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a part of the node, and they have nothing else in common"
    )]
    pub(crate) fn new(
        host: Arc<PluginHost>,
        store: Store,
        journal: Journal,
        tokens: Arc<TokenTable>,
        counters: Arc<Counters>,
        board: Arc<PollBoard>,
        intake_metrics: IntakeMetrics,
        faults: Faults,
        leases: Arc<Leases>,
        own_spans: Arc<SpanCounts>,
    ) -> Self {
        Self {
            host,
            store,
            journal,
            tokens,
            counters,
            board,
            intake_metrics,
            faults,
            polls: OnceLock::new(),
            leases,
            own_spans,
            started: AtomicBool::new(false),
            stages: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            unread: watch::Sender::default(),
        }
    }

    /// Reads again what was changed and could not be read, until it is to stop.
    pub(crate) async fn read_again(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut unread = self.unread.subscribe();
        loop {
            let waiting = async {
                // We hold the other end ourselves.
                let _ = unread.wait_for(|it| *it != Unread::default()).await;
                tokio::time::sleep(READ_AGAIN).await;
            };
            tokio::select! {
                () = waiting => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let Unread { plugins, tokens } = *self.unread.borrow();
            // Why not, if not, is logged there.
            if tokens {
                let _ = self.tokens_changed().await;
            }
            if plugins {
                let _ = self.plugins_changed().await;
            }
        }
    }

    /// A stage says here which edition of the plugins it works with.
    pub(crate) fn follow(&self, stage: watch::Receiver<u64>) {
        self.stages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(stage);
    }

    /// From now on pollers can be asked here.
    pub(crate) fn polls(&self, ask: mpsc::Sender<PollRequest>) {
        // A node is started once.
        let _ = self.polls.set(ask);
    }

    /// From now on plugins run.
    pub(crate) fn started(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// The edition of the plugins in the store that this process last read.
    pub(crate) fn plugins_edition(&self) -> u64 {
        self.host.edition()
    }

    fn is_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// How instances that failed stand. Without an answer from the database they
    /// pass as running; that the database does not answer is said elsewhere.
    async fn supervisors(&self) -> Vec<(InstanceName, Supervisor)> {
        let supervisors = self.store.supervision_list(self.journal.scope()).await;
        supervisors.unwrap_or_else(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "how failing instances stand could not be read"
            );
            Vec::new()
        })
    }

    /// Until every stage works with this edition or a later one.
    async fn let_go(&self, edition: u64) {
        let stages = self
            .stages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let all = async {
            for mut stage in stages {
                // A stage that is gone works with nothing.
                let _ = stage.wait_for(|number| *number >= edition).await;
            }
        };
        tokio::pin!(all);
        if tokio::time::timeout(LET_GO_GRACE, &mut all).await.is_ok() {
            self.host.forget_leaving();
            return;
        }
        self.host.stop_leaving();
        if tokio::time::timeout(LET_GO_MAX, all).await.is_err() {
            tracing::error!(
                "a stage has not taken over the changed plugins for {LET_GO_MAX:?}: what may not \
                 run any more is stopped, but what may runs as it did before"
            );
        }
    }

    fn conditions(&self) -> Vec<Condition> {
        let mut conditions = self.faults.conditions();
        conditions.extend(clock::condition(&self.journal, now()));
        conditions
    }

    async fn stage(&self, name: StageName, reads_journal: bool) -> StageStatus {
        let (position, fault) = match self.store.stage_position(self.journal.scope(), name).await {
            Ok(position) => (position, self.faults.of(part(name))),
            Err(error) => (
                faultline_store::StagePosition::default(),
                Some(error.to_string()),
            ),
        };
        // Correlate writes its clock only when something came of it.
        let clock = match name {
            StageName::Correlate => {
                let seen = self.counters.correlate_clock.get();
                position
                    .clock
                    .max(faultline_domain::time::Timestamp::from_micros(seen))
            }
            StageName::Observe => position.clock,
        };
        StageStatus {
            name: name.as_str().to_owned(),
            position: position.position,
            clock,
            reads_journal,
            fault,
        }
    }
}

/// A stage, as a part that may not go on.
const fn part(stage: StageName) -> Part {
    match stage {
        StageName::Observe => Part::Observe,
        StageName::Correlate => Part::Correlate,
    }
}

impl Control for NodeControl {
    fn plugins_changed(&self) -> Answer<'_, Result<(), String>> {
        Box::pin(async move {
            // Nothing runs in a node that was opened to look at.
            if !self.is_started() {
                return Ok(());
            }
            let reading = self.reading.lock().await;
            let reload = match self.host.reload().await {
                Ok(reload) => reload,
                Err(error) => {
                    tracing::error!("the plugins could not be read again: {error:#}");
                    self.unread.send_modify(|unread| unread.plugins = true);
                    return Err(format!("{error:#}"));
                }
            };
            self.unread.send_modify(|unread| unread.plugins = false);
            drop(reading);
            self.let_go(reload.edition).await;
            // Mostly it is a matter of an instant, and whoever asked finds it
            // running. If not, nobody else need wait.
            let loaded = self.host.loaded(&reload);
            if let Ok(edition) = tokio::time::timeout(LOADED_MAX, loaded).await {
                self.let_go(edition).await;
            }
            Ok(())
        })
    }

    fn tokens_changed(&self) -> Answer<'_, Result<(), String>> {
        Box::pin(async move {
            let _reading = self.reading.lock().await;
            let read = self.store.token_list().await;
            self.unread
                .send_modify(|unread| unread.tokens = read.is_err());
            match read {
                Ok(tokens) => {
                    self.tokens.replace(tokens);
                    Ok(())
                }
                Err(error) => {
                    // Better nobody than somebody who may not any more.
                    self.tokens.replace([]);
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the tokens could not be read: no sender is let in until they can"
                    );
                    Err(error.to_string())
                }
            }
        })
    }

    fn instances(&self) -> Answer<'_, Vec<InstanceStatus>> {
        Box::pin(async move {
            let supervisors = self.supervisors().await;
            self.host.statuses(&supervisors, now())
        })
    }

    fn check(&self, candidate: Candidate) -> Answer<'_, Result<(), Vec<Reason>>> {
        Box::pin(self.host.check(candidate))
    }

    fn poll(&self, instance: InstanceName, from_start: bool) -> Answer<'_, Result<(), String>> {
        Box::pin(async move {
            let Some(polls) = self.polls.get() else {
                return Err(
                    "no server works with this data folder, so that nobody polls".to_owned(),
                );
            };
            let (done, answer) = oneshot::channel();
            let request = PollRequest {
                instance,
                from: if from_start {
                    PollFrom::Start
                } else {
                    PollFrom::Cursor
                },
                done,
            };
            if polls.try_send(request).is_err() {
                return Err("too many polls are asked for at once".to_owned());
            }
            // Who drops the request was told to stop.
            let stopped = |_| Err("it was stopped meanwhile".to_owned());
            answer.await.unwrap_or_else(stopped)
        })
    }

    fn prepare(&self, bundle: Bundle, component: String) -> Answer<'_, Result<(), Reason>> {
        Box::pin(self.host.prepare(bundle, component))
    }

    fn component_cache(&self) -> Answer<'_, io::Result<Option<ComponentCache>>> {
        Box::pin(self.host.component_cache())
    }

    fn component_cache_clear(&self) -> Answer<'_, io::Result<u64>> {
        Box::pin(self.host.component_cache_clear())
    }

    fn stages(&self) -> Answer<'_, Vec<StageStatus>> {
        Box::pin(async move {
            let (observe, correlate) = tokio::join!(
                self.stage(StageName::Observe, true),
                self.stage(StageName::Correlate, false),
            );
            vec![observe, correlate]
        })
    }

    fn ready(&self) -> Answer<'_, Result<(), String>> {
        Box::pin(async move {
            if !self.is_started() {
                return Err("the plugins are being loaded".to_owned());
            }
            match self.faults.first() {
                Some((stage, why)) => Err(format!("{stage} does not go on: {why}")),
                None => Ok(()),
            }
        })
    }

    fn conditions(&self) -> Answer<'_, Vec<Condition>> {
        Box::pin(async move { self.conditions() })
    }

    fn metrics(&self) -> Answer<'_, String> {
        Box::pin(async move {
            let now = now();
            let scope = self.journal.scope();
            let position = async |stage| {
                let position = self.store.stage_position(scope, stage).await;
                position.unwrap_or_default()
            };
            let stored = async {
                let (supervisors, head, observe, correlate, sources, waiting) = tokio::join!(
                    self.supervisors(),
                    self.store.journal_head(scope),
                    position(StageName::Observe),
                    position(StageName::Correlate),
                    self.store.source_list(scope),
                    self.store.waiting(scope),
                );
                let (head, sources) = (head.unwrap_or_default(), sources.unwrap_or_default());
                let waiting = waiting.unwrap_or_default();
                (supervisors, head, observe, correlate, sources, waiting)
            };
            let stored = tokio::time::timeout(STORED_MAX, stored).await;
            let (supervisors, head, observe, correlate, sources, waiting) =
                stored.unwrap_or_default();
            let stages = StageRows {
                counters: &self.counters,
                head,
                observe,
                correlate,
                now,
            };
            let sources = SourceRows::new(sources, now);
            let plugins = self.host.metric_rows(&supervisors, &waiting, now);
            let polls = metrics::Polls {
                states: self.board.states(),
                now,
            };
            let conditions = self.conditions();
            let components = self.host.component_usage();
            metrics::text(
                &stages,
                &self.intake_metrics,
                &sources,
                &plugins,
                &components,
                &polls,
                &conditions,
                &self.leases.counts(),
                &self.own_spans.now(),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use faultline_api::views::NewToken;
    use faultline_test_databases::Server;
    use http::Method;
    use serde_json::json;

    use super::*;
    use crate::node::tests::{Opened, database, until};

    #[tokio::test]
    async fn what_others_changed_counts_as_soon_as_it_can_be_read() {
        let server = Server::shared();
        let url = server.create();
        let opened = Opened::on_postgresql(&url).await;
        let (node, database) = (&opened.node, database(&url));
        let run = |sql: &str| server.run(database, sql);
        let running = node.start().await.expect("starts");
        let body = json!({"name": "prom", "purpose": "ingest"});
        let client = opened.client();
        let made = client.ask(Method::POST, "/tokens", Some(&body)).await;
        let made: NewToken = made.expect("a token");
        let is_known = || format!("{:?}", node.tokens).contains(&made.kept.id);
        until("the token is good", is_known).await;

        run("alter table faultline_state.token rename to token_away; \
             alter table faultline_state.instance rename to instance_away; \
             update faultline_state.edition set number = number + 1");
        let both = Unread {
            plugins: true,
            tokens: true,
        };
        let control = node.control();
        until("neither can be read", || *control.unread.borrow() == both).await;
        assert!(!is_known(), "it may have been revoked");
        let before = control.plugins_edition();

        run("alter table faultline_state.token_away rename to token; \
             alter table faultline_state.instance_away rename to instance");
        until("the token is good again", is_known).await;
        until("the plugins are read again", || {
            control.plugins_edition() == before + 1
        })
        .await;
        running.stop().await;
    }
}
