//! One Faultline over one data folder, or over its part of a database that
//! several share: everything made and connected, in one place.
//!
//! A node can be asked things as soon as it is open. Plugins run and stages
//! work once [`Node::start`] was called; nothing listens on a socket but in
//! [`crate::serve`].

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use faultline_api::{Api, Parts, Router};
use faultline_domain::envelope::Position;
use faultline_domain::id::{Digest, ScopeName};
use faultline_domain::lease::{Holder, LeaseName};
use faultline_intake::access::TokenTable;
use faultline_intake::backlog::Backlog;
use faultline_intake::hooks::HookTable;
use faultline_intake::metrics::Metrics as IntakeMetrics;
use faultline_pipeline::{CorrelateStage, Counters, ObserveStage, PollBoard, Timekeeper};
use faultline_sandbox::Sandbox;
use faultline_store::{Editions, Extent, Journal, Location, StageName, Store, Trouble};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::bundled::bundled;
use crate::clock::{clocks, now};
use crate::compiling;
use crate::config::Config;
use crate::control::NodeControl;
use crate::faults::Faults;
use crate::first_party;
use crate::folder::Folder;
use crate::leases::Leases;
use crate::others::Others;
use crate::own_alerts::OwnAlerts;
use crate::own_traces::SpanCounts;
use crate::plugin_host::PluginHost;
use crate::polls::{self, Polling};
use crate::randomness;
use crate::readers::standard_readers;
use crate::serve::finish;
use crate::services::StoreServices;
use crate::stages::{self, Bell};
use crate::vault::Vault;

/// Where Linux says what the machine is called.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// The setting that names this installation.
const INSTALL: &str = "install.id";

/// Everything that is there before anything runs.
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) folder: Folder,
    pub(crate) store: Store,
    pub(crate) journal: Journal,
    pub(crate) host: Arc<PluginHost>,
    pub(crate) hooks: Arc<HookTable>,
    pub(crate) tokens: Arc<TokenTable>,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) intake_metrics: IntakeMetrics,
    pub(crate) install: String,
    polls: Arc<PollBoard>,
    pub(crate) leases: Arc<Leases>,
    /// What became of the spans of its own traces.
    pub(crate) own_spans: Arc<SpanCounts>,
    /// What this process is called among those that share the database.
    name: String,
    /// What operators had changed when this process began to read it.
    editions: Editions,
    control: Arc<NodeControl>,
    pub(crate) faults: Faults,
    /// Told whenever a stage has committed something.
    committed: watch::Sender<()>,
}

/// Stages at work.
pub(crate) struct Running {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    /// The leases, which are let go of when all else has ended.
    leases: (watch::Sender<bool>, JoinHandle<()>),
}

impl Node {
    /// Opens a folder: databases, sandbox, and the plugins that come with the
    /// binary, of which none runs yet.
    ///
    /// # Errors
    /// If anything of it cannot be had.
    pub(crate) async fn open(config: Config, folder: Folder) -> Result<Self> {
        let location = config.data.location();
        let store = Store::open(&location)
            .await
            .with_context(|| opening(&location))?;
        let scope = config.data.scope.clone();
        refuse_if_damaged(&store, &scope, &location).await?;
        let journal = Journal::open(store.clone(), scope.clone()).await?;
        let journal = journal.paced(clocks());
        let vault = Vault::new(folder.path(), &config.plugins.secrets);
        let services = Arc::new(StoreServices(store.clone(), vault));
        let sandbox = Sandbox::start(services, Handle::current(), Arc::new(now))
            .context("starting the sandbox of plugins")?
            .with_egress(config.plugins.egress.way_out()?)
            .with_detector_shards(config.pipeline.detector_shards);
        let sandbox = compiling::with_compiler(sandbox, &config.plugins.compile, &folder)?;
        let hooks = Arc::new(HookTable::default());
        let host = Arc::new(PluginHost::new(
            store.clone(),
            Arc::new(sandbox),
            config.plugins.ceiling(),
            config.pipeline.detector_shards,
            standard_readers(&config),
            Arc::clone(&hooks),
        ));
        let editions = store.edition_fetch().await?;
        if config.plugins.bundled {
            let bundles = bundled()?;
            if bundles.is_empty() {
                tracing::warn!(
                    "this binary was built without the bundled plugins: build them first \
                     (`cargo xtask plugins`), then the binary"
                );
            }
            let _turn = store.turn().await?;
            first_party::install(&store, bundles).await?;
        }
        let head = store.journal_head(&scope).await?;
        let observed = store.stage_position(&scope, StageName::Observe).await?;
        let tokens = Arc::new(TokenTable::default());
        tokens.replace(store.token_list().await?);
        let counters = Arc::new(Counters::default());
        let intake_metrics = IntakeMetrics::default();
        let polls = Arc::<PollBoard>::default();
        let faults = Faults::default();
        let own_spans = Arc::<SpanCounts>::default();
        let name = name(&config, &folder)?;
        let holder = Holder {
            node: name.clone(),
            life: drawn()?,
        };
        let leases = Arc::new(Leases::new(
            store.clone(),
            scope.clone(),
            holder,
            config.data.lease,
            faults.clone(),
        ));
        let control = Arc::new(NodeControl::new(
            Arc::clone(&host),
            store.clone(),
            journal.clone(),
            Arc::clone(&tokens),
            Arc::clone(&counters),
            Arc::clone(&polls),
            intake_metrics.clone(),
            faults.clone(),
            Arc::clone(&leases),
            Arc::clone(&own_spans),
        ));
        Ok(Self {
            install: store.setting_propose(INSTALL, &drawn()?).await?,
            backlog: Arc::new(Backlog::new(head.position, observed.position)),
            committed: watch::Sender::default(),
            config,
            folder,
            store,
            journal,
            host,
            hooks,
            tokens,
            counters,
            intake_metrics,
            polls,
            leases,
            own_spans,
            name,
            editions,
            control,
            faults,
        })
    }

    /// What the API asks of it.
    #[cfg(test)]
    pub(crate) fn control(&self) -> &Arc<NodeControl> {
        &self.control
    }

    /// What this process is called among those that share the database.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The API, as a service that can be called. Streams of events end when
    /// `stop` says so.
    pub(crate) fn api(&self, mut stop: watch::Receiver<bool>) -> Router {
        let (news, committed) = watch::channel(());
        let mut commits = self.committed.subscribe();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    changed = commits.changed() => match changed {
                        Ok(()) => news.send_replace(()),
                        Err(_) => return,
                    },
                }
            }
        });
        Api::new(Parts {
            store: self.store.clone(),
            journal: self.journal.clone(),
            clock: Arc::new(now),
            randomness: Arc::new(randomness::fill),
            control: Arc::clone(&self.control) as Arc<_>,
            committed,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.name.clone(),
            install: self.install.clone(),
        })
        .limits_ceiling(self.config.plugins.ceiling())
        .edge_lifetime(self.config.pipeline.edge_lifetime)
        .router()
    }

    /// Loads the plugins and sets the stages to work.
    ///
    /// # Errors
    /// If the plugins cannot be read from the store.
    #[expect(
        clippy::too_many_lines,
        reason = "one straight line: to cut it would mean to hand everything on"
    )]
    pub(crate) async fn start(&self) -> Result<Running> {
        let reload = self.host.reload().await?;
        self.host.loaded(&reload).await;
        let settings = self
            .config
            .pipeline
            .settings(&self.config.plugins.supervision.policy());
        let scope = self.journal.scope();
        let (stop, stopped) = watch::channel(false);
        let observed = watch::Sender::new(());
        let mut tasks = JoinSet::new();
        let bell = |lease| {
            let plugins = self.host.plugins();
            let works_with = watch::Sender::new(plugins.borrow().number);
            self.control.follow(works_with.subscribe());
            Bell {
                stop: stopped.clone(),
                plugins,
                works_with,
                faults: self.faults.clone(),
                counters: Arc::clone(&self.counters),
                lease: self.leases.follow(lease),
            }
        };
        let observe_bell = bell(LeaseName::Observe);
        let correlate_bell = bell(LeaseName::Correlate);
        let poll_bell = bell(LeaseName::Poll);
        let plugins = self.host.plugins().borrow().plugins.clone();
        let observe = ObserveStage::new(
            self.store.clone(),
            scope.clone(),
            settings.observe,
            plugins.clone(),
            Arc::clone(&self.counters),
        );
        let round = settings.correlate.round;
        let correlate = CorrelateStage::new(
            self.store.clone(),
            scope.clone(),
            settings.correlate,
            plugins,
            Arc::clone(&self.counters),
        );
        let news = observed.subscribe();
        tasks.spawn(Arc::clone(&self.control).read_again(stopped.clone()));
        if self.store.kind().is_shared() {
            let others = Others {
                store: self.store.clone(),
                journal: self.journal.clone(),
                backlog: Arc::clone(&self.backlog),
                control: Arc::clone(&self.control),
                observed: observed.clone(),
                committed: self.committed.clone(),
                editions: self.editions,
            };
            tasks.spawn(others.watch(stopped.clone()));
        }
        let tell = {
            let (backlog, counters) = (Arc::clone(&self.backlog), Arc::clone(&self.counters));
            let committed = self.committed.clone();
            move || {
                backlog.worked(Position(counters.observe_position.get()));
                observed.send_replace(());
                committed.send_replace(());
            }
        };
        let head = self.journal.head();
        tasks.spawn(stages::observe(observe, head, observe_bell, tell));
        let committed = self.committed.clone();
        let tell = move || {
            committed.send_replace(());
        };
        tasks.spawn(stages::correlate(correlate, news, correlate_bell, tell));
        let (ask, asked) = polls::requests();
        let polling = Polling {
            journal: self.journal.clone(),
            board: Arc::clone(&self.polls),
            backlog: Arc::clone(&self.backlog),
            limits: self.config.intake.limits(),
            policy: self.config.plugins.supervision.policy(),
            mine: self.leases.follow_held(LeaseName::Poll),
        };
        tasks.spawn(polls::poll(polling, asked, poll_bell));
        self.control.polls(ask);
        let own_alerts = OwnAlerts {
            store: self.store.clone(),
            journal: self.journal.clone(),
            host: Arc::clone(&self.host),
            faults: self.faults.clone(),
            policy: self.config.plugins.supervision.policy(),
            mine: self.leases.follow_held(LeaseName::Observe),
        };
        tasks.spawn(own_alerts.watch(stopped.clone()));
        let timekeeper = Timekeeper::new(self.journal.clone(), round);
        let (head, faults) = (self.journal.head(), self.faults.clone());
        let lease = self.leases.follow(LeaseName::Timekeeper);
        tasks.spawn(stages::keep_time(timekeeper, head, lease, stopped, faults));
        let (let_go, told) = watch::channel(false);
        let keeping = tokio::spawn(Arc::clone(&self.leases).keep(told));
        self.control.started();
        Ok(Running {
            stop,
            tasks,
            leases: (let_go, keeping),
        })
    }

    /// Closes the databases. What is open stays usable only until then.
    pub(crate) async fn close(self) {
        self.store.close().await;
    }
}

impl Running {
    /// Lets the stages finish what they are at and save what they know, and then
    /// lets others have their leases.
    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!("a stage ended in a mistake of ours: {error}");
            }
        }
        let (let_go, keeping) = self.leases;
        let_go.send_replace(true);
        finish(keeping).await;
    }

    /// Waits until a stage ends by itself, which none of them should.
    pub(crate) async fn broken(&mut self) {
        match self.tasks.join_next().await {
            Some(Err(error)) => tracing::error!("a stage ended in a mistake of ours: {error}"),
            Some(Ok(())) => tracing::error!("a stage ended without having been told to"),
            None => std::future::pending().await,
        }
    }
}

/// What is being tried, for whoever reads that it did not work.
pub(crate) fn opening(location: &Location) -> String {
    match location {
        Location::Folder(folder) => format!("opening the databases in {}", folder.display()),
        Location::Postgresql { url, .. } => {
            format!("opening the database {url}; `[data] database` sets it")
        }
    }
}

/// Nothing is built on a journal whose end is not what was written: what came
/// in next could be taken for what was dealt with already.
async fn refuse_if_damaged(store: &Store, scope: &ScopeName, location: &Location) -> Result<()> {
    let check = store.journal_check(scope, Extent::End).await?;
    let Some(first) = check.damage.first() else {
        return Ok(());
    };
    let more = match check.damage.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    bail!(
        "the journal in {location} is damaged: {first}{more}; {}",
        Trouble::Damaged.remedy()
    )
}

/// What this process is called among those that share the database: as it is
/// configured, or after the machine and the folder.
fn name(config: &Config, folder: &Folder) -> Result<String> {
    if !config.data.node.is_empty() {
        return Ok(config.data.node.clone());
    }
    let machine = std::fs::read_to_string(HOST_NAME).unwrap_or_default();
    let machine = match machine.trim() {
        "" => "node",
        machine => machine,
    };
    let short = |id: String| id.chars().take(4).collect::<String>();
    Ok(format!("{machine}-{}", short(folder.node(drawn)?)))
}

/// A word that nobody has had before.
fn drawn() -> Result<String> {
    let mut bytes = [0; 32];
    randomness::fill(&mut bytes).context("asking the operating system for random bytes")?;
    Ok(Digest::of(&bytes).short())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use faultline_api::views::Status;
    use faultline_domain::access::{Principal, Role};

    use super::*;
    use crate::client::Client;
    use crate::folder::Taken;

    /// A node over a folder that goes with it.
    pub(crate) struct Opened {
        pub(crate) node: Node,
        pub(crate) folder: tempfile::TempDir,
        /// Streams end when it is dropped.
        stop: watch::Sender<bool>,
    }

    impl Opened {
        /// Over an empty folder, without the bundled plugins.
        pub(crate) async fn fresh() -> Self {
            Self::over(tempfile::tempdir().expect("a folder")).await
        }

        async fn over(folder: tempfile::TempDir) -> Self {
            Self::configured(folder, Config::default()).await
        }

        /// With its databases on a PostgreSQL server.
        pub(crate) async fn on_postgresql(url: &str) -> Self {
            let mut config = Config::default();
            config.data.database.0 = Some(url.parse().expect("a URL"));
            Self::configured(tempfile::tempdir().expect("a folder"), config).await
        }

        async fn configured(folder: tempfile::TempDir, mut config: Config) -> Self {
            config.plugins.bundled = false;
            folder.path().clone_into(&mut config.data.folder);
            let Taken::Ours(taken) = Folder::take(folder.path()).expect("can be had") else {
                panic!("nobody else has it");
            };
            Self {
                node: Node::open(config, taken).await.expect("opens"),
                folder,
                stop: watch::Sender::new(false),
            }
        }

        /// As after a restart.
        pub(crate) async fn again(self) -> Self {
            self.node.close().await;
            Self::over(self.folder).await
        }

        pub(crate) fn router(&self) -> Router {
            self.node.api(self.stop.subscribe())
        }

        pub(crate) fn client(&self) -> Client {
            Client::Local {
                router: self.router(),
                principal: Principal {
                    name: "local:test".to_owned(),
                    role: Role::Admin,
                },
            }
        }
    }

    /// The database that a URL names.
    pub(crate) fn database(url: &str) -> &str {
        let path = url.split('?').next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default()
    }

    /// Waits until something is so. Fails if it does not come to be.
    pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
        let looking = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(30), looking).await;
        assert!(seen.is_ok(), "{what}");
    }

    #[tokio::test]
    async fn a_node_answers_before_it_works_and_is_the_same_after_a_restart() {
        let opened = Opened::fresh().await;
        let status: Status = opened.client().get("/status").await.expect("answers");
        assert_eq!((status.journal_position, status.ready), (0, false));
        let install = status.install;
        let opened = opened.again().await;
        let status: Status = opened.client().get("/status").await.expect("answers");
        assert_eq!(status.install, install);
    }

    #[tokio::test]
    async fn a_node_that_works_is_ready_and_stops() {
        let opened = Opened::fresh().await;
        let running = opened.node.start().await.expect("starts");
        let status: Status = opened.client().get("/status").await.expect("answers");
        assert_eq!((status.ready, status.unready_reason), (true, None));
        running.stop().await;
        opened.node.close().await;
    }
}
